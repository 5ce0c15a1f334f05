/* One look at every photo, on all threads: each worker has a detector and an embedder of its own. Photos are taken in
 * blocks, between which progress is shown, Ctrl-C is heard, and now and then the cache is written. */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <phiz/recognizer.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/base/thread.h"
#include "datasets/checkup_file.h"
#include "tools/check.h"

#define MAX_PHOTO ((size_t)256 << 20)
#define MAX_CACHE ((size_t)8 << 30)
#define MAX_MODEL ((size_t)1 << 30)
#define SAVE_SECONDS 60.0
#define WEAKER 0.1f /* than the best face of the photo */
enum { BLOCK = 4, VERSION = 2 };

struct worker {
	struct phiz_ctx *fork;
	struct phiz_detector *detector;
	struct phiz_recognizer *recognizer;
	struct phiz_faces faces;
	struct phiz_bytes file;
	enum phiz_status status; /* what ends the whole check */
};

struct sweep {
	struct check *check;
	struct worker *worker;
	int workers;
	uint32_t *todo; /* photos that are not in the cache */
	size_t n_todo, first; /* first: of the block */
	bool *done;           /* [photo] */
	char key[65];
};

static size_t rows_of(const struct check *check)
{
	return check->c.dim ? (size_t)check->c.dim : 0;
}

/* --- One photo. --- */

static float side_of(const struct phiz_face *face)
{
	return face->box[2] > 0 && face->box[3] > 0 ? sqrtf(face->box[2] * face->box[3]) : 0;
}

/* The largest face is the one that is meant. Weak ones are none, and so are those that are much weaker than the best:
 * detectors see faces in folds of cloth and crowds, but never as surely as the real one beside them. */
static const struct phiz_face *choose_face(const struct check *check, struct phiz_photo *p,
                                           const struct phiz_face *const *face, int n, int *chosen)
{
	float best = -1, second = 0, least = (float)check->limits.score;

	*chosen = -1;
	p->faces = 0;
	for (int i = 0; i < n; i++)
		least = fmaxf(least, face[i]->score - WEAKER);
	for (int i = 0; i < n; i++) {
		float side = side_of(face[i]);

		if (face[i]->score < least)
			continue;
		p->faces++;
		if (side > best) {
			second = best;
			best = side;
			*chosen = i;
		} else if (side > second) {
			second = side;
		}
	}
	p->second = best > 0 && second > 0 ? second / best : 0;
	return *chosen >= 0 ? face[*chosen] : NULL;
}

static enum phiz_status look(struct sweep *s, struct worker *w, size_t i, const struct phiz_image *image)
{
	struct phiz_checkup *c = &s->check->c;
	struct phiz_photo *p = &c->photo[i];
	const struct phiz_face **face = NULL, *main;
	const struct phiz_found *found = NULL;
	int n = 0, chosen = -1;
	enum phiz_status status = PHIZ_OK;

	if (w->recognizer)
		status = phiz_recognizer_run(w->recognizer, image, &found, &n);
	else if (w->detector)
		status = phiz_detector_run(w->detector, image, &w->faces);
	if (!status && w->detector)
		n = w->faces.n;
	if (!status) {
		face = phiz_alloc(w->fork, (size_t)n + 1, sizeof(struct phiz_face *));
		status = face ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	for (int k = 0; !status && k < n; k++)
		face[k] = found ? &found[k].face : &w->faces.face[k];
	main = !status && n ? choose_face(s->check, p, face, n, &chosen) : NULL;
	p->looked = !status && s->check->detector && !c->crops;
	if (main && p->looked)
		p->face = *main;
	if (main && found) {
		memcpy(c->embedding + i * rows_of(s->check), found[chosen].embedding, rows_of(s->check) * sizeof(float));
		p->embedded = true;
	}
	phiz_free(w->fork, face);
	return status;
}

static enum phiz_status measure_image(struct sweep *s, struct worker *w, size_t i, const struct phiz_image *image)
{
	struct phiz_photo *p = &s->check->c.photo[i];
	enum phiz_status status = phiz_phash_image(w->fork, image, &s->check->c.hash[i]);

