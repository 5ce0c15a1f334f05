/* Any bytes as the list of extracted faces, and as the settings beside it. A list that is taken is written and read
 * again, and must be the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/crops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(struct phiz_ctx *ctx, const struct phiz_crops *first)
{
	struct phiz_bytes one, two;
	struct phiz_crops second;

	phiz_bytes_init(&one, ctx);
	phiz_bytes_init(&two, ctx);
	if (phiz_crops_format(ctx, first, true, &one) || phiz_crops_parse(ctx, one.data, one.size, "again", &second) ||
	    phiz_crops_format(ctx, &second, true, &two) || one.size != two.size || memcmp(one.data, two.data, one.size))
		abort();
	phiz_crops_free(ctx, &second);
	phiz_bytes_free(&one);
	phiz_bytes_free(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {.threads = 1};
	struct phiz_crops_settings settings;
	struct phiz_memory_stats stats;
	struct phiz_crops crops;
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(&options, &ctx))
		return 0;
	if (!phiz_crops_parse(ctx, (const char *)data, size, "fuzz", &crops))
		again(ctx, &crops);
	phiz_crops_free(ctx, &crops);
	(void)phiz_crops_settings_parse(ctx, (const char *)data, size, "fuzz", &settings);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
