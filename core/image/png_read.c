/* PNG in, by libpng: every bit depth and colour type to 8-bit RGB. Of 16 bits the high byte counts; alpha and
 * transparent colours are dropped, the colour that is stored stands; gamma and colour profiles are not applied.
 *
 * libpng reports errors by longjmp: see jpeg_read.c. */
#include "core/image/codec.h"

#include <setjmp.h>
#include <string.h>

#include <png.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

enum { SIGNATURE_SIZE = 8, HEADER_END = 26, MESSAGE_SIZE = 160 };

struct reader {
	png_structp png;
	png_infop info;
	jmp_buf jump;
	struct phiz_ctx *ctx;
	const struct phiz_source *source;
	size_t position;
	struct phiz_image *image;
	bool at_end;    /* asked for more bytes than there are */
	bool no_memory;
	int passes;
	char text[MESSAGE_SIZE];
};

/* --- What libpng calls. --- */

static void on_error(png_structp png, png_const_charp text)
{
	struct reader *r = png_get_error_ptr(png);
	size_t length = strlen(text);
	if (length >= sizeof r->text)
		length = sizeof r->text - 1;
	memcpy(r->text, text, length);
	r->text[length] = '\0';
	longjmp(r->jump, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
	struct reader *r = png_get_error_ptr(png);
	/* The lenient get past damage with warnings only; otherwise they are about trifles. */
	phiz_log(r->ctx, r->source->lenient ? PHIZ_LOG_WARN : PHIZ_LOG_DEBUG, "%s: %s", r->source->name, text);
}

static png_voidp on_alloc(png_structp png, png_alloc_size_t size)
{
	struct reader *r = png_get_mem_ptr(png);
	void *p = phiz_alloc(r->ctx, size, 1);
	if (!p)
		r->no_memory = true;
	return p;
}

static void on_free(png_structp png, png_voidp p)
{
	struct reader *r = png_get_mem_ptr(png);
	phiz_free(r->ctx, p);
}

static void on_read(png_structp png, png_bytep out, size_t size)
{
	struct reader *r = png_get_io_ptr(png);
	if (r->source->size - r->position < size) {
		r->at_end = true;
		png_error(png, "ends too early");
	}
	memcpy(out, r->source->data + r->position, size);
	r->position += size;
}

/* --- Stages, each under setjmp. --- */

static bool run_stage(struct reader *r, void (*stage)(struct reader *))
{
	if (setjmp(r->jump))
		return false;
	stage(r);
	return true;
}

/* Text, profiles and the like are skipped: nothing here reads them, and compressed ones can be bombs. */
static void skip_unused_chunks(png_structp png)
{
	static const png_byte names[] = "iCCP\0zTXt\0iTXt\0tEXt\0sPLT\0hIST\0pCAL\0sCAL\0tIME\0gAMA\0cHRM\0sRGB";
	enum { COUNT = sizeof names / 5 };
	png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, COUNT);
}

static void stage_header(struct reader *r)
{
	png_set_read_fn(r->png, r, on_read);
	png_set_user_limits(r->png, 0x7fffffff, 0x7fffffff); /* the pixel limit was checked already */
	skip_unused_chunks(r->png);
	if (r->source->lenient)
		png_set_crc_action(r->png, PNG_CRC_WARN_USE, PNG_CRC_WARN_DISCARD);
	png_read_info(r->png, r->info);
	png_set_strip_16(r->png);
	png_set_palette_to_rgb(r->png);
	png_set_expand_gray_1_2_4_to_8(r->png);
	png_set_strip_alpha(r->png);
	png_set_gray_to_rgb(r->png);
	r->passes = png_set_interlace_handling(r->png);
	png_read_update_info(r->png, r->info);
	if (png_get_channels(r->png, r->info) != 3 || png_get_bit_depth(r->png, r->info) != 8)
		png_error(r->png, "not convertible to RGB");
}

static void stage_rows(struct reader *r)
{
	size_t row = (size_t)r->image->width * 3;
	for (int pass = 0; pass < r->passes; pass++)
		for (int y = 0; y < r->image->height; y++)
			png_read_row(r->png, r->image->data + (size_t)y * row, NULL);
	png_read_end(r->png, r->info);
}

/* --- Putting it together. --- */

