/* JPEG out, by libjpeg(-turbo) with its defaults (4:2:0, slow integer DCT), into a phiz_bytes. */
#include <phiz/image.h>

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "core/base/error.h"
#include "core/image/codec.h"

struct writer {
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_destination_mgr output;
	jmp_buf jump;
	const struct phiz_image *image;
	int quality;
	struct phiz_bytes *bytes;
	/* Here, not on the stack: the frame that calls setjmp, into which compress may be inlined, has none. */
	JSAMPROW line;
	JOCTET chunk[8192];
	char text[JMSG_LENGTH_MAX];
};

static struct writer *writer_of(j_common_ptr jpeg)
{
	return jpeg->client_data;
}

static void on_error(j_common_ptr jpeg)
{
	struct writer *w = writer_of(jpeg);
	jpeg->err->format_message(jpeg, w->text);
	longjmp(w->jump, 1);
}

static void on_output(j_common_ptr jpeg)
{
	(void)jpeg; /* libjpeg's own would print */
}

static void output_start(j_compress_ptr jpeg)
{
	struct writer *w = writer_of((j_common_ptr)jpeg);
	jpeg->dest->next_output_byte = w->chunk;
	jpeg->dest->free_in_buffer = sizeof w->chunk;
}

static void flush(j_compress_ptr jpeg, size_t size)
{
	struct writer *w = writer_of((j_common_ptr)jpeg);
	phiz_bytes_add(w->bytes, w->chunk, size);
	if (phiz_bytes_status(w->bytes))
		ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
}

static boolean output_full(j_compress_ptr jpeg)
{
	struct writer *w = writer_of((j_common_ptr)jpeg);
	flush(jpeg, sizeof w->chunk); /* by contract all of it, whatever free_in_buffer says */
	output_start(jpeg);
	return TRUE;
}

static void output_stop(j_compress_ptr jpeg)
{
	struct writer *w = writer_of((j_common_ptr)jpeg);
	flush(jpeg, sizeof w->chunk - jpeg->dest->free_in_buffer);
}

static void compress(struct writer *w)
{
	const struct phiz_image *image = w->image;
	jpeg_create_compress(&w->jpeg);
	w->jpeg.dest = &w->output;
	w->jpeg.image_width = (JDIMENSION)image->width;
	w->jpeg.image_height = (JDIMENSION)image->height;
	w->jpeg.input_components = image->channels;
	w->jpeg.in_color_space = image->channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
	jpeg_set_defaults(&w->jpeg);
	jpeg_set_quality(&w->jpeg, w->quality, TRUE);
	jpeg_start_compress(&w->jpeg, TRUE);
	size_t row = (size_t)image->width * (size_t)image->channels;
	while (w->jpeg.next_scanline < w->jpeg.image_height) {
		w->line = image->data + w->jpeg.next_scanline * row;
		(void)jpeg_write_scanlines(&w->jpeg, &w->line, 1);
	}
	jpeg_finish_compress(&w->jpeg);
}

static bool run_compress(struct writer *w)
{
	if (setjmp(w->jump))
		return false;
	compress(w);
	return true;
}

enum phiz_status phiz_jpeg_encode(struct phiz_ctx *ctx, const struct phiz_image *image, int quality,
                                  struct phiz_bytes *out)
{
	enum phiz_status status = phiz_image_check(ctx, image, "JPEG encode");
	if (status)
		return status;
	if (quality < 1 || quality > 100)
		return phiz_fail(ctx, PHIZ_E_ARG, "JPEG encode: want a quality from 1 to 100, got %d", quality);
	if (image->width > JPEG_MAX_DIMENSION || image->height > JPEG_MAX_DIMENSION)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "JPEG encode: %dx%d pixels, JPEG goes up to %ld a side: scale it down",
		                 image->width, image->height, (long)JPEG_MAX_DIMENSION);
	struct writer w;
	memset(&w, 0, sizeof w);
	w.image = image;
	w.quality = quality;
	w.bytes = out;
	w.jpeg.err = jpeg_std_error(&w.errors);
	w.errors.error_exit = on_error;
	w.errors.output_message = on_output;
	w.jpeg.client_data = &w;
	w.output.init_destination = output_start;
	w.output.empty_output_buffer = output_full;
	w.output.term_destination = output_stop;
	if (!run_compress(&w))
		status = phiz_bytes_status(out) ? phiz_bytes_status(out)
		                                : phiz_fail(ctx, PHIZ_E_INTERNAL, "JPEG encode: %s", w.text);
	jpeg_destroy_compress(&w.jpeg);
	return status;
}