	p->width = image->width;
	p->height = image->height;
	if (!status && (w->recognizer || w->detector))
		status = look(s, w, i, image);
	if (status)
		return status;
	p->measured = true;
	if (!p->looked)
		return phiz_quality_crop(w->fork, image, &p->quality);
	if (p->faces && phiz_face_has_landmarks(&p->face) && !phiz_quality_face(w->fork, image, &p->face, &p->quality))
		return PHIZ_OK;
	memset(&p->quality, 0, sizeof(p->quality));
	p->measured = false;
	return PHIZ_OK;
}

static bool is_fatal(enum phiz_status status)
{
	return status == PHIZ_E_NOMEM || status == PHIZ_E_CANCELLED || status == PHIZ_E_INTERNAL ||
	       status == PHIZ_E_UNSUPPORTED;
}

/* The message without the path that it begins with: the report says which photo it is. */
static char *trouble_of(struct phiz_ctx *ctx, const char *path, const char *message)
{
	size_t n = strlen(path);

	if (!strncmp(message, path, n) && message[n] == ':' && message[n + 1] == ' ')
		message += n + 2;
	return phiz_strdup(ctx, message);
}

static enum phiz_status measure_photo(struct sweep *s, struct worker *w, size_t i)
{
	struct phiz_photo *p = &s->check->c.photo[i];
	char *path = phiz_path_join(w->fork, s->check->dir, p->path);
	struct phiz_image image = {0};
	struct phiz_sha256 sum;
	char hex[65];
	enum phiz_status status = path ? phiz_file_read(w->fork, path, MAX_PHOTO, &w->file) : PHIZ_E_NOMEM;

	if (!status) {
		phiz_sha256_init(&sum);
		phiz_sha256_add(&sum, w->file.data, w->file.size);
		phiz_sha256_hex(&sum, hex);
		for (size_t k = 0; k < 64; k++) {
			unsigned digit = (unsigned)(hex[k] <= '9' ? hex[k] - '0' : hex[k] - 'a' + 10);
			p->digest[k / 2] = (unsigned char)(k % 2 ? p->digest[k / 2] | digit : digit << 4);
		}
		status = phiz_image_decode(w->fork, w->file.data, w->file.size, path, NULL, &image);
		p->readable = !status;
	}
	if (!status)
		status = measure_image(s, w, i, &image);
	if (status && !(p->readable ? is_fatal(status) : status == PHIZ_E_NOMEM)) {
		p->readable = false;
		s->check->c.hash[i].valid = false;
		phiz_free(w->fork, p->trouble);
		p->trouble = trouble_of(w->fork, path, phiz_ctx_message(w->fork));
		status = p->trouble ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	phiz_image_free(w->fork, &image);
	phiz_free(w->fork, path);
	return status;
}

static void measure_block(void *arg, int64_t begin, int64_t end, int worker)
{
	struct sweep *s = arg;
	struct worker *w = &s->worker[worker];

	for (int64_t k = begin; k < end && !w->status && !phiz_interrupted; k++) {
		size_t i = s->todo[s->first + (size_t)k];

		w->status = measure_photo(s, w, i);
		s->done[i] = !w->status;
	}
}

/* --- Workers. --- */

static enum phiz_status open_worker(struct sweep *s, struct worker *w)
{
	struct check *check = s->check;
	const char *detector = check->c.crops ? NULL : check->detector;
	const struct phiz_recognizer_options o = {.backend = check->device.backend, .fallback = check->device.fallback};
	const struct phiz_detector_options find = {.backend = o.backend, .fallback = o.fallback};

	if (check->embedder && (detector || check->c.crops))
		return phiz_recognizer_open(w->fork, detector, check->embedder, &o, &w->recognizer);
	return detector ? phiz_detector_open(w->fork, detector, &find, &w->detector) : PHIZ_OK;
}

static enum phiz_status hire(struct phiz_ctx *ctx, struct sweep *s)
{
	int n = phiz_ctx_threads(ctx);
	enum phiz_status status = PHIZ_OK;

	s->worker = phiz_calloc(ctx, (size_t)n, sizeof(*s->worker));
	if (!s->worker)
		return PHIZ_E_NOMEM;
	while (!status && s->workers < n) {
		struct worker *w = &s->worker[s->workers];

		status = phiz_ctx_fork(ctx, &w->fork);
		if (status)
			break;
		s->workers++;
		phiz_bytes_init(&w->file, w->fork);
		status = open_worker(s, w);
		if (status)
			phiz_fail_copy(ctx, w->fork);
	}
	return status;
}

static void dismiss(struct phiz_ctx *ctx, struct sweep *s)
{
	for (int i = 0; i < s->workers; i++) {
		struct worker *w = &s->worker[i];

		phiz_recognizer_free(&w->recognizer);
		phiz_detector_free(&w->detector);
		phiz_faces_free(w->fork, &w->faces);
		phiz_bytes_free(&w->file);
		phiz_ctx_free(&w->fork);
	}
	phiz_free(ctx, s->worker);
	phiz_free(ctx, s->todo);
	phiz_free(ctx, s->done);
}

/* --- The cache. --- */

static enum phiz_status add_file_hash(struct phiz_ctx *ctx, struct phiz_sha256 *sum, const char *path)
{
	struct phiz_bytes file;
	enum phiz_status status = PHIZ_OK;

