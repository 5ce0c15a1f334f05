/* Any bytes as a model file (and, with extra tensors, as a checkpoint), its sums left unchecked so that the graph and
 * the texts behind them are reached. A model that is taken is verified, planned, run, optimised, written and read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/model_file.h"
#include "tests/fuzz/run_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct phiz_ctx *ctx, struct phiz_model *m, const struct phiz_extra *extra)
{
	char a[65], b[65], path[64];
	struct phiz_model *again;

	if (phiz_graph_verify(m->graph) || phiz_model_check(m, "fuzz", PHIZ_E_FORMAT))
		abort();
	fuzz_run(ctx, m);
	fuzz_file(path);
	if (!phiz_model_write_with(m, extra, path)) {
		if (phiz_model_read(ctx, path, &again))
			abort();
		phiz_model_hash(m, a);
		phiz_model_hash(again, b);
		if (!phiz_model_meta(m, "precision") && strcmp(a, b) != 0)
			abort();
		phiz_model_free(&again);
	}
	unlink(path);
	if (!phiz_model_optimize(m))
		fuzz_run(ctx, m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {1, NULL, NULL, (size_t)256 << 20};
	struct phiz_memory_stats stats;
	struct phiz_extra extra;
	struct phiz_model *m;
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(&options, &ctx))
		abort();
	if (!phiz_model_parse(ctx, data, size, "fuzz", PHIZ_MODEL_CHECK_NONE, &m, &extra))
		use(ctx, m, &extra);
	else if (m || extra.count > 0 || !*phiz_ctx_message(ctx) || strchr(phiz_ctx_message(ctx), '\n'))
		abort();
	phiz_model_free(&m);
	phiz_extra_free(ctx, &extra);
	if (!phiz_model_parse(ctx, data, size, "fuzz", PHIZ_MODEL_CHECK_ALL, &m, NULL))
		phiz_model_free(&m);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
