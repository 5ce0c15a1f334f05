/* Any bytes as an image: strictly, leniently and scaled; what comes out is preprocessed and encoded again. The seeds
 * are the files of bad/images. */
#include <stdint.h>
#include <stdlib.h>

#include <phiz/image.h>
#include <phiz/preproc.h>

#include "core/base/bytes.h"
#include "core/image/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Pixels whose use the sanitizers watch. */
static void use(struct phiz_ctx *ctx, const struct phiz_image *image)
{
	static float planes[3 * 32 * 32];
	struct phiz_preproc p;
	struct phiz_bytes bytes;
	phiz_preproc_torchvision(&p);
	p.resize = 36;
	p.size = 32;
	(void)phiz_preproc_run(ctx, &p, image, planes);
	phiz_bytes_init(&bytes, ctx);
	if ((int64_t)image->width * image->height < 10000)
		(void)phiz_jpeg_encode(ctx, image, 50, &bytes);
	phiz_bytes_free(&bytes);
}

static void decode(struct phiz_ctx *ctx, const uint8_t *data, size_t size, const struct phiz_decode_options *options)
{
	struct phiz_image image;
	enum phiz_status status = phiz_image_decode(ctx, data, size, "fuzz", options, &image);
	if ((status == PHIZ_OK) != (image.data != NULL))
		abort();
	if (!status)
		use(ctx, &image);
	phiz_image_free(ctx, &image);
}

static void probe(struct phiz_ctx *ctx, const uint8_t *data, size_t size)
{
	struct phiz_source source = { data, size, "fuzz", 1 << 20, 0, false };
	enum phiz_image_format format = phiz_image_sniff(data, size);
	int width = 1, height = 1;
	enum phiz_status status = PHIZ_OK;
	if (format == PHIZ_IMAGE_JPEG)
		status = phiz_jpeg_probe(ctx, &source, &width, &height);
	else if (format == PHIZ_IMAGE_PNG)
		status = phiz_png_probe(ctx, &source, &width, &height);
	else if (format == PHIZ_IMAGE_PNM)
		status = phiz_pnm_probe(ctx, &source, &width, &height);
	if (!status && (width < 1 || height < 1))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct phiz_decode_options strict = { 1 << 20, 0, false }, lenient = { 1 << 20, 24, true };
	struct phiz_ctx_options options = { 1, NULL, NULL, 64 << 20 };
	struct phiz_memory_stats stats;
	struct phiz_ctx *ctx;
	int orientation = phiz_exif_orientation(data, size);
	if (orientation < 1 || orientation > 8 || phiz_ctx_create(&options, &ctx))
		abort();
	decode(ctx, data, size, &strict);
	decode(ctx, data, size, &lenient);
	probe(ctx, data, size);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
