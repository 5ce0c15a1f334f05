/* The loader. Workers take photos, not batches, one after another, and fill a ring of batches; the trainer takes the
 * batches out in order. What a worker does with a photo touches nothing shared but its place in the batch. */
#include "datasets/loader.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/base/thread.h"
#include "core/image/align_cut.h"
#include "datasets/augment.h"
#include "datasets/order.h"
#include "datasets/sweep.h"

#define MAX_BATCH 65536
#define MAX_AHEAD 1024
#define MAX_THREADS 1024
#define DECODE_SIDES 4 /* an augmented photo keeps so many times the network's size when a JPEG is decoded scaled */

/* A batch in the ring. Written by whoever opens it (under the lock) and by the workers that hold its photos. */
struct slot {
	uint32_t epoch;
	int64_t index;
	int n, given, done; /* photos: in the batch, handed to workers, finished */
	bool ready, mixed;
	int failed;         /* the first photo that failed, n if none did */
	struct phiz_ctx *error;
	float lambda;
	float *images;     /* or, with options.bytes: */
	uint8_t *bytes;
	int32_t *erased;
	int32_t *labels, *labels_b;
	uint32_t *kept;    /* index into the loader's photos */
	uint32_t *samples; /* index into the dataset */
	uint32_t *repeat;  /* how often the sample came before in the epoch */
};

struct worker {
	struct phiz_loader *loader;
	struct phiz_ctx *ctx;
	pthread_t thread;
};

struct phiz_loader {
	struct phiz_ctx *ctx;
	const struct phiz_dataset *dataset;
	struct phiz_loader_options options;
	struct phiz_preproc preproc, inner; /* inner: behind the preprocessing's crop */
	struct phiz_augment augment;
	bool augmented, aligned;

	/* Photos that can be decoded. */
	uint32_t *kept;
	size_t n_kept, skipped;
	struct phiz_image *cache; /* of each; data NULL where it is not kept */
	size_t cached;
	struct phiz_order order;
	size_t samples;
	int64_t batches;

	/* Guards all below, except what slots and workers say of themselves. */
	pthread_mutex_t lock;
	pthread_cond_t work, ready, idle;
	bool started, stop, pause;
	int busy; /* workers that hold a photo */
	struct phiz_stages stages;

	/* The epoch that batches are opened from. */
	uint32_t epoch;
	int64_t next_batch;
	uint32_t *epoch_order, *scratch, *repeats;

	/* Slot s % n_slots holds the s-th batch; taken <= given out <= opened <= taken + n_slots. */
	struct slot *slot;
	int n_slots;
	uint64_t opened, taken;
	bool holding; /* the trainer uses the batch `taken` */
	uint32_t at_epoch;
	int64_t at_batch; /* what phiz_loader_next gives next */

	struct worker *worker;
	int n_workers, running;
};

/* --- One photo --- */

/* The network's input of a photo whose face is cut out, before it is normalised. */
static enum phiz_status cut_face(const struct phiz_loader *l, struct phiz_ctx *ctx, uint32_t sample,
                                 const struct phiz_image *image, struct phiz_image *out)
{
	struct phiz_image crop;
	enum phiz_status status = phiz_align_crop(ctx, &l->preproc.align, image, &l->options.faces[sample], &crop);

	if (!status)
		status = phiz_preproc_geometry(ctx, &l->preproc, &crop, out);
	phiz_image_free(ctx, &crop);
	return status;
}

/* A photo whose face is cut out: whole, or (not augmented) in the network's size. */
static enum phiz_status read_face(const struct phiz_loader *l, struct phiz_ctx *ctx, uint32_t sample, const char *path,
                                  struct phiz_image *out)
{
	struct phiz_image image = {0};
	enum phiz_status status = phiz_image_read(ctx, path, NULL, &image);
	double m[6];

