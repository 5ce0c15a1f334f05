/* Any bytes as the text of a network. What is taken is a graph that holds together. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <phiz/model.h>

#include "core/base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {1, NULL, NULL, (size_t)1 << 20}; /* initialising takes time */
	struct phiz_memory_stats stats;
	struct phiz_model *m = NULL;
	struct phiz_ctx *ctx;
	char *text;

	if (memchr(data, 0, size) || size > 1 << 16) /* the function takes a string */
		return 0;
	if (phiz_ctx_create(&options, &ctx))
		abort();
	text = phiz_strndup(ctx, (const char *)data, size);
	if (!text)
		abort();
	if (!phiz_model_from_cfg(ctx, text, "fuzz", 3, 0, 1, &m)) {
		if (phiz_graph_verify(m->graph) || phiz_graph_n_outputs(m->graph) < 1)
			abort();
	} else if (m || !*phiz_ctx_message(ctx) || strchr(phiz_ctx_message(ctx), '\n')) {
		abort();
	}
	phiz_model_free(&m);
	phiz_free(ctx, text);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
