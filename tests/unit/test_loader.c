#include "support/photos.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/base/sha256.h"
#include "core/base/thread.h"
#include "datasets/augment.h"
#include "datasets/loader.h"

#define SIZE 32
#define PLANES ((size_t)3 * SIZE * SIZE)
#define PHOTOS 17 /* 5 of anna, 3 of bert, 9 of carl */
#define BATCH 4
#define BATCHES 5

struct world {
	struct phiz_ctx *ctx;
	struct phiz_dataset *dataset;
	struct phiz_preproc preproc;
	struct phiz_augment augment;
	struct phiz_loader_options options;
	char path[256];
};

static void put_photos(struct phiz_ctx *ctx, const char *path)
{
	static const char *const people[] = {"anna", "bert", "carl"};
	static const int photos[] = {5, 3, 9};
	char name[64];

	for (int p = 0; p < 3; p++) {
		for (int i = 0; i < photos[p]; i++) {
			snprintf(name, sizeof(name), "%s/%02d.ppm", people[p], i);
			test_photo(ctx, path, name, (unsigned)(100 * p + i), 0, 0, 40 + 3 * i, 60 - 2 * i);
		}
	}
}

/* A context with 17 photos; options: shuffled, augmented with what is cheap. */
static void setup(struct world *w, int threads)
{
	memset(w, 0, sizeof(*w));
	w->ctx = test_ctx(threads);
	test_folder(w->path);
	put_photos(w->ctx, w->path);
	assert_ok(w->ctx, phiz_dataset_scan(w->ctx, w->path, NULL, &w->dataset));
	phiz_preproc_torchvision(&w->preproc);
	w->preproc.mode = PHIZ_RESIZE_STRETCH;
	w->preproc.size = SIZE;
	w->preproc.crop = 0.8;
	phiz_augment_defaults(&w->augment);
	w->augment.crop = true;
	w->augment.flip = 0.5;
	w->augment.gray = 0.2;
	w->options = (struct phiz_loader_options){
		.preproc = &w->preproc, .augment = &w->augment, .seed = 7, .batch = BATCH, .shuffle = true, .threads = 2,
		.cache_bytes = 1 << 20,
	};
}

static void teardown(struct world *w)
{
	phiz_dataset_free(w->ctx, &w->dataset);
	test_folder_done(w->path);
	test_ctx_done(&w->ctx);
}

static struct phiz_loader *open_loader(struct world *w)
{
	struct phiz_loader *l;

	assert_ok(w->ctx, phiz_loader_open(w->ctx, w->dataset, NULL, 0, &w->options, &l));
	return l;
}

/* Everything about a batch, as one hash. */
static void hash_batch(const struct phiz_batch *b, char out[65])
{
	struct phiz_sha256 h;
	size_t n = (size_t)b->n;

	phiz_sha256_init(&h);
	phiz_sha256_add(&h, &b->epoch, sizeof(b->epoch));
	phiz_sha256_add(&h, &b->index, sizeof(b->index));
	phiz_sha256_add(&h, b->images, n * PLANES * sizeof(float));
	phiz_sha256_add(&h, b->labels, n * sizeof(int32_t));
	if (b->labels_b)
		phiz_sha256_add(&h, b->labels_b, n * sizeof(int32_t));
	phiz_sha256_add(&h, &b->lambda, sizeof(b->lambda));
	phiz_sha256_add(&h, b->samples, n * sizeof(uint32_t));
	phiz_sha256_hex(&h, out);
}

/* The hashes of an epoch's batches from `first` on; returns how many. */
static int run_epoch(struct world *w, struct phiz_loader *l, uint32_t epoch, int64_t first, char hash[][65])
{
	struct phiz_batch b;
	int n = 0;

	assert_ok(w->ctx, phiz_loader_start(l, epoch, first));
	for (;;) {
		assert_ok(w->ctx, phiz_loader_next(l, &b));
		assert_int_equal(b.epoch, epoch);
		assert_int_equal(b.index, first + n);
		if (!b.n)
			break;
		hash_batch(&b, hash[n++]);
	}
	assert_ok(w->ctx, phiz_loader_next(l, &b));
	assert_int_equal(b.n, 0);
	return n;
}

