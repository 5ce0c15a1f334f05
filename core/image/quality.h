/* How good a picture of a face is: sharpness, exposure, contrast, pose, size, and one figure made of them. All
 * measures are plain arithmetic on pixels and landmarks; none is learnt. */
#ifndef PHIZ_IMAGE_QUALITY_H
#define PHIZ_IMAGE_QUALITY_H

#include <phiz/align.h>

/* Pixels are measured on a grey copy of the face of PHIZ_QUALITY_SIZE squared, values 0..255, in the upright ellipse
 * with the centre of the square, as high as the square and 0.84 of that wide (so that the background in the corners and
 * what lies outside of the photo hardly count). */
enum { PHIZ_QUALITY_SIZE = 112 };

struct phiz_quality {
	/* Of the pixels. */
	double sharpness; /* variance of the Laplacian (0 1 0; 1 -4 1; 0 1 0), square grey levels, 0 .. 260100; of faces at
	                     this size: below 30 blurred or enlarged from next to nothing, above 300 crisp */
	double mean;      /* of the grey values / 255, 0..1 */
	double dark;      /* share of pixels of at most 8 of 255, 0..1 */
	double bright;    /* share of pixels of at least 247 of 255, 0..1 */
	double contrast;  /* standard deviation of the grey values / 255, 0..0.5 */
	/* Of the landmarks; see phiz_quality_pose. */
	double yaw, pitch, roll; /* degrees */
	double eyes;             /* distance of the eyes in pixels of the photo */
	/* 0..1; see phiz_quality_overall. */
	double overall;
};

/* Of a face in a photo: cut out as phiz_align_crop does it (ARCFACE, PHIZ_QUALITY_SIZE), so whatever a crop is cut
 * like in the end, its figures compare. Fills everything. Errors: those of phiz_align_crop. */
enum phiz_status phiz_quality_face(struct phiz_ctx *ctx, const struct phiz_image *image, const struct phiz_face *face,
                                   struct phiz_quality *out);
/* Of a picture that is a crop of a face already, without landmarks: resized to the square and measured; pose 0, eyes
 * as if they were where they are in ArcFace's crops (35 of 112 pixels apart), overall of these. */
enum phiz_status phiz_quality_crop(struct phiz_ctx *ctx, const struct phiz_image *crop, struct phiz_quality *out);

/* Sets yaw, pitch, roll and eyes from the five landmarks. E: middle of the eyes, M: middle of the corners of the
 * mouth, N: tip of the nose.
 *     roll  = atan2(y, x) of the way from the left eye to the right one: > 0 leans clockwise
 *     eyes  = its length
 * and, in coordinates turned back by roll, with x along the eyes, y downwards, and the tip of the nose D = 0.57 eye
 * distances in front of the plane of eyes and mouth:
 *     yaw   = atan((x of N - x of the middle of E and M) / (D * eyes)): > 0 looks to the right of the picture
 *     pitch = atan((0.62 - (y of N - y of E) / (y of M - y of E)) * 1.03 / D): > 0 looks up
 * (0.62: how far down the nose is from eyes to mouth in a level face; 1.03: from eyes to mouth in eye distances;
 * medians of photographs of adults). Estimates: a long nose looks down a little. Landmarks that coincide give 0. */
void phiz_quality_pose(const float landmark[PHIZ_LANDMARKS][2], struct phiz_quality *out);

/* Each part is brought to 0.01..1: 1 is as good as it need be.
 *     part      weight  0.01 at or below     1 at or above
 *     sharpness  0.30   10                   300 (between them on a logarithmic scale)
 *     eyes       0.20   8 pixels             40 pixels (the same)
 *     pose       0.25   60 degrees           15 degrees, of the length of (yaw, 1.5 * pitch); roll does not count
 *     exposure   0.15   mean 0.08 or 0.95    mean 0.25 to 0.75; times 1 - 2 * (dark + bright), at least 0
 *     contrast   0.10   0.02                 0.12
 * overall is their weighted geometric mean. Reads everything else in q. */
double phiz_quality_overall(const struct phiz_quality *q);

#endif
