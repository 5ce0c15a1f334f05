/* Any bytes as a safetensors file. What is taken must hold together: names, shapes, memory. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct phiz_tensors *t, size_t size)
{
	static volatile unsigned char sink;
	size_t i, k, bytes = 0;

	for (i = 0; i < t->count; i++) {
		const struct phiz_tensor *tensor = t->entry[i].tensor;
		const unsigned char *p = tensor->data;

		if (!phiz_tensor_contiguous(tensor) || phiz_tensors_find(t, t->entry[i].name) != tensor)
			abort();
		bytes += phiz_tensor_bytes(tensor);
		for (k = 0; k < phiz_tensor_bytes(tensor); k++)
			sink = p[k];
	}
	if (bytes > size)
		abort();
	(void)sink;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {1, NULL, NULL, 64 << 20};
	struct phiz_memory_stats stats;
	struct phiz_tensors t;
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(&options, &ctx))
		abort();
	if (!phiz_safetensors_parse(ctx, data, size, "fuzz", &t))
		check(&t, size);
	else if (t.count > 0 || !*phiz_ctx_message(ctx) || strchr(phiz_ctx_message(ctx), '\n'))
		abort();
	phiz_tensors_free(ctx, &t);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