static void test_same_for_any_threads(void **state)
{
	static const struct {
		int threads, ahead;
		size_t cache;
	} way[] = {{1, 1, 0}, {3, 4, 0}, {1, 2, 1 << 20}, {3, 1, 1 << 20}, {2, 3, 12000}};
	char want[3][BATCHES][65], got[BATCHES][65];
	struct world w;

	(void)state;
	setup(&w, 3);
	w.augment.mixup = 0.4;
	for (int balance = 0; balance < 2; balance++) {
		w.options.balance = balance;
		for (size_t i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
			struct phiz_loader *l;
			w.options.threads = way[i].threads;
			w.options.ahead = way[i].ahead;
			w.options.cache_bytes = way[i].cache;
			l = open_loader(&w);
			for (uint32_t epoch = 0; epoch < 3; epoch++) {
				int n = run_epoch(&w, l, epoch, 0, i ? got : want[epoch]);
				assert_int_equal(n, BATCHES);
				for (int b = 0; i && b < n; b++)
					assert_string_equal(got[b], want[epoch][b]);
			}
			phiz_loader_free(&l);
		}
	}
	teardown(&w);
}

static void test_start_anywhere(void **state)
{
	static const int start[][2] = {{2, 3}, {0, 1}, {0, 5}, {1, 0}, {1, 0}, {0, 4}, {2, 0}, {1, 2}};
	char want[3][BATCHES][65], got[BATCHES][65];
	struct phiz_loader *l;
	struct phiz_batch b;
	struct world w;

	(void)state;
	setup(&w, 1);
	w.augment.mixup = 0.2;
	l = open_loader(&w);
	assert_fails(w.ctx, PHIZ_E_ARG, phiz_loader_next(l, &b));
	assert_fails(w.ctx, PHIZ_E_ARG, phiz_loader_start(l, 0, BATCHES + 1));
	assert_fails(w.ctx, PHIZ_E_ARG, phiz_loader_start(l, 0, -1));
	for (uint32_t epoch = 0; epoch < 3; epoch++)
		run_epoch(&w, l, epoch, 0, want[epoch]);
	for (size_t i = 0; i < sizeof(start) / sizeof(start[0]); i++) {
		int n = run_epoch(&w, l, (uint32_t)start[i][0], start[i][1], got);
		assert_int_equal(n, BATCHES - start[i][1]);
		for (int k = 0; k < n; k++)
			assert_string_equal(got[k], want[start[i][0]][start[i][1] + k]);
		/* Break off in the middle of another. */
		assert_ok(w.ctx, phiz_loader_start(l, 9, 1));
		assert_ok(w.ctx, phiz_loader_next(l, &b));
	}
	phiz_loader_free(&l);
	/* A fresh loader that starts in the middle, as a resumed run does. */
	l = open_loader(&w);
	assert_int_equal(run_epoch(&w, l, 1, 3, got), 2);
	assert_string_equal(got[0], want[1][3]);
	assert_string_equal(got[1], want[1][4]);
	phiz_loader_free(&l);
	teardown(&w);
}