	phiz_bytes_init(&file, ctx);
	if (path)
		status = phiz_file_read(ctx, path, MAX_MODEL, &file);
	if (!status)
		phiz_sha256_add(sum, file.size ? file.data : "none", file.size ? file.size : 4);
	phiz_bytes_free(&file);
	return status;
}

static enum phiz_status make_key(struct phiz_ctx *ctx, struct sweep *s)
{
	struct phiz_sha256 sum;
	unsigned char settings[2] = {VERSION, s->check->c.crops};
	double score = s->check->limits.score;
	enum phiz_status status;

	phiz_sha256_init(&sum);
	phiz_sha256_add(&sum, PHIZ_VERSION, sizeof(PHIZ_VERSION));
	phiz_sha256_add(&sum, settings, sizeof(settings));
	phiz_sha256_add(&sum, &score, sizeof(score));
	status = add_file_hash(ctx, &sum, s->check->c.crops ? NULL : s->check->detector);
	if (!status)
		status = add_file_hash(ctx, &sum, s->check->embedder);
	phiz_sha256_hex(&sum, s->key);
	return status;
}

static enum phiz_status take(struct phiz_ctx *ctx, struct sweep *s, size_t i, const struct phiz_checkup *old,
                             const struct phiz_photo *from)
{
	struct phiz_checkup *c = &s->check->c;
	struct phiz_photo *p = &c->photo[i], mine = *p;
	size_t k = (size_t)(from - old->photo), dim = rows_of(s->check);

	*p = *from;
	p->path = mine.path;
	p->person = mine.person;
	p->part = mine.part;
	p->kind = mine.kind;
	p->trouble = NULL;
	c->hash[i] = old->hash[k];
	if (p->embedded)
		memcpy(c->embedding + i * dim, old->embedding + k * dim, dim * sizeof(float));
	s->done[i] = true;
	s->check->cached++;
	if (!p->readable) {
		p->trouble = phiz_strdup(ctx, from->trouble);
		return p->trouble ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	return PHIZ_OK;
}

static enum phiz_status make_room(struct phiz_ctx *ctx, struct check *check, int dim)
{
	check->c.dim = dim;
	check->c.embedding = phiz_calloc(ctx, check->c.count, (size_t)dim * sizeof(float));
	return check->c.embedding ? PHIZ_OK : PHIZ_E_NOMEM;
}

/* What is damaged, of other models or not there is measured anew, without a word. */
static enum phiz_status read_cache(struct phiz_ctx *ctx, struct sweep *s)
{
	struct check *check = s->check;
	struct phiz_checkup old = {0};
	struct phiz_bytes file;
	enum phiz_status status = PHIZ_OK;

	phiz_bytes_init(&file, ctx);
	if (!check->cache || !phiz_path_is_file(check->cache) || phiz_file_read(ctx, check->cache, MAX_CACHE, &file) ||
	    phiz_checkup_parse(ctx, file.data, file.size, check->cache, s->key, &old)) {
		phiz_bytes_free(&file);
		phiz_ctx_clear(ctx);
		return PHIZ_OK;
	}
	phiz_bytes_free(&file);
	check->c.threshold = old.threshold;
	if (old.dim)
		status = make_room(ctx, check, old.dim);
	for (size_t i = 0; !status && i < check->c.count; i++) {
		const struct phiz_photo *p = &check->c.photo[i], *from;

		if (p->kind != PHIZ_FILE_PHOTO)
			continue;
		from = phiz_checkup_find(&old, p->path, p->bytes, p->modified);
		if (from)
			status = take(ctx, s, i, &old, from);
	}
	phiz_checkup_free(ctx, &old);
	return status;
}

/* A cache that cannot be written is a warning: the check itself is what was asked for. Embeddings are nobody else's
 * business: the file is made for the user alone. */
static void save_cache(struct phiz_ctx *ctx, struct sweep *s)
{
	struct phiz_bytes file;
	char *folder;
	int fd;

	if (!s->check->cache)
		return;
	phiz_bytes_init(&file, ctx);
	phiz_checkup_format(&s->check->c, s->done, s->key, &file);
	folder = phiz_strndup(ctx, s->check->cache, (size_t)(phiz_path_base(s->check->cache) - s->check->cache));
	if (folder && !phiz_bytes_status(&file) && (!*folder || !phiz_dir_make(ctx, folder))) {
		fd = open(s->check->cache, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd >= 0)
			close(fd);
		if (phiz_file_write(ctx, s->check->cache, file.data, file.size))
			phiz_log(ctx, PHIZ_LOG_WARN, "measurements are not kept for the next check: %s", phiz_ctx_message(ctx));
	}
	phiz_free(ctx, folder);
	phiz_bytes_free(&file);
	phiz_ctx_clear(ctx);
}

/* --- All of them. --- */

static enum phiz_status list_todo(struct phiz_ctx *ctx, struct sweep *s)
{
	const struct phiz_checkup *c = &s->check->c;

	s->todo = phiz_alloc(ctx, c->count, sizeof(*s->todo));
	if (!s->todo)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < c->count; i++)
		if (c->photo[i].kind == PHIZ_FILE_PHOTO && !s->done[i])
			s->todo[s->n_todo++] = (uint32_t)i;
	return PHIZ_OK;
}

static enum phiz_status status_of(struct phiz_ctx *ctx, const struct sweep *s)
{
	for (int i = 0; i < s->workers; i++)
		if (s->worker[i].status)
			return phiz_fail_copy(ctx, s->worker[i].fork);
	return PHIZ_OK;
}

static enum phiz_status sweep_all(struct phiz_ctx *ctx, struct sweep *s)
{
	size_t block = (size_t)(BLOCK * phiz_ctx_threads(ctx)), n;
	struct phiz_progress progress;
	double saved = phiz_time();
	enum phiz_status status = PHIZ_OK;

