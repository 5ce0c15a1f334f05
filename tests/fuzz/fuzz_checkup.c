/* Any bytes as kept measurements of phiz data check. The sum at their end is made right first, or nothing would get
 * past it. What is taken is written and read again, and must be the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/sha256.h"
#include "datasets/checkup_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char key[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static void check(struct phiz_ctx *ctx, const struct phiz_bytes *file)
{
	struct phiz_checkup c;
	struct phiz_bytes again;

	if (phiz_checkup_parse(ctx, file->data, file->size, "fuzz", key, &c))
		return;
	phiz_bytes_init(&again, ctx);
	phiz_checkup_format(&c, NULL, key, &again);
	if (phiz_bytes_status(&again) || again.size != file->size)
		abort();
	for (size_t i = 0; i < c.count; i++)
		phiz_checkup_find(&c, c.photo[i].path, 0, 0);
	phiz_bytes_free(&again);
	phiz_checkup_free(ctx, &c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {.threads = 1, .memory_limit = (size_t)64 << 20};
	struct phiz_memory_stats stats;
	struct phiz_sha256 sum;
	struct phiz_bytes file;
	struct phiz_ctx *ctx;
	char hex[65];

	if (phiz_ctx_create(&options, &ctx))
		return 0;
	phiz_bytes_init(&file, ctx);
	phiz_bytes_text(&file, "PHIZCHK1");
	phiz_bytes_text(&file, key);
	phiz_bytes_add(&file, data, size);
	phiz_sha256_init(&sum);
	phiz_sha256_add(&sum, file.data, file.size);
	phiz_sha256_hex(&sum, hex);
	phiz_bytes_text(&file, hex);
	check(ctx, &file);
	phiz_bytes_free(&file);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
