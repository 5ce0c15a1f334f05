/* From a face in a photo to the square crop that a network reads. The ONE definition: extraction, training and every
 * runtime cut faces so, and the model file stores which way. */
#ifndef PHIZ_ALIGN_H
#define PHIZ_ALIGN_H

#include <phiz/image.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PHIZ_LANDMARKS = 5 };

/* A box with five points, in pixels of the upright image; pixel (0, 0) covers 0..1 in x and y. */
struct phiz_face {
	float box[4]; /* x, y of the upper left corner, width, height; may reach outside of the image */
	float score;  /* of the detector, 0..1 */
	/* x, y of: the eye on the left of the picture, the eye on the right, tip of the nose, left and right corner of the
	 * mouth (left and right as seen in the picture). Five times the same, as a rule zeros: none are known */
	float landmark[PHIZ_LANDMARKS][2];
};

/* Are the face's landmarks known? */
PHIZ_API bool phiz_face_has_landmarks(const struct phiz_face *face);

enum phiz_align_kind {
	PHIZ_ALIGN_NONE,    /* the photo is the crop already */
	PHIZ_ALIGN_ARCFACE, /* the similarity transform that brings the landmarks closest to ArcFace's template
	                       (Deng et al. 2019: 112 x 112 pixels), which is scaled to size */
	PHIZ_ALIGN_FACENET, /* facenet-pytorch's: the box and `margin` pixels of the finished crop around it, stretched to a
	                       square of `size` pixels. It differs from it where the part reaches outside of the photo
	                       (black here; there what is inside is stretched), where the corners are no whole pixels
	                       (there they are cut down to such), at the outermost pixels (which here see the photo beyond
	                       the part), and in shrinking by less than 1.5, which is not antialiased here */
	PHIZ_ALIGN_BOX      /* the smallest square around the box, larger by the factor 1 + margin: nothing is stretched */
};

struct phiz_align {
	enum phiz_align_kind kind;
	double margin; /* FACENET: pixels of the crop, both sides together, 0 <= margin < size. BOX: share of the square's
	                  side, 0..4. Else 0 */
	int size;      /* of the crop, 16..1024 pixels; NONE: 0 */
};

/* "none", "arcface", "facenet", "box"; false for other names. */
PHIZ_API bool phiz_align_parse(const char *name, enum phiz_align_kind *out);
PHIZ_API const char *phiz_align_name(enum phiz_align_kind kind);
/* ARG, naming the field, if a field is out of range. */
PHIZ_API enum phiz_status phiz_align_check(struct phiz_ctx *ctx, const struct phiz_align *align);

/* ArcFace's template in a square of `size` pixels. */
PHIZ_API void phiz_align_template(int size, float point[PHIZ_LANDMARKS][2]);
/* The similarity transform m (rotation, scale, shift) with the least sum of squared distances of m(from[i]) to to[i]:
 * x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5 (Umeyama 1991, without reflection, in double). false if all points of
 * `from` coincide or one is not finite. */
PHIZ_API bool phiz_align_similarity(const float from[][2], const float to[][2], int n, double m[6]);

/* Cuts the face out as align says; out is a size x size image with the channels of `from`. Where the crop is smaller
 * than the face in the photo the photo is made smaller first, with antialiasing; what lies outside of the photo is
 * black. ARG for a face whose box is empty or whose landmarks allow no transform. kind NONE gives a copy. */
PHIZ_API enum phiz_status phiz_align_crop(struct phiz_ctx *ctx, const struct phiz_align *align,
                                          const struct phiz_image *from, const struct phiz_face *face,
                                          struct phiz_image *out);
/* Where n points of the photo (x, y in its pixels) lie in the crop that phiz_align_crop cuts of this face. ARG as
 * there. */
PHIZ_API enum phiz_status phiz_align_point(struct phiz_ctx *ctx, const struct phiz_align *align,
                                           const struct phiz_face *face, const float photo[][2], float crop[][2],
                                           int n);

#ifdef __cplusplus
}
#endif
#endif
