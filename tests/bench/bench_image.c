/* Images a second, on one thread: decoding, preprocessing, and the augmentation of the published Jetson Nano recipe.
 *
 * usage: bench_image SIZE FILE...     (bench_image.py runs it beside Pillow and torchvision)
 * Prints one JSON object; each figure is the best of five rounds over the files. */
#include <stdio.h>
#include <stdlib.h>

#include <phiz/preproc.h>

#include "core/base/alloc.h"
#include "core/base/thread.h"
#include "datasets/augment.h"

enum { ROUNDS = 5 };

struct bench {
	struct phiz_ctx *ctx;
	struct phiz_preproc preproc;
	struct phiz_augment augment;
	char **file;
	struct phiz_image *image; /* decoded */
	int count, round;
	float *planes;
};

typedef enum phiz_status (*step_fn)(struct bench *b, int i);

static enum phiz_status step_decode(struct bench *b, int i)
{
	phiz_image_free(b->ctx, &b->image[i]);
	return phiz_image_read(b->ctx, b->file[i], NULL, &b->image[i]);
}

static enum phiz_status step_preproc(struct bench *b, int i)
{
	return phiz_preproc_run(b->ctx, &b->preproc, &b->image[i], b->planes);
}

static enum phiz_status step_augment(struct bench *b, int i)
{
	struct phiz_rng rng;
	phiz_rng_init(&rng, 1, (uint32_t)b->round, (uint64_t)i, PHIZ_STREAM_AUGMENT);
	return phiz_augment_run(b->ctx, &b->augment, &b->preproc, &rng, &b->image[i], b->planes);
}

static enum phiz_status step_both(struct bench *b, int i)
{
	enum phiz_status status = step_decode(b, i);
	return status ? status : step_augment(b, i);
}

/* Images a second; 0 on failure. */
static double measure(struct bench *b, step_fn step)
{
	double best = 0;
	for (b->round = 0; b->round < ROUNDS; b->round++) {
		double start = phiz_time();
		for (int i = 0; i < b->count; i++)
			if (step(b, i))
				return 0;
		double rate = b->count / (phiz_time() - start);
		best = rate > best ? rate : best;
	}
	return best;
}

static void make_recipe(struct bench *b, int size)
{
	phiz_preproc_torchvision(&b->preproc);
	b->preproc.mode = PHIZ_RESIZE_STRETCH;
	b->preproc.size = size;
	phiz_augment_defaults(&b->augment);
	b->augment.crop = true;
	b->augment.flip = 0.5;
	b->augment.rotation = 30;
	b->augment.brightness = b->augment.contrast = b->augment.saturation = b->augment.hue = 0.2;
	b->augment.gray = 0.1;
}

static int run(struct bench *b)
{
	static const struct {
		const char *name;
		step_fn step;
	} rows[] = { { "decode", step_decode },
		     { "preprocess", step_preproc },
		     { "augment", step_augment },
		     { "decode_augment", step_both } };
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		double rate = measure(b, rows[i].step);
		if (rate == 0) {
			fprintf(stderr, "bench_image: %s\n", phiz_ctx_message(b->ctx));
			return 1;
		}
		printf("%s\"%s\": %.1f", i ? ", " : "{", rows[i].name, rate);
	}
	printf("}\n");
	return 0;
}

int main(int argc, char **argv)
{
	struct phiz_ctx_options options = { 1, NULL, NULL, 0 };
	struct bench b = { 0 };
	long size = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
	if (size < 8 || size > 4096) {
		fprintf(stderr, "usage: bench_image SIZE FILE...\n");
		return 2;
	}
	if (phiz_ctx_create(&options, &b.ctx))
		return 1;
	b.file = argv + 2;
	b.count = argc - 2;
	make_recipe(&b, (int)size);
	b.image = phiz_calloc(b.ctx, (size_t)b.count, sizeof *b.image);
	b.planes = phiz_alloc(b.ctx, (size_t)size * (size_t)size * 3, sizeof *b.planes);
	int failed = b.image && b.planes ? run(&b) : 1;
	for (int i = 0; b.image && i < b.count; i++)
		phiz_image_free(b.ctx, &b.image[i]);
	phiz_free(b.ctx, b.image);
	phiz_free(b.ctx, b.planes);
	phiz_ctx_free(&b.ctx);
	return failed;
}