static uint32_t u32be(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Width, height and bits of a pixel, read by hand so that the limit stands before libpng asks for memory. */
static enum phiz_status read_size(struct phiz_ctx *ctx, const struct phiz_source *source, uint32_t *width,
                                  uint32_t *height, unsigned *bits)
{
	static const unsigned char channels[7] = { 1, 0, 3, 1, 2, 0, 4 };
	const unsigned char *p = source->data;
	if (source->size < HEADER_END)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: truncated PNG (%zu bytes)", source->name, source->size);
	if (memcmp(p + SIGNATURE_SIZE, "\0\0\0\x0dIHDR", 8) != 0 || p[25] > 6 || channels[p[25]] == 0)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: damaged PNG (no valid header)", source->name);
	*width = u32be(p + 16);
	*height = u32be(p + 20);
	*bits = (unsigned)channels[p[25]] * p[24];
	if (*width > 0x7fffffff || *height > 0x7fffffff)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: damaged PNG (claims %ux%u pixels)", source->name, *width, *height);
	return PHIZ_OK;
}

static enum phiz_status fail_reader(const struct reader *r)
{
	const char *name = r->source->name;
	if (r->no_memory)
		return phiz_fail_in(r->ctx, "%s", name);
	return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s: %s PNG (%s)", name, r->at_end ? "truncated" : "damaged", r->text);
}

static enum phiz_status reader_open(struct reader *r)
{
	r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, on_error, on_warning, r, on_alloc, on_free);
	r->info = r->png ? png_create_info_struct(r->png) : NULL;
	if (r->info)
		return PHIZ_OK;
	if (r->no_memory)
		return fail_reader(r);
	return phiz_fail(r->ctx, PHIZ_E_INTERNAL, "%s: libpng does not start", r->source->name);
}

static enum phiz_status read_pixels(struct reader *r)
{
	struct phiz_ctx *ctx = r->ctx;
	if (!run_stage(r, stage_header))
		return fail_reader(r);
	uint32_t width = png_get_image_width(r->png, r->info), height = png_get_image_height(r->png, r->info);
	enum phiz_status status = phiz_image_create(ctx, (int)width, (int)height, 3, r->image);
	if (status)
		return phiz_fail_in(ctx, "%s", r->source->name);
	memset(r->image->data, 0, (size_t)width * height * 3);
	if (run_stage(r, stage_rows))
		return PHIZ_OK;
	if (r->no_memory || !r->source->lenient)
		return fail_reader(r);
	phiz_log(ctx, PHIZ_LOG_WARN, "%s: %s PNG (%s), taken as far as it goes", r->source->name,
	         r->at_end ? "truncated" : "damaged", r->text);
	return PHIZ_OK;
}

static int orientation_of(const struct reader *r)
{
#ifdef PNG_eXIf_SUPPORTED
	png_uint_32 size = 0;
	png_bytep exif = NULL;
	if (png_get_eXIf_1(r->png, r->info, &size, &exif))
		return phiz_exif_orientation(exif, size);
#else
	(void)r;
#endif
	return 1;
}

enum phiz_status phiz_png_decode(struct phiz_ctx *ctx, const struct phiz_source *source, struct phiz_image *out)
{
	uint32_t width, height;
	unsigned bits;
	enum phiz_status status = read_size(ctx, source, &width, &height, &bits);
	/* Deflate makes at most 1032 bytes of one. */
	if (!status)
		status = phiz_source_check(ctx, source, width, height, (uint64_t)width * height * bits / 8 / 1032);
	if (status)
		return status;
	struct reader r;
	memset(&r, 0, sizeof r);
	r.ctx = ctx;
	r.source = source;
	r.image = out;
	status = reader_open(&r);
	if (!status)
		status = read_pixels(&r);
	int orientation = status ? 1 : orientation_of(&r);
	png_destroy_read_struct(&r.png, &r.info, NULL);
	if (!status)
		status = phiz_image_orient(ctx, orientation, out);
	if (status)
		phiz_image_free(ctx, out);
	return status;
}

/* Only the chunk names up to the pixels are walked: an orientation behind them is seen by decoding alone. */
static int probe_orientation(const struct phiz_source *source)
{
	size_t at = SIGNATURE_SIZE;
	while (source->size - at >= 12) {
		uint32_t length = u32be(source->data + at);
		const unsigned char *name = source->data + at + 4;
		if (length > source->size - at - 12 || memcmp(name, "IDAT", 4) == 0)
			break;
		if (memcmp(name, "eXIf", 4) == 0)
			return phiz_exif_orientation(name + 4, length);
		at += (size_t)length + 12;
	}
	return 1;
}

enum phiz_status phiz_png_probe(struct phiz_ctx *ctx, const struct phiz_source *source, int *width, int *height)
{
	uint32_t w, h;
	unsigned bits;
	enum phiz_status status = read_size(ctx, source, &w, &h, &bits);
	if (status)
		return status;
	if (w == 0 || h == 0)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: damaged PNG (claims %ux%u pixels)", source->name, w, h);
	bool turned = probe_orientation(source) >= 5;
	*width = (int)(turned ? h : w);
	*height = (int)(turned ? w : h);
	return PHIZ_OK;
}