/* Without augmentation: in the order given, and to the last bit what preprocessing makes of the photo. */
static void test_validation(void **state)
{
	static const uint32_t index[] = {16, 3, 0, 8, 8, 5};
	struct world w;
	float *want;

	(void)state;
	setup(&w, 2);
	w.options.augment = NULL;
	w.options.shuffle = false;
	want = phiz_alloc(w.ctx, PLANES, sizeof(*want));
	for (int cached = 0; cached < 2; cached++) {
		struct phiz_loader *l;
		struct phiz_batch b;
		size_t at = 0;
		w.options.cache_bytes = cached ? 1 << 20 : 0;
		assert_ok(w.ctx, phiz_loader_open(w.ctx, w.dataset, index, 6, &w.options, &l));
		assert_int_equal(phiz_loader_samples(l), 6);
		assert_int_equal(phiz_loader_batches(l), 2);
		assert_int_equal(phiz_loader_cached(l), cached ? 6 * PLANES : 0);
		assert_ok(w.ctx, phiz_loader_start(l, 3, 0));
		for (;;) {
			assert_ok(w.ctx, phiz_loader_next(l, &b));
			if (!b.n)
				break;
			assert_null(b.labels_b);
			assert_int_equal(b.size, SIZE);
			for (int i = 0; i < b.n; i++, at++) {
				struct phiz_image image;
				char *path = phiz_dataset_path(w.ctx, w.dataset, index[at]);
				assert_int_equal(b.samples[i], index[at]);
				assert_int_equal(b.labels[i], w.dataset->sample[index[at]].person);
				assert_ok(w.ctx, phiz_image_read(w.ctx, path, NULL, &image));
				assert_ok(w.ctx, phiz_preproc_run(w.ctx, &w.preproc, &image, want));
				assert_memory_equal(want, b.images + PLANES * (size_t)i, PLANES * sizeof(float));
				phiz_image_free(w.ctx, &image);
				phiz_free(w.ctx, path);
			}
		}
		assert_int_equal(at, 6);
		phiz_loader_free(&l);
	}
	phiz_free(w.ctx, want);
	teardown(&w);
}

/* Augmented: what phiz_augment_run makes of the whole photo with the sample's own draws. */
static void test_augmented(void **state)
{
	struct world w;
	struct phiz_loader *l;
	struct phiz_batch b;
	float *want;

	(void)state;
	setup(&w, 1);
	want = phiz_alloc(w.ctx, PLANES, sizeof(*want));
	const struct phiz_augment_out out = {.planes = want};
	l = open_loader(&w);
	assert_ok(w.ctx, phiz_loader_start(l, 2, 0));
	for (;;) {
		assert_ok(w.ctx, phiz_loader_next(l, &b));
		if (!b.n)
			break;
		for (int i = 0; i < b.n; i++) {
			struct phiz_rng rng;
			struct phiz_image image;
			char *path = phiz_dataset_path(w.ctx, w.dataset, b.samples[i]);
			assert_ok(w.ctx, phiz_image_read(w.ctx, path, NULL, &image));
			phiz_rng_init(&rng, w.options.seed, 2, b.samples[i], PHIZ_STREAM_AUGMENT);
			assert_ok(w.ctx, phiz_augment_run(w.ctx, &w.augment, &w.preproc, &rng, &image, &out, NULL));
			assert_memory_equal(want, b.images + PLANES * (size_t)i, PLANES * sizeof(float));
			phiz_image_free(w.ctx, &image);
			phiz_free(w.ctx, path);
		}
	}
	phiz_loader_free(&l);
	phiz_free(w.ctx, want);
	teardown(&w);
}

/* A graph that does what the network's first step does with bytes. */
static struct phiz_plan *make_normalizer(struct world *w, struct phiz_graph **graph)
{
	const struct phiz_plan_options o = {.backend = phiz_backend_cpu(), .batch = BATCH, .loss = PHIZ_NONE};
	const struct phiz_shape shape = phiz_shape_4d(1, 3, SIZE, SIZE);
	struct phiz_plan *plan;
	int image;

	assert_ok(w->ctx, phiz_graph_create(w->ctx, graph));
	assert_ok(w->ctx, phiz_graph_input(*graph, "image", PHIZ_F32, &shape, &image));
	assert_ok(w->ctx, phiz_graph_output(*graph, image));
	assert_ok(w->ctx, phiz_pass_bytes(*graph, "image", w->preproc.mean, w->preproc.std, "erased"));
	assert_ok(w->ctx, phiz_graph_verify(*graph));
	assert_ok(w->ctx, phiz_plan_create(w->ctx, *graph, &o, &plan));
	return plan;
}

