/* Classifiers on embeddings: fit on one part of a split, judged on the other and on strangers. */
#include "tools/eval_faces.h"

#include <inttypes.h>
#include <math.h>
#include <phiz/classify.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/base/thread.h"
#include "datasets/split.h"
#include "tools/gallery_args.h"
#include "tools/photos.h"

enum { MAX_SPLITS = 100, MAX_CLASSIFIERS = 8 };

struct figures {
	double top1, right, threshold, far; /* right: named rightly and at or above the threshold */
	int64_t photos;                     /* judged */
};

struct work {
	struct phiz_ctx *ctx;
	const struct phiz_eval_faces *e;
	struct phiz_dataset *data;
	struct phiz_names strangers; /* files */
	struct phiz_face_nets nets;
	int dim;
	float *embedding; /* of the samples, then of the strangers */
	bool *has;        /* a face was found */
	size_t n;         /* samples and strangers */
	int64_t no_face, unreadable, stranger_faces;
	double *score;    /* of strangers; scratch */
	const char *name[MAX_CLASSIFIERS];
	int n_classifiers, n_splits;
	struct figures figures[MAX_CLASSIFIERS][MAX_SPLITS];
	double fit_seconds[MAX_CLASSIFIERS], predict_seconds[MAX_CLASSIFIERS];
	int64_t predictions;
};

/* --- Embedding --- */

static enum phiz_status embed_one(struct work *w, size_t i, const char *path)
{
	struct phiz_portrait p;
	enum phiz_status status = phiz_portrait_read(w->ctx, w->nets.recognizer, path, &p);

	if (status == PHIZ_E_NOMEM)
		return status;
	if (status) {
		phiz_report(w->ctx);
		w->unreadable++;
		return PHIZ_OK;
	}
	w->has[i] = p.embedding != NULL;
	w->no_face += !p.embedding;
	if (p.embedding)
		memcpy(w->embedding + i * (size_t)w->dim, p.embedding, (size_t)w->dim * sizeof(float));
	phiz_portrait_free(w->ctx, &p);
	return PHIZ_OK;
}

static enum phiz_status embed_all(struct work *w)
{
	struct phiz_progress progress;
	size_t floats;
	enum phiz_status status = PHIZ_OK;

	w->n = w->data->count + w->strangers.count;
	w->dim = phiz_recognizer_dim(w->nets.recognizer);
	if (!phiz_size_mul(w->n, (size_t)w->dim, &floats))
		return phiz_fail(w->ctx, PHIZ_E_LIMIT, "too many photos");
	w->embedding = phiz_calloc(w->ctx, floats, sizeof *w->embedding);
	w->has = phiz_calloc(w->ctx, w->n, sizeof *w->has);
	w->score = phiz_alloc(w->ctx, w->n, sizeof *w->score);
	if (!w->embedding || !w->has || !w->score)
		return PHIZ_E_NOMEM;
	phiz_progress_start(&progress);
	for (size_t i = 0; i < w->n && !status; i++) {
		char *path = i < w->data->count ? phiz_dataset_path(w->ctx, w->data, i)
		                                : phiz_strdup(w->ctx, w->strangers.name[i - w->data->count]);
		status = path ? embed_one(w, i, path) : PHIZ_E_NOMEM;
		phiz_free(w->ctx, path);
		if (!status && phiz_interrupted)
			status = phiz_fail(w->ctx, PHIZ_E_CANCELLED, "broken off");
		phiz_progress_show(&progress, (double)i + 1, (double)w->n, i + 1 == w->n, "embedding: %zu of %zu photos", i + 1,
		                   w->n);
	}
	phiz_progress_clear(&progress);
	return status;
}

/* --- One split --- */

/* What is learnt from: embeddings and labels of the training photos with faces, at most per_person of each. */
struct fit {
	float *embedding;
	int32_t *label, *class_of; /* class_of: of each known person, -1: no photo to learn from */
	uint32_t *order;
	int64_t n;
	int classes;
};

static void fit_free(struct phiz_ctx *ctx, struct fit *f)
{
	phiz_free(ctx, f->embedding);
	phiz_free(ctx, f->label);
	phiz_free(ctx, f->class_of);
	phiz_free(ctx, f->order);
}

