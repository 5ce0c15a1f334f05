/* Any bytes as a file of tuned choices. What is taken is written and read again, and must be the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/tuning.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(struct phiz_ctx *ctx, const struct phiz_tuning *first)
{
	struct phiz_tuning *second;
	struct phiz_bytes a, b;

	phiz_bytes_init(&a, ctx);
	phiz_bytes_init(&b, ctx);
	phiz_tuning_format(first, &a);
	if (phiz_bytes_status(&a) || phiz_tuning_parse(ctx, a.data, a.size, "again", &second))
		abort();
	phiz_tuning_format(second, &b);
	if (phiz_bytes_status(&b) || strcmp(a.data, b.data))
		abort();
	for (size_t i = 0; i < first->count; i++)
		if (strcmp(phiz_tuning_find(second, first->choice[i].key), first->choice[i].kernel))
			abort();
	phiz_tuning_free(&second);
	phiz_bytes_free(&a);
	phiz_bytes_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {.threads = 1};
	struct phiz_memory_stats stats;
	struct phiz_tuning *t;
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(&options, &ctx))
		return 0;
	if (!phiz_tuning_parse(ctx, (const char *)data, size, "fuzz", &t))
		read_again(ctx, t);
	phiz_tuning_free(&t);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