	phiz_progress_start(&progress);
	for (; !status && s->first < s->n_todo && !phiz_interrupted; s->first += n) {
		n = s->n_todo - s->first < block ? s->n_todo - s->first : block;
		phiz_parallel_for(ctx, (int64_t)n, 1, measure_block, s);
		status = status_of(ctx, s);
		phiz_progress_show(&progress, (double)(s->first + n), (double)s->n_todo, false, "%zu of %zu photos",
		                   s->first + n, s->n_todo);
		if (!status && phiz_time() - saved > SAVE_SECONDS) {
			save_cache(ctx, s);
			saved = phiz_time();
		}
	}
	phiz_progress_clear(&progress);
	return status;
}

enum phiz_status phiz_check_measure(struct phiz_ctx *ctx, struct check *check)
{
	struct sweep s = {.check = check};
	enum phiz_status status = PHIZ_E_NOMEM;

	s.done = phiz_calloc(ctx, check->c.count, sizeof(*s.done));
	if (s.done)
		status = make_key(ctx, &s);
	if (!status)
		status = read_cache(ctx, &s);
	if (!status)
		status = list_todo(ctx, &s);
	if (!status && s.n_todo) {
		status = hire(ctx, &s);
		if (!status && s.worker[0].recognizer && !check->c.dim)
			status = make_room(ctx, check, phiz_recognizer_dim(s.worker[0].recognizer));
		if (!status && s.worker[0].recognizer) {
			const struct phiz_model *m = phiz_recognizer_model(s.worker[0].recognizer);
			check->c.threshold = m->threshold.set && phiz_model_task(m) == PHIZ_TASK_EMBED ? m->threshold.value : NAN;
		}
		if (!status)
			status = sweep_all(ctx, &s);
		if (status != PHIZ_E_NOMEM) {
			char *message = status ? phiz_strdup(ctx, phiz_ctx_message(ctx)) : NULL;
			save_cache(ctx, &s);
			if (status)
				status = phiz_fail(ctx, status, "%s", message ? message : phiz_status_name(status));
			phiz_free(ctx, message);
		}
		check->measured = s.n_todo;
	}
	if (!status && phiz_interrupted)
		status = phiz_fail(ctx, PHIZ_E_CANCELLED, "broken off%s", check->cache
		                   ? ": what was measured is kept, the same command goes on" : "");
	dismiss(ctx, &s);
	return status;
}
