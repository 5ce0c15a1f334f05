/* JPEG in, by libjpeg(-turbo) with its defaults (slow-but-accurate integer DCT, fancy upsampling, block smoothing),
 * which are Pillow's. Grey, YCbCr and RGB files are made RGB by the library; CMYK and YCCK here.
 *
 * libjpeg reports errors by longjmp. Each stage of decoding is therefore a small function that run_stage calls under
 * one setjmp, and everything that must outlive a jump is in the reader. Nothing of libjpeg that can fail may be called
 * outside a stage: it would jump into a frame that is gone. */
#include "core/image/codec.h"

#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/image/pixel.h"

/* An ordinary progressive file has about ten scans; one with thousands only exists to waste time. */
enum { MAX_SCANS = 256, ROWS_AT_ONCE = 8 };

struct reader {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_source_mgr input;
	struct jpeg_progress_mgr progress;
	jmp_buf jump;
	const struct phiz_source *source;
	struct phiz_image *image;
	uint8_t *cmyk_row;
	int orientation;
	int fatal;     /* the code that ended decoding, 0: none */
	bool scanning; /* past the header */
	bool many_scans;
	bool at_end;   /* asked for more bytes than there are */
	char fatal_text[JMSG_LENGTH_MAX];
	char damage[JMSG_LENGTH_MAX]; /* the first warning that means lost pixels, "" if none */
};

static struct reader *reader_of(j_common_ptr jpeg)
{
	return jpeg->client_data;
}

/* --- Errors and warnings. --- */

static void on_error(j_common_ptr jpeg)
{
	struct reader *r = reader_of(jpeg);
	r->fatal = jpeg->err->msg_code ? jpeg->err->msg_code : -1;
	jpeg->err->format_message(jpeg, r->fatal_text);
	longjmp(r->jump, 1);
}

/* Zeros (or fill bytes) between the last block and the end marker: many cameras pad so, and no pixel is lost. */
static bool is_padding(const struct reader *r, j_common_ptr jpeg)
{
	int count = jpeg->err->msg_parm.i[0], marker = jpeg->err->msg_parm.i[1];
	size_t used = (size_t)(r->jpeg.src->next_input_byte - r->source->data);
	if (r->at_end || marker != JPEG_EOI || count < 0 || (size_t)count > used || used > r->source->size)
		return false;
	const unsigned char *p = r->source->data + used - (size_t)count;
	for (int i = 0; i < count; i++)
		if (p[i] != 0 && p[i] != 0xff)
			return false;
	return true;
}

static bool is_harmless(const struct reader *r, j_common_ptr jpeg)
{
	switch (jpeg->err->msg_code) {
	case JWRN_ADOBE_XFORM:
	case JWRN_JFIF_MAJOR:
		return true;
	case JWRN_EXTRANEOUS_DATA:
		return !r->scanning || is_padding(r, jpeg);
	default:
		return false;
	}
}

static void on_message(j_common_ptr jpeg, int level)
{
	struct reader *r = reader_of(jpeg);
	if (level < 0 && !r->damage[0] && !is_harmless(r, jpeg))
		jpeg->err->format_message(jpeg, r->damage);
}

static void on_output(j_common_ptr jpeg)
{
	(void)jpeg; /* libjpeg's own would print */
}

static void on_progress(j_common_ptr jpeg)
{
	if (reader_of(jpeg)->jpeg.input_scan_number > MAX_SCANS)
		ERREXIT(jpeg, JERR_BAD_PROGRESSION);
}

/* --- The source: the whole file is there already. --- */

static void input_start(j_decompress_ptr jpeg)
{
	(void)jpeg;
}

/* The end of the data: an end marker is made up, and `at_end` tells. */
static boolean input_fill(j_decompress_ptr jpeg)
{
	static const JOCTET end[2] = { 0xff, JPEG_EOI };
	reader_of((j_common_ptr)jpeg)->at_end = true;
	jpeg->src->next_input_byte = end;
	jpeg->src->bytes_in_buffer = sizeof end;
	return TRUE;
}

static void input_skip(j_decompress_ptr jpeg, long count)
{
	struct jpeg_source_mgr *src = jpeg->src;
	if (count <= 0)
		return;
	if ((unsigned long)count > src->bytes_in_buffer) {
		(void)input_fill(jpeg);
		return;
	}
	src->next_input_byte += count;
	src->bytes_in_buffer -= (size_t)count;
}

static void input_stop(j_decompress_ptr jpeg)
{
	(void)jpeg;
}

/* --- Stages, each under setjmp. --- */

