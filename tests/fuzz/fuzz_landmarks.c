/* Any bytes as the CSV of landmarks. Each row that is taken is found again, with numbers in range. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "datasets/landmarks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {.threads = 1};
	struct phiz_memory_stats stats;
	struct phiz_face_table table;
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(&options, &ctx))
		return 0;
	if (!phiz_face_table_parse(ctx, (const char *)data, size, "fuzz", &table)) {
		for (size_t i = 0; i < table.count; i++) {
			const struct phiz_face *face = phiz_face_table_find(&table, table.row[i].file);

			if (!face || face->score < table.row[i].face.score)
				abort();
			for (int k = 0; k < 2 * PHIZ_LANDMARKS; k++)
				if (!(fabs((double)face->landmark[k / 2][k % 2]) <= 1e6))
					abort();
		}
		phiz_face_table_free(ctx, &table);
	}
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
