#include "tools/eval_pairs.h"

#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"
#include "datasets/degrade.h"
#include "tools/device_args.h"
#include "tools/embedder.h"
#include "tools/models.h"
#include "tools/tools.h"
#include "train/verify_report.h"

struct run {
	struct phiz_ctx *ctx;
	const struct phiz_eval_pairs *settings;
	char *model, *root, *detector; /* paths */
	struct phiz_pair_list pairs;
	struct phiz_degrade degrade;
	struct phiz_device_choice device;
	struct phiz_embedder *embedder;
	float *embedding; /* [files][dim] */
	bool *done;       /* files */
	struct phiz_scored_pair *scored;
	uint32_t *pair;   /* of each of scored */
	size_t n_scored, unread, unfound;
	struct phiz_progress bar;
	double seconds;
};

/* --- Embedding. --- */

static enum phiz_status keep(void *user, const struct phiz_embedded *e)
{
	struct run *r = user;
	size_t dim = (size_t)phiz_embedder_dim(r->embedder);

	memcpy(r->embedding + e->file * dim, e->embedding, dim * sizeof *r->embedding);
	r->done[e->file] = true;
	r->unfound += r->settings->detect && !e->found;
	return PHIZ_OK;
}

static enum phiz_status leave_out(void *user, size_t file, const char *message)
{
	struct run *r = user;

	(void)file;
	if (r->settings->strict)
		return phiz_fail(r->ctx, PHIZ_E_FORMAT, "%s", message);
	phiz_progress_clear(&r->bar);
	phiz_log(r->ctx, PHIZ_LOG_WARN, "left out: %s", message);
	r->unread++;
	return PHIZ_OK;
}

static void show(void *user, size_t done, size_t total)
{
	struct run *r = user;

	phiz_progress_show(&r->bar, (double)done, (double)total, done == total, "%zu of %zu pictures", done, total);
}

static enum phiz_status degrade(struct phiz_ctx *ctx, const void *user, struct phiz_image *image)
{
	return phiz_degrade_apply(ctx, user, image);
}

static enum phiz_status open_embedder(struct run *r)
{
	const struct phiz_eval_pairs *s = r->settings;
	struct phiz_embedder_options o = {.flip = s->flip};
	enum phiz_status status = phiz_device_open(r->ctx, &s->device, &r->device);

	o.device = &r->device;
	if (!status && s->degrade) {
		status = phiz_degrade_parse(r->ctx, s->degrade, &r->degrade);
		if (status)
			return phiz_fail_in(r->ctx, "--degrade");
		o.prepare = degrade;
		o.user = &r->degrade;
	}
	if (!status)
		status = phiz_find_model_file(r->ctx, s->model, &r->model);
	if (!status && s->detect)
		status = phiz_choose_model(r->ctx, PHIZ_MODEL_DETECTOR, s->detector, &r->detector);
	if (status)
		return status;
	o.what = s->detect ? PHIZ_EMBED_FACE : PHIZ_EMBED_WHOLE;
	o.detector = r->detector;
	memcpy(o.box, s->box, sizeof o.box);
	return phiz_embedder_open(r->ctx, r->model, &o, &r->embedder);
}

static enum phiz_status embed(struct run *r)
{
	struct phiz_embedder_report report = {.embedded = keep, .failed = leave_out, .progress = show, .user = r};
	double began = phiz_time();
	size_t floats;

	if (!phiz_size_mul(r->pairs.file.count, (size_t)phiz_embedder_dim(r->embedder), &floats))
		return phiz_fail(r->ctx, PHIZ_E_LIMIT, "%s: too many pictures", r->settings->pairs);
	r->embedding = phiz_alloc(r->ctx, floats, sizeof *r->embedding);
	r->done = phiz_calloc(r->ctx, r->pairs.file.count, sizeof *r->done);
	if (!r->embedding || !r->done)
		return PHIZ_E_NOMEM;
	phiz_progress_start(&r->bar);
	enum phiz_status status = phiz_embedder_run(r->embedder, r->pairs.file.name, r->pairs.file.count, &report);
	phiz_progress_clear(&r->bar);
	r->seconds = phiz_time() - began;
	return status;
}