/* Bytes, normalised later, are to the last bit the floats of a loader that normalises them, erased or not. */
static void test_bytes(void **state)
{
	struct world w;

	(void)state;
	setup(&w, 2);
	for (int augmented = 0; augmented < 2; augmented++) {
		struct phiz_graph *graph;
		struct phiz_plan *plan = make_normalizer(&w, &graph);
		struct phiz_loader *floats, *bytes;
		struct phiz_batch a, b;
		int erased = 0;

		w.augment.erase = 0.5;
		w.options.augment = augmented ? &w.augment : NULL;
		w.options.bytes = false;
		floats = open_loader(&w);
		w.options.bytes = true;
		bytes = open_loader(&w);
		assert_ok(w.ctx, phiz_loader_start(floats, 1, 0));
		assert_ok(w.ctx, phiz_loader_start(bytes, 1, 0));
		for (;;) {
			assert_ok(w.ctx, phiz_loader_next(floats, &a));
			assert_ok(w.ctx, phiz_loader_next(bytes, &b));
			assert_int_equal(a.n, b.n);
			if (!a.n)
				break;
			size_t pixels = (size_t)a.n * PLANES;
			assert_null(b.images);
			assert_ok(w.ctx, phiz_plan_set_batch(plan, a.n));
			memcpy(phiz_plan_tensor(plan, phiz_graph_find_value(graph, "image"))->data, b.bytes, pixels);
			memcpy(phiz_plan_tensor(plan, phiz_graph_find_value(graph, "erased"))->data, b.erased,
			       (size_t)a.n * 4 * sizeof *b.erased);
			assert_ok(w.ctx, phiz_plan_forward(plan));
			assert_memory_equal(phiz_plan_tensor(plan, phiz_graph_output_at(graph, 0))->data, a.images,
			                    pixels * sizeof(float));
			for (int i = 0; i < b.n; i++)
				erased += b.erased[4 * i + 2] > 0;
		}
		assert_true(augmented ? erased > 0 && erased < PHOTOS : erased == 0);
		phiz_loader_free(&floats);
		phiz_loader_free(&bytes);
		phiz_plan_free(&plan);
		phiz_graph_free(&graph);
	}
	teardown(&w);
}

/* Every photo is booked, in all stages, with no more time than passed on the one worker; only where it is asked for. */
static void test_stages(void **state)
{
	struct world w;
	struct phiz_loader *l;
	struct phiz_batch b;
	struct phiz_stages stages;
	double began, sum = 0;

	(void)state;
	setup(&w, 1);
	w.options.threads = 1;
	w.options.cache_bytes = 0;
	for (int timed = 0; timed < 2; timed++) {
		w.options.timed = timed;
		l = open_loader(&w);
		began = phiz_time();
		assert_ok(w.ctx, phiz_loader_start(l, 0, 0));
		do
			assert_ok(w.ctx, phiz_loader_next(l, &b));
		while (b.n);
		phiz_loader_stages(l, &stages);
		began = phiz_time() - began;
		phiz_loader_free(&l);
		if (!timed) {
			assert_int_equal(stages.photos, 0);
			continue;
		}
		assert_true(stages.photos >= PHOTOS && stages.photos <= 3 * PHOTOS);
		for (int i = 0; i < PHIZ_N_STAGES; i++) {
			assert_true(stages.seconds[i] > 0);
			sum += stages.seconds[i];
		}
		assert_true(sum <= began + 1e-3);
	}
	teardown(&w);
}