static void take_person(struct work *w, int person, uint64_t seed, struct fit *f)
{
	uint32_t n = 0;
	struct phiz_rng rng;

	for (size_t i = 0; i < w->data->count; i++)
		if (w->data->sample[i].person == person && w->data->sample[i].part == PHIZ_PART_TRAIN && w->has[i])
			f->order[n++] = (uint32_t)i;
	f->class_of[person] = n ? f->classes++ : -1;
	if (w->e->per_person > 0 && n > w->e->per_person) {
		phiz_rng_init(&rng, seed, 0, (uint64_t)person, PHIZ_STREAM_SPLIT);
		phiz_rng_shuffle_u32(&rng, f->order, n);
		n = (uint32_t)w->e->per_person;
	}
	for (uint32_t k = 0; k < n; k++) {
		memcpy(f->embedding + f->n * w->dim, w->embedding + (size_t)f->order[k] * (size_t)w->dim,
		       (size_t)w->dim * sizeof(float));
		f->label[f->n++] = f->class_of[person];
	}
}

static enum phiz_status collect(struct work *w, uint64_t seed, struct fit *f)
{
	size_t count = w->data->count;

	f->embedding = phiz_alloc(w->ctx, count * (size_t)w->dim, sizeof *f->embedding);
	f->label = phiz_alloc(w->ctx, count, sizeof *f->label);
	f->class_of = phiz_alloc(w->ctx, (size_t)w->data->n_known + 1, sizeof *f->class_of);
	f->order = phiz_alloc(w->ctx, count, sizeof *f->order);
	if (!f->embedding || !f->label || !f->class_of || !f->order)
		return PHIZ_E_NOMEM;
	for (int p = 0; p < w->data->n_known; p++)
		take_person(w, p, seed, f);
	return f->classes >= 2 ? PHIZ_OK : phiz_fail(w->ctx, PHIZ_E_ARG, "%s: want two people or more with training photos",
	                                             w->e->data);
}

/* Of all strangers, those of the dataset (a split's) and those of the list. */
static enum phiz_status score_strangers(struct work *w, struct phiz_classifier *c, int64_t *n)
{
	enum phiz_status status = PHIZ_OK;
	int32_t label;

	*n = 0;
	for (size_t i = 0; i < w->n && !status; i++)
		if (w->has[i] && (i >= w->data->count || w->data->sample[i].part == PHIZ_PART_STRANGER)) {
			status = phiz_classifier_predict(c, w->embedding + i * (size_t)w->dim, &label, &w->score[*n]);
			++*n;
		}
	return status;
}

static enum phiz_status judge(struct work *w, struct phiz_classifier *c, const struct fit *f, struct figures *out)
{
	struct phiz_limit limit = {.value = -INFINITY};
	int64_t n, photos = 0, right = 0, above = 0;
	int32_t label;
	double score;
	enum phiz_status status = score_strangers(w, c, &n);

	w->stranger_faces = n;
	if (!status && n > 0)
		status = phiz_limit_from(w->ctx, w->score, n, w->e->far, &limit);
	for (size_t i = 0; i < w->data->count && !status; i++) {
		const struct phiz_sample *s = &w->data->sample[i];
		if (s->part != PHIZ_PART_VAL)
			continue;
		photos++; /* one without a face counts as wrong */
		if (!w->has[i])
			continue;
		status = phiz_classifier_predict(c, w->embedding + i * (size_t)w->dim, &label, &score);
		right += label == f->class_of[s->person];
		above += label == f->class_of[s->person] && score >= limit.value;
	}
	w->predictions += n + photos;
	if (!status && photos == 0)
		status = phiz_fail(w->ctx, PHIZ_E_ARG, "%s: the split has no validation photos", w->e->data);
	if (status)
		return status;
	out->top1 = (double)right / (double)photos;
	out->right = n ? (double)above / (double)photos : NAN;
	out->threshold = n ? limit.value : NAN;
	out->far = n ? (double)limit.passed / (double)n : NAN;
	out->photos = photos;
	return PHIZ_OK;
}

static enum phiz_status run_split(struct work *w, uint64_t seed)
{
	struct fit f = {.n = 0};
	enum phiz_status status = collect(w, seed, &f);

