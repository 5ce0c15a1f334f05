/* Any bytes as an ONNX file. What is taken is a graph that holds together, runs, and is written and read again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/onnx.h"
#include "tests/fuzz/run_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct phiz_ctx *ctx, struct phiz_model *m)
{
	const char *known;
	char path[64];

	if (phiz_graph_verify(m->graph) || phiz_graph_n_outputs(m->graph) < 1)
		abort();
	if (phiz_onnx_known(m, &known))
		abort();
	(void)phiz_onnx_swap_channels(m);
	fuzz_run(ctx, m);
	fuzz_file(path);
	(void)phiz_model_write(m, path); /* what a name or text of the file does not allow is an error there */
	(void)phiz_onnx_write(ctx, m, path);
	unlink(path);
	if (!phiz_model_optimize(m)) {
		if (phiz_graph_verify(m->graph))
			abort();
		fuzz_run(ctx, m);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {1, NULL, NULL, (size_t)256 << 20};
	struct phiz_memory_stats stats;
	struct phiz_model *m = NULL;
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(&options, &ctx))
		abort();
	if (!phiz_onnx_parse(ctx, data, size, "fuzz", size % 2 ? 0 : 64, &m))
		use(ctx, m);
	else if (m || !*phiz_ctx_message(ctx) || strchr(phiz_ctx_message(ctx), '\n'))
		abort();
	phiz_model_free(&m);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