/* --- Figures. --- */

/* Folds that lost all their pairs go, so that the others count. */
static int close_folds(struct run *r)
{
	int n = 0;

	for (int f = 0; f < r->pairs.n_folds; f++) {
		bool used = false;
		for (size_t i = 0; i < r->n_scored; i++)
			if (r->scored[i].fold == f) {
				r->scored[i].fold = n;
				used = true;
			}
		n += used;
	}
	return n;
}

static enum phiz_status score(struct run *r)
{
	int dim = phiz_embedder_dim(r->embedder);

	r->scored = phiz_alloc(r->ctx, r->pairs.count, sizeof *r->scored);
	r->pair = phiz_alloc(r->ctx, r->pairs.count, sizeof *r->pair);
	if (!r->scored || !r->pair)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < r->pairs.count; i++) {
		const struct phiz_photo_pair *p = &r->pairs.pair[i];
		if (!r->done[p->a] || !r->done[p->b])
			continue;
		r->pair[r->n_scored] = (uint32_t)i;
		r->scored[r->n_scored++] = (struct phiz_scored_pair){
			phiz_cosine(r->embedding + (size_t)p->a * (size_t)dim, r->embedding + (size_t)p->b * (size_t)dim, dim),
			p->same, p->fold,
		};
	}
	if (r->n_scored == 0)
		return phiz_fail(r->ctx, PHIZ_E_NOTFOUND, "%s: none of its %zu pictures could be read under '%s' "
		                 "(--root DIR says where they lie)", r->settings->pairs, r->pairs.file.count, r->root);
	return PHIZ_OK;
}

static enum phiz_status store_threshold(struct run *r, const struct phiz_verification *v)
{
	struct phiz_operating_point at;
	struct phiz_extra extra = {0};
	struct phiz_model *model = NULL;
	enum phiz_status status = phiz_verify_at(r->ctx, r->scored, r->n_scored, r->settings->far, &at);

	if (!status)
		status = phiz_model_read_with(r->ctx, r->model, &model, &extra);
	if (!status && phiz_model_task(model) != PHIZ_TASK_EMBED)
		status = phiz_fail(r->ctx, PHIZ_E_ARG, "%s: a classifier's threshold comes from --data DIR and --strangers",
		                   r->model);
	if (!status) {
		model->threshold = (struct phiz_threshold){true, PHIZ_SCORE_COSINE, at.value, r->settings->far, at.far, at.tar,
		                                           v->different};
		status = phiz_model_write_with(model, &extra, r->model);
	}
	phiz_extra_free(r->ctx, &extra);
	phiz_model_free(&model);
	return status;
}

static void print_text(const struct run *r, const struct phiz_verify_report *report)
{
	static const char *const rate[PHIZ_VERIFY_RATES] = {"TAR at FAR 1e-1", "TAR at FAR 1e-2", "TAR at FAR 1e-3"};
	const struct phiz_verification *v = report->figures;

	printf("%s: %lld pairs of %zu pictures (%s%s)\n", r->model, (long long)v->pairs, r->pairs.file.count, report->how,
	       report->flip ? ", with the mirror image" : "");
	printf("%-18s %6.2f %% +- %.2f   over %d folds; threshold %.3f\n", "accuracy", 100 * v->accuracy,
	       100 * v->accuracy_std, v->n_folds, v->threshold);
	for (int i = 0; i < PHIZ_VERIFY_RATES; i++)
		printf("%-18s %6.2f %%          cosine above %.4f; %lld of %lld accepted falsely\n", rate[i],
		       100 * v->at[i].tar, v->at[i].value, (long long)v->at[i].strangers_accepted, (long long)v->different);
	printf("%-18s %6.2f %%\n", "equal error rate", 100 * v->roc.eer);
	printf("%-18s %8.5f\n", "AUC", v->roc.auc);
	printf("%-18s %8.4f (std %.3f) one person, %.4f (std %.3f) two\n", "mean cosine", v->same_mean, v->same_std,
	       v->different_mean, v->different_std);
	if (report->left_out)
		printf("%-18s %zu pairs: %zu pictures could not be read\n", "left out", report->left_out, r->unread);
	if (r->settings->detect)
		printf("%-18s %zu pictures%s\n", "no face found in", r->unfound,
		       r->unfound ? r->settings->box[2] ? ": taken by the box" : ": their middle was taken" : "");
	printf("%-18s %6.1f ms a picture\n", "time", 1e3 * r->seconds / (double)r->pairs.file.count);
	if (r->settings->write_threshold)
		printf("the threshold for %g false accepts is stored in the model\n", r->settings->far);
	if (r->settings->report)
		printf("report: %s/report.html\n", r->settings->report);
}

