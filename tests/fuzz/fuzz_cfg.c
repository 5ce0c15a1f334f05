/* Any bytes as settings. What is taken and written out again line by line is the same settings. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/io/cfg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print(const struct phiz_cfg *cfg, struct phiz_bytes *out)
{
	size_t i = 0;
	int s;

	for (s = 0; s < cfg->n_sections; s++) {
		phiz_bytes_printf(out, "[%s]\n", cfg->section[s].name);
		for (; i < cfg->count && cfg->line[i].section_index == s; i++)
			phiz_bytes_printf(out, "%s=%s\n", cfg->line[i].key, cfg->line[i].value);
	}
	if (i != cfg->count || phiz_bytes_status(out))
		abort();
}

static void same(const struct phiz_cfg *a, const struct phiz_cfg *b)
{
	size_t i;

	if (a->count != b->count || a->n_sections != b->n_sections)
		abort();
	for (i = 0; i < a->count; i++)
		if (strcmp(a->line[i].section, b->line[i].section) != 0 || strcmp(a->line[i].key, b->line[i].key) != 0 ||
		    strcmp(a->line[i].value, b->line[i].value) != 0)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {1, NULL, NULL, (size_t)1 << 30};
	struct phiz_memory_stats stats;
	struct phiz_cfg cfg, again;
	struct phiz_bytes text;
	struct phiz_ctx *ctx;
	int repeat;

	if (phiz_ctx_create(&options, &ctx))
		abort();
	for (repeat = 0; repeat < 2; repeat++) {
		if (phiz_cfg_parse(ctx, (const char *)data, size, "fuzz", repeat, &cfg)) {
			if (!*phiz_ctx_message(ctx) || strchr(phiz_ctx_message(ctx), '\n') || cfg.count > 0)
				abort();
			continue;
		}
		phiz_bytes_init(&text, ctx);
		print(&cfg, &text);
		if (phiz_cfg_parse(ctx, text.data ? text.data : "", text.size, "again", repeat, &again))
			abort();
		same(&cfg, &again);
		phiz_cfg_free(ctx, &again);
		phiz_cfg_free(ctx, &cfg);
		phiz_bytes_free(&text);
	}
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