	if (status)
		return status;
	if (l->augmented) { /* a face that allows no transform is found now */
		status = phiz_align_cut(ctx, &l->preproc.align, &l->options.faces[sample], m);
		*out = image;
	} else {
		status = cut_face(l, ctx, sample, &image, out);
	}
	if (status || !l->augmented)
		phiz_image_free(ctx, &image);
	if (status) {
		*out = image;
		phiz_fail_in(ctx, "%s", path);
	}
	return status;
}

/* The photo as it is kept in the cache: after the preprocessing's crop, or (not augmented) in the network's size. */
static enum phiz_status read_photo(const struct phiz_loader *l, struct phiz_ctx *ctx, uint32_t sample, const char *path,
                                   struct phiz_image *out)
{
	struct phiz_decode_options options = {0};
	struct phiz_image image = {0};
	int box[4];
	enum phiz_status status;

	if (l->aligned)
		return read_face(l, ctx, sample, path, out);
	if (l->augmented)
		options.min_side = (int)fmin(DECODE_SIDES * l->preproc.size / l->preproc.crop, 1 << 20);
	status = phiz_image_read(ctx, path, &options, &image);
	if (status)
		return status;
	if (!l->augmented) {
		status = phiz_preproc_geometry(ctx, &l->preproc, &image, out);
	} else {
		phiz_preproc_crop_box(&l->preproc, image.width, image.height, box);
		if (box[2] == image.width && box[3] == image.height) {
			*out = image;
			return PHIZ_OK;
		}
		status = phiz_image_crop(ctx, &image, box[0], box[1], box[2], box[3], out);
	}
	phiz_image_free(ctx, &image);
	if (status)
		phiz_fail_in(ctx, "%s", path);
	return status;
}

static enum phiz_status fill_photo(const struct phiz_loader *l, struct phiz_ctx *ctx, const struct slot *s, int i,
                                   struct phiz_stages *stages)
{
	size_t plane = (size_t)l->preproc.size * (size_t)l->preproc.size;
	const struct phiz_image *image = &l->cache[s->kept[i]];
	const struct phiz_augment_out out = {
		.planes = s->images ? s->images + 3 * plane * (size_t)i : NULL,
		.bytes = s->bytes ? s->bytes + 3 * plane * (size_t)i : NULL, .erased = s->erased ? s->erased + 4 * i : NULL,
	};
	struct phiz_image own = {0};
	char *path = phiz_dataset_path(ctx, l->dataset, s->samples[i]);
	enum phiz_status status = path ? PHIZ_OK : PHIZ_E_NOMEM;

	phiz_stages_begin(stages);
	if (!status && !image->data) {
		status = read_photo(l, ctx, s->samples[i], path, &own);
		image = &own;
	}
	phiz_stages_end(stages, PHIZ_STAGE_READ);
	if (!status && !l->augmented) {
		phiz_augment_write(&l->preproc, image, &out);
		phiz_stages_end(stages, PHIZ_STAGE_FLOATS);
	} else if (!status) {
		uint32_t views = (uint32_t)l->options.views, epoch = views ? s->epoch % views : s->epoch;
		uint64_t sample = s->samples[i] | (views ? 0 : (uint64_t)s->repeat[i] << 32);
		struct phiz_rng rng;
		phiz_rng_init(&rng, l->options.seed, epoch, sample, PHIZ_STREAM_AUGMENT);
		if (l->aligned)
			status = phiz_augment_face_run(ctx, &l->augment, &l->preproc, &l->options.faces[s->samples[i]], &rng,
			                               image, &out, stages);
		else
			status = phiz_augment_run(ctx, &l->augment, &l->inner, &rng, image, &out, stages);
		if (status)
			phiz_fail_in(ctx, "%s", path);
	}
	phiz_image_free(ctx, &own);
	phiz_free(ctx, path);
	return status;
}

