/* phiz gallery calibrate, audit, purge: the threshold, the log, and what has to go. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/io/json.h"
#include "tools/gallery_args.h"
#include "tools/photos.h"

struct settings {
	struct phiz_gallery_args gallery;
	struct phiz_face_args face;
	const char *strangers, *embeddings, *head;
	double far;
	int64_t older;
	bool json, verify;
};

/* --- calibrate --- */

/* The best similarity of each stranger to anybody. */
struct strangers {
	struct phiz_ctx *ctx;
	struct phiz_gallery *gallery;
	double *value;
	size_t n, capacity;
	int no_face, unreadable;
};

static enum phiz_status add_stranger(struct strangers *t, const float *embedding)
{
	struct phiz_match match;
	int n;
	enum phiz_status status = phiz_grow(t->ctx, &t->value, &t->capacity, t->n + 1, sizeof *t->value);

	if (!status)
		status = phiz_gallery_search(t->gallery, embedding, 1, &match, &n);
	if (!status && n == 1)
		t->value[t->n++] = match.similarity;
	return status;
}

static enum phiz_status embed_strangers(struct strangers *t, const struct settings *s)
{
	struct phiz_face_nets nets;
	struct phiz_progress progress;
	struct phiz_names files = {0};
	enum phiz_status status = phiz_face_args_open(t->ctx, &s->face, t->gallery, &nets);

	if (!status)
		status = phiz_photo_paths_add_list(t->ctx, s->strangers, 1, &files);
	phiz_progress_start(&progress);
	for (size_t i = 0; i < files.count && !status; i++) {
		struct phiz_portrait p;
		enum phiz_status read = phiz_portrait_read(t->ctx, nets.recognizer, files.name[i], &p);
		if (read == PHIZ_E_NOMEM || phiz_interrupted) {
			status = read ? read : phiz_fail(t->ctx, PHIZ_E_CANCELLED, "broken off: the threshold is as it was");
		} else if (read) {
			phiz_progress_clear(&progress);
			phiz_report(t->ctx);
			t->unreadable++;
		} else if (p.kind == PHIZ_PORTRAIT_NONE) {
			t->no_face++;
		} else {
			status = add_stranger(t, p.embedding);
		}
		phiz_portrait_free(t->ctx, &p);
		phiz_progress_show(&progress, (double)i + 1, (double)files.count, i + 1 == files.count, "%zu of %zu strangers",
		                   i + 1, files.count);
	}
	phiz_progress_clear(&progress);
	phiz_names_free(t->ctx, &files);
	phiz_face_nets_close(t->ctx, &nets);
	return status;
}

static enum phiz_status read_line(struct strangers *t, const char *file, int64_t line, const char *text, size_t size,
                                  float *x, int dim)
{
	char *what = phiz_asprintf(t->ctx, "%s:%" PRId64, file, line);
	json_t *object = NULL;
	enum phiz_status status = what ? phiz_json_parse(t->ctx, text, size, what, &object) : PHIZ_E_NOMEM;
	const json_t *list = status ? NULL : json_object_get(object, "embedding");

	if (!status && json_array_size(list) != (size_t)dim)
		status = phiz_fail(t->ctx, PHIZ_E_FORMAT, "%s: want \"embedding\":[%d numbers]", what, dim);
	for (int d = 0; d < dim && !status; d++) {
		double v;
		if (!phiz_json_real(json_array_get(list, (size_t)d), &v))
			status = phiz_fail(t->ctx, PHIZ_E_FORMAT, "%s: an embedding holds finite numbers only", what);
		else
			x[d] = (float)v;
	}
	json_decref(object);
	phiz_free(t->ctx, what);
	return status ? status : add_stranger(t, x);
}

static enum phiz_status read_strangers(struct strangers *t, const char *file)
{
	struct phiz_gallery_info info;
	struct phiz_bytes text;
	float *x = NULL;
	int64_t line = 0;
	enum phiz_status status = phiz_gallery_describe(t->gallery, &info);

