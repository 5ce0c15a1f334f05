/* The ONE definition of preprocessing: from an RGB image to the network's input. Training (after augmentation),
 * evaluation and every runtime go through it, and the model file stores it. */
#ifndef PHIZ_PREPROC_H
#define PHIZ_PREPROC_H

#include <phiz/align.h>
#include <phiz/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

enum phiz_resize_mode {
	PHIZ_RESIZE_STRETCH, /* to size x size, whatever the aspect (torchvision Resize((size, size))) */
	PHIZ_RESIZE_SHORT    /* short side to `resize`, then the centre size x size (Resize(resize), CenterCrop(size)) */
};

struct phiz_preproc {
	struct phiz_align align;  /* how faces are cut out of photos before all that follows; NONE: the photos are crops
	                             already. The functions here begin with the crop: phiz_align_crop makes it */
	double crop;              /* the middle part of each side that is kept before anything else, 0 < crop <= 1;
	                             recipe: data.crop = center:0.6 */
	enum phiz_resize_mode mode;
	int resize;               /* SHORT only; capped so that the long side stays <= 16384 */
	int size;                 /* of the square network input, pixels */
	float mean[3], std[3];    /* of RGB in 0..1; input = (rgb/255 - mean)/std */
};

/* Resize 256, CenterCrop 224, ImageNet mean and deviation: torchvision's. */
PHIZ_API void phiz_preproc_torchvision(struct phiz_preproc *p);
/* ARG, naming the field, if a field is out of range. */
PHIZ_API enum phiz_status phiz_preproc_check(struct phiz_ctx *ctx, const struct phiz_preproc *p);

/* The centre box that `crop` keeps, rounded as Pillow users do: left = round((w - w*crop)/2), right =
 * round((w + w*crop)/2) (round half to even). box = x, y, w, h; at least 1x1. */
PHIZ_API void phiz_preproc_crop_box(const struct phiz_preproc *p, int width, int height, int box[4]);
/* The geometric part: crop, resize, centre crop; out is a size x size RGB image. */
PHIZ_API enum phiz_status phiz_preproc_geometry(struct phiz_ctx *ctx, const struct phiz_preproc *p,
                                                const struct phiz_image *from, struct phiz_image *out);
/* The numeric part: (rgb/255 - mean)/std into planes; out holds 3 * width * height floats (C, H, W). */
PHIZ_API void phiz_preproc_normalize(const struct phiz_preproc *p, const struct phiz_image *image, float *out);
/* The bytes that it reads, in the same order, for where a device does the arithmetic (phiz_pass_bytes in plan.h). */
PHIZ_API void phiz_preproc_planes(const struct phiz_image *image, uint8_t *out);
/* Both. out: 3 * size * size floats. */
PHIZ_API enum phiz_status phiz_preproc_run(struct phiz_ctx *ctx, const struct phiz_preproc *p,
                                           const struct phiz_image *from, float *out);

#ifdef __cplusplus
}
#endif
#endif
