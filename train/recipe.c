#include "train/recipe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/parse.h"
#include "core/io/cfg.h"
#include "train/recipe_keys.h"

#define MAX_RECIPE_BYTES (1 << 20)

static void *field(const struct phiz_recipe *recipe, const struct phiz_recipe_key *key)
{
	return (char *)(uintptr_t)recipe + key->offset;
}

/* --- From text to value. --- */

/* Exactly `count` numbers in [min, max] with blanks or commas between. */
static enum phiz_status parse_numbers(struct phiz_ctx *ctx, const char *text, double min, double max, int count,
                                      double *out)
{
	int n = 0;

	while (*text) {
		char number[64];
		size_t length = strcspn(text, ", \t");

		if (length == 0) {
			text++;
			continue;
		}
		if (n == count || length >= sizeof number)
			return phiz_fail(ctx, PHIZ_E_ARG, "want %d numbers with blanks between", count);
		memcpy(number, text, length);
		number[length] = '\0';
		if (phiz_parse_f64(ctx, number, min, max, &out[n]))
			return phiz_ctx_status(ctx);
		n++;
		text += length;
	}
	return n == count ? PHIZ_OK
	                  : phiz_fail(ctx, PHIZ_E_ARG, "want %d numbers with blanks between, got %d", count, n);
}

static enum phiz_status parse_choice(struct phiz_ctx *ctx, const char *text, const char *const *choices, int *out)
{
	char list[256] = "";
	const char *near;
	size_t n, used = 0;

	for (n = 0; choices[n]; n++) {
		if (strcmp(text, choices[n]) == 0) {
			*out = (int)n;
			return PHIZ_OK;
		}
		used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", n ? ", " : "", choices[n]);
		if (used >= sizeof list)
			used = sizeof list - 1;
	}
	near = phiz_suggest(text, choices, n);
	if (near)
		return phiz_fail(ctx, PHIZ_E_ARG, "want one of %s; got '%s', did you mean '%s'?", list, text, near);
	return phiz_fail(ctx, PHIZ_E_ARG, "want one of %s; got '%s'", list, text);
}

static enum phiz_status parse_crop(struct phiz_ctx *ctx, const char *text, const struct phiz_recipe_key *key,
                                   double *out)
{
	if (strcmp(text, "none") == 0) {
		*out = 1;
		return PHIZ_OK;
	}
	if (strncmp(text, "center:", 7) != 0)
		return phiz_fail(ctx, PHIZ_E_ARG, "want none or center:F, such as center:0.6; got '%s'", text);
	return phiz_parse_f64(ctx, text + 7, key->min, key->max, out);
}

static enum phiz_status parse_resize(struct phiz_ctx *ctx, const char *text, const struct phiz_recipe_key *key,
                                     struct phiz_recipe_resize *out)
{
	if (strcmp(text, "stretch") == 0) {
		out->kind = PHIZ_RECIPE_STRETCH;
		out->side = 0;
		return PHIZ_OK;
	}
	if (strncmp(text, "short:", 6) != 0)
		return phiz_fail(ctx, PHIZ_E_ARG, "want stretch or short:N, such as short:256; got '%s'", text);
	if (phiz_parse_i64(ctx, text + 6, (int64_t)key->min, (int64_t)key->max, &out->side))
		return phiz_ctx_status(ctx);
	out->kind = PHIZ_RECIPE_SHORT;
	return PHIZ_OK;
}

static enum phiz_status parse_small(struct phiz_ctx *ctx, const char *text, const struct phiz_recipe_key *key, int *out)
{
	int64_t value;

	if (phiz_parse_i64(ctx, text, (int64_t)key->min, (int64_t)key->max, &value))
		return phiz_ctx_status(ctx);
	*out = (int)value;
	return PHIZ_OK;
}

static enum phiz_status parse_smalls(struct phiz_ctx *ctx, const char *text, const struct phiz_recipe_key *key,
                                     int *out)
{
	double value[2];

	if (parse_numbers(ctx, text, key->min, key->max, 2, value))
		return phiz_ctx_status(ctx);
	if (value[0] != floor(value[0]) || value[1] != floor(value[1]))
		return phiz_fail(ctx, PHIZ_E_ARG, "want two whole numbers, got '%s'", text);
	out[0] = (int)value[0];
	out[1] = (int)value[1];
	return PHIZ_OK;
}

