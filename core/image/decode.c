/* Which codec a file is for, by its content; reading, probing and writing files. */
#include <phiz/image.h>

#include <string.h>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/image/codec.h"

#define MAX_FILE_BYTES ((size_t)256 << 20)
#define DEFAULT_MAX_PIXELS 100000000

static bool starts(const unsigned char *data, size_t size, size_t at, const char *magic, size_t length)
{
	return size >= at && size - at >= length && memcmp(data + at, magic, length) == 0;
}

static bool is_heif(const unsigned char *data, size_t size)
{
	static const char brands[][5] = { "heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1", "avif", "avis" };
	if (!starts(data, size, 4, "ftyp", 4))
		return false;
	for (size_t i = 0; i < sizeof brands / sizeof *brands; i++)
		if (starts(data, size, 8, brands[i], 4))
			return true;
	return false;
}

static bool is_pnm(const unsigned char *data, size_t size)
{
	return size >= 3 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6' &&
	       (data[2] == '#' || data[2] == ' ' || (data[2] >= '\t' && data[2] <= '\r'));
}

enum phiz_image_format phiz_image_sniff(const void *data, size_t size)
{
	const unsigned char *p = data;
	if (starts(p, size, 0, "\xff\xd8", 2) && (size == 2 || p[2] == 0xff))
		return PHIZ_IMAGE_JPEG;
	if (starts(p, size, 0, "\x89PNG\r\n\x1a\n", 8))
		return PHIZ_IMAGE_PNG;
	if (is_pnm(p, size))
		return PHIZ_IMAGE_PNM;
	if (starts(p, size, 0, "GIF87a", 6) || starts(p, size, 0, "GIF89a", 6))
		return PHIZ_IMAGE_GIF;
	if (starts(p, size, 0, "RIFF", 4) && starts(p, size, 8, "WEBP", 4))
		return PHIZ_IMAGE_WEBP;
	if (starts(p, size, 0, "II*\0", 4) || starts(p, size, 0, "MM\0*", 4))
		return PHIZ_IMAGE_TIFF;
	if (is_heif(p, size))
		return PHIZ_IMAGE_HEIF;
	if (starts(p, size, 0, "BM", 2) && starts(p, size, 6, "\0\0\0\0", 4))
		return PHIZ_IMAGE_BMP;
	return PHIZ_IMAGE_UNKNOWN;
}

static const char *format_name(enum phiz_image_format format)
{
	switch (format) {
	case PHIZ_IMAGE_GIF:
		return "a GIF";
	case PHIZ_IMAGE_BMP:
		return "a BMP";
	case PHIZ_IMAGE_WEBP:
		return "a WebP";
	case PHIZ_IMAGE_TIFF:
		return "a TIFF";
	case PHIZ_IMAGE_HEIF:
		return "a HEIF or AVIF";
	case PHIZ_IMAGE_JPEG:
	case PHIZ_IMAGE_PNG:
	case PHIZ_IMAGE_PNM:
	case PHIZ_IMAGE_UNKNOWN:
		break;
	}
	return NULL;
}

static enum phiz_status refuse_kind(struct phiz_ctx *ctx, const struct phiz_source *source,
                                    enum phiz_image_format format)
{
	const char *kind = format_name(format);
	if (source->size == 0)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: empty file", source->name);
	if (kind)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: is %s, not JPEG or PNG: want JPEG, PNG, PGM or PPM, convert it",
		                 source->name, kind);
	return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: not an image: want JPEG, PNG, PGM or PPM", source->name);
}

enum phiz_status phiz_source_check(struct phiz_ctx *ctx, const struct phiz_source *source, uint64_t width,
                                   uint64_t height, uint64_t least)
{
	if (width == 0 || height == 0)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: damaged: claims %llux%llu pixels", source->name,
		                 (unsigned long long)width, (unsigned long long)height);
	/* Both are below 2^32, so the product fits. */
	if (width * height > (uint64_t)source->max_pixels)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "%s: %llux%llu pixels, the limit is %lld pixels: scale it down",
		                 source->name, (unsigned long long)width, (unsigned long long)height,
		                 (long long)source->max_pixels);
	/* The lenient take half a file, but not a header with next to nothing behind it. */
	if (source->size < (source->lenient ? least / 8 : least))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: truncated: %zu bytes cannot hold %llux%llu pixels", source->name,
		                 source->size, (unsigned long long)width, (unsigned long long)height);
	return PHIZ_OK;
}