static bool run_stage(struct reader *r, void (*stage)(struct reader *))
{
	if (setjmp(r->jump))
		return false;
	stage(r);
	return true;
}

static void stage_header(struct reader *r)
{
	jpeg_create_decompress(&r->jpeg);
	r->jpeg.src = &r->input;
	r->jpeg.progress = &r->progress;
	jpeg_save_markers(&r->jpeg, JPEG_APP0 + 1, 0xffff);
	(void)jpeg_read_header(&r->jpeg, TRUE);
}

static void stage_start(struct reader *r)
{
	r->scanning = true;
	r->many_scans = jpeg_has_multiple_scans(&r->jpeg);
	(void)jpeg_start_decompress(&r->jpeg);
}

static void stage_rgb_rows(struct reader *r)
{
	size_t row = (size_t)r->image->width * 3;
	while (r->jpeg.output_scanline < r->jpeg.output_height) {
		JSAMPROW rows[ROWS_AT_ONCE];
		JDIMENSION left = r->jpeg.output_height - r->jpeg.output_scanline, count = 0;
		for (; count < left && count < ROWS_AT_ONCE; count++)
			rows[count] = r->image->data + (r->jpeg.output_scanline + count) * row;
		(void)jpeg_read_scanlines(&r->jpeg, rows, count);
	}
}

/* CMYK JPEGs hold 255 - ink, as Adobe's programs write them; those that do not are not to be told apart, and
 * everybody reads them so. */
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, size_t width)
{
	for (size_t x = 0; x < width; x++, cmyk += 4, rgb += 3) {
		unsigned light = cmyk[3];
		for (int c = 0; c < 3; c++)
			rgb[c] = (uint8_t)(light - phiz_mul255(255u - cmyk[c], light));
	}
}

static void stage_cmyk_rows(struct reader *r)
{
	size_t width = (size_t)r->image->width;
	while (r->jpeg.output_scanline < r->jpeg.output_height) {
		JSAMPROW row = r->cmyk_row;
		uint8_t *rgb = r->image->data + (size_t)r->jpeg.output_scanline * width * 3;
		(void)jpeg_read_scanlines(&r->jpeg, &row, 1);
		cmyk_to_rgb(r->cmyk_row, rgb, width);
	}
}

static void stage_finish(struct reader *r)
{
	(void)jpeg_finish_decompress(&r->jpeg);
}

/* --- Putting it together. --- */

static void reader_init(struct reader *r, const struct phiz_source *source, struct phiz_image *image)
{
	memset(r, 0, sizeof *r);
	r->source = source;
	r->image = image;
	r->jpeg.err = jpeg_std_error(&r->errors);
	r->errors.error_exit = on_error;
	r->errors.emit_message = on_message;
	r->errors.output_message = on_output;
	r->jpeg.client_data = r;
	r->progress.progress_monitor = on_progress;
	r->input.next_input_byte = source->data;
	r->input.bytes_in_buffer = source->size;
	r->input.init_source = input_start;
	r->input.fill_input_buffer = input_fill;
	r->input.skip_input_data = input_skip;
	r->input.resync_to_restart = jpeg_resync_to_restart;
	r->input.term_source = input_stop;
}

static enum phiz_status fail_fatal(struct phiz_ctx *ctx, const struct reader *r)
{
	const char *name = r->source->name;
	if (r->fatal == JERR_OUT_OF_MEMORY)
		return phiz_fail(ctx, PHIZ_E_NOMEM, "%s: out of memory while decoding JPEG", name);
	return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %s JPEG (%s)", name, r->at_end ? "truncated" : "damaged",
	                 r->fatal_text);
}

static int find_orientation(const struct reader *r)
{
	for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m; m = m->next) {
		if (m->marker != JPEG_APP0 + 1 || m->data_length < 6 || memcmp(m->data, "Exif\0\0", 6) != 0)
			continue;
		return phiz_exif_orientation(m->data + 6, m->data_length - 6);
	}
	return 1;
}

static enum phiz_status read_header(struct phiz_ctx *ctx, struct reader *r)
{
	if (!run_stage(r, stage_header))
		return fail_fatal(ctx, r);
	r->orientation = find_orientation(r); /* now: finishing drops the markers */
	return PHIZ_OK;
}

/* Every 8x8 block of the finest component costs a bit at least; a quarter of that is asked for, which also holds for
 * odd samplings. Arithmetic coding has no such bound. */
static uint64_t least_bytes(const struct reader *r)
{
	return r->jpeg.arith_code ? 0 : (uint64_t)r->jpeg.image_width * r->jpeg.image_height / (64 * 8 * 4);
}