/* A recipe is printed, and kept, as .cfg text, which must give the same value again. */
static enum phiz_status check_printable(struct phiz_ctx *ctx, const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return phiz_fail(ctx, PHIZ_E_ARG, "a control character (0x%02x)", (unsigned char)text[i]);
		else if ((text[i] == '#' || text[i] == ';') && (i == 0 || text[i - 1] == ' '))
			return phiz_fail(ctx, PHIZ_E_ARG, "'%c' begins a comment: want it inside of a word, got '%s'", text[i],
			                 text);
	if (n > 0 && (text[0] == ' ' || text[n - 1] == ' '))
		return phiz_fail(ctx, PHIZ_E_ARG, "a blank at an end of '%s'", text);
	return PHIZ_OK;
}

static enum phiz_status parse_text(struct phiz_ctx *ctx, const char *text, const struct phiz_recipe_key *key,
                                   char **out)
{
	const char *value = *text ? text : "none";
	char *copy;

	if (check_printable(ctx, value) || (key->check && key->check(ctx, value)))
		return phiz_ctx_status(ctx);
	copy = phiz_strdup(ctx, value);
	if (!copy)
		return PHIZ_E_NOMEM;
	phiz_free(ctx, *out);
	*out = copy;
	return PHIZ_OK;
}

/* The field keeps its old value on failure. */
static enum phiz_status parse_value(struct phiz_recipe *recipe, const struct phiz_recipe_key *key, const char *text)
{
	struct phiz_ctx *ctx = recipe->ctx;
	void *at = field(recipe, key);
	double number[3];
	int count = key->kind == PHIZ_KEY_PAIR ? 2 : 3;

	switch (key->kind) {
	case PHIZ_KEY_INT:
		return phiz_parse_i64(ctx, text, (int64_t)key->min, (int64_t)key->max, at);
	case PHIZ_KEY_FLOAT:
		return phiz_parse_f64(ctx, text, key->min, key->max, at);
	case PHIZ_KEY_BOOL:
		return phiz_parse_bool(ctx, text, at);
	case PHIZ_KEY_CHOICE:
		return parse_choice(ctx, text, key->choices, at);
	case PHIZ_KEY_TEXT:
		return parse_text(ctx, text, key, at);
	case PHIZ_KEY_CROP:
		return parse_crop(ctx, text, key, at);
	case PHIZ_KEY_RESIZE:
		return parse_resize(ctx, text, key, at);
	case PHIZ_KEY_SMALL:
		return parse_small(ctx, text, key, at);
	case PHIZ_KEY_SMALLS:
		return parse_smalls(ctx, text, key, at);
	case PHIZ_KEY_PAIR:
	case PHIZ_KEY_TRIPLE:
		if (parse_numbers(ctx, text, key->min, key->max, count, number))
			return phiz_ctx_status(ctx);
		memcpy(at, number, (size_t)count * sizeof *number);
		return PHIZ_OK;
	}
	return phiz_fail(ctx, PHIZ_E_INTERNAL, "recipe key %s.%s has no kind", key->section, key->key);
}

/* --- From value to text. --- */