static void test_order(void **state)
{
	uint32_t order[3][PHOTOS];
	struct world w;
	struct phiz_loader *l;
	struct phiz_batch b;

	(void)state;
	setup(&w, 1);
	l = open_loader(&w);
	for (uint32_t epoch = 0; epoch < 3; epoch++) {
		bool seen[PHOTOS] = {false};
		size_t at = 0;
		assert_ok(w.ctx, phiz_loader_order(l, epoch, order[epoch]));
		assert_ok(w.ctx, phiz_loader_start(l, epoch, 0));
		do {
			assert_ok(w.ctx, phiz_loader_next(l, &b));
			for (int i = 0; i < b.n; i++) {
				assert_int_equal(b.samples[i], order[epoch][at++]);
				assert_false(seen[b.samples[i]]);
				seen[b.samples[i]] = true;
			}
		} while (b.n);
		assert_int_equal(at, PHOTOS);
	}
	assert_memory_not_equal(order[0], order[1], sizeof(order[0]));
	assert_memory_not_equal(order[1], order[2], sizeof(order[0]));
	phiz_loader_free(&l);
	w.options.drop_last = true;
	l = open_loader(&w);
	assert_int_equal(phiz_loader_batches(l), 4);
	assert_int_equal(phiz_loader_samples(l), 16);
	assert_ok(w.ctx, phiz_loader_order(l, 1, order[0]));
	assert_memory_equal(order[0], order[1], 16 * sizeof(uint32_t));
	phiz_loader_free(&l);
	teardown(&w);
}

/* Copies the images of an epoch to their sample's place. */
static void collect(struct world *w, struct phiz_loader *l, uint32_t epoch, float *images)
{
	struct phiz_batch b;

	assert_ok(w->ctx, phiz_loader_start(l, epoch, 0));
	do {
		assert_ok(w->ctx, phiz_loader_next(l, &b));
		for (int i = 0; i < b.n; i++)
			memcpy(images + PLANES * b.samples[i], b.images + PLANES * (size_t)i, PLANES * sizeof(float));
	} while (b.n);
}

static void test_views(void **state)
{
	const size_t count = PHOTOS * PLANES;
	struct world w;
	struct phiz_loader *l;
	float *first, *later;

	(void)state;
	setup(&w, 1);
	w.options.views = 2;
	l = open_loader(&w);
	first = phiz_alloc(w.ctx, count, sizeof(*first));
	later = phiz_alloc(w.ctx, count, sizeof(*later));
	collect(&w, l, 1, first);
	collect(&w, l, 2, later);
	assert_memory_not_equal(first, later, count * sizeof(*first));
	collect(&w, l, 5, later);
	assert_memory_equal(first, later, count * sizeof(*first));
	phiz_loader_free(&l);
	phiz_free(w.ctx, first);
	phiz_free(w.ctx, later);
	teardown(&w);
}

static void test_balance(void **state)
{
	int odd[3] = {0};
	struct world w;
	struct phiz_loader *l;
	struct phiz_batch b;

	(void)state;
	setup(&w, 1);
	w.options.balance = true;
	l = open_loader(&w);
	assert_int_equal(phiz_loader_samples(l), PHOTOS);
	for (uint32_t epoch = 0; epoch < 12; epoch++) {
		int person[3] = {0}, photo[PHOTOS] = {0};
		float *twice = NULL;
		assert_ok(w.ctx, phiz_loader_start(l, epoch, 0));
		do {
			assert_ok(w.ctx, phiz_loader_next(l, &b));
			for (int i = 0; i < b.n; i++) {
				person[b.labels[i]]++;
				photo[b.samples[i]]++;
				/* A photo that comes again is drawn anew. */
				if (b.samples[i] == 5 && twice)
					assert_memory_not_equal(twice, b.images + PLANES * (size_t)i, PLANES * sizeof(float));
				if (b.samples[i] == 5 && !twice) {
					twice = phiz_alloc(w.ctx, PLANES, sizeof(float));
					memcpy(twice, b.images + PLANES * (size_t)i, PLANES * sizeof(float));
				}
			}
		} while (b.n);
		phiz_free(w.ctx, twice);
		for (int p = 0; p < 3; p++) {
			assert_true(person[p] == 5 || person[p] == 6);
			odd[p] += person[p] == 5;
		}
		for (int i = 0; i < PHOTOS; i++)
			assert_true(i < 8 ? photo[i] >= 1 && photo[i] <= 2 : photo[i] <= 1);
	}
	assert_true(odd[0] && odd[1] && odd[2]);
	phiz_loader_free(&l);
	w.options.shuffle = false;
	assert_fails(w.ctx, PHIZ_E_ARG, phiz_loader_open(w.ctx, w.dataset, NULL, 0, &w.options, &l));
	teardown(&w);
}