static unsigned scale_for(const struct reader *r)
{
	JDIMENSION width = r->jpeg.image_width, height = r->jpeg.image_height;
	JDIMENSION side = width < height ? width : height;
	unsigned denominator = 1;
	if (r->source->min_side <= 0)
		return 1;
	while (denominator < 8 && (side + denominator * 2 - 1) / (denominator * 2) >= (JDIMENSION)r->source->min_side)
		denominator *= 2;
	return denominator;
}

static enum phiz_status choose_output(struct phiz_ctx *ctx, struct reader *r)
{
	switch (r->jpeg.jpeg_color_space) {
	case JCS_GRAYSCALE:
	case JCS_RGB:
	case JCS_YCbCr:
		r->jpeg.out_color_space = JCS_RGB;
		break;
	case JCS_CMYK:
	case JCS_YCCK:
		r->jpeg.out_color_space = JCS_CMYK;
		break;
	default:
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: JPEG of %d components in an unknown colour space: "
		                 "want grey, RGB, YCbCr or CMYK", r->source->name, r->jpeg.num_components);
	}
	r->jpeg.scale_num = 1;
	r->jpeg.scale_denom = scale_for(r);
	return PHIZ_OK;
}

/* Lost pixels are an error, or for the lenient a warning. */
static enum phiz_status judge_damage(struct phiz_ctx *ctx, const struct reader *r)
{
	const char *name = r->source->name, *text = r->fatal ? r->fatal_text : r->damage;
	const char *kind = r->at_end ? "truncated" : "damaged";
	/* All rows came without a complaint and only the end marker is missing: nothing is lost. In a file of several
	 * scans a later scan may be what is missing. */
	bool whole = !r->fatal && !r->damage[0];
	if (whole && r->at_end && r->many_scans) {
		whole = false;
		text = "no end marker after the last scan";
	}
	if (whole)
		return PHIZ_OK;
	if (r->fatal == JERR_OUT_OF_MEMORY || !r->source->lenient)
		return r->fatal ? fail_fatal(ctx, r)
		                : phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %s JPEG (%s)", name, kind, text);
	phiz_log(ctx, PHIZ_LOG_WARN, "%s: %s JPEG (%s), taken as far as it goes", name, kind, text);
	return PHIZ_OK;
}

static enum phiz_status read_pixels(struct phiz_ctx *ctx, struct reader *r)
{
	enum phiz_status status = phiz_source_check(ctx, r->source, r->jpeg.image_width, r->jpeg.image_height,
	                                            least_bytes(r));
	if (!status)
		status = choose_output(ctx, r);
	if (status)
		return status;
	if (!run_stage(r, stage_start))
		return fail_fatal(ctx, r);
	status = phiz_image_create(ctx, (int)r->jpeg.output_width, (int)r->jpeg.output_height, 3, r->image);
	if (status)
		return phiz_fail_in(ctx, "%s", r->source->name);
	size_t width = (size_t)r->image->width;
	memset(r->image->data, 0, width * (size_t)r->image->height * 3);
	bool cmyk = r->jpeg.out_color_space == JCS_CMYK;
	if (cmyk) {
		r->cmyk_row = phiz_alloc(ctx, width, 4);
		if (!r->cmyk_row)
			return phiz_ctx_status(ctx);
	}
	if (run_stage(r, cmyk ? stage_cmyk_rows : stage_rgb_rows))
		(void)run_stage(r, stage_finish);
	return judge_damage(ctx, r);
}

enum phiz_status phiz_jpeg_decode(struct phiz_ctx *ctx, const struct phiz_source *source, struct phiz_image *out)
{
	struct reader r;
	reader_init(&r, source, out);
	enum phiz_status status = read_header(ctx, &r);
	if (!status)
		status = read_pixels(ctx, &r);
	jpeg_destroy_decompress(&r.jpeg);
	phiz_free(ctx, r.cmyk_row);
	if (!status)
		status = phiz_image_orient(ctx, r.orientation, out);
	if (status)
		phiz_image_free(ctx, out);
	return status;
}

enum phiz_status phiz_jpeg_probe(struct phiz_ctx *ctx, const struct phiz_source *source, int *width, int *height)
{
	struct reader r;
	reader_init(&r, source, NULL);
	enum phiz_status status = read_header(ctx, &r);
	if (!status) {
		bool turned = r.orientation >= 5;
		*width = (int)(turned ? r.jpeg.image_height : r.jpeg.image_width);
		*height = (int)(turned ? r.jpeg.image_width : r.jpeg.image_height);
	}
	jpeg_destroy_decompress(&r.jpeg);
	return status;
}