	for (int k = 0; k < w->n_classifiers && !status; k++) {
		struct phiz_classifier_options o = {.reject_by_decision = w->e->decision};
		struct phiz_samples samples = {f.embedding, f.label, f.n, w->dim, f.classes};
		struct phiz_classifier *c = NULL;
		double t = phiz_time();
		status = phiz_classifier_fit(w->ctx, w->name[k], &samples, &o, &c);
		w->fit_seconds[k] += phiz_time() - t;
		t = phiz_time();
		if (!status)
			status = judge(w, c, &f, &w->figures[k][w->n_splits]);
		w->predict_seconds[k] += phiz_time() - t;
		phiz_classifier_free(&c);
	}
	w->n_splits++;
	fit_free(w->ctx, &f);
	return status;
}

static enum phiz_status run_splits(struct work *w)
{
	struct phiz_split_options o;
	enum phiz_status status = PHIZ_OK;

	if (w->e->split)
		return run_split(w, 0);
	phiz_split_defaults(&o);
	o.val = w->e->val;
	for (int64_t seed = 0; seed < w->e->splits && !status && !phiz_interrupted; seed++) {
		o.seed = (uint64_t)seed;
		status = phiz_split_run(w->ctx, w->data, &o, NULL);
		if (!status)
			status = run_split(w, (uint64_t)seed);
	}
	return !status && phiz_interrupted ? phiz_fail(w->ctx, PHIZ_E_CANCELLED, "broken off") : status;
}

/* --- Printing --- */

static struct figures mean(const struct work *w, int k)
{
	struct figures m = {0};

	for (int i = 0; i < w->n_splits; i++) {
		m.top1 += w->figures[k][i].top1 / w->n_splits;
		m.right += w->figures[k][i].right / w->n_splits;
		m.threshold += w->figures[k][i].threshold / w->n_splits;
		m.far += w->figures[k][i].far / w->n_splits;
		m.photos += w->figures[k][i].photos;
	}
	return m;
}

/* Standard deviation over the splits, of top-1 and of right. */
static struct figures deviation(const struct work *w, int k)
{
	struct figures m = mean(w, k), d = {0};

	for (int i = 0; i < w->n_splits; i++) {
		d.top1 += pow(w->figures[k][i].top1 - m.top1, 2) / w->n_splits;
		d.right += pow(w->figures[k][i].right - m.right, 2) / w->n_splits;
	}
	d.top1 = sqrt(d.top1);
	d.right = sqrt(d.right);
	return d;
}

static void print_text(const struct work *w)
{
	printf("%s: %d people, %zu photos; %d split%s; %" PRId64 " strangers\n", w->e->data, w->data->n_known,
	       w->data->count,
	       w->n_splits, w->n_splits > 1 ? "s" : "", w->stranger_faces);
	if (w->no_face || w->unreadable)
		printf("%" PRId64 " photos without a face, %" PRId64 " unreadable: not learnt from, and counted as wrong\n",
		       w->no_face, w->unreadable);
	printf("%-10s %15s %22s %11s %12s %13s\n", "classifier", "top-1 %", "right at threshold %", "threshold",
	       "strangers %", "us per photo");
	for (int k = 0; k < w->n_classifiers; k++) {
		struct figures m = mean(w, k), d = deviation(w, k);
		printf("%-10s %7.2f +- %4.2f %14.2f +- %4.2f %11.4f %12.2f %13.1f\n", w->name[k], 100 * m.top1, 100 * d.top1,
		       100 * m.right, 100 * d.right, m.threshold, 100 * m.far,
		       1e6 * w->predict_seconds[k] / ((double)w->predictions / w->n_classifiers));
	}
}

static void add_number(struct phiz_bytes *b, double v)
{
	if (isfinite(v))
		phiz_bytes_printf(b, "%.9g", v);
	else
		phiz_bytes_text(b, "null");
}

static void add_figures(struct phiz_bytes *b, const struct figures *f)
{
	phiz_bytes_text(b, "\"top1\":");
	add_number(b, f->top1);
	phiz_bytes_text(b, ",\"right_at_threshold\":");
	add_number(b, f->right);
	phiz_bytes_text(b, ",\"threshold\":");
	add_number(b, f->threshold);
	phiz_bytes_text(b, ",\"far\":");
	add_number(b, f->far);
	phiz_bytes_printf(b, ",\"photos\":%" PRId64, f->photos);
}