	phiz_bytes_init(&text, t->ctx);
	if (!status)
		status = phiz_file_read(t->ctx, file, (size_t)1 << 30, &text);
	if (!status) {
		x = phiz_alloc(t->ctx, (size_t)info.dim + 1, sizeof *x);
		status = x ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	for (size_t at = 0; at < text.size && !status;) {
		size_t length = strcspn(text.data + at, "\n");
		line++;
		if (length)
			status = read_line(t, file, line, text.data + at, length, x, info.dim);
		at += length + 1;
	}
	phiz_free(t->ctx, x);
	phiz_bytes_free(&text);
	return status;
}

static void tell_limit(const struct phiz_limit *l, const struct strangers *t, int64_t own, int64_t own_n)
{
	printf("threshold %.4f: at most %g %% of strangers are taken for somebody\n", l->value, 100 * l->far);
	if (isfinite(l->high))
		printf("  95 %% interval %.4f to %.4f (order statistics)\n", l->low, l->high);
	else
		printf("  95 %% interval %.4f to no upper end: %" PRId64 " strangers are too few for a share of %g; want %.0f "
		       "or more\n", l->low, l->strangers, l->far, l->far > 0 ? ceil(3.7 / l->far) : INFINITY);
	printf("  %" PRId64 " of %" PRId64 " strangers reach it: with 95 %% confidence no more than %.2f %% do "
	       "(Clopper-Pearson)\n", l->passed, l->strangers, 100 * l->far_high);
	if (own_n)
		printf("  %" PRId64 " of %" PRId64 " enrolled photos reach it against the other photos of their person (%.1f "
		       "%%)\n",
		       own, own_n, 100 * (double)own / (double)own_n);
	if (t->no_face || t->unreadable)
		printf("  %d photos without a face, %d unreadable: left out\n", t->no_face, t->unreadable);
}

static void limit_json(const struct phiz_limit *l, int64_t own, int64_t own_n)
{
	printf("{\"threshold\":%.17g,\"low\":%.17g,\"high\":", l->value, l->low);
	if (isfinite(l->high))
		printf("%.17g", l->high);
	else
		printf("null");
	printf(",\"far\":%.9g,\"strangers\":%" PRId64 ",\"passed\":%" PRId64 ",\"far_high\":%.9g,\"enrolled\":%" PRId64
	       ",\"enrolled_passed\":%" PRId64 "}\n", l->far, l->strangers, l->passed, l->far_high, own_n, own);
}

static enum phiz_status calibrate(struct strangers *t, const struct settings *s)
{
	struct phiz_gallery_info info;
	struct phiz_limit limit;
	double *own = NULL;
	int64_t n = 0, reach = 0;
	enum phiz_status status = phiz_gallery_describe(t->gallery, &info);