static struct phiz_source make_source(const void *data, size_t size, const char *name,
                                      const struct phiz_decode_options *options)
{
	struct phiz_source source = { data, size, name ? name : "image", DEFAULT_MAX_PIXELS, 0, false };
	if (options) {
		if (options->max_pixels > 0)
			source.max_pixels = options->max_pixels;
		source.min_side = options->min_side;
		source.lenient = options->lenient;
	}
	return source;
}

enum phiz_status phiz_image_decode(struct phiz_ctx *ctx, const void *data, size_t size, const char *name,
                                   const struct phiz_decode_options *options, struct phiz_image *out)
{
	*out = (struct phiz_image){ 0 };
	struct phiz_source source = make_source(data, size, name, options);
	enum phiz_image_format format = phiz_image_sniff(data, size);
	switch (format) {
	case PHIZ_IMAGE_JPEG:
		return phiz_jpeg_decode(ctx, &source, out);
	case PHIZ_IMAGE_PNG:
		return phiz_png_decode(ctx, &source, out);
	case PHIZ_IMAGE_PNM:
		return phiz_pnm_decode(ctx, &source, out);
	default:
		return refuse_kind(ctx, &source, format);
	}
}

enum phiz_status phiz_image_read(struct phiz_ctx *ctx, const char *path, const struct phiz_decode_options *options,
                                 struct phiz_image *out)
{
	*out = (struct phiz_image){ 0 };
	struct phiz_bytes file;
	phiz_bytes_init(&file, ctx);
	enum phiz_status status = phiz_file_read(ctx, path, MAX_FILE_BYTES, &file);
	if (!status)
		status = phiz_image_decode(ctx, file.data, file.size, path, options, out);
	phiz_bytes_free(&file);
	return status;
}

static enum phiz_status probe_bytes(struct phiz_ctx *ctx, const struct phiz_source *source, int *width, int *height)
{
	enum phiz_image_format format = phiz_image_sniff(source->data, source->size);
	switch (format) {
	case PHIZ_IMAGE_JPEG:
		return phiz_jpeg_probe(ctx, source, width, height);
	case PHIZ_IMAGE_PNG:
		return phiz_png_probe(ctx, source, width, height);
	case PHIZ_IMAGE_PNM:
		return phiz_pnm_probe(ctx, source, width, height);
	default:
		return refuse_kind(ctx, source, format);
	}
}

enum phiz_status phiz_image_probe(struct phiz_ctx *ctx, const char *path, int *width, int *height)
{
	*width = *height = 0;
	/* Mapped, so that only the pages of the header are read. */
	struct phiz_map map;
	enum phiz_status status = phiz_map_open(ctx, path, &map);
	if (status)
		return status;
	struct phiz_source source = make_source(map.data, map.size, path, NULL);
	status = probe_bytes(ctx, &source, width, height);
	phiz_map_close(&map);
	return status;
}

/* Does name end in .ending, whatever the case? */
static bool ends_in(const char *name, const char *ending)
{
	size_t length = strlen(name), tail = strlen(ending);
	if (length <= tail || name[length - tail - 1] != '.')
		return false;
	for (size_t i = 0; i < tail; i++) {
		char c = name[length - tail + i];
		if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != ending[i])
			return false;
	}
	return true;
}

enum phiz_status phiz_image_write(struct phiz_ctx *ctx, const char *path, const struct phiz_image *image, int quality)
{
	struct phiz_bytes bytes;
	phiz_bytes_init(&bytes, ctx);
	enum phiz_status status;
	if (ends_in(path, "jpg") || ends_in(path, "jpeg"))
		status = phiz_jpeg_encode(ctx, image, quality, &bytes);
	else if (ends_in(path, "png"))
		status = phiz_png_encode(ctx, image, &bytes);
	else if (ends_in(path, "ppm"))
		status = phiz_pnm_encode(ctx, image, &bytes);
	else
		status = phiz_fail(ctx, PHIZ_E_ARG, "%s: do not know how to write this kind of image: "
		                   "want a name that ends in .jpg, .jpeg, .png or .ppm", path);
	if (!status)
		status = phiz_file_write(ctx, path, bytes.data, bytes.size);
	phiz_bytes_free(&bytes);
	return status;
}
