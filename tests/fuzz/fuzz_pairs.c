/* Any bytes as a list of pairs: what is taken names files and folds that there are. */
#include <stdint.h>
#include <stdlib.h>

#include "train/pairs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {.threads = 1};
	struct phiz_memory_stats stats;
	struct phiz_pair_list p;
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(&options, &ctx))
		return 0;
	if (!phiz_pair_list_parse(ctx, (const char *)data, size, "fuzz", "root", &p)) {
		for (size_t i = 0; i < p.count; i++)
			if (p.pair[i].a >= p.file.count || p.pair[i].b >= p.file.count || p.pair[i].fold < 0 ||
			    p.pair[i].fold >= p.n_folds)
				abort();
		phiz_pair_list_free(ctx, &p);
	}
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
