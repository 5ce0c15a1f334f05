/* phiz data check: what is wrong with a folder of photos, and putting aside what should not be in it. */
#define _DEFAULT_SOURCE /* realpath */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/parse.h"
#include "core/base/sha256.h"
#include "datasets/aside.h"
#include "tools/check.h"
#include "tools/models.h"

extern const struct phiz_verb phiz_verb_data_check;

struct check_settings {
	const char *split, *report, *aside, *detector, *model, *crops, *kinds, *skip, *cache;
	struct phiz_device_args device;
	double near_bits, eyes, sharpness, few;
	bool json, fix, undo;
};

static const struct phiz_option check_options[] = {
	PHIZ_OPTION(struct check_settings, "--split", TEXT, split, "FILE.csv", 0, 0,
	            "a split of phiz data split: look for leaks in it"),
	PHIZ_OPTION(struct check_settings, "--report", TEXT, report, "FILE.html", 0, 0,
	            "write a page with pictures of what was found"),
	PHIZ_OPTION(struct check_settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
	PHIZ_OPTION(struct check_settings, "--fix", FLAG, fix, NULL, 0, 0,
	            "put aside the photos that should not be there (nothing is deleted)"),
	PHIZ_OPTION(struct check_settings, "--aside", TEXT, aside, "FOLDER", 0, 0,
	            "where --fix puts them (default: DIR.aside)"),
	PHIZ_OPTION(struct check_settings, "--undo", FLAG, undo, NULL, 0, 0, "put everything back that --fix moved"),
	PHIZ_OPTION(struct check_settings, "--kinds", TEXT, kinds, "KIND,...", 0, 0, "look for these only"),
	PHIZ_OPTION(struct check_settings, "--skip", TEXT, skip, "KIND,...", 0, 0, "do not look for these"),
	PHIZ_OPTION(struct check_settings, "--detector", TEXT, detector, "MODEL", 0, 0,
	            "finds the faces (default: the best in the models folder; none: do without)"),
	PHIZ_OPTION(struct check_settings, "--model", TEXT, model, "MODEL", 0, 0,
	            "tells people apart (default: the best in the models folder; none: do without)"),
	PHIZ_DEVICE_OPTIONS(struct check_settings, device),
	PHIZ_OPTION(struct check_settings, "--crops", TEXT, crops, "yes|no|auto", 0, 0,
	            "the photos are crops of faces: look for none in them (default auto)"),
	PHIZ_OPTION(struct check_settings, "--cache", TEXT, cache, "FILE", 0, 0,
	            "where measurements are kept (default: in the user's cache folder; none: nowhere)"),
	PHIZ_OPTION(struct check_settings, "--min-eyes", REAL, eyes, "PIXELS", 0, 10000,
	            "least distance of the eyes (default 12)"),
	PHIZ_OPTION(struct check_settings, "--min-sharpness", REAL, sharpness, "V", 0, 260100,
	            "least variance of the Laplacian (default 12)"),
	PHIZ_OPTION(struct check_settings, "--min-photos", REAL, few, "N", 0, 1000000,
	            "least number of photos of a person (default 5)"),
	PHIZ_OPTION(struct check_settings, "--near-bits", REAL, near_bits, "N", 0, 64,
	            "bits of 256 in which near duplicates may differ (default 10)"),
};

static const struct check_settings check_defaults = {.near_bits = -1, .eyes = -1, .sharpness = -1, .few = -1};

/* --- Settings. --- */

static enum phiz_status choose_kinds(struct phiz_ctx *ctx, const char *list, bool value, bool *look_for)
{
	const char *names[PHIZ_N_FAULTS];
	enum phiz_fault fault;
	enum phiz_status status = PHIZ_OK;

	for (int i = 0; i < PHIZ_N_FAULTS; i++)
		names[i] = phiz_fault_name((enum phiz_fault)i);
	for (const char *end; !status && list; list = *end ? end + 1 : NULL) {
		char *name;

		end = list + strcspn(list, ",");
		name = phiz_strndup(ctx, list, (size_t)(end - list));
		if (!name)
			return PHIZ_E_NOMEM;
		if (phiz_fault_parse(name, &fault)) {
			look_for[fault] = value;
		} else {
			const char *meant = phiz_suggest(name, names, PHIZ_N_FAULTS);
			status = phiz_fail(ctx, PHIZ_E_ARG, "no kind of finding is called '%s'%s%s%s (--help lists them)", name,
			                   meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
		}
		phiz_free(ctx, name);
	}
	return status;
}

static enum phiz_status set_limits(struct phiz_ctx *ctx, const struct check_settings *s,
                                   struct phiz_doctor_limits *limits)
{
	enum phiz_status status = PHIZ_OK;

	phiz_doctor_defaults(limits);
	if (s->near_bits >= 0)
		limits->similar.near = (int)s->near_bits;
	if (s->eyes >= 0)
		limits->eyes = s->eyes;
	if (s->sharpness >= 0)
		limits->sharpness = s->sharpness;
	if (s->few >= 0)
		limits->few = (int)s->few;
	if (s->kinds) {
		memset(limits->look_for, 0, sizeof(limits->look_for));
		status = choose_kinds(ctx, s->kinds, true, limits->look_for);
	}
	return status || !s->skip ? status : choose_kinds(ctx, s->skip, false, limits->look_for);
}

/* Small squares of one size are crops; so is what lies beside a manifest of phiz data extract. */
static bool look_like_crops(struct phiz_ctx *ctx, const struct check *check)
{
	const struct phiz_checkup *c = &check->c;
	char *manifest = phiz_path_join(ctx, check->dir, "manifest.csv");
	size_t seen = 0, crops = 0, step = c->count / 64 + 1;
	bool extracted = manifest && phiz_path_is_file(manifest);
	int side = 0;

	phiz_free(ctx, manifest);
	for (size_t i = 0; !extracted && i < c->count; i += step) {
		char *path = c->photo[i].kind == PHIZ_FILE_PHOTO ? phiz_path_join(ctx, check->dir, c->photo[i].path) : NULL;
		int width, height;

		if (path && !phiz_image_probe(ctx, path, &width, &height)) {
			seen++;
			side = side ? side : width;
			crops += width == height && width == side && side <= 128;
		}
		phiz_free(ctx, path);
	}
	phiz_ctx_clear(ctx);
	return extracted || (seen >= 3 && crops * 10 >= seen * 9);
}

static enum phiz_status choose_crops(struct phiz_ctx *ctx, const char *text, struct check *check)
{
	enum phiz_status status = PHIZ_OK;

	if (!text || !strcmp(text, "auto")) {
		check->c.crops = look_like_crops(ctx, check);
	} else {
		status = phiz_parse_bool(ctx, text, &check->c.crops);
		if (status)
			phiz_fail_in(ctx, "--crops (yes, no or auto)");
	}
	if (!status && check->c.crops)
		status = phiz_names_add(ctx, &check->left_out, "faces and poses: the photos are taken as crops of faces "
		                        "already (--crops no looks for faces)");
	return status;
}

/* One model: asked for by name, or the default where there is one; without it, why. */
static enum phiz_status choose_model(struct phiz_ctx *ctx, enum phiz_model_kind kind, const char *asked,
                                     const char *without, struct check *check, char **path)
{
	char *sentence;
	enum phiz_status status;

	if (asked && !strcmp(asked, "none"))
		sentence = phiz_asprintf(ctx, "%s: not wanted", without);
	else if (!(status = phiz_choose_model(ctx, kind, asked, path)) || asked || status == PHIZ_E_NOMEM)
		return status;
	else
		sentence = phiz_asprintf(ctx, "%s: %s", without, phiz_ctx_message(ctx));
	phiz_ctx_clear(ctx);
	if (!sentence)
		return PHIZ_E_NOMEM;
	status = phiz_names_add(ctx, &check->left_out, sentence);
	phiz_free(ctx, sentence);
	return status;
}

static enum phiz_status choose_models(struct phiz_ctx *ctx, const struct check_settings *s, struct check *check)
{
	enum phiz_status status = PHIZ_OK;

	if (!check->c.crops)
		status = choose_model(ctx, PHIZ_MODEL_DETECTOR, s->detector, "whether there is a face, how many, how "
		                      "large, how turned; sharpness and light are those of whole photos", check,
		                      &check->detector);
	if (!status && !check->c.crops && !check->detector)
		return phiz_names_add(ctx, &check->left_out, "who it is: without a detector faces cannot be compared");
	if (!status)
		status = choose_model(ctx, PHIZ_MODEL_EMBEDDER, s->model, "who it is (wrong person, mixed folder, one "
		                      "person in two folders)", check, &check->embedder);
	return status;
}

/* $XDG_CACHE_HOME/phiz/check-HASH, HASH of where the folder lies. */
static enum phiz_status choose_cache(struct phiz_ctx *ctx, const char *asked, struct check *check)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	struct phiz_sha256 sum;
	char hex[65], *where;

	if (asked) {
		check->cache = strcmp(asked, "none") ? phiz_strdup(ctx, asked) : NULL;
		return check->cache || !strcmp(asked, "none") ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (!(cache && *cache == '/') && !(home && *home == '/'))
		return PHIZ_OK;
	where = phiz_alloc(ctx, PATH_MAX, 1);
	if (!where)
		return PHIZ_E_NOMEM;
	if (realpath(check->dir, where)) {
		phiz_sha256_init(&sum);
		phiz_sha256_add(&sum, where, strlen(where));
		phiz_sha256_hex(&sum, hex);
		check->cache = cache && *cache == '/' ? phiz_asprintf(ctx, "%s/phiz/check-%.16s", cache, hex)
		                                      : phiz_asprintf(ctx, "%s/.cache/phiz/check-%.16s", home, hex);
	}
	phiz_free(ctx, where);
	return PHIZ_OK;
}

/* --- Putting aside, and back. --- */

static bool show_move(void *user, size_t done, size_t total)
{
	phiz_progress_show(user, (double)done, (double)total, false, "%zu of %zu moved", done, total);
	return !phiz_interrupted;
}

/* DIR.aside, beside the folder itself whatever way DIR is written. */
static char *aside_folder(struct phiz_ctx *ctx, const char *asked, const char *dir)
{
	char *where, *out;

	if (asked)
		return phiz_strdup(ctx, asked);
	where = phiz_alloc(ctx, PATH_MAX, 1);
	if (!where)
		return NULL;
	out = phiz_asprintf(ctx, "%s.aside", realpath(dir, where) ? where : dir);
	phiz_free(ctx, where);
	return out;
}

static enum phiz_status fix(struct phiz_ctx *ctx, const struct check *check, const char *aside, size_t *moved)
{
	struct phiz_aside_moves moves = {0};
	struct phiz_aside_result result = {0};
	struct phiz_progress progress;
	enum phiz_status status = PHIZ_OK;

	for (size_t i = 0; !status && i < check->findings.count; i++) {
		const struct phiz_finding *f = &check->findings.finding[i];
		if (f->move)
			status = phiz_aside_add(ctx, &moves, check->c.photo[f->photo].path, phiz_fault_name(f->fault));
	}
	phiz_progress_start(&progress);
	if (!status)
		status = phiz_aside_put(ctx, check->dir, aside, &moves, show_move, &progress, &result);
	phiz_progress_clear(&progress);
	*moved = result.moved;
	if (!status && !phiz_quiet && moves.count)
		fprintf(stderr, "put aside: %zu photos in %s (phiz data check %s --undo puts them back)\n", result.moved, aside,
		        check->dir);
	else if (!status && !phiz_quiet)
		fprintf(stderr, "nothing to put aside\n");
	phiz_aside_moves_free(ctx, &moves);
	return status;
}

static int undo(struct phiz_ctx *ctx, const struct check_settings *s, const char *dir)
{
	struct phiz_aside_result r = {0};
	struct phiz_progress progress;
	char *aside = aside_folder(ctx, s->aside, dir);
	enum phiz_status status;

	phiz_progress_start(&progress);
	status = aside ? phiz_aside_undo(ctx, dir, aside, show_move, &progress, &r) : PHIZ_E_NOMEM;
	phiz_progress_clear(&progress);
	if (!status && s->json)
		printf("{\"moved\":%zu,\"already\":%zu,\"missing\":%zu,\"conflict\":%zu}\n", r.moved, r.already, r.missing,
		       r.conflict);
	if (!status && !phiz_quiet) {
		fprintf(stderr, "put back: %zu photos", r.moved);
		if (r.already)
			fprintf(stderr, "; %zu were back already", r.already);
		if (r.missing)
			fprintf(stderr, "; %zu are in neither place", r.missing);
		if (r.conflict)
			fprintf(stderr, "; %zu stay in %s, as other files stand where they were", r.conflict, aside);
		fprintf(stderr, "\n");
	}
	phiz_free(ctx, aside);
	if (status)
		return phiz_report(ctx);
	return r.conflict ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

/* --- The check. --- */

static void say_what_was_done(const struct check *check, const char *report, size_t unknown)
{
	if (phiz_quiet)
		return;
	for (size_t i = 0; i < check->left_out.count; i++)
		fprintf(stderr, "left out: %s\n", check->left_out.name[i]);
	if (check->cached)
		fprintf(stderr, "measured: %zu photos now, %zu before\n", check->measured, check->cached);
	if (unknown)
		fprintf(stderr, "photos of the split that are not there: %zu\n", unknown);
	if (report)
		fprintf(stderr, "report: %s\n", report);
}

static bool has_errors(const struct check *check, bool fixed)
{
	for (size_t i = 0; i < check->findings.count; i++) {
		const struct phiz_finding *f = &check->findings.finding[i];
		if (phiz_fault_weight(f->fault) == PHIZ_FAULT_ERROR && !(fixed && f->move))
			return true;
	}
	return false;
}

static enum phiz_status prepare(struct phiz_ctx *ctx, const struct check_settings *s, struct check *check,
                                size_t *unknown)
{
	enum phiz_status status = set_limits(ctx, s, &check->limits);

	check->c.threshold = NAN;
	if (!status)
		status = phiz_check_list(ctx, check);
	if (!status && s->split)
		status = phiz_check_split(ctx, check, s->split, unknown);
	if (!status)
		status = choose_crops(ctx, s->crops, check);
	if (!status)
		status = choose_models(ctx, s, check);
	return status ? status : choose_cache(ctx, s->cache, check);
}

static enum phiz_status tell_alike(struct phiz_ctx *ctx, struct check *check)
{
	const struct phiz_findings *f = &check->findings;
	char *sentence = phiz_asprintf(ctx, "who it is: the embedder cannot tell these people apart (photos of one folder "
	                               "have a median cosine of %.2f, and %.2f would be needed): are the faces cut out as "
	                               "it wants them?", f->inside, f->same);
	enum phiz_status status = sentence ? phiz_names_add(ctx, &check->left_out, sentence) : PHIZ_E_NOMEM;

	phiz_free(ctx, sentence);
	return status;
}

static void close_check(struct phiz_ctx *ctx, struct check *check)
{
	phiz_findings_free(ctx, &check->findings);
	phiz_checkup_free(ctx, &check->c);
	phiz_names_free(ctx, &check->left_out);
	phiz_free(ctx, check->detector);
	phiz_free(ctx, check->embedder);
	phiz_free(ctx, check->cache);
	phiz_device_close(ctx, &check->device);
}

static int run_check(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct check_settings *s = settings;
	struct check check = {.dir = args[0]};
	size_t unknown = 0, moved = 0;
	char *aside = NULL;
	bool errors;
	enum phiz_status status;

	(void)n_args;
	if (s->fix && s->undo)
		return phiz_usage(&phiz_verb_data_check, "--fix or --undo, not both");
	if (s->undo)
		return undo(ctx, s, args[0]);
	status = prepare(ctx, s, &check, &unknown);
	if (!status)
		status = phiz_device_open(ctx, &s->device, &check.device);
	if (!status)
		status = phiz_check_measure(ctx, &check);
	if (!status)
		status = phiz_doctor_run(ctx, &check.c, &check.limits, &check.findings);
	if (!status && check.findings.alike)
		status = tell_alike(ctx, &check);
	if (!status && s->report)
		status = phiz_check_html(ctx, &check, s->report);
	if (!status && s->fix) {
		aside = aside_folder(ctx, s->aside, args[0]);
		status = aside ? fix(ctx, &check, aside, &moved) : PHIZ_E_NOMEM;
	}
	if (!status && s->json)
		phiz_check_print_json(ctx, &check, s->report, moved);
	else if (!status)
		phiz_check_print(ctx, &check);
	if (!status)
		say_what_was_done(&check, s->report, unknown);
	errors = !status && has_errors(&check, s->fix);
	phiz_free(ctx, aside);
	close_check(ctx, &check);
	if (status)
		return phiz_report(ctx);
	return errors ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

const struct phiz_verb phiz_verb_data_check = {
	"data check",
	"find what is wrong with a folder of photos, and put it aside",
	"DIR [--split CSV] [--report FILE.html] [--fix | --undo] ...",
	"DIR has a folder of photos for each person, or folders train, val and test of such\n"
	"folders. Each finding says what was measured, the limit, and what to do. Kinds:\n"
	"  unreadable no-picture misplaced odd-name\n"
	"  no-face several-faces small blurred dark burnt-out pose\n"
	"  copy near-duplicate two-names leak (the last needs a split)\n"
	"  wrong-person mixed-folder same-person few imbalance\n"
	"Without a detector or an embedder what needs them is left out, and that is said.\n"
	"\n"
	"--fix moves photos to DIR.aside, in folders as they were; a journal is written\n"
	"before, so that --undo can put all back, even after a power cut. It moves what\n"
	"cannot be read, no picture, without a face, small, blurred, dark, burnt out, turned\n"
	"away, spare copies, wrong persons, and one side of each leak; what needs a human\n"
	"eye first (--kinds and --skip choose) is only reported: several faces, odd names,\n"
	"mixed folders, one person in two folders, one photo under two names.\n"
	"\n"
	"Measurements are kept for the next check, in a file that only the user may read,\n"
	"as they hold embeddings of faces. The exit status is 1 if there are findings of\n"
	"weight 'error' that were not put aside.",
	check_options,
	PHIZ_COUNT(check_options),
	sizeof(struct check_settings),
	&check_defaults,
	1,
	1,
	run_check,
};
