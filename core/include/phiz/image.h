/* Images in memory, decoding and encoding, geometry and colour. */
#ifndef PHIZ_IMAGE_H
#define PHIZ_IMAGE_H

#include <stdbool.h>

#include <phiz/ctx.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 8-bit pixels, rows from the top, channels interleaved: RGB (3) or grey (1). The struct owns data. */
struct phiz_image {
	int width, height, channels;
	uint8_t *data; /* width * channels bytes a row, no padding */
};

enum phiz_image_format { PHIZ_IMAGE_UNKNOWN, PHIZ_IMAGE_JPEG, PHIZ_IMAGE_PNG, PHIZ_IMAGE_PNM, PHIZ_IMAGE_GIF,
	                 PHIZ_IMAGE_BMP, PHIZ_IMAGE_WEBP, PHIZ_IMAGE_TIFF, PHIZ_IMAGE_HEIF };

struct phiz_decode_options {
	int64_t max_pixels; /* LIMIT above, from the header alone; 0: 100 million */
	int min_side;       /* > 0: a JPEG may be decoded at 1/2, 1/4 or 1/8 as long as its short side stays >= this */
	bool lenient;       /* take a truncated or damaged file as far as it goes, with a warning in the log */
};

/* Decodes JPEG (grey, YCbCr, CMYK, YCCK), PNG (1 to 16 bits, palette, alpha dropped: composed over black is NOT done,
 * the colour stands), PGM and PPM (P2, P3, P5, P6, 8 and 16 bits), chosen by content, not by name; EXIF orientation is
 * applied. Always gives RGB. name is used in messages. NULL options: all defaults.
 * Errors: FORMAT ("NAME: is a GIF, want JPEG, PNG, PGM or PPM"; truncated; empty file), LIMIT, NOMEM. */
PHIZ_API enum phiz_status phiz_image_decode(struct phiz_ctx *ctx, const void *data, size_t size, const char *name,
                                            const struct phiz_decode_options *options, struct phiz_image *out);
/* The same from a file. NOTFOUND, IO. Files above 256 MiB are refused (LIMIT). */
PHIZ_API enum phiz_status phiz_image_read(struct phiz_ctx *ctx, const char *path,
                                          const struct phiz_decode_options *options, struct phiz_image *out);
/* Width and height of the upright image from the header, without decoding. */
PHIZ_API enum phiz_status phiz_image_probe(struct phiz_ctx *ctx, const char *path, int *width, int *height);
PHIZ_API enum phiz_image_format phiz_image_sniff(const void *data, size_t size);
/* An image of undefined pixels. LIMIT above 2^31-1 bytes. */
PHIZ_API enum phiz_status phiz_image_create(struct phiz_ctx *ctx, int width, int height, int channels,
                                            struct phiz_image *out);
PHIZ_API void phiz_image_free(struct phiz_ctx *ctx, struct phiz_image *image);
PHIZ_API enum phiz_status phiz_image_copy(struct phiz_ctx *ctx, const struct phiz_image *from, struct phiz_image *out);

struct phiz_bytes;
/* Encoders append to out. quality 1..100. */
PHIZ_API enum phiz_status phiz_jpeg_encode(struct phiz_ctx *ctx, const struct phiz_image *image, int quality,
                                           struct phiz_bytes *out);
PHIZ_API enum phiz_status phiz_png_encode(struct phiz_ctx *ctx, const struct phiz_image *image, struct phiz_bytes *out);
/* By the name's ending (.jpg .jpeg .png .ppm), atomically. quality is for JPEG. */
PHIZ_API enum phiz_status phiz_image_write(struct phiz_ctx *ctx, const char *path, const struct phiz_image *image,
                                           int quality);

/* --- Geometry. out is created. --- */

/* The box [x, x+w) x [y, y+h), which may reach outside: what is outside is black. w, h >= 1. */
PHIZ_API enum phiz_status phiz_image_crop(struct phiz_ctx *ctx, const struct phiz_image *from, int x, int y, int w,
                                          int h, struct phiz_image *out);
/* Bilinear with antialiasing, as Pillow's resize(BILINEAR) does it on 8-bit data (two passes, 22-bit fixed point), to
 * the last bit. box (x0, y0, x1, y1 in source pixels, floats) picks a part of the source, NULL: all. LIMIT when
 * out is larger than 100 million pixels. */
PHIZ_API enum phiz_status phiz_image_resize(struct phiz_ctx *ctx, const struct phiz_image *from, int width, int height,
                                            const double box[4], struct phiz_image *out);
/* out(x, y) = from(m applied to (x, y)), m maps pixel positions of out to pixel positions of from as in Pillow's
 * Image.transform(AFFINE): sx = m0*(x+.5) + m1*(y+.5) + m2 - .5 and so on. bilinear or nearest; outside is `fill`. */
PHIZ_API enum phiz_status phiz_image_affine(struct phiz_ctx *ctx, const struct phiz_image *from, const double m[6],
                                            int width, int height, bool bilinear, const uint8_t fill[3],
                                            struct phiz_image *out);
/* In place. */
PHIZ_API void phiz_image_flip_horizontal(struct phiz_image *image);
/* One grey channel, L = (299 R + 587 G + 114 B)/1000 as Pillow rounds it. */
PHIZ_API enum phiz_status phiz_image_to_gray(struct phiz_ctx *ctx, const struct phiz_image *from,
                                             struct phiz_image *out);

#ifdef __cplusplus
}
#endif
#endif
