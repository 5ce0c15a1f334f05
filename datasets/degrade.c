#include "datasets/degrade.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/parse.h"
#include "datasets/augment.h"

static const struct {
	const char *name;
	enum phiz_degrade_kind kind;
	double least, most; /* both 0: takes no number */
} kinds[] = {
	{"blur", PHIZ_DEGRADE_BLUR, 0.1, 10},       {"jpeg", PHIZ_DEGRADE_JPEG, 1, 100},
	{"scale", PHIZ_DEGRADE_SCALE, 0.02, 1},     {"gray", PHIZ_DEGRADE_GRAY, 0, 0},
	{"rotate", PHIZ_DEGRADE_ROTATE, -180, 180}, {"gamma", PHIZ_DEGRADE_GAMMA, 0.1, 10},
};

enum phiz_status phiz_degrade_parse(struct phiz_ctx *ctx, const char *text, struct phiz_degrade *out)
{
	size_t name = strcspn(text, ":");

	*out = (struct phiz_degrade){PHIZ_DEGRADE_NONE, 0};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		bool number = kinds[i].least != 0 || kinds[i].most != 0;
		if (strlen(kinds[i].name) != name || strncmp(kinds[i].name, text, name) != 0 || number != (text[name] == ':'))
			continue;
		enum phiz_status status = PHIZ_OK;
		if (number)
			status = phiz_parse_f64(ctx, text + name + 1, kinds[i].least, kinds[i].most, &out->amount);
		if (status)
			return phiz_fail_in(ctx, "%s", kinds[i].name);
		out->kind = kinds[i].kind;
		return PHIZ_OK;
	}
	return phiz_fail(ctx, PHIZ_E_ARG, "want blur:SIGMA, jpeg:QUALITY, scale:FACTOR, gray, rotate:DEGREES or gamma:G, "
	                 "got '%s'", text);
}

/* The kernel reaches three sigmas, but not past the photo. */
static enum phiz_status blur(struct phiz_ctx *ctx, struct phiz_image *image, double sigma)
{
	int side = image->width < image->height ? image->width : image->height;
	int half = (int)ceil(3 * sigma), most = side - 1 < 31 ? side - 1 : 31;

	if (half > most)
		half = most;
	return phiz_apply_blur(ctx, image, 2 * half + 1, sigma);
}

static int scaled(int side, double factor)
{
	int s = (int)lround(side * factor);

	return s < 1 ? 1 : s;
}

static enum phiz_status shrink(struct phiz_ctx *ctx, struct phiz_image *image, double factor)
{
	struct phiz_image small, out;
	int width = scaled(image->width, factor), height = scaled(image->height, factor);
	enum phiz_status status = phiz_image_resize(ctx, image, width, height, NULL, &small);

	if (status)
		return status;
	status = phiz_image_resize(ctx, &small, image->width, image->height, NULL, &out);
	phiz_image_free(ctx, &small);
	if (status)
		return status;
	phiz_image_free(ctx, image);
	*image = out;
	return PHIZ_OK;
}

static void bend(struct phiz_image *image, double gamma)
{
	size_t bytes = (size_t)image->width * (size_t)image->height * 3;
	uint8_t table[256];

	for (int v = 0; v < 256; v++)
		table[v] = (uint8_t)lround(255 * pow(v / 255.0, gamma));
	for (size_t i = 0; i < bytes; i++)
		image->data[i] = table[image->data[i]];
}

enum phiz_status phiz_degrade_apply(struct phiz_ctx *ctx, const struct phiz_degrade *d, struct phiz_image *image)
{
	static const uint8_t black[3];

	switch (d->kind) {
	case PHIZ_DEGRADE_BLUR:
		return blur(ctx, image, d->amount);
	case PHIZ_DEGRADE_JPEG:
		return phiz_apply_jpeg(ctx, image, (int)lround(d->amount));
	case PHIZ_DEGRADE_SCALE:
		return shrink(ctx, image, d->amount);
	case PHIZ_DEGRADE_GRAY:
		phiz_apply_gray(image);
		break;
	case PHIZ_DEGRADE_ROTATE:
		return phiz_apply_rotate(ctx, image, d->amount, true, black);
	case PHIZ_DEGRADE_GAMMA:
		bend(image, d->amount);
		break;
	case PHIZ_DEGRADE_NONE:
		break;
	}
	return PHIZ_OK;
}