static void test_mixup(void **state)
{
	struct world w;
	struct phiz_loader *plain, *mixed;
	struct phiz_batch p, m;
	float lambdas[BATCHES];
	int n = 0;

	(void)state;
	setup(&w, 1);
	plain = open_loader(&w);
	w.augment.mixup = 1;
	mixed = open_loader(&w);
	assert_ok(w.ctx, phiz_loader_start(plain, 0, 0));
	assert_ok(w.ctx, phiz_loader_start(mixed, 0, 0));
	for (;;) {
		assert_ok(w.ctx, phiz_loader_next(plain, &p));
		assert_ok(w.ctx, phiz_loader_next(mixed, &m));
		if (!m.n)
			break;
		lambdas[n++] = m.lambda;
		if (m.n == 1) {
			assert_null(m.labels_b);
			assert_memory_equal(p.images, m.images, PLANES * sizeof(float));
			continue;
		}
		assert_true(m.lambda > 0 && m.lambda < 1);
		for (int i = 0; i < m.n; i++) {
			int k = (i + m.n - 1) % m.n;
			assert_int_equal(m.labels[i], p.labels[i]);
			assert_int_equal(m.labels_b[i], p.labels[k]);
			for (size_t x = 0; x < PLANES; x++) {
				double want = (double)m.lambda * (double)p.images[PLANES * (size_t)i + x] +
				              (1 - (double)m.lambda) * (double)p.images[PLANES * (size_t)k + x];
				if (fabs((double)m.images[PLANES * (size_t)i + x] - want) > 1e-5)
					fail_msg("photo %d value %zu: %g, want %g", i, x, (double)m.images[PLANES * (size_t)i + x], want);
			}
		}
	}
	assert_int_equal(n, BATCHES);
	assert_true(lambdas[0] < lambdas[1] || lambdas[0] > lambdas[1]);
	phiz_loader_free(&plain);
	phiz_loader_free(&mixed);
	teardown(&w);
}

static void test_bad_photos(void **state)
{
	static const char ppm[] = "P6\n40 40\n255\nshort";
	struct world w;
	struct phiz_loader *l;
	uint32_t order[PHOTOS];
	const uint32_t only_bad[] = {0, 1};

	(void)state;
	setup(&w, 3);
	phiz_dataset_free(w.ctx, &w.dataset);
	test_file(w.ctx, w.path, "anna/00.jpg", "GIF89a", 6);
	test_file(w.ctx, w.path, "anna/00.ppm", ppm, sizeof(ppm) - 1);
	test_file(w.ctx, w.path, "carl/99.png", "", 0);
	assert_ok(w.ctx, phiz_dataset_scan(w.ctx, w.path, NULL, &w.dataset));
	assert_int_equal(w.dataset->count, PHOTOS + 2);
	for (int cached = 0; cached < 2; cached++) {
		w.options.cache_bytes = cached ? 1 << 20 : 0;
		l = open_loader(&w);
		assert_int_equal(phiz_loader_skipped(l), 3);
		assert_int_equal(phiz_loader_samples(l), PHOTOS - 1);
		assert_ok(w.ctx, phiz_loader_order(l, 0, order));
		for (int i = 0; i < PHOTOS - 1; i++)
			assert_true(order[i] >= 2 && order[i] < PHOTOS + 1);
		phiz_loader_free(&l);
	}
	w.options.strict = true;
	assert_fails(w.ctx, PHIZ_E_FORMAT, phiz_loader_open(w.ctx, w.dataset, NULL, 0, &w.options, &l));
	assert_message(w.ctx, "anna/00.jpg");
	assert_null(l);
	w.options.strict = false;
	assert_fails(w.ctx, PHIZ_E_FORMAT, phiz_loader_open(w.ctx, w.dataset, only_bad, 2, &w.options, &l));
	assert_message(w.ctx, "none of the 2 photos can be read");
	teardown(&w);
}