/* MixUp of a whole batch with itself rolled by one. labels_b and lambda are there already. */
static enum phiz_status mix(const struct phiz_loader *l, struct phiz_ctx *ctx, const struct slot *s)
{
	size_t count = 3 * (size_t)l->preproc.size * (size_t)l->preproc.size;
	float *last = s->images + count * (size_t)(s->n - 1);
	float *copy = phiz_alloc(ctx, count, sizeof(*copy));

	if (!copy)
		return PHIZ_E_NOMEM;
	memcpy(copy, last, count * sizeof(*copy));
	for (int i = s->n - 1; i > 0; i--)
		phiz_mixup_apply(s->images + count * (size_t)i, s->images + count * (size_t)(i - 1), count, s->lambda);
	phiz_mixup_apply(s->images, copy, count, s->lambda);
	phiz_free(ctx, copy);
	return PHIZ_OK;
}

/* --- The ring. All with the lock held. --- */

static struct slot *slot_at(const struct phiz_loader *l, uint64_t number)
{
	return &l->slot[number % (uint64_t)l->n_slots];
}

static void begin_epoch(struct phiz_loader *l, uint32_t epoch, int64_t batch)
{
	l->epoch = epoch;
	l->next_batch = batch;
	phiz_order_epoch(&l->order, epoch, l->epoch_order, l->scratch);
	memset(l->scratch, 0, l->n_kept * sizeof(*l->scratch));
	for (size_t i = 0; i < l->n_kept; i++)
		l->repeats[i] = l->scratch[l->epoch_order[i]]++;
}

static void draw_mixup(const struct phiz_loader *l, struct slot *s)
{
	struct phiz_rng rng;

	s->mixed = l->augment.mixup > 0 && s->n > 1;
	s->lambda = 1;
	if (!s->mixed)
		return;
	phiz_rng_init(&rng, l->options.seed, s->epoch, (uint64_t)s->index, PHIZ_STREAM_MIXUP);
	s->lambda = (float)phiz_mixup_lambda(&rng, l->augment.mixup);
	for (int i = 0; i < s->n; i++)
		s->labels_b[i] = s->labels[i ? i - 1 : s->n - 1];
}

static void open_slot(struct phiz_loader *l)
{
	struct slot *s = slot_at(l, l->opened++);
	size_t first;

	if (l->next_batch == l->batches)
		begin_epoch(l, l->epoch + 1, 0);
	first = (size_t)l->next_batch * (size_t)l->options.batch;
	s->epoch = l->epoch;
	s->index = l->next_batch++;
	s->n = l->samples - first < (size_t)l->options.batch ? (int)(l->samples - first) : l->options.batch;
	s->given = s->done = 0;
	s->failed = s->n;
	s->ready = false;
	for (int i = 0; i < s->n; i++) {
		int person;
		s->kept[i] = l->epoch_order[first + (size_t)i];
		s->repeat[i] = l->repeats[first + (size_t)i];
		s->samples[i] = l->kept[s->kept[i]];
		person = l->dataset->sample[s->samples[i]].person;
		s->labels[i] = person < l->dataset->n_known ? person : -1;
	}
	draw_mixup(l, s);
}

/* The batch that has photos to be done, or NULL: nothing to do until the trainer takes a batch. */
static struct slot *find_work(struct phiz_loader *l)
{
	struct slot *s = l->opened > l->taken ? slot_at(l, l->opened - 1) : NULL;

	if (!l->started || l->pause)
		return NULL;
	if (s && s->given < s->n)
		return s;
	if (l->opened - l->taken >= (uint64_t)l->n_slots)
		return NULL;
	open_slot(l);
	return slot_at(l, l->opened - 1);
}

/* --- Workers --- */

static void note_failure(struct slot *s, int i, const struct phiz_ctx *ctx)
{
	if (i < s->failed) {
		s->failed = i;
		phiz_ctx_clear(s->error);
		phiz_fail_copy(s->error, ctx);
	}
}

