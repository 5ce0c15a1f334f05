/* Any bytes as the CSV of a split. What is taken is written and read again, and must be the same split. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(struct phiz_ctx *ctx, const struct phiz_dataset *first)
{
	struct phiz_dataset *second;
	struct phiz_bytes text;
	char a[65], b[65];

	phiz_bytes_init(&text, ctx);
	if (phiz_split_format(ctx, first, &text) || phiz_split_parse(ctx, text.data, text.size, "again", "/data", &second))
		abort();
	phiz_dataset_sha256(first, a);
	phiz_dataset_sha256(second, b);
	if (strcmp(a, b))
		abort();
	for (size_t i = 0; i < first->count; i++)
		if (first->sample[i].group != second->sample[i].group)
			abort();
	phiz_dataset_free(ctx, &second);
	phiz_bytes_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {.threads = 1};
	struct phiz_memory_stats stats;
	struct phiz_dataset *d;
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(&options, &ctx))
		return 0;
	if (!phiz_split_parse(ctx, (const char *)data, size, "fuzz", "/data", &d))
		read_again(ctx, d);
	phiz_dataset_free(ctx, &d);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
