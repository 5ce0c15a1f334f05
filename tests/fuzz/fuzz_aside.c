/* Any bytes as the journal of what was put aside. What is taken is written and read again, and must be the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/aside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(struct phiz_ctx *ctx, const struct phiz_aside_moves *first, const uint8_t *data, size_t size)
{
	struct phiz_bytes text;

	phiz_bytes_init(&text, ctx);
	phiz_aside_format(first, &text);
	if (phiz_bytes_status(&text))
		abort();
	/* One way to write each: escapes of what needs none are told apart here. */
	if (text.size == size && memcmp(text.data, data, size) != 0) {
		struct phiz_aside_moves second;
		if (phiz_aside_parse(ctx, text.data, text.size, "again", &second) || second.count != first->count)
			abort();
		phiz_aside_moves_free(ctx, &second);
	}
	for (size_t i = 0; i < first->count; i++)
		if (strstr(first->move[i].from, "../") == first->move[i].from || first->move[i].to[0] == '/')
			abort();
	phiz_bytes_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {.threads = 1};
	struct phiz_memory_stats stats;
	struct phiz_aside_moves moves;
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(&options, &ctx))
		return 0;
	if (!phiz_aside_parse(ctx, (const char *)data, size, "fuzz", &moves)) {
		read_again(ctx, &moves, data, size);
		phiz_aside_moves_free(ctx, &moves);
	}
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
