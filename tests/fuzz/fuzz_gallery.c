/* Any bytes as the JSON lines of a gallery. What is taken is exported, and that must come in again as it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <phiz/gallery.h>

#include "core/base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct phiz_gallery *open_new(struct phiz_ctx *ctx)
{
	static const struct phiz_gallery_options o = {.create = true};
	struct phiz_gallery *g;

	return phiz_gallery_open_memory(ctx, &o, &g) ? NULL : g;
}

static void read_again(struct phiz_ctx *ctx, struct phiz_gallery *first)
{
	struct phiz_gallery *second = open_new(ctx);
	struct phiz_bytes a, b;

	phiz_bytes_init(&a, ctx);
	phiz_bytes_init(&b, ctx);
	if (!second || phiz_gallery_export(first, &a) ||
	    phiz_gallery_import(second, a.data, a.size, "again", NULL, NULL, NULL) || phiz_gallery_export(second, &b) ||
	    a.size != b.size || memcmp(a.data, b.data, a.size))
		abort();
	phiz_bytes_free(&a);
	phiz_bytes_free(&b);
	phiz_gallery_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {.threads = 1};
	struct phiz_memory_stats stats;
	struct phiz_gallery_info info;
	struct phiz_gallery *g;
	struct phiz_ctx *ctx;

	if (size > 1 << 16 || phiz_ctx_create(&options, &ctx))
		return 0;
	g = open_new(ctx);
	if (!g)
		abort();
	(void)!phiz_gallery_import(g, (const char *)data, size, "fuzz", NULL, NULL, NULL);
	if (phiz_gallery_describe(g, &info))
		abort();
	if (info.photos || info.rejected)
		read_again(ctx, g);
	phiz_gallery_free(&g);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
