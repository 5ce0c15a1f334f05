/* What the codecs of core/image share. Each gives upright 8-bit RGB and trusts nothing that a file says. */
#ifndef PHIZ_IMAGE_CODEC_H
#define PHIZ_IMAGE_CODEC_H

#include <stdbool.h>

#include <phiz/image.h>

#include "core/base/bytes.h"

/* An encoded image in memory and how it is to be read. */
struct phiz_source {
	const unsigned char *data;
	size_t size;
	const char *name;   /* for messages */
	int64_t max_pixels; /* > 0 */
	int min_side;
	bool lenient;
};

enum phiz_status phiz_jpeg_decode(struct phiz_ctx *ctx, const struct phiz_source *source, struct phiz_image *out);
enum phiz_status phiz_png_decode(struct phiz_ctx *ctx, const struct phiz_source *source, struct phiz_image *out);
enum phiz_status phiz_pnm_decode(struct phiz_ctx *ctx, const struct phiz_source *source, struct phiz_image *out);

/* Width and height of the upright image, from the header; max_pixels is not looked at. */
enum phiz_status phiz_jpeg_probe(struct phiz_ctx *ctx, const struct phiz_source *source, int *width, int *height);
enum phiz_status phiz_png_probe(struct phiz_ctx *ctx, const struct phiz_source *source, int *width, int *height);
enum phiz_status phiz_pnm_probe(struct phiz_ctx *ctx, const struct phiz_source *source, int *width, int *height);

/* Appends P6 (RGB) or P5 (grey). */
enum phiz_status phiz_pnm_encode(struct phiz_ctx *ctx, const struct phiz_image *image, struct phiz_bytes *out);

/* Refuses what a header claims: FORMAT for an empty image, LIMIT above the pixel limit, FORMAT ("truncated") where
 * even the best compression could not hold so many pixels in the file: `least` is a lower bound of its bytes. */
enum phiz_status phiz_source_check(struct phiz_ctx *ctx, const struct phiz_source *source, uint64_t width,
                                   uint64_t height, uint64_t least);

/* The Orientation (1 to 8) of a TIFF block as EXIF holds it (from its byte order mark on); 1 where there is none or
 * where anything about it is wrong. Never reads outside data[0, size). */
int phiz_exif_orientation(const unsigned char *data, size_t size);

/* Turns an image so that what is stored with this EXIF orientation stands upright. A failure
 * (NOMEM) leaves it as it was. */
enum phiz_status phiz_image_orient(struct phiz_ctx *ctx, int orientation, struct phiz_image *image);

/* Is this a whole image: sizes in range, 1 or 3 channels, data? ARG otherwise; who: the caller, for the message. */
enum phiz_status phiz_image_check(struct phiz_ctx *ctx, const struct phiz_image *image, const char *who);

#endif
