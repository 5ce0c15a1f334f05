/* Any bytes as a file of true boxes, CSV or XML. What is taken has names and boxes in range, and matching its own boxes
 * finds each of them. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "deploy/truth.h"

enum { FACES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void match(struct phiz_ctx *ctx, const struct phiz_true_photo *p)
{
	struct phiz_face face[FACES];
	struct phiz_faces faces = {face, 0, FACES};
	struct phiz_match m = {.iou = 0.5};

	memset(face, 0, sizeof face);
	for (size_t k = 0; k < p->n && faces.n < FACES; k++, faces.n++)
		for (int i = 0; i < 4; i++)
			face[faces.n].box[i] = (float)p->box[k].box[i];
	if (phiz_match_add(ctx, &m, p, &faces) || m.matched > m.truth || m.matched > m.found || m.truth > p->n ||
	    m.found > (size_t)faces.n)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {.threads = 1};
	struct phiz_memory_stats stats;
	struct phiz_truth truth;
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(&options, &ctx))
		return 0;
	if (!phiz_truth_parse(ctx, (const char *)data, size, "fuzz", &truth)) {
		for (size_t i = 0; i < truth.count; i++) {
			const struct phiz_true_photo *p = &truth.photo[i];
			if (!p->file[0])
				abort();
			for (size_t k = 0; k < p->n; k++)
				for (int j = 0; j < 4; j++)
					if (!(fabs(p->box[k].box[j]) <= 1e6) || (j > 1 && !(p->box[k].box[j] > 0)))
						abort();
			match(ctx, p);
		}
		phiz_truth_free(ctx, &truth);
	} else if (truth.photo || truth.count) {
		abort();
	}
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