static enum phiz_status print_json(const struct work *w)
{
	struct phiz_bytes b;

	phiz_bytes_init(&b, w->ctx);
	phiz_bytes_text(&b, "{\"model\":");
	phiz_bytes_json(&b, w->e->model);
	phiz_bytes_text(&b, ",\"data\":");
	phiz_bytes_json(&b, w->e->data);
	phiz_bytes_printf(&b, ",\"people\":%d,\"photos\":%zu,\"no_face\":%" PRId64 ",\"unreadable\":%" PRId64
	                  ",\"strangers\":%" PRId64 ",\"splits\":%d,\"far\":%.9g,\"classifiers\":[", w->data->n_known,
	                  w->data->count, w->no_face, w->unreadable, w->stranger_faces, w->n_splits, w->e->far);
	for (int k = 0; k < w->n_classifiers; k++) {
		struct figures m = mean(w, k);
		phiz_bytes_printf(&b, "%s{\"name\":\"%s\",", k ? "," : "", w->name[k]);
		add_figures(&b, &m);
		phiz_bytes_text(&b, ",\"each\":[");
		for (int i = 0; i < w->n_splits; i++) {
			phiz_bytes_text(&b, i ? ",{" : "{");
			add_figures(&b, &w->figures[k][i]);
			phiz_bytes_text(&b, "}");
		}
		phiz_bytes_text(&b, "]}");
	}
	phiz_bytes_text(&b, "]}");
	enum phiz_status status = phiz_bytes_status(&b);
	if (!status)
		printf("%s\n", b.data);
	phiz_bytes_free(&b);
	return status;
}

/* --- The whole --- */

static enum phiz_status choose_classifiers(struct work *w)
{
	const char *name;

	for (int i = 0; (name = phiz_classifier_name(i)) && i < MAX_CLASSIFIERS; i++)
		if (!strcmp(w->e->classifier, "all") || !strcmp(w->e->classifier, name))
			w->name[w->n_classifiers++] = name;
	if (w->n_classifiers == 0) /* fitting it says what there is */
		w->name[w->n_classifiers++] = w->e->classifier;
	return PHIZ_OK;
}

static enum phiz_status prepare(struct work *w)
{
	const struct phiz_eval_faces *e = w->e;
	struct phiz_face_args face = {.detector = e->detector, .model = e->model, .device = e->device,
	                              .aligned = e->aligned};
	struct phiz_scan_options o = {.min_people = 2, .allow_empty = true};
	enum phiz_status status = e->split ? phiz_split_read(w->ctx, e->split, e->data, &w->data)
	                                   : phiz_dataset_scan(w->ctx, e->data, &o, &w->data);

	if (!status && e->strangers)
		status = phiz_photo_paths_add_list(w->ctx, e->strangers, 1, &w->strangers);
	if (!status)
		status = phiz_face_args_open(w->ctx, &face, NULL, &w->nets);
	return status ? status : choose_classifiers(w);
}

int phiz_eval_faces_run(struct phiz_ctx *ctx, const struct phiz_eval_faces *e)
{
	struct work *w = phiz_calloc(ctx, 1, sizeof *w);
	enum phiz_status status = w ? PHIZ_OK : PHIZ_E_NOMEM;

	if (!status) {
		w->ctx = ctx;
		w->e = e;
		status = prepare(w);
	}
	if (!status)
		status = embed_all(w);
	if (!status)
		status = run_splits(w);
	if (!status && e->json)
		status = print_json(w);
	else if (!status)
		print_text(w);
	if (status)
		phiz_report(ctx);
	if (w) {
		phiz_face_nets_close(w->ctx, &w->nets);
		phiz_dataset_free(ctx, &w->data);
		phiz_names_free(ctx, &w->strangers);
		phiz_free(ctx, w->embedding);
		phiz_free(ctx, w->has);
		phiz_free(ctx, w->score);
	}
	phiz_free(ctx, w);
	return status ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}