/* One photo, and the end of the batch if it was the last. Called and left with the lock held, not held inside. */
static void do_photo(struct worker *w, struct slot *s)
{
	struct phiz_loader *l = w->loader;
	int i = s->given++;
	struct phiz_stages stages = {0};
	bool last;
	enum phiz_status status;

	l->busy++;
	pthread_mutex_unlock(&l->lock);
	status = fill_photo(l, w->ctx, s, i, l->options.timed ? &stages : NULL);
	pthread_mutex_lock(&l->lock);
	phiz_stages_add(&l->stages, &stages);
	if (status)
		note_failure(s, i, w->ctx);
	last = ++s->done == s->n;
	if (last && s->mixed && s->failed == s->n) {
		pthread_mutex_unlock(&l->lock);
		status = mix(l, w->ctx, s);
		pthread_mutex_lock(&l->lock);
		if (status)
			note_failure(s, 0, w->ctx);
	}
	if (last) {
		s->ready = true;
		pthread_cond_signal(&l->ready);
	}
	if (--l->busy == 0)
		pthread_cond_signal(&l->idle);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct phiz_loader *l = w->loader;

	pthread_mutex_lock(&l->lock);
	while (!l->stop) {
		struct slot *s = find_work(l);
		if (s)
			do_photo(w, s);
		else
			pthread_cond_wait(&l->work, &l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* Signals for the program (Ctrl-C) go to its own threads; those that report a worker's own fault stay. */
static enum phiz_status start_workers(struct phiz_loader *l)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
	sigset_t all, before;

	sigfillset(&all);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	for (; l->running < l->n_workers; l->running++) {
		struct worker *w = &l->worker[l->running];
		if (pthread_create(&w->thread, NULL, work, w))
			break;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return l->running ? PHIZ_OK : phiz_fail(l->ctx, PHIZ_E_IO, "the system gives no thread to decode photos with");
}

static void stop_workers(struct phiz_loader *l)
{
	if (!l->running)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_broadcast(&l->work);
	pthread_mutex_unlock(&l->lock);
	for (int i = 0; i < l->running; i++)
		pthread_join(l->worker[i].thread, NULL);
	l->running = 0;
}

/* --- Opening --- */

static enum phiz_status check_options(struct phiz_ctx *ctx, const struct phiz_loader_options *o)
{
	enum phiz_status status;

	if (!o->preproc)
		return phiz_fail(ctx, PHIZ_E_ARG, "loader: no preprocessing given");
	if (o->batch < 1 || o->batch > MAX_BATCH)
		return phiz_fail(ctx, PHIZ_E_ARG, "loader: batch of %d photos: want 1 to %d", o->batch, MAX_BATCH);
	if (o->threads < 0 || o->threads > MAX_THREADS || o->ahead < 0 || o->ahead > MAX_AHEAD || o->views < 0)
		return phiz_fail(ctx, PHIZ_E_ARG, "loader: %d threads, %d batches ahead, %d views: want 0 to %d, 0 to %d, 0 or "
		                 "more", o->threads, o->ahead, o->views, MAX_THREADS, MAX_AHEAD);
	if (o->balance && !o->shuffle)
		return phiz_fail(ctx, PHIZ_E_ARG, "loader: balanced sampling needs shuffling");
	if ((o->people > 0 || o->photos > 0) && (o->people < 1 || o->photos < 1 || !o->shuffle || o->balance ||
	                                         (int64_t)o->people * o->photos != o->batch))
		return phiz_fail(ctx, PHIZ_E_ARG, "loader: %d people with %d photos: want a batch of their product, shuffled "
		                 "and not balanced", o->people, o->photos);
	if (o->bytes && !phiz_augment_fits_bytes(o->augment))
		return phiz_fail(ctx, PHIZ_E_ARG, "loader: photos as bytes cannot be mixed, nor erased with noise");
	status = phiz_preproc_check(ctx, o->preproc);
	if (!status && o->augment)
		status = phiz_augment_check(ctx, o->augment);
	return status;
}

static void copy_options(struct phiz_loader *l, const struct phiz_loader_options *o)
{
	l->options = *o;
	l->preproc = *o->preproc;
	l->options.preproc = &l->preproc;
	l->inner = l->preproc;
	l->inner.crop = 1;
	if (o->augment)
		l->augment = *o->augment;
	l->options.augment = NULL;
	l->augmented = o->augment && phiz_augment_is_on(o->augment);
	l->aligned = o->faces && o->preproc->align.kind != PHIZ_ALIGN_NONE;
	if (!l->options.threads)
		l->options.threads = phiz_ctx_threads(l->ctx);
	if (!l->options.ahead)
		l->options.ahead = 2;
}

/* The photo as it is read is all that the sweep is for; it is kept if there is room. */
static enum phiz_status keep_photo(struct phiz_ctx *ctx, void *arg, size_t i, const char *path, int worker)
{
	struct phiz_loader *l = arg;
	struct phiz_image image = {0};
	size_t bytes;
	bool keep;
	enum phiz_status status = read_photo(l, ctx, l->kept[i], path, &image);

	(void)worker;
	if (status)
		return status;
	bytes = (size_t)image.width * (size_t)image.height * (size_t)image.channels;
	pthread_mutex_lock(&l->lock);
	keep = bytes <= l->options.cache_bytes - l->cached;
	if (keep)
		l->cached += bytes;
	pthread_mutex_unlock(&l->lock);
	if (keep)
		l->cache[i] = image;
	else
		phiz_image_free(ctx, &image);
	return PHIZ_OK;
}

static void drop_bad(struct phiz_loader *l, const bool *bad)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_kept; i++) {
		if (bad[i])
			continue;
		l->kept[n] = l->kept[i];
		l->cache[n++] = l->cache[i];
	}
	/* Those behind have moved to the front. */
	memset(l->cache + n, 0, (l->n_kept - n) * sizeof(*l->cache));
	l->n_kept = n;
}

static enum phiz_status read_photos(struct phiz_loader *l)
{
	struct phiz_ctx *ctx = l->ctx;
	bool *bad = phiz_calloc(ctx, l->n_kept, sizeof(*bad));
	enum phiz_status status = PHIZ_E_NOMEM;
	double began = phiz_time();

	l->cache = phiz_calloc(ctx, l->n_kept, sizeof(*l->cache));
	if (bad && l->cache) {
		phiz_log(ctx, PHIZ_LOG_DEBUG, "reading %zu photos", l->n_kept);
		status = phiz_sweep(ctx, l->dataset, l->kept, l->n_kept, l->options.strict, keep_photo, l, bad, &l->skipped);
	}
	if (!status) {
		drop_bad(l, bad);
		phiz_log(ctx, PHIZ_LOG_INFO, "%zu photos read in %.1f s, %zu left out; %.1f MiB of pixels kept in memory",
		         l->n_kept, phiz_time() - began, l->skipped, (double)l->cached / (1 << 20));
		if (l->n_kept == 0)
			status = phiz_fail(ctx, PHIZ_E_FORMAT, "none of the %zu photos can be read", l->skipped);
	}
	phiz_free(ctx, bad);
	return status;
}

static enum phiz_status list_photos(struct phiz_loader *l, const uint32_t *index, size_t count)
{
	const struct phiz_dataset *d = l->dataset;

	l->kept = phiz_alloc(l->ctx, index ? count : d->count, sizeof(*l->kept));
	if (!l->kept)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < (index ? count : d->count); i++) {
		uint32_t sample = index ? index[i] : (uint32_t)i;
		if (sample >= d->count)
			return phiz_fail(l->ctx, PHIZ_E_ARG, "loader: sample %u of %zu", sample, d->count);
		if (index || d->sample[i].part != PHIZ_PART_SKIP)
			l->kept[l->n_kept++] = sample;
	}
	if (l->n_kept == 0)
		return phiz_fail(l->ctx, PHIZ_E_ARG, "loader: no photos given");
	return PHIZ_OK;
}