static void test_error_surfaces(void **state)
{
	char path[512], hash[BATCHES][65];
	struct world w;
	struct phiz_loader *l;
	struct phiz_batch b;
	enum phiz_status status = PHIZ_OK;
	int good = 0;

	(void)state;
	setup(&w, 1);
	w.options.cache_bytes = 0;
	w.options.threads = 3;
	w.options.shuffle = false;
	l = open_loader(&w);
	snprintf(path, sizeof(path), "%s/carl/01.ppm", w.path); /* sample 9, in batch 2 */
	assert_int_equal(unlink(path), 0);
	assert_ok(w.ctx, phiz_loader_start(l, 0, 0));
	while (!status) {
		status = phiz_loader_next(l, &b);
		good += !status;
	}
	assert_int_equal(good, 2);
	assert_fails(w.ctx, PHIZ_E_NOTFOUND, phiz_loader_next(l, &b));
	assert_message(w.ctx, "batch 2 of epoch 0");
	assert_message(w.ctx, "carl/01.ppm");
	assert_fails(w.ctx, PHIZ_E_NOTFOUND, phiz_loader_next(l, &b));
	assert_int_equal(run_epoch(&w, l, 0, 3, hash), 2);
	test_photo(w.ctx, w.path, "carl/01.ppm", 1, 0, 0, 40, 40);
	assert_int_equal(run_epoch(&w, l, 0, 0, hash), BATCHES);
	phiz_loader_free(&l);
	teardown(&w);
}

static void test_refused(void **state)
{
	struct world w;
	struct phiz_loader *l;
	const uint32_t beyond[] = {PHOTOS};

	(void)state;
	setup(&w, 1);
	assert_fails(w.ctx, PHIZ_E_ARG, phiz_loader_open(w.ctx, w.dataset, beyond, 1, &w.options, &l));
	assert_fails(w.ctx, PHIZ_E_ARG, phiz_loader_open(w.ctx, w.dataset, beyond, 0, &w.options, &l));
	w.options.batch = 0;
	assert_fails(w.ctx, PHIZ_E_ARG, phiz_loader_open(w.ctx, w.dataset, NULL, 0, &w.options, &l));
	w.options.batch = PHOTOS + 1;
	w.options.drop_last = true;
	assert_fails(w.ctx, PHIZ_E_ARG, phiz_loader_open(w.ctx, w.dataset, NULL, 0, &w.options, &l));
	assert_message(w.ctx, "17 photos do not fill one batch of 18");
	w.options.drop_last = false;
	w.augment.flip = 2;
	assert_fails(w.ctx, PHIZ_E_ARG, phiz_loader_open(w.ctx, w.dataset, NULL, 0, &w.options, &l));
	w.options.augment = NULL;
	w.preproc.size = 0;
	assert_fails(w.ctx, PHIZ_E_ARG, phiz_loader_open(w.ctx, w.dataset, NULL, 0, &w.options, &l));
	teardown(&w);
}

/* The ring, the cache within its limit, and what one photo a worker needs: not more, however long it runs. */
static void test_memory_is_bounded(void **state)
{
	const size_t ring = 3 * (BATCH * PLANES * sizeof(float) + 1024), photo = (size_t)65 * 60 * 3 * 8 + 65536;
	struct phiz_memory_stats before, after;
	char hash[BATCHES][65];
	struct world w;
	struct phiz_loader *l;

	(void)state;
	setup(&w, 1);
	w.options.cache_bytes = 20000;
	phiz_ctx_memory(w.ctx, &before);
	l = open_loader(&w);
	assert_true(phiz_loader_cached(l) <= 20000);
	assert_true(phiz_loader_cached(l) > 10000);
	for (uint32_t epoch = 0; epoch < 4; epoch++)
		run_epoch(&w, l, epoch, 0, hash);
	phiz_ctx_memory(w.ctx, &after);
	print_message("peak above the start: %zu bytes\n", after.peak_bytes - before.live_bytes);
	assert_true(after.peak_bytes - before.live_bytes < ring + 20000 + 2 * photo);
	phiz_loader_free(&l);
	teardown(&w);
}

