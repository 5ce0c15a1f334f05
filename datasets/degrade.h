/* A photo made worse in one way, to see how a model bears it. */
#ifndef PHIZ_DATASETS_DEGRADE_H
#define PHIZ_DATASETS_DEGRADE_H

#include <phiz/image.h>

enum phiz_degrade_kind {
	PHIZ_DEGRADE_NONE,
	PHIZ_DEGRADE_BLUR,   /* Gaussian, sigma of 0.1 to 10 pixels; no wider than the photo allows */
	PHIZ_DEGRADE_JPEG,   /* encoded with this quality, 1 to 100 */
	PHIZ_DEGRADE_SCALE,  /* made smaller by this factor, 0.02 to 1, and as large as before again */
	PHIZ_DEGRADE_GRAY,
	PHIZ_DEGRADE_ROTATE, /* about the middle, -180 to 180 degrees counter-clockwise; corners are black */
	PHIZ_DEGRADE_GAMMA   /* v becomes 255 (v/255)^amount, 0.1 to 10; above 1 darker */
};

struct phiz_degrade {
	enum phiz_degrade_kind kind;
	double amount;
};

/* "blur:1.5", "jpeg:30", "scale:0.5", "gray", "rotate:10" or "gamma:2". ARG, naming what is wanted. */
enum phiz_status phiz_degrade_parse(struct phiz_ctx *ctx, const char *text, struct phiz_degrade *out);
/* In place, of an RGB image; a failed call leaves it as it was. Errors: NOMEM, and those of JPEG and resizing. */
enum phiz_status phiz_degrade_apply(struct phiz_ctx *ctx, const struct phiz_degrade *d, struct phiz_image *image);

#endif
