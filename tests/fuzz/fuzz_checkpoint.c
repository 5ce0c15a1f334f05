/* Any bytes as the state of a training, which a checkpoint keeps as JSON beside its tensors (those are fuzz_model's).
 * What is taken, printed and read again is the same state. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "train/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_again(struct phiz_ctx *ctx, const struct phiz_train_state *first)
{
	struct phiz_train_state second;
	struct phiz_bytes a, b;

	phiz_bytes_init(&a, ctx);
	phiz_bytes_init(&b, ctx);
	if (phiz_train_state_json(first, &a) || phiz_train_state_parse(ctx, a.data, "again", &second) ||
	    phiz_train_state_json(&second, &b))
		abort();
	if (a.size != b.size || memcmp(a.data, b.data, a.size) != 0)
		abort();
	phiz_train_state_free(&second);
	phiz_bytes_free(&a);
	phiz_bytes_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {1, NULL, NULL, (size_t)64 << 20};
	struct phiz_memory_stats stats;
	struct phiz_train_state state;
	struct phiz_ctx *ctx;
	char *text;

	if (memchr(data, 0, size)) /* the function takes a string */
		return 0;
	if (phiz_ctx_create(&options, &ctx))
		abort();
	text = phiz_strndup(ctx, (const char *)data, size);
	if (!text)
		abort();
	if (!phiz_train_state_parse(ctx, text, "fuzz", &state))
		print_again(ctx, &state);
	else if (!*phiz_ctx_message(ctx) || strchr(phiz_ctx_message(ctx), '\n'))
		abort();
	phiz_train_state_free(&state);
	phiz_free(ctx, text);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
