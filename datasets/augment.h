/* Augmentation with torchvision's semantics, names and order, on 8-bit images.
 *
 * In two parts: a *draw* turns a random sequence into explicit parameters, an *apply* takes parameters. So a test can
 * hold each apply against torchvision's functional transform for the same parameters, and a photo's augmentation is a
 * function of (settings, its sequence, its size). */
#ifndef PHIZ_DATASETS_AUGMENT_H
#define PHIZ_DATASETS_AUGMENT_H

#include <stdbool.h>

#include <phiz/image.h>
#include <phiz/preproc.h>

#include "core/base/rng.h"
#include "datasets/stages.h"

/* All zero: no augmentation. Pairs are {low, high}; probabilities 0..1. Applied in this order. */
struct phiz_augment {
	/* RandomResizedCrop(size, scale, ratio); where off, the photo gets the geometry of the preprocessing. */
	bool crop;
	double crop_scale[2]; /* share of the photo's area, 0 < low <= high <= 1; torchvision: 0.08, 1 */
	double crop_ratio[2]; /* width / height, > 0; torchvision: 3/4, 4/3 */
	/* RandomHorizontalFlip(p) */
	double flip;
	/* RandomRotation(degrees): uniform in -degrees..degrees, counter-clockwise; 0..180, 0: off */
	double rotation;
	/* RandomAffine(0, translate, scale): shift of at most this share of a side (0..1), zoom; {0, 0} each: off */
	double translate[2]; /* horizontal, vertical */
	double zoom[2];
	bool bilinear;       /* for rotation and affine; false: nearest, torchvision's default */
	uint8_t fill[3];     /* what rotation and affine show from outside the photo */
	/* ColorJitter(brightness, contrast, saturation, hue) with probability `jitter` (RandomApply; ColorJitter alone: 1).
	 * Factors are uniform in max(0, 1 - x)..1 + x, hue in -hue..hue (0..0.5); each may be 0: off. */
	double jitter;
	double brightness, contrast, saturation, hue;
	/* RandomGrayscale(p) */
	double gray;
	/* GaussianBlur(kernel, sigma) with probability `blur`; kernel odd, 3..63 */
	double blur;
	int blur_kernel;
	double blur_sigma[2]; /* pixels, > 0 */
	/* As if taken from far away: made smaller, to a side drawn from low_res_side, and larger again, with probability
	 * `low_res` */
	double low_res;
	int low_res_side[2]; /* pixels, 4..2048 */
	/* JPEG artefacts: encoded at a quality and decoded, with probability `jpeg` */
	double jpeg;
	int jpeg_quality[2]; /* 1..100 */
	/* RandomErasing(p, scale, ratio, value) on the normalised planes */
	double erase;
	double erase_scale[2]; /* share of the area, 0..1; torchvision: 0.02, 0.33 */
	double erase_ratio[2]; /* height / width, > 0; torchvision: 0.3, 3.3 */
	bool erase_random;     /* value="random": standard normal noise; false: 0, which is the mean colour */
	/* MixUp(alpha), for the loader: phiz_mixup_lambda. 0: off */
	double mixup;
};

/* Everything off, but with torchvision's default ranges, so that a probability (or `crop`) turns a part on. */
void phiz_augment_defaults(struct phiz_augment *a);
/* ARG, naming the field as the recipe does ("augment.crop_scale: want 0 < low <= high <= 1, got 0.5, 0.1"). */
enum phiz_status phiz_augment_check(struct phiz_ctx *ctx, const struct phiz_augment *a);
/* Is anything on that changes a single photo (that is, anything but MixUp)? */
bool phiz_augment_is_on(const struct phiz_augment *a);

enum phiz_jitter_step { PHIZ_JITTER_BRIGHTNESS, PHIZ_JITTER_CONTRAST, PHIZ_JITTER_SATURATION, PHIZ_JITTER_HUE };

/* x, y, w, h in pixels; w == 0: none. */
struct phiz_box {
	int x, y, w, h;
};