	if (!status && info.photos == 0)
		status = phiz_fail(t->ctx, PHIZ_E_ARG, "%s: nobody is enrolled yet: strangers are compared with the people "
		                   "there",
		                   phiz_gallery_place(&s->gallery));
	if (!status)
		status = s->embeddings ? read_strangers(t, s->embeddings) : embed_strangers(t, s);
	if (!status && t->n == 0)
		status = phiz_fail(t->ctx, PHIZ_E_ARG, "no face of a stranger was found");
	if (!status)
		status = phiz_limit_from(t->ctx, t->value, (int64_t)t->n, s->far, &limit);
	if (!status)
		status = phiz_gallery_leave_one_out(t->gallery, &own, &n);
	if (!status)
		status = phiz_gallery_set_limit(t->gallery, &limit);
	for (int64_t i = 0; i < n; i++)
		reach += own[i] >= limit.value;
	if (!status && s->json)
		limit_json(&limit, reach, n);
	else if (!status)
		tell_limit(&limit, t, reach, n);
	phiz_gallery_values_free(t->gallery, &own);
	return status;
}

static int run_calibrate(struct phiz_ctx *ctx, void *settings, int n_args, char **args);

static const struct phiz_option calibrate_options[] = {
	PHIZ_OPTION(struct settings, "--strangers", TEXT, strangers, "DIR|LIST", 0, 0,
	            "photos of people who are not enrolled: a folder, or a file with a path on each line"),
	PHIZ_OPTION(struct settings, "--embeddings", TEXT, embeddings, "FILE", 0, 0,
	            "instead: their embeddings, JSON lines of {\"embedding\":[..]}"),
	PHIZ_OPTION(struct settings, "--far", REAL, far, "RATE", 0, 0.5,
	            "share of strangers that may be taken for somebody (default 0.001)"),
	PHIZ_GALLERY_OPTIONS(struct settings),
	PHIZ_FACE_OPTIONS(struct settings),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};
static const struct settings calibrate_defaults = {.far = 0.001};

const struct phiz_verb phiz_verb_gallery_calibrate = {
	"gallery calibrate", "the threshold for \"unknown\", from strangers", "--strangers DIR|LIST [--far RATE] "
		"[--gallery FILE]",
	"Each stranger's best similarity to anybody is measured; the threshold is the smallest\n"
	"that at most --far of them reach, and is stored with its interval. The interval is\n"
	"that of order statistics and holds whatever the similarities are like. The rarer the\n"
	"mistake, the more strangers it takes: some 3.7 / --far of them for an upper end.\n"
	"More people in the gallery make strangers resemble somebody more easily: calibrate\n"
	"again after many were added.",
	calibrate_options, PHIZ_COUNT(calibrate_options), sizeof(struct settings), &calibrate_defaults, 0, 0, run_calibrate,
};

static int run_calibrate(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct strangers t = {.ctx = ctx};

	(void)n_args;
	(void)args;
	if (!s->strangers == !s->embeddings)
		return phiz_usage(&phiz_verb_gallery_calibrate, "want --strangers or --embeddings");
	enum phiz_status status = phiz_gallery_args_open(ctx, &s->gallery, false, &t.gallery);
	if (!status)
		status = calibrate(&t, s);
	if (status)
		phiz_report(ctx);
	phiz_free(ctx, t.value);
	phiz_gallery_free(&t.gallery);
	return status ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

/* --- audit --- */

struct printing {
	struct phiz_ctx *ctx;
	bool json;
};

static enum phiz_status print_entry(void *user, const struct phiz_audit *e)
{
	struct printing *p = user;
	struct phiz_bytes b;
	struct tm tm;
	time_t when = (time_t)e->time;
	char text[32] = "?";

	if (!p->json) {
		if (gmtime_r(&when, &tm))
			strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
		printf("%6" PRId64 "  %s  %-9s  %s\n", e->id, text, e->action, e->detail);
		return PHIZ_OK;
	}
	phiz_bytes_init(&b, p->ctx);
	phiz_bytes_printf(&b, "{\"id\":%" PRId64 ",\"time\":%" PRId64 ",\"action\":", e->id, e->time);
	phiz_bytes_json(&b, e->action);
	phiz_bytes_text(&b, ",\"detail\":");
	phiz_bytes_json(&b, e->detail);
	phiz_bytes_printf(&b, ",\"hash\":\"%s\"}", e->hash);
	enum phiz_status status = phiz_bytes_status(&b);
	if (!status)
		printf("%s\n", b.data);
	phiz_bytes_free(&b);
	return status;
}

static enum phiz_status verify_log(struct phiz_gallery *g, const struct settings *s)
{
	char last[65];
	int64_t n;
	enum phiz_status status = phiz_gallery_audit_verify(g, s->head, &n, last);

	if (!status && s->json)
		printf("{\"entries\":%" PRId64 ",\"last\":\"%s\"}\n", n, last);
	else if (!status)
		printf("%" PRId64 " entries, each as it was written; the last one's hash, to keep elsewhere (--head):\n%s\n", n,
		       last);
	return status;
}

static int run_audit(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct printing p = {ctx, s->json};
	struct phiz_gallery *g;
	enum phiz_status status = phiz_gallery_args_open(ctx, &s->gallery, false, &g);

	(void)n_args;
	(void)args;
	if (!status)
		status = s->verify || s->head ? verify_log(g, s) : phiz_gallery_audit(g, print_entry, &p);
	if (status)
		phiz_report(ctx);
	phiz_gallery_free(&g);
	return status ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

static const struct phiz_option audit_options[] = {
	PHIZ_OPTION(struct settings, "--verify", FLAG, verify, NULL, 0, 0, "check that no entry was changed or taken out"),
	PHIZ_OPTION(struct settings, "--head", TEXT, head, "HASH", 0, 0,
	            "check too that the entry with this hash, kept from an earlier --verify, is still there"),
	PHIZ_GALLERY_OPTIONS(struct settings),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "JSON on standard output, an object an entry"),
};

const struct phiz_verb phiz_verb_gallery_audit = {
	"gallery audit", "what was done to a gallery", "[--verify [--head HASH]] [--gallery FILE] [--json]",
	"Every change is written to a log in the gallery in which each entry holds a hash over\n"
	"the one before (keyed, where the gallery is encrypted). --verify finds entries that\n"
	"were changed, moved or taken out. That the end was cut off shows only if a hash was\n"
	"kept elsewhere: --head.",
	audit_options, PHIZ_COUNT(audit_options), sizeof(struct settings), NULL, 0, 0, run_audit,
};

/* --- purge --- */

static void tell_purged(void *user, const char *name)
{
	(void)user;
	printf("%s erased\n", name);
}

static int run_purge(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_gallery *g;
	int64_t removed = 0;
	enum phiz_status status = phiz_gallery_args_open(ctx, &s->gallery, false, &g);

	(void)n_args;
	(void)args;
	if (!status)
		status = phiz_gallery_purge(g, (int64_t)time(NULL), s->older, tell_purged, NULL, &removed);
	if (status)
		phiz_report(ctx);
	else if (!removed)
		printf("nobody is due\n");
	phiz_gallery_free(&g);
	return status ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

static const struct phiz_option purge_options[] = {
	PHIZ_OPTION(struct settings, "--older-than", INT, older, "DAYS", 1, 36500,
	            "everybody whose last photo was added so many days ago, too"),
	PHIZ_GALLERY_OPTIONS(struct settings),
};

const struct phiz_verb phiz_verb_gallery_purge = {
	"gallery purge", "erase those whose time is over", "[--older-than DAYS] [--gallery FILE]",
	"Erases everybody who was enrolled with --keep-days once so many days have passed since\n"
	"the last photo, and leaves no byte of them (as phiz gallery remove --erase). Meant for\n"
	"a daily job.",
	purge_options, PHIZ_COUNT(purge_options), sizeof(struct settings), NULL, 0, 0, run_purge,
};