static void test_destroyed_in_the_middle(void **state)
{
	struct world w;
	struct phiz_loader *l;
	struct phiz_batch b;

	(void)state;
	setup(&w, 1);
	w.options.threads = 3;
	w.augment.mixup = 1;
	for (int round = 0; round < 12; round++) {
		w.options.cache_bytes = round % 2 ? 1 << 20 : 0;
		l = open_loader(&w);
		if (round % 4)
			assert_ok(w.ctx, phiz_loader_start(l, (uint32_t)round, round % 3));
		for (int i = 1; i < round % 4; i++)
			assert_ok(w.ctx, phiz_loader_next(l, &b));
		phiz_loader_free(&l);
		assert_null(l);
		phiz_loader_free(&l);
	}
	phiz_loader_free(NULL);
	teardown(&w);
}

/* Whichever allocation fails, and in whatever thread: NOMEM or all is well, and nothing leaks. Workers run ahead of
 * what is asked for, so a failure may go unseen in a batch that nobody takes. */
static void test_every_allocation_may_fail(void **state)
{
	struct world w;
	int in_row = 0, failed = 0;

	(void)state;
	setup(&w, 2);
	w.options.cache_bytes = 12000;
	w.augment.mixup = 1;
	for (uint64_t k = 1; in_row < 8; k += k < 60 ? 1 : 7) {
		struct phiz_memory_stats before, after;
		struct phiz_loader *l = NULL;
		struct phiz_batch b;
		enum phiz_status status;
		phiz_ctx_memory(w.ctx, &before);
		phiz_ctx_fail_allocation(w.ctx, k);
		status = phiz_loader_open(w.ctx, w.dataset, NULL, 0, &w.options, &l);
		if (!status)
			status = phiz_loader_start(l, 0, 0);
		for (int i = 0; !status && i < BATCHES; i++)
			status = phiz_loader_next(l, &b);
		phiz_loader_free(&l);
		phiz_ctx_fail_allocation(w.ctx, 0);
		phiz_ctx_memory(w.ctx, &after);
		assert_int_equal(before.live_bytes, after.live_bytes);
		assert_true(status == PHIZ_OK || status == PHIZ_E_NOMEM);
		in_row = status ? 0 : in_row + 1;
		failed += status != PHIZ_OK;
	}
	assert_true(failed > 60);
	teardown(&w);
}

/* Photos of strangers have no label. */
static void test_strangers(void **state)
{
	struct world w;
	struct phiz_loader *l;
	struct phiz_batch b;

	(void)state;
	setup(&w, 1);
	assert_ok(w.ctx, phiz_dataset_estrange(w.ctx, w.dataset, "anna"));
	w.options.shuffle = false;
	w.options.batch = PHOTOS;
	l = open_loader(&w);
	assert_ok(w.ctx, phiz_loader_start(l, 0, 0));
	assert_ok(w.ctx, phiz_loader_next(l, &b));
	assert_int_equal(b.n, PHOTOS);
	for (int i = 0; i < b.n; i++)
		assert_int_equal(b.labels[i], i < 3 ? 0 : i < 12 ? 1 : -1);
	phiz_loader_free(&l);
	teardown(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_for_any_threads), cmocka_unit_test(test_start_anywhere),
		cmocka_unit_test(test_validation), cmocka_unit_test(test_augmented), cmocka_unit_test(test_order),
		cmocka_unit_test(test_views), cmocka_unit_test(test_balance), cmocka_unit_test(test_mixup),
		cmocka_unit_test(test_bad_photos), cmocka_unit_test(test_error_surfaces), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_memory_is_bounded), cmocka_unit_test(test_destroyed_in_the_middle),
		cmocka_unit_test(test_every_allocation_may_fail), cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_stages), cmocka_unit_test(test_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