static void describe(const struct run *r, char how[160])
{
	const int *b = r->settings->box;
	char box[64] = "whole pictures";
	int used;

	if (b[2])
		snprintf(box, sizeof box, "box %d,%d,%d,%d", b[0], b[1], b[2], b[3]);
	if (r->settings->detect)
		used = snprintf(how, 160, "faces found by %.60s%s%s", phiz_path_base(r->detector), b[2] ? ", else " : "",
		                b[2] ? box : "");
	else
		used = snprintf(how, 160, "%s", box);
	if (r->settings->degrade && used > 0 && used < 160)
		snprintf(how + used, 160 - (size_t)used, "; after %.20s", r->settings->degrade);
}

static enum phiz_status tell(struct run *r)
{
	struct phiz_verification v;
	char how[160];
	enum phiz_status status = phiz_verify_measure(r->ctx, r->scored, r->n_scored, close_folds(r), &v);

	if (status)
		return phiz_fail_in(r->ctx, "%s", r->settings->pairs);
	describe(r, how);
	struct phiz_verify_report report = {
		.ctx = r->ctx, .figures = &v, .pairs = &r->pairs, .scored = r->scored, .pair = r->pair, .n_scored = r->n_scored,
		.model = r->model, .list = r->settings->pairs, .how = how, .flip = r->settings->flip,
		.left_out = r->pairs.count - r->n_scored, .unfound = r->unfound, .seconds = r->seconds,
	};
	if (r->settings->write_threshold)
		status = store_threshold(r, &v);
	if (!status && r->settings->report)
		status = phiz_verify_report_write(&report, r->settings->report);
	if (!status && r->settings->json) {
		struct phiz_bytes text;
		phiz_bytes_init(&text, r->ctx);
		status = phiz_verify_report_json(&report, &text);
		if (!status)
			printf("%s\n", text.data);
		phiz_bytes_free(&text);
	} else if (!status) {
		print_text(r, &report);
	}
	phiz_verification_free(r->ctx, &v);
	return status;
}

/* The folder of the list, where there is no --root. */
static enum phiz_status set_root(struct run *r)
{
	const char *list = r->settings->pairs, *base = phiz_path_base(list);

	if (r->settings->root)
		r->root = phiz_strdup(r->ctx, r->settings->root);
	else
		r->root = base == list ? phiz_strdup(r->ctx, ".") : phiz_strndup(r->ctx, list, (size_t)(base - list - 1));
	return r->root ? PHIZ_OK : PHIZ_E_NOMEM;
}

int phiz_eval_pairs(struct phiz_ctx *ctx, const struct phiz_eval_pairs *settings)
{
	struct run r = {.ctx = ctx, .settings = settings};
	enum phiz_status status = set_root(&r);

	if (!status)
		status = phiz_pair_list_read(ctx, settings->pairs, r.root, &r.pairs);
	if (!status)
		status = open_embedder(&r);
	if (!status)
		status = embed(&r);
	if (!status)
		status = score(&r);
	if (!status)
		status = tell(&r);
	if (status)
		phiz_report(ctx);
	phiz_embedder_free(&r.embedder);
	phiz_device_close(ctx, &r.device);
	phiz_pair_list_free(ctx, &r.pairs);
	phiz_free(ctx, r.embedding);
	phiz_free(ctx, r.done);
	phiz_free(ctx, r.scored);
	phiz_free(ctx, r.pair);
	phiz_free(ctx, r.model);
	phiz_free(ctx, r.root);
	phiz_free(ctx, r.detector);
	return status ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}
