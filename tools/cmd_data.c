/* phiz data split, phiz data list: what goes into training. (phiz data synth is in cmd_synth.c.) */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "datasets/split.h"
#include "datasets/sweep.h"
#include "tools/tools.h"

#define MAX_PAIRS_SHOWN 200

extern const struct phiz_verb phiz_verb_data_split, phiz_verb_data_list;

/* --- split --- */

struct split_settings {
	const char *output, *strangers, *keep_bursts;
	double val, test;
	int64_t seed;
	bool check, strict, json;
};

static const struct phiz_option split_options[] = {
	PHIZ_OPTION(struct split_settings, "-o", TEXT, output, "FILE.csv", 0, 0, "where the split is written"),
	PHIZ_OPTION(struct split_settings, "--val", REAL, val, "SHARE", 0, 0.99,
	            "of each person's photos for validation, at least one (default 0.2)"),
	PHIZ_OPTION(struct split_settings, "--test", REAL, test, "SHARE", 0, 0.99,
	            "of each person's photos for a final test (default 0)"),
	PHIZ_OPTION(struct split_settings, "--seed", INT, seed, "K", 0, 9007199254740991.0, "another split (default 0)"),
	PHIZ_OPTION(struct split_settings, "--strangers", TEXT, strangers, "WHO", 0, 0,
	            "people nobody is trained on: N, NAME,NAME, FILE or FOLDER"),
	PHIZ_OPTION(struct split_settings, "--keep-bursts-together", TEXT, keep_bursts, "yes|no", 0, 0,
	            "near-duplicates and bursts on one side (default yes)"),
	PHIZ_OPTION(struct split_settings, "--strict", FLAG, strict, NULL, 0, 0,
	            "a photo that cannot be read is an error"),
	PHIZ_OPTION(struct split_settings, "--check", FLAG, check, NULL, 0, 0,
	            "look for leaks in a split that exists: DIR FILE.csv, or TRAIN_DIR VAL_DIR"),
	PHIZ_OPTION(struct split_settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

static enum phiz_status estrange_names(struct phiz_ctx *ctx, struct phiz_dataset *d, char *names, char separator)
{
	enum phiz_status status = PHIZ_OK;

	for (char *name = names; !status && name;) {
		char *end = strchr(name, separator);
		if (end)
			*end = '\0';
		if (separator == '\n' && *name && name[strlen(name) - 1] == '\r')
			name[strlen(name) - 1] = '\0';
		if (*name && !(separator == '\n' && *name == '#'))
			status = phiz_dataset_estrange(ctx, d, name);
		name = end ? end + 1 : NULL;
	}
	return status;
}

/* Does the first line of the text that says anything name a person of the dataset? */
static bool begins_with_person(struct phiz_ctx *ctx, const struct phiz_dataset *d, const char *text)
{
	size_t n;
	char *line;
	bool found;

	while (*text == '\n' || *text == '\r' || *text == '#')
		text += *text == '#' ? strcspn(text, "\n") : 1;
	n = strcspn(text, "\r\n");
	line = phiz_strndup(ctx, text, n);
	found = line && phiz_dataset_find_person(d, line) >= 0;
	phiz_free(ctx, line);
	return found;
}

/* A file: names of people in the data folder, or paths of photos elsewhere. */
static enum phiz_status strangers_from_file(struct phiz_ctx *ctx, struct phiz_dataset *d, const char *path)
{
	struct phiz_bytes text;
	enum phiz_status status;

	phiz_bytes_init(&text, ctx);
	status = phiz_file_read(ctx, path, (size_t)64 << 20, &text);
	if (!status && text.size && !memchr(text.data, '\0', text.size) && begins_with_person(ctx, d, text.data)) {
		status = estrange_names(ctx, d, text.data, '\n');
		if (status)
			phiz_fail_in(ctx, "%s", path);
	} else if (!status) {
		status = phiz_dataset_add_strangers(ctx, d, path);
	}
	phiz_bytes_free(&text);
	return status;
}

static enum phiz_status strangers_by_name(struct phiz_ctx *ctx, struct phiz_dataset *d, const char *who)
{
	char *names = phiz_strdup(ctx, who);
	enum phiz_status status = names ? estrange_names(ctx, d, names, ',') : PHIZ_E_NOMEM;

	if (status == PHIZ_E_ARG)
		phiz_fail_in(ctx, "--strangers (neither a number, a file nor a folder)");
	phiz_free(ctx, names);
	return status;
}

static enum phiz_status choose_strangers(struct phiz_ctx *ctx, struct phiz_dataset *d, const char *who, int *n)
{
	int64_t number;
	enum phiz_status status = PHIZ_OK;

	*n = 0;
	if (!who)
		return PHIZ_OK;
	if (*who && who[strspn(who, "0123456789")] == '\0') {
		status = phiz_parse_i64(ctx, who, 0, INT32_MAX, &number);
		*n = status ? 0 : (int)number;
		return status;
	}
	if (phiz_path_is_dir(who))
		return phiz_dataset_add_strangers(ctx, d, who);
	if (phiz_path_is_file(who))
		return strangers_from_file(ctx, d, who);
	return strangers_by_name(ctx, d, who);
}

static void print_report(const struct phiz_split_report *r, const char *output)
{
	const size_t *n = r->photos;

	fprintf(stderr, "people: %d known, %d strangers\n", r->known, r->strangers);
	fprintf(stderr, "photos: %zu to train, %zu to validate", n[PHIZ_PART_TRAIN], n[PHIZ_PART_VAL]);
	if (n[PHIZ_PART_TEST])
		fprintf(stderr, ", %zu to test", n[PHIZ_PART_TEST]);
	if (n[PHIZ_PART_STRANGER])
		fprintf(stderr, ", %zu of strangers", n[PHIZ_PART_STRANGER]);
	if (n[PHIZ_PART_SKIP])
		fprintf(stderr, ", %zu cannot be read", n[PHIZ_PART_SKIP]);
	fprintf(stderr, "\nnear-duplicates and bursts: %zu photos in %zu groups\n", r->grouped, r->groups);
	if (r->cross_person)
		fprintf(stderr, "near-duplicates under two names: %zu (look at them: one name is wrong)\n", r->cross_person);
	if (r->without_val)
		fprintf(stderr, "without a validation photo, as there is but one photo or one burst of them: %d people\n",
		        r->without_val);
	fprintf(stderr, "written: %s\n", output);
}

static void print_report_json(struct phiz_ctx *ctx, const struct phiz_split_report *r, const char *output)
{
	struct phiz_bytes b;

	phiz_bytes_init(&b, ctx);
	phiz_bytes_text(&b, "{\"csv\":");
	phiz_bytes_json(&b, output);
	phiz_bytes_printf(&b, ",\"people\":%d,\"strangers\":%d", r->known, r->strangers);
	for (int i = 0; i < PHIZ_N_PARTS; i++)
		phiz_bytes_printf(&b, "%s\"%s\":%zu", i ? "," : ",\"photos\":{", phiz_part_name((enum phiz_part)i),
		                  r->photos[i]);
	phiz_bytes_printf(&b, "},\"groups\":%zu,\"grouped\":%zu,\"cross_person\":%zu,\"without_val\":%d}", r->groups,
	                  r->grouped, r->cross_person, r->without_val);
	if (!phiz_bytes_status(&b))
		puts(b.data);
	phiz_bytes_free(&b);
}

static int make_split(struct phiz_ctx *ctx, const struct split_settings *s, const char *dir)
{
	struct phiz_split_options options;
	struct phiz_split_report report;
	struct phiz_dataset *d = NULL;
	enum phiz_status status = PHIZ_OK;

	phiz_split_defaults(&options);
	options.val = s->val;
	options.test = s->test;
	options.seed = (uint64_t)s->seed;
	options.strict = s->strict;
	if (s->keep_bursts && phiz_parse_bool(ctx, s->keep_bursts, &options.keep_bursts))
		return phiz_usage(&phiz_verb_data_split, "--keep-bursts-together: %s", phiz_ctx_message(ctx));
	status = phiz_dataset_scan(ctx, dir, NULL, &d);
	if (!status)
		status = choose_strangers(ctx, d, s->strangers, &options.n_strangers);
	if (!status)
		status = phiz_split_run(ctx, d, &options, &report);
	if (!status)
		status = phiz_split_write(ctx, d, s->output);
	phiz_dataset_free(ctx, &d);
	if (status)
		return phiz_report(ctx);
	if (s->json)
		print_report_json(ctx, &report, s->output);
	if (!phiz_quiet)
		print_report(&report, s->output);
	return PHIZ_EXIT_DONE;
}

static enum phiz_status open_existing(struct phiz_ctx *ctx, const char *dir, const char *second,
                                      struct phiz_dataset **d)
{
	enum phiz_status status;

	if (!phiz_path_is_dir(second))
		return phiz_split_read(ctx, second, dir, d);
	status = phiz_dataset_scan(ctx, dir, NULL, d);
	if (!status)
		status = phiz_dataset_add_dir(ctx, *d, second, PHIZ_PART_VAL);
	return status;
}

static enum phiz_status print_pair(struct phiz_ctx *ctx, const struct phiz_dataset *d, const struct phiz_pair *p,
                                   bool first)
{
	const struct phiz_sample *x = &d->sample[p->a], *y = &d->sample[p->b];
	char *a = phiz_dataset_path(ctx, d, p->a), *b = phiz_dataset_path(ctx, d, p->b);
	struct phiz_bytes t;
	enum phiz_status status = a && b ? PHIZ_OK : PHIZ_E_NOMEM;

	phiz_bytes_init(&t, ctx);
	if (!status) {
		phiz_bytes_text(&t, first ? "{\"a\":" : ",{\"a\":");
		phiz_bytes_json(&t, a);
		phiz_bytes_text(&t, ",\"b\":");
		phiz_bytes_json(&t, b);
		phiz_bytes_printf(&t, ",\"part_a\":\"%s\",\"part_b\":\"%s\",\"bits\":%d,\"burst\":%s}", phiz_part_name(x->part),
		                  phiz_part_name(y->part), p->distance, p->burst ? "true" : "false");
		status = phiz_bytes_status(&t);
	}
	if (!status)
		fputs(t.data, stdout);
	phiz_bytes_free(&t);
	phiz_free(ctx, a);
	phiz_free(ctx, b);
	return status;
}

static enum phiz_status print_leaks_json(struct phiz_ctx *ctx, const struct phiz_dataset *d,
                                         const struct phiz_pairs *pairs, size_t n_bad)
{
	enum phiz_status status = PHIZ_OK;

	printf("{\"photos\":%zu,\"unreadable\":%zu,\"leaks\":[", d->count, n_bad);
	for (size_t i = 0; !status && i < pairs->count; i++)
		status = print_pair(ctx, d, &pairs->pair[i], i == 0);
	printf("]}\n");
	return status;
}

static void print_leaks(const struct phiz_dataset *d, const struct phiz_pairs *pairs)
{
	for (size_t i = 0; i < pairs->count && i < MAX_PAIRS_SHOWN; i++) {
		const struct phiz_pair *p = &pairs->pair[i];
		const struct phiz_sample *a = &d->sample[p->a], *b = &d->sample[p->b];
		printf("%s %s/%s  %s %s/%s  %d of %d bits differ%s\n", phiz_part_name(a->part), d->roots.name[a->root], a->path,
		       phiz_part_name(b->part), d->roots.name[b->root], b->path, p->distance, PHIZ_PHASH_BITS,
		       p->burst ? ", one burst" : "");
	}
	if (pairs->count > MAX_PAIRS_SHOWN)
		printf("... and %zu more (--json lists all)\n", pairs->count - MAX_PAIRS_SHOWN);
}

/* Exit status 1 where there are leaks, so that a script can stop on it. */
static int check_split(struct phiz_ctx *ctx, const struct split_settings *s, const char *dir, const char *second)
{
	struct phiz_dataset *d = NULL;
	struct phiz_phash *hash = NULL;
	struct phiz_pairs pairs = {0};
	size_t n_bad = 0, found;
	enum phiz_status status = open_existing(ctx, dir, second, &d);

	if (!status)
		status = phiz_phash_dataset(ctx, d, s->strict, &hash, &n_bad);
	if (!status)
		status = phiz_split_leaks(ctx, d, hash, NULL, &pairs);
	if (!status && s->json)
		status = print_leaks_json(ctx, d, &pairs, n_bad);
	else if (!status)
		print_leaks(d, &pairs);
	found = pairs.count;
	if (!status && !phiz_quiet)
		fprintf(stderr, "photos compared: %zu; unreadable: %zu; pairs that leak from one part into another: %zu\n",
		        d->count - n_bad, n_bad, found);
	phiz_pairs_free(ctx, &pairs);
	phiz_free(ctx, hash);
	phiz_dataset_free(ctx, &d);
	if (status)
		return phiz_report(ctx);
	return found ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

/* Nothing is written before the end, and then at once: Ctrl-C may simply end the program. */
static void die_on_signal(void)
{
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
}

static int run_split(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct split_settings *s = settings;

	die_on_signal();
	if (s->check) {
		if (n_args != 2)
			return phiz_usage(&phiz_verb_data_split, "--check wants DIR FILE.csv, or TRAIN_DIR VAL_DIR");
		return check_split(ctx, s, args[0], args[1]);
	}
	if (n_args != 1)
		return phiz_usage(&phiz_verb_data_split, "want one folder, got %d", n_args);
	if (!s->output)
		return phiz_usage(&phiz_verb_data_split, "want -o FILE.csv");
	if (s->val + s->test >= 1)
		return phiz_usage(&phiz_verb_data_split, "--val %g and --test %g leave nothing to train on", s->val, s->test);
	return make_split(ctx, s, args[0]);
}

static const struct split_settings split_defaults = {.val = 0.2};

const struct phiz_verb phiz_verb_data_split = {
	"data split", "deal photos out to training and validation, without leaks",
	"DIR -o FILE.csv [--val 0.2] [--test 0] [--seed K] [--strangers WHO] | --check ...",
	"DIR has a folder of photos for each person. The CSV says of each photo what it is\n"
	"for (train, val, test, stranger); phiz train and phiz eval read it (--split).\n"
	"Every person gives the same share, but keeps at least one photo to train on.\n"
	"Near-duplicates and bursts stay on one side, or validation would flatter.\n"
	"\n"
	"Strangers are for measuring how often an unknown face gets a name. WHO is a\n"
	"number of people to be drawn from DIR; names of people in DIR, separated by\n"
	"commas, or a file with one on each line; a folder of other photos; or a file with\n"
	"the path of such a photo on each line.\n"
	"\n"
	"With --check, pairs of photos that leak are listed, and the exit status is 1 if\n"
	"there are any.",
	split_options, PHIZ_COUNT(split_options), sizeof(struct split_settings), &split_defaults, 1, 2, run_split,
};

/* --- list --- */

struct list_settings {
	bool json;
};

static const struct phiz_option list_options[] = {
	PHIZ_OPTION(struct list_settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

static enum phiz_status measure(struct phiz_ctx *ctx, void *arg, size_t i, const char *path, int worker)
{
	int *side = arg, width, height;
	enum phiz_status status = phiz_image_probe(ctx, path, &width, &height);

	(void)worker;
	if (!status)
		side[i] = width < height ? width : height;
	return status;
}

static int compare_ints(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

/* side: of the photos that can be read, sorted, n of them. */
static void print_list(const struct phiz_dataset *d, const int *side, size_t n)
{
	for (int p = 0; p < d->n_known; p++)
		printf("%6zu  %s\n", phiz_dataset_count(d, PHIZ_PART_TRAIN, p), d->people.name[p]);
	printf("%6zu  photos of %d people\n", d->count, d->n_known);
	if (n)
		printf("short side %d to %d pixels, median %d\n", side[0], side[n - 1], side[n / 2]);
}

static void print_list_json(struct phiz_ctx *ctx, const struct phiz_dataset *d, const int *side, size_t n)
{
	struct phiz_bytes b;

	phiz_bytes_init(&b, ctx);
	phiz_bytes_text(&b, "{\"people\":[");
	for (int p = 0; p < d->n_known; p++) {
		phiz_bytes_text(&b, p ? ",{\"name\":" : "{\"name\":");
		phiz_bytes_json(&b, d->people.name[p]);
		phiz_bytes_printf(&b, ",\"photos\":%zu}", phiz_dataset_count(d, PHIZ_PART_TRAIN, p));
	}
	phiz_bytes_printf(&b, "],\"photos\":%zu,\"unreadable\":%zu,\"short_side\":", d->count, d->count - n);
	if (n)
		phiz_bytes_printf(&b, "{\"min\":%d,\"median\":%d,\"max\":%d}}", side[0], side[n / 2], side[n - 1]);
	else
		phiz_bytes_text(&b, "null}");
	if (!phiz_bytes_status(&b))
		puts(b.data);
	phiz_bytes_free(&b);
}

static int run_list(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct list_settings *s = settings;
	struct phiz_scan_options options = {.min_people = 1, .allow_empty = true};
	struct phiz_dataset *d = NULL;
	size_t n_bad = 0, n = 0;
	int *side = NULL;
	bool *bad = NULL;
	enum phiz_status status;

	(void)n_args;
	die_on_signal();
	status = phiz_dataset_scan(ctx, args[0], &options, &d);
	if (!status) {
		side = phiz_calloc(ctx, d->count, sizeof(*side));
		bad = phiz_calloc(ctx, d->count, sizeof(*bad));
		status = side && bad ? phiz_sweep(ctx, d, NULL, d->count, false, measure, side, bad, &n_bad) : PHIZ_E_NOMEM;
	}
	if (!status) {
		for (size_t i = 0; i < d->count; i++)
			if (!bad[i])
				side[n++] = side[i];
		qsort(side, n, sizeof(*side), compare_ints);
		if (s->json)
			print_list_json(ctx, d, side, n);
		else
			print_list(d, side, n);
	}
	phiz_free(ctx, side);
	phiz_free(ctx, bad);
	phiz_dataset_free(ctx, &d);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

const struct phiz_verb phiz_verb_data_list = {
	"data list", "who is in a folder of photos", "DIR [--json]",
	"Counts the photos of each person, and names files that are left out. Only headers\n"
	"are read.",
	list_options, PHIZ_COUNT(list_options), sizeof(struct list_settings), NULL, 1, 1, run_list,
};
