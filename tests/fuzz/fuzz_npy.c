/* Any bytes as a .npy file. What is taken must hold together, and take no more memory than the file allows. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {1, NULL, NULL, 64 << 20};
	struct phiz_memory_stats stats;
	struct phiz_tensor *t;
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(&options, &ctx))
		abort();
	if (!phiz_npy_parse(ctx, data, size, "fuzz", &t)) {
		if (t->dtype != PHIZ_F32 || t->shape.ndim != 2 || !phiz_tensor_contiguous(t) ||
		    phiz_tensor_bytes(t) > 2 * size) /* float16 grows to twice as much */
			abort();
	} else if (t || !*phiz_ctx_message(ctx) || strchr(phiz_ctx_message(ctx), '\n')) {
		abort();
	}
	phiz_tensor_free(ctx, &t);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
