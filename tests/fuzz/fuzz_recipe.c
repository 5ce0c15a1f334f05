/* Any bytes as a recipe. What is taken, printed and read again is the same recipe, to the last bit. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "train/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_again(struct phiz_ctx *ctx, const struct phiz_recipe *first)
{
	struct phiz_bytes a, b;
	struct phiz_recipe second;

	phiz_bytes_init(&a, ctx);
	phiz_bytes_init(&b, ctx);
	if (phiz_recipe_init(ctx, &second) || phiz_recipe_text(first, &a) ||
	    phiz_recipe_parse(&second, a.data, a.size, "again") || phiz_recipe_text(&second, &b))
		abort();
	if (a.size != b.size || memcmp(a.data, b.data, a.size) != 0)
		abort();
	phiz_recipe_free(&second);
	phiz_bytes_free(&a);
	phiz_bytes_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {1, NULL, NULL, (size_t)64 << 20};
	struct phiz_memory_stats stats;
	struct phiz_recipe recipe;
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(&options, &ctx))
		abort();
	if (phiz_recipe_init(ctx, &recipe))
		abort();
	if (!phiz_recipe_parse(&recipe, (const char *)data, size, "fuzz")) {
		print_again(ctx, &recipe);
		(void)phiz_recipe_check(&recipe);
	} else if (!*phiz_ctx_message(ctx) || strchr(phiz_ctx_message(ctx), '\n')) {
		abort();
	}
	phiz_recipe_free(&recipe);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