/* Explicit parameters of one photo. All zero: none of it. */
struct phiz_augment_draw {
	struct phiz_box crop; /* of the photo after the preprocessing's own crop */
	bool flip;
	double angle;         /* degrees counter-clockwise; 0: no rotation */
	bool affine;
	int shift[2];         /* pixels, right and down */
	double zoom;
	int jitter_steps;     /* of the next two, 0..4 */
	enum phiz_jitter_step jitter_order[4];
	double jitter_factor[4];
	bool gray;
	double blur_sigma;    /* 0: none */
	int low_res;          /* side, pixels; 0: not */
	int jpeg_quality;     /* 0: none */
	struct phiz_box erase;
	struct phiz_rng erase_noise; /* the sequence of the noise, R plane first, row by row */
};

/* Draws for a photo of width x height pixels (after the preprocessing's own crop) and a network input of size x size.
 * Settings that are off draw nothing. */
void phiz_augment_sample(const struct phiz_augment *a, struct phiz_rng *rng, int width, int height, int size,
                         struct phiz_augment_draw *out);
/* RandomResizedCrop.get_params: ten tries, then the central crop of the nearest ratio. */
void phiz_draw_resized_crop(struct phiz_rng *rng, int width, int height, const double scale[2], const double ratio[2],
                            struct phiz_box *box);
/* RandomErasing.get_params; w == 0 where ten tries found no place. */
void phiz_draw_erase(struct phiz_rng *rng, int width, int height, const double scale[2], const double ratio[2],
                     struct phiz_box *box);
/* lambda ~ Beta(alpha, alpha), alpha > 0; in [0, 1]. */
double phiz_mixup_lambda(struct phiz_rng *rng, double alpha);
/* a = lambda * a + (1 - lambda) * b, n numbers. */
void phiz_mixup_apply(float *a, const float *b, size_t n, float lambda);

/* --- Apply. Images are RGB unless it says otherwise; a failed call leaves the image as it was. --- */

/* F.resized_crop: the box, then resize to size x size. To the last bit. out is created. */
enum phiz_status phiz_apply_resized_crop(struct phiz_ctx *ctx, const struct phiz_image *from,
                                         const struct phiz_box *box, int size, struct phiz_image *out);
/* F.rotate about the centre, same size. Nearest to the last bit. */
enum phiz_status phiz_apply_rotate(struct phiz_ctx *ctx, struct phiz_image *image, double angle, bool bilinear,
                                   const uint8_t fill[3]);
/* Where a pixel of the turned image comes from, as phiz_image_affine reads it; the same of phiz_apply_affine. */
void phiz_rotate_transform(double angle, int width, int height, double m[6]);
void phiz_affine_transform(const int shift[2], double zoom, int width, int height, double m[6]);
/* F.affine with angle 0 and no shear. */
enum phiz_status phiz_apply_affine(struct phiz_ctx *ctx, struct phiz_image *image, const int shift[2], double zoom,
                                   bool bilinear, const uint8_t fill[3]);
/* F.adjust_brightness, _contrast, _saturation (factor >= 0) and _hue (-0.5..0.5). To the last bit. */
void phiz_apply_brightness(struct phiz_image *image, double factor);
void phiz_apply_contrast(struct phiz_image *image, double factor);
void phiz_apply_saturation(struct phiz_image *image, double factor);
void phiz_apply_hue(struct phiz_image *image, double factor);
/* F.rgb_to_grayscale with three output channels. To the last bit. */
void phiz_apply_gray(struct phiz_image *image);
/* F.gaussian_blur. Sums are rounded in another order, so a pixel that lies on an edge of rounding may differ by 1.
 * ARG if the image is not larger than half the kernel. */
enum phiz_status phiz_apply_blur(struct phiz_ctx *ctx, struct phiz_image *image, int kernel, double sigma);
/* Resized to side x side pixels and back, bilinear with antialiasing (F.resize). */
enum phiz_status phiz_apply_low_res(struct phiz_ctx *ctx, struct phiz_image *image, int side);
/* Encoded as JPEG (4:2:0) and decoded. Pillow's pixels for the same quality, given the same libjpeg. */
enum phiz_status phiz_apply_jpeg(struct phiz_ctx *ctx, struct phiz_image *image, int quality);
/* F.erase on planes [3, height, width]: 0, or normal noise (noise != NULL). */
void phiz_apply_erase(float *planes, int width, int height, const struct phiz_box *box, const struct phiz_rng *noise);