static enum phiz_status open_order(struct phiz_loader *l)
{
	const struct phiz_loader_options *o = &l->options;
	size_t people = l->dataset->people.count, n = l->n_kept, batch = (size_t)o->batch;
	uint32_t *person = phiz_alloc(l->ctx, n, sizeof(*person));
	enum phiz_status status = PHIZ_E_NOMEM;

	for (size_t i = 0; person && i < n; i++)
		person[i] = (uint32_t)l->dataset->sample[l->kept[i]].person;
	if (person)
		status = phiz_order_open(l->ctx, o->seed, o->shuffle, o->balance, (size_t)o->photos, person, n, people,
		                         &l->order);
	phiz_free(l->ctx, person);
	if (status)
		return status;
	l->batches = (int64_t)(o->drop_last ? n / batch : (n + batch - 1) / batch);
	l->samples = o->drop_last ? (size_t)l->batches * batch : n;
	if (l->batches == 0)
		return phiz_fail(l->ctx, PHIZ_E_ARG, "loader: %zu photos do not fill one batch of %d, and batches that are not "
		                 "full are dropped: want a smaller batch", n, o->batch);
	l->epoch_order = phiz_alloc(l->ctx, n, sizeof(*l->epoch_order));
	l->repeats = phiz_alloc(l->ctx, n, sizeof(*l->repeats));
	l->scratch = phiz_alloc(l->ctx, phiz_order_scratch(n, people), sizeof(*l->scratch));
	return l->epoch_order && l->repeats && l->scratch ? PHIZ_OK : PHIZ_E_NOMEM;
}

