/* PNG out, by libpng, into a phiz_bytes. */
#include <phiz/image.h>

#include <setjmp.h>
#include <string.h>

#include <png.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/image/codec.h"

struct writer {
	png_structp png;
	png_infop info;
	jmp_buf jump;
	struct phiz_ctx *ctx;
	const struct phiz_image *image;
	struct phiz_bytes *bytes;
	bool no_memory;
};

static void on_error(png_structp png, png_const_charp text)
{
	struct writer *w = png_get_error_ptr(png);
	if (!w->no_memory)
		(void)phiz_fail(w->ctx, PHIZ_E_INTERNAL, "PNG encode: %s", text);
	longjmp(w->jump, 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
	struct writer *w = png_get_error_ptr(png);
	phiz_log(w->ctx, PHIZ_LOG_DEBUG, "PNG encode: %s", text);
}

static png_voidp on_alloc(png_structp png, png_alloc_size_t size)
{
	struct writer *w = png_get_mem_ptr(png);
	void *p = phiz_alloc(w->ctx, size, 1);
	if (!p)
		w->no_memory = true;
	return p;
}

static void on_free(png_structp png, png_voidp p)
{
	struct writer *w = png_get_mem_ptr(png);
	phiz_free(w->ctx, p);
}

static void on_write(png_structp png, png_bytep data, size_t size)
{
	struct writer *w = png_get_io_ptr(png);
	phiz_bytes_add(w->bytes, data, size);
	if (phiz_bytes_status(w->bytes)) {
		w->no_memory = true;
		png_error(png, "out of memory");
	}
}

static void on_flush(png_structp png)
{
	(void)png;
}

static void compress(struct writer *w)
{
	const struct phiz_image *image = w->image;
	png_set_write_fn(w->png, w, on_write, on_flush);
	png_set_user_limits(w->png, 0x7fffffff, 0x7fffffff);
	png_set_IHDR(w->png, w->info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
	             image->channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
	             PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(w->png, w->info);
	size_t row = (size_t)image->width * (size_t)image->channels;
	for (int y = 0; y < image->height; y++)
		png_write_row(w->png, image->data + (size_t)y * row);
	png_write_end(w->png, NULL);
}

static bool run_compress(struct writer *w)
{
	if (setjmp(w->jump))
		return false;
	compress(w);
	return true;
}

enum phiz_status phiz_png_encode(struct phiz_ctx *ctx, const struct phiz_image *image, struct phiz_bytes *out)
{
	enum phiz_status status = phiz_image_check(ctx, image, "PNG encode");
	if (status)
		return status;
	struct writer w;
	memset(&w, 0, sizeof w);
	w.ctx = ctx;
	w.image = image;
	w.bytes = out;
	w.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &w, on_error, on_warning, &w, on_alloc, on_free);
	w.info = w.png ? png_create_info_struct(w.png) : NULL;
	if (!w.info)
		status = w.no_memory ? phiz_ctx_status(ctx) : phiz_fail(ctx, PHIZ_E_INTERNAL, "libpng does not start");
	else if (!run_compress(&w))
		status = phiz_ctx_status(ctx);
	png_destroy_write_struct(&w.png, &w.info);
	return status;
}