/* The shortest decimal that reads back to the same double. */
static void add_number(struct phiz_bytes *out, double value)
{
	char text[40], *comma;
	int digits;

	for (digits = 6; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	comma = strchr(text, ','); /* a host program may have set a locale */
	if (comma)
		*comma = '.';
	phiz_bytes_text(out, text);
}

static void add_value(struct phiz_bytes *out, const struct phiz_recipe *recipe, const struct phiz_recipe_key *key)
{
	const void *at = field(recipe, key);
	const struct phiz_recipe_resize *resize = at;
	const double *number = at;
	const int *small = at;
	int i;

	switch (key->kind) {
	case PHIZ_KEY_INT:
		phiz_bytes_printf(out, "%lld", (long long)*(const int64_t *)at);
		break;
	case PHIZ_KEY_FLOAT:
		add_number(out, *number);
		break;
	case PHIZ_KEY_BOOL:
		phiz_bytes_text(out, *(const bool *)at ? "yes" : "no");
		break;
	case PHIZ_KEY_CHOICE:
		phiz_bytes_text(out, key->choices[*(const int *)at]);
		break;
	case PHIZ_KEY_TEXT:
		phiz_bytes_text(out, *(char *const *)at);
		break;
	case PHIZ_KEY_CROP:
		phiz_bytes_text(out, *number < 1 ? "center:" : "none");
		if (*number < 1)
			add_number(out, *number);
		break;
	case PHIZ_KEY_RESIZE:
		if (resize->kind == PHIZ_RECIPE_STRETCH)
			phiz_bytes_text(out, "stretch");
		else
			phiz_bytes_printf(out, "short:%lld", (long long)resize->side);
		break;
	case PHIZ_KEY_SMALL:
		phiz_bytes_printf(out, "%d", *small);
		break;
	case PHIZ_KEY_SMALLS:
		phiz_bytes_printf(out, "%d %d", small[0], small[1]);
		break;
	case PHIZ_KEY_PAIR:
	case PHIZ_KEY_TRIPLE:
		for (i = 0; i < (key->kind == PHIZ_KEY_PAIR ? 2 : 3); i++) {
			phiz_bytes_text(out, i ? " " : "");
			add_number(out, number[i]);
		}
		break;
	}
}

/* --- The recipe as a whole. --- */

enum phiz_status phiz_recipe_init(struct phiz_ctx *ctx, struct phiz_recipe *out)
{
	size_t i;

	memset(out, 0, sizeof *out);
	out->ctx = ctx;
	for (i = 0; i < phiz_recipe_n_keys; i++) {
		const struct phiz_recipe_key *key = &phiz_recipe_keys[i];

		if (parse_value(out, key, key->initial))
			return phiz_fail_in(ctx, "default of %s.%s", key->section, key->key);
	}
	return PHIZ_OK;
}

void phiz_recipe_free(struct phiz_recipe *recipe)
{
	size_t i;

	if (!recipe || !recipe->ctx)
		return;
	for (i = 0; i < phiz_recipe_n_keys; i++)
		if (phiz_recipe_keys[i].kind == PHIZ_KEY_TEXT)
			phiz_free(recipe->ctx, *(char **)field(recipe, &phiz_recipe_keys[i]));
	memset(recipe, 0, sizeof *recipe);
}

static const struct phiz_recipe_key *find_key(const char *section, const char *name)
{
	size_t i;

	for (i = 0; i < phiz_recipe_n_keys; i++)
		if (strcmp(phiz_recipe_keys[i].section, section) == 0 && strcmp(phiz_recipe_keys[i].key, name) == 0)
			return &phiz_recipe_keys[i];
	return NULL;
}

/* Makes the message for a section and key that are not in the table. */
static enum phiz_status unknown_key(struct phiz_ctx *ctx, const char *section, const char *name)
{
	const char *list[256];
	char full[256][64], word[128];
	const char *near;
	size_t i, n = 0;

	for (i = 0; i < phiz_recipe_n_keys; i++) /* the right key in the wrong section */
		if (strcmp(phiz_recipe_keys[i].key, name) == 0 && strcmp(name, "name") != 0)
			return phiz_fail(ctx, PHIZ_E_ARG, "there is no %s.%s; did you mean %s.%s?", section, name,
			                 phiz_recipe_keys[i].section, name);
	for (i = 0; i < phiz_recipe_n_keys && n < 256; i++, n++) {
		snprintf(full[n], sizeof full[n], "%s.%s", phiz_recipe_keys[i].section, phiz_recipe_keys[i].key);
		list[n] = full[n];
	}
	snprintf(word, sizeof word, "%s.%s", section, name);
	near = phiz_suggest(word, list, n);
	if (near)
		return phiz_fail(ctx, PHIZ_E_ARG, "there is no %s; did you mean %s?", word, near);
	return phiz_fail(ctx, PHIZ_E_ARG, "there is no %s; `phiz train --keys` lists them all", word);
}

static bool section_known(const char *section)
{
	size_t i;

	for (i = 0; i < phiz_recipe_n_keys; i++)
		if (strcmp(phiz_recipe_keys[i].section, section) == 0)
			return true;
	return false;
}

static enum phiz_status unknown_section(struct phiz_ctx *ctx, const char *section)
{
	const char *list[32], *near;
	size_t i, n = 0;

	for (i = 0; i < phiz_recipe_n_keys && n < 32; i++)
		if (n == 0 || strcmp(list[n - 1], phiz_recipe_keys[i].section) != 0)
			list[n++] = phiz_recipe_keys[i].section;
	near = phiz_suggest(section, list, n);
	if (near)
		return phiz_fail(ctx, PHIZ_E_ARG, "there is no section [%s]; did you mean [%s]?", section, near);
	return phiz_fail(ctx, PHIZ_E_ARG, "there is no section [%s] in a recipe", section);
}

static enum phiz_status apply_cfg(struct phiz_recipe *recipe, const struct phiz_cfg *cfg)
{
	struct phiz_ctx *ctx = recipe->ctx;
	size_t i;
	int s;

	for (s = 0; s < cfg->n_sections; s++)
		if (!section_known(cfg->section[s].name)) {
			unknown_section(ctx, cfg->section[s].name);
			return phiz_fail_in(ctx, "%s:%d", cfg->name, cfg->section[s].line);
		}
	for (i = 0; i < cfg->count; i++) {
		const struct phiz_cfg_line *line = &cfg->line[i];
		const struct phiz_recipe_key *key = find_key(line->section, line->key);

		if (!key) {
			unknown_key(ctx, line->section, line->key);
			return phiz_fail_in(ctx, "%s:%d", cfg->name, line->line);
		}
		if (parse_value(recipe, key, line->value))
			return phiz_fail_in(ctx, "%s:%d: %s.%s", cfg->name, line->line, line->section, line->key);
	}
	return PHIZ_OK;
}

enum phiz_status phiz_recipe_parse(struct phiz_recipe *recipe, const char *text, size_t size, const char *name)
{
	struct phiz_cfg cfg;
	enum phiz_status status;

	memset(&cfg, 0, sizeof cfg);
	status = phiz_cfg_parse(recipe->ctx, text, size, name, 0, &cfg);
	if (!status)
		status = apply_cfg(recipe, &cfg);
	phiz_cfg_free(recipe->ctx, &cfg);
	return status;
}

enum phiz_status phiz_recipe_read(struct phiz_recipe *recipe, const char *path)
{
	struct phiz_bytes text;
	enum phiz_status status;
	const char *builtin = phiz_recipe_builtin(path), *list[32], *near;
	size_t n;

	if (!phiz_path_is_file(path) && !strpbrk(path, "/.")) {
		if (builtin)
			return phiz_recipe_parse(recipe, builtin, strlen(builtin), path);
		for (n = 0; n < 32 && phiz_recipe_builtin_name((int)n); n++)
			list[n] = phiz_recipe_builtin_name((int)n);
		near = phiz_suggest(path, list, n);
		if (near)
			return phiz_fail(recipe->ctx, PHIZ_E_NOTFOUND, "%s: no such recipe; did you mean '%s'?", path, near);
	}
	phiz_bytes_init(&text, recipe->ctx);
	status = phiz_file_read(recipe->ctx, path, MAX_RECIPE_BYTES, &text);
	if (!status)
		status = phiz_recipe_parse(recipe, text.data, text.size, path);
	phiz_bytes_free(&text);
	return status;
}

enum phiz_status phiz_recipe_set(struct phiz_recipe *recipe, const char *assignment)
{
	struct phiz_ctx *ctx = recipe->ctx;
	const char *dot = strchr(assignment, '.'), *equals = strchr(assignment, '=');
	const struct phiz_recipe_key *key;
	char section[64], name[64];
	enum phiz_status status = PHIZ_OK;

	if (!equals || !dot || dot > equals || dot == assignment || dot + 1 == equals ||
	    (size_t)(dot - assignment) >= sizeof section || (size_t)(equals - dot - 1) >= sizeof name)
		return phiz_fail(ctx, PHIZ_E_ARG, "want section.key=value, such as train.epochs=10; got '%s'", assignment);
	memcpy(section, assignment, (size_t)(dot - assignment));
	section[dot - assignment] = '\0';
	memcpy(name, dot + 1, (size_t)(equals - dot - 1));
	name[equals - dot - 1] = '\0';
	key = find_key(section, name);
	if (!key)
		return unknown_key(ctx, section, name);
	status = parse_value(recipe, key, equals + 1);
	return status ? phiz_fail_in(ctx, "%s.%s", section, name) : PHIZ_OK;
}

bool phiz_recipe_embeds(const struct phiz_recipe *recipe)
{
	return recipe->loss.name != PHIZ_LOSS_CROSS_ENTROPY;
}

bool phiz_recipe_distills(const struct phiz_recipe *recipe)
{
	return recipe->loss.name == PHIZ_LOSS_DISTILL || (phiz_recipe_embeds(recipe) && recipe->loss.distill > 0);
}

double phiz_recipe_margin(const struct phiz_recipe *recipe)
{
	static const double paper[] = {0, 0.5, 0.35, 0.2, 0};

	return recipe->loss.margin < 0 ? paper[recipe->loss.name] : recipe->loss.margin;
}

static enum phiz_status check_sampling(struct phiz_recipe *recipe)
{
	int64_t people = recipe->data.people_per_batch, photos = recipe->data.photos_per_person;

	if ((people > 0) != (photos > 0))
		return phiz_fail(recipe->ctx, PHIZ_E_ARG, "data.people_per_batch and data.photos_per_person go together");
	if (people > 0 && people * photos != recipe->train.batch)
		return phiz_fail(recipe->ctx, PHIZ_E_ARG, "train.batch: want data.people_per_batch times "
		                 "data.photos_per_person = %lld, got %lld", (long long)(people * photos),
		                 (long long)recipe->train.batch);
	if (people > 0 && recipe->data.balance)
		return phiz_fail(recipe->ctx, PHIZ_E_ARG, "data.balance and data.people_per_batch both say how photos are "
		                 "drawn: set one of them");
	if (recipe->loss.name == PHIZ_LOSS_TRIPLET && (people < 2 || photos < 2))
		return phiz_fail(recipe->ctx, PHIZ_E_ARG, "loss.name = triplet needs batches of people: set "
		                 "data.people_per_batch and data.photos_per_person to 2 or more");
	return PHIZ_OK;
}

static enum phiz_status check_loss(struct phiz_recipe *recipe)
{
	struct phiz_ctx *ctx = recipe->ctx;
	double most = recipe->loss.name == PHIZ_LOSS_ARCFACE ? 1.5 : recipe->loss.name == PHIZ_LOSS_COSFACE ? 1 : 2;

	if (phiz_recipe_margin(recipe) > most)
		return phiz_fail(ctx, PHIZ_E_ARG, "loss.margin: want at most %g for this loss, got %g", most,
		                 recipe->loss.margin);
	if (check_sampling(recipe))
		return phiz_ctx_status(ctx);
	if (recipe->loss.center > 0 && (!phiz_recipe_embeds(recipe) || recipe->loss.name == PHIZ_LOSS_DISTILL))
		return phiz_fail(ctx, PHIZ_E_ARG, "loss.center goes with arcface, cosface and triplet");
	if (recipe->loss.distill > 0 && !phiz_recipe_embeds(recipe))
		return phiz_fail(ctx, PHIZ_E_ARG, "loss.distill is for embedders: set loss.name");
	if (phiz_recipe_embeds(recipe) && recipe->augment.mixup > 0)
		return phiz_fail(ctx, PHIZ_E_ARG, "augment.mixup is for classifiers: want 0 for this loss.name");
	if (recipe->data.align != PHIZ_ALIGN_NONE && recipe->augment.crop && recipe->augment.crop_scale[0] < 0.2)
		phiz_log(ctx, PHIZ_LOG_WARN, "augment.crop takes as little as %g of the aligned face; augment.crop = no "
		         "is usual", recipe->augment.crop_scale[0]);
	return PHIZ_OK;
}

enum phiz_status phiz_recipe_check(struct phiz_recipe *recipe)
{
	struct phiz_ctx *ctx = recipe->ctx;

	if (recipe->data.resize.kind == PHIZ_RECIPE_SHORT && recipe->data.resize.side < recipe->data.size)
		return phiz_fail(ctx, PHIZ_E_ARG, "data.resize = short:%lld is smaller than data.size = %lld",
		                 (long long)recipe->data.resize.side, (long long)recipe->data.size);
	if (phiz_augment_check(ctx, &recipe->augment))
		return phiz_ctx_status(ctx);
	if (recipe->optimizer.nesterov && (recipe->optimizer.momentum <= 0 || recipe->optimizer.dampening > 0))
		return phiz_fail(ctx, PHIZ_E_ARG, "optimizer.nesterov needs a momentum above 0 and a dampening of 0");
	if (recipe->schedule.warmup_epochs > 0 && recipe->schedule.warmup_steps > 0)
		return phiz_fail(ctx, PHIZ_E_ARG, "schedule.warmup_epochs and schedule.warmup_steps exclude each other");
	if (recipe->schedule.warmup_epochs > (double)recipe->train.epochs)
		return phiz_fail(ctx, PHIZ_E_ARG, "schedule.warmup_epochs is more than train.epochs = %lld",
		                 (long long)recipe->train.epochs);
	if (check_loss(recipe))
		return phiz_ctx_status(ctx);
	if (recipe->schedule.name == PHIZ_SCHEDULE_MULTISTEP && strcmp(recipe->schedule.milestones, "none") == 0)
		return phiz_fail(ctx, PHIZ_E_ARG, "schedule.name = multistep needs schedule.milestones, such as 10, 20");
	return PHIZ_OK;
}

enum phiz_status phiz_recipe_text(const struct phiz_recipe *recipe, struct phiz_bytes *out)
{
	const char *section = "";
	size_t i;

	for (i = 0; i < phiz_recipe_n_keys; i++) {
		const struct phiz_recipe_key *key = &phiz_recipe_keys[i];

		if (strcmp(section, key->section) != 0)
			phiz_bytes_printf(out, "%s[%s]\n", i ? "\n" : "", key->section);
		section = key->section;
		phiz_bytes_printf(out, "%s = ", key->key);
		add_value(out, recipe, key);
		phiz_bytes_text(out, "\n");
	}
	return phiz_bytes_status(out);
}

static void describe_kind(struct phiz_bytes *out, const struct phiz_recipe_key *key)
{
	int i;

	switch (key->kind) {
	case PHIZ_KEY_INT:
	case PHIZ_KEY_SMALL:
		phiz_bytes_printf(out, "whole number %.15g to %.15g", key->min, key->max);
		break;
	case PHIZ_KEY_FLOAT:
		phiz_bytes_printf(out, "number %.15g to %.15g", key->min, key->max);
		break;
	case PHIZ_KEY_BOOL:
		phiz_bytes_text(out, "yes or no");
		break;
	case PHIZ_KEY_CHOICE:
		for (i = 0; key->choices[i]; i++)
			phiz_bytes_printf(out, "%s%s", i ? " | " : "", key->choices[i]);
		break;
	case PHIZ_KEY_TEXT:
		phiz_bytes_text(out, "text");
		break;
	case PHIZ_KEY_CROP:
		phiz_bytes_text(out, "none | center:F");
		break;
	case PHIZ_KEY_RESIZE:
		phiz_bytes_text(out, "stretch | short:N");
		break;
	case PHIZ_KEY_TRIPLE:
		phiz_bytes_printf(out, "three numbers %.15g to %.15g", key->min, key->max);
		break;
	case PHIZ_KEY_PAIR:
		phiz_bytes_printf(out, "two numbers %.15g to %.15g", key->min, key->max);
		break;
	case PHIZ_KEY_SMALLS:
		phiz_bytes_printf(out, "two whole numbers %.15g to %.15g", key->min, key->max);
		break;
	}
}

enum phiz_status phiz_recipe_describe(struct phiz_ctx *ctx, struct phiz_bytes *out)
{
	const char *section = "";
	size_t i;

	(void)ctx;
	for (i = 0; i < phiz_recipe_n_keys; i++) {
		const struct phiz_recipe_key *key = &phiz_recipe_keys[i];

		if (strcmp(section, key->section) != 0)
			phiz_bytes_printf(out, "%s[%s]\n", i ? "\n" : "", key->section);
		section = key->section;
		phiz_bytes_printf(out, "%s = %s\n    ", key->key, key->initial);
		describe_kind(out, key);
		phiz_bytes_printf(out, "\n    %s\n", key->help);
	}
	return phiz_bytes_status(out);
}

enum phiz_status phiz_recipe_diff(const struct phiz_recipe *recipe, const struct phiz_recipe *old,
                                  struct phiz_bytes *out)
{
	struct phiz_bytes now, was;
	enum phiz_status status = PHIZ_OK;
	size_t i;

	phiz_bytes_init(&now, recipe->ctx);
	phiz_bytes_init(&was, recipe->ctx);
	for (i = 0; i < phiz_recipe_n_keys && !status; i++) {
		const struct phiz_recipe_key *key = &phiz_recipe_keys[i];

		phiz_bytes_clear(&now);
		phiz_bytes_clear(&was);
		add_value(&now, recipe, key);
		add_value(&was, old, key);
		status = phiz_bytes_status(&now);
		if (!status)
			status = phiz_bytes_status(&was);
		if (!status && strcmp(now.data, was.data) != 0)
			phiz_bytes_printf(out, "%s.%s: %s, was %s\n", key->section, key->key, now.data, was.data);
	}
	phiz_bytes_free(&now);
	phiz_bytes_free(&was);
	return status ? status : phiz_bytes_status(out);
}