static enum phiz_status make_slot(struct phiz_loader *l, struct slot *s)
{
	/* No batch is larger than the epoch. */
	size_t n = l->samples < (size_t)l->options.batch ? l->samples : (size_t)l->options.batch;
	size_t count = 3 * (size_t)l->preproc.size * (size_t)l->preproc.size, floats;

	if (!phiz_size_mul(n, count, &floats))
		return phiz_fail(l->ctx, PHIZ_E_LIMIT, "loader: a batch of %zu photos of %d pixels is too large", n,
		                 l->preproc.size);
	if (l->options.bytes) {
		s->bytes = phiz_alloc(l->ctx, floats, sizeof(*s->bytes));
		s->erased = phiz_alloc(l->ctx, n, 4 * sizeof(*s->erased));
	} else {
		s->images = phiz_alloc(l->ctx, floats, sizeof(*s->images));
	}
	s->labels = phiz_alloc(l->ctx, n, sizeof(*s->labels));
	s->labels_b = phiz_alloc(l->ctx, n, sizeof(*s->labels_b));
	s->kept = phiz_alloc(l->ctx, n, sizeof(*s->kept));
	s->samples = phiz_alloc(l->ctx, n, sizeof(*s->samples));
	s->repeat = phiz_alloc(l->ctx, n, sizeof(*s->repeat));
	bool photos = s->images || (s->bytes && s->erased);
	if (!photos || !s->labels || !s->labels_b || !s->kept || !s->samples || !s->repeat)
		return PHIZ_E_NOMEM;
	return phiz_ctx_fork(l->ctx, &s->error);
}

static enum phiz_status make_slots(struct phiz_loader *l)
{
	int n = l->options.ahead + 1; /* and the one in use */
	enum phiz_status status = PHIZ_OK;

	l->slot = phiz_calloc(l->ctx, (size_t)n, sizeof(*l->slot));
	if (!l->slot)
		return PHIZ_E_NOMEM;
	l->n_slots = n;
	for (int i = 0; !status && i < n; i++)
		status = make_slot(l, &l->slot[i]);
	return status;
}

static enum phiz_status make_workers(struct phiz_loader *l)
{
	enum phiz_status status = PHIZ_OK;