/* --- All of it. --- */

/* The pixels: the preprocessing's crop, then all up to and including JPEG artefacts. out: a size x size RGB image. */
enum phiz_status phiz_augment_image(struct phiz_ctx *ctx, const struct phiz_augment *a, const struct phiz_preproc *p,
                                    const struct phiz_augment_draw *draw, const struct phiz_image *image,
                                    struct phiz_image *out);
/* Its first half: crop, resize, flip, rotation and affine. */
enum phiz_status phiz_augment_geometry(struct phiz_ctx *ctx, const struct phiz_augment *a, const struct phiz_preproc *p,
                                       const struct phiz_augment_draw *draw, const struct phiz_image *image,
                                       struct phiz_image *out);
/* Its second half: from colour to JPEG artefacts. */
enum phiz_status phiz_augment_pixels(struct phiz_ctx *ctx, const struct phiz_augment *a,
                                     const struct phiz_augment_draw *draw, struct phiz_image *image);
/* Where a photo goes: normalised planes [3, size, size]; or, planes NULL, its bytes [3, size, size] before that, and
 * the box (x, y, width, height) that is 0 once they are normalised (phiz_pass_bytes in plan.h). */
struct phiz_augment_out {
	float *planes;
	uint8_t *bytes;
	int32_t *erased; /* [4] */
};
/* Do bytes and a box say all of it? Not where noise is put in, or photos are mixed. NULL: nothing is done. */
bool phiz_augment_fits_bytes(const struct phiz_augment *a);
/* After the geometry, which made `image`: the second half, and what is written. The image is freed, on failure too.
 * stages: where the time is booked, or NULL. */
enum phiz_status phiz_augment_finish(struct phiz_ctx *ctx, const struct phiz_augment *a, const struct phiz_preproc *p,
                                     const struct phiz_augment_draw *draw, struct phiz_image *image,
                                     const struct phiz_augment_out *out, struct phiz_stages *stages);
/* An image of the network's size that no augmentation has a part in. */
void phiz_augment_write(const struct phiz_preproc *p, const struct phiz_image *image,
                        const struct phiz_augment_out *out);
/* Draws, applies, normalises, erases. a NULL or all off: phiz_preproc_run. */
enum phiz_status phiz_augment_run(struct phiz_ctx *ctx, const struct phiz_augment *a, const struct phiz_preproc *p,
                                  struct phiz_rng *rng, const struct phiz_image *image,
                                  const struct phiz_augment_out *out, struct phiz_stages *stages);
/* --- The same for a face that p->align cuts out of a photo by its landmarks. Draws are for a photo of p->size: the
 * cut-out face. --- */

/* From the network's input to the photo: cut, crop, flip, rotation and affine in one. */
enum phiz_status phiz_augment_face_transform(struct phiz_ctx *ctx, const struct phiz_preproc *p,
                                             const struct phiz_face *face, const struct phiz_augment_draw *draw,
                                             double m[6]);
/* Interpolates the photo once (bilinear; made smaller with antialiasing first where the face is larger than the crop);
 * what lies outside of it is black. */
enum phiz_status phiz_augment_face(struct phiz_ctx *ctx, const struct phiz_augment *a, const struct phiz_preproc *p,
                                   const struct phiz_face *face, const struct phiz_augment_draw *draw,
                                   const struct phiz_image *image, struct phiz_image *out);
enum phiz_status phiz_augment_face_run(struct phiz_ctx *ctx, const struct phiz_augment *a, const struct phiz_preproc *p,
                                       const struct phiz_face *face, struct phiz_rng *rng,
                                       const struct phiz_image *image, const struct phiz_augment_out *out,
                                       struct phiz_stages *stages);

#endif
