/* Images with every allocation failing once: NOMEM, nothing leaks. (libjpeg's own memory is not ours to fail.) */
#include "support/support.h"

#include <phiz/image.h>
#include <phiz/preproc.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"

/* Encoded once, before anything fails. */
struct inputs {
	struct phiz_image image;
	struct phiz_bytes jpeg, png;
};

static enum phiz_status decode(struct phiz_ctx *ctx, const void *data, size_t size)
{
	struct phiz_image out;
	enum phiz_status status = phiz_image_decode(ctx, data, size, "x", NULL, &out);
	assert_true((status == PHIZ_OK) == (out.data != NULL));
	phiz_image_free(ctx, &out);
	return status;
}

static enum phiz_status decode_jpeg(struct phiz_ctx *ctx, void *user)
{
	struct inputs *in = user;
	return decode(ctx, in->jpeg.data, in->jpeg.size);
}

static enum phiz_status decode_png(struct phiz_ctx *ctx, void *user)
{
	struct inputs *in = user;
	return decode(ctx, in->png.data, in->png.size);
}

static enum phiz_status decode_pnm(struct phiz_ctx *ctx, void *user)
{
	(void)user;
	return decode(ctx, "P5 2 2 255\nabcd", 15);
}

static enum phiz_status encode_jpeg(struct phiz_ctx *ctx, void *user)
{
	struct inputs *in = user;
	struct phiz_bytes bytes;
	phiz_bytes_init(&bytes, ctx);
	enum phiz_status status = phiz_jpeg_encode(ctx, &in->image, 95, &bytes);
	phiz_bytes_free(&bytes);
	return status;
}

static enum phiz_status encode_png(struct phiz_ctx *ctx, void *user)
{
	struct inputs *in = user;
	struct phiz_bytes bytes;
	phiz_bytes_init(&bytes, ctx);
	enum phiz_status status = phiz_png_encode(ctx, &in->image, &bytes);
	phiz_bytes_free(&bytes);
	return status;
}

static enum phiz_status resize(struct phiz_ctx *ctx, void *user)
{
	struct inputs *in = user;
	struct phiz_image out;
	enum phiz_status status = phiz_image_resize(ctx, &in->image, 20, 90, NULL, &out);
	assert_true((status == PHIZ_OK) == (out.data != NULL));
	phiz_image_free(ctx, &out);
	return status;
}

static enum phiz_status affine(struct phiz_ctx *ctx, void *user)
{
	static const double scale[6] = { 0.5, 0, 3, 0, 0.5, 3 };
	struct inputs *in = user;
	struct phiz_image out;
	enum phiz_status status = phiz_image_affine(ctx, &in->image, scale, 20, 30, false, NULL, &out);
	assert_true((status == PHIZ_OK) == (out.data != NULL));
	phiz_image_free(ctx, &out);
	return status;
}

static enum phiz_status preprocess(struct phiz_ctx *ctx, void *user)
{
	static float planes[3 * 48 * 48];
	struct inputs *in = user;
	struct phiz_preproc p;
	phiz_preproc_torchvision(&p);
	p.resize = 40;
	p.size = 48; /* padded: one allocation more */
	return phiz_preproc_run(ctx, &p, &in->image, planes);
}

static void test_oom(void **state)
{
	static const test_oom_fn fns[] = { decode_jpeg, decode_png, decode_pnm, encode_jpeg,
		                           encode_png,  resize,     affine,     preprocess };
	struct phiz_ctx *ctx = test_ctx(1);
	struct inputs in;
	(void)state;
	assert_ok(ctx, phiz_image_create(ctx, 120, 120, 3, &in.image));
	for (int i = 0; i < 120 * 120 * 3; i++)
		in.image.data[i] = (uint8_t)((unsigned)i * 2654435761u >> 24);
	phiz_bytes_init(&in.jpeg, ctx);
	phiz_bytes_init(&in.png, ctx);
	assert_ok(ctx, phiz_jpeg_encode(ctx, &in.image, 90, &in.jpeg));
	assert_ok(ctx, phiz_png_encode(ctx, &in.image, &in.png));
	for (size_t i = 0; i < sizeof fns / sizeof *fns; i++)
		test_every_oom(ctx, fns[i], &in);
	phiz_bytes_free(&in.jpeg);
	phiz_bytes_free(&in.png);
	phiz_image_free(ctx, &in.image);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_oom) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