	l->worker = phiz_calloc(l->ctx, (size_t)l->options.threads, sizeof(*l->worker));
	if (!l->worker)
		return PHIZ_E_NOMEM;
	for (; !status && l->n_workers < l->options.threads; l->n_workers += !status) {
		l->worker[l->n_workers].loader = l;
		status = phiz_ctx_fork(l->ctx, &l->worker[l->n_workers].ctx);
	}
	return status ? status : start_workers(l);
}

enum phiz_status phiz_loader_open(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, const uint32_t *index,
                                  size_t count, const struct phiz_loader_options *options, struct phiz_loader **out)
{
	struct phiz_loader *l;
	enum phiz_status status = check_options(ctx, options);

	*out = NULL;
	if (status)
		return status;
	l = phiz_calloc(ctx, 1, sizeof(*l));
	if (!l)
		return PHIZ_E_NOMEM;
	l->ctx = ctx;
	l->dataset = dataset;
	copy_options(l, options);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->work, NULL);
	pthread_cond_init(&l->ready, NULL);
	pthread_cond_init(&l->idle, NULL);
	status = list_photos(l, index, count);
	if (!status)
		status = read_photos(l);
	if (!status)
		status = open_order(l);
	if (!status)
		status = make_slots(l);
	if (!status)
		status = make_workers(l);
	if (status)
		phiz_loader_free(&l);
	*out = l;
	return status;
}

static void free_slot(struct phiz_ctx *ctx, struct slot *s)
{
	phiz_free(ctx, s->images);
	phiz_free(ctx, s->bytes);
	phiz_free(ctx, s->erased);
	phiz_free(ctx, s->labels);
	phiz_free(ctx, s->labels_b);
	phiz_free(ctx, s->kept);
	phiz_free(ctx, s->samples);
	phiz_free(ctx, s->repeat);
	phiz_ctx_free(&s->error);
}

void phiz_loader_free(struct phiz_loader **loader)
{
	struct phiz_loader *l = loader ? *loader : NULL;
	struct phiz_ctx *ctx;

	if (!l)
		return;
	ctx = l->ctx;
	stop_workers(l);
	for (int i = 0; i < l->n_workers; i++)
		phiz_ctx_free(&l->worker[i].ctx);
	phiz_free(ctx, l->worker);
	for (int i = 0; i < l->n_slots; i++)
		free_slot(ctx, &l->slot[i]);
	phiz_free(ctx, l->slot);
	for (size_t i = 0; l->cache && i < l->n_kept; i++)
		phiz_image_free(ctx, &l->cache[i]);
	phiz_free(ctx, l->cache);
	phiz_free(ctx, l->kept);
	phiz_order_close(ctx, &l->order);
	phiz_free(ctx, l->epoch_order);
	phiz_free(ctx, l->repeats);
	phiz_free(ctx, l->scratch);
	pthread_cond_destroy(&l->idle);
	pthread_cond_destroy(&l->ready);
	pthread_cond_destroy(&l->work);
	pthread_mutex_destroy(&l->lock);
	phiz_free(ctx, l);
	*loader = NULL;
}

/* --- The trainer's side --- */

size_t phiz_loader_samples(const struct phiz_loader *loader)
{
	return loader->samples;
}

int64_t phiz_loader_batches(const struct phiz_loader *loader)
{
	return loader->batches;
}

size_t phiz_loader_skipped(const struct phiz_loader *loader)
{
	return loader->skipped;
}

void phiz_loader_stages(struct phiz_loader *loader, struct phiz_stages *out)
{
	pthread_mutex_lock(&loader->lock);
	*out = loader->stages;
	pthread_mutex_unlock(&loader->lock);
}

size_t phiz_loader_cached(const struct phiz_loader *loader)
{
	return loader->cached;
}

enum phiz_status phiz_loader_order(const struct phiz_loader *loader, uint32_t epoch, uint32_t *order)
{
	size_t n = loader->n_kept;
	uint32_t *item = phiz_alloc(loader->ctx, n + phiz_order_scratch(n, loader->dataset->people.count), sizeof(*item));

	if (!item)
		return PHIZ_E_NOMEM;
	phiz_order_epoch(&loader->order, epoch, item, item + n);
	for (size_t i = 0; i < loader->samples; i++)
		order[i] = loader->kept[item[i]];
	phiz_free(loader->ctx, item);
	return PHIZ_OK;
}

/* Gives the batch in use back to the workers. With the lock held. */
static void release(struct phiz_loader *l)
{
	if (!l->holding)
		return;
	l->holding = false;
	l->taken++;
	pthread_cond_broadcast(&l->work);
}

/* Is (epoch, batch) what the workers are preparing next anyway? */
static bool is_here(const struct phiz_loader *l, uint32_t epoch, int64_t batch)
{
	const struct slot *s = slot_at(l, l->taken);

	if (!l->started || (l->opened > l->taken && s->ready && s->failed < s->n))
		return false;
	if (l->at_batch == l->batches)
		return (epoch == l->at_epoch && batch == l->batches) || (epoch == l->at_epoch + 1 && batch == 0);
	return epoch == l->at_epoch && batch == l->at_batch;
}

enum phiz_status phiz_loader_start(struct phiz_loader *loader, uint32_t epoch, int64_t first_batch)
{
	struct phiz_loader *l = loader;

	if (first_batch < 0 || first_batch > l->batches)
		return phiz_fail(l->ctx, PHIZ_E_ARG, "loader: start at batch %lld of an epoch of %lld", (long long)first_batch,
		                 (long long)l->batches);
	pthread_mutex_lock(&l->lock);
	release(l);
	if (!is_here(l, epoch, first_batch)) {
		l->pause = true;
		while (l->busy)
			pthread_cond_wait(&l->idle, &l->lock);
		l->opened = l->taken = 0;
		begin_epoch(l, epoch, first_batch);
		l->pause = false;
	}
	l->started = true;
	l->at_epoch = epoch;
	l->at_batch = first_batch;
	pthread_cond_broadcast(&l->work);
	pthread_mutex_unlock(&l->lock);
	return PHIZ_OK;
}

/* Waits for the batch that is due. With the lock held. */
static const struct slot *wait_for_slot(struct phiz_loader *l)
{
	while (l->opened == l->taken || !slot_at(l, l->taken)->ready)
		pthread_cond_wait(&l->ready, &l->lock);
	return slot_at(l, l->taken);
}

enum phiz_status phiz_loader_next(struct phiz_loader *loader, struct phiz_batch *out)
{
	struct phiz_loader *l = loader;
	const struct slot *s;
	enum phiz_status status = PHIZ_OK;

	memset(out, 0, sizeof(*out));
	if (!l->started)
		return phiz_fail(l->ctx, PHIZ_E_ARG, "loader: asked for a batch before it was started");
	pthread_mutex_lock(&l->lock);
	release(l);
	out->epoch = l->at_epoch;
	out->index = l->at_batch;
	out->size = l->preproc.size;
	if (l->at_batch < l->batches) {
		s = wait_for_slot(l);
		if (s->failed < s->n) {
			phiz_fail_copy(l->ctx, s->error);
			phiz_fail_in(l->ctx, "batch %lld of epoch %u", (long long)s->index, s->epoch);
			status = phiz_ctx_status(s->error);
		} else {
			*out = (struct phiz_batch){
				.n = s->n, .size = l->preproc.size, .images = s->images, .bytes = s->bytes,
				.erased = s->erased, .labels = s->labels, .labels_b = s->mixed ? s->labels_b : NULL,
				.lambda = s->lambda, .samples = s->samples, .epoch = s->epoch, .index = s->index,
			};
			l->holding = true;
			l->at_batch++;
		}
	}
	pthread_mutex_unlock(&l->lock);
	return status;
}
