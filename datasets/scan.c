/* Folders of photographs: which people, which files. The dataset itself is in dataset.c. */
#include "datasets/scan.h"

#include <string.h>
#include <strings.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"

#define MAX_LIST_BYTES ((size_t)64 << 20)

/* One kind of thing that is left out, for one log line: how many, and the first of them. */
struct seen {
	size_t count;
	char *first;
};

struct scan {
	struct phiz_ctx *ctx;
	struct phiz_dataset *dataset;
	const char *dir;
	int root;
	enum phiz_part part;
	bool stranger;
	bool allow_empty;
	struct seen loose, nested, other, empty;
};

bool phiz_is_photo_name(const char *name)
{
	static const char *const ending[] = {".jpg", ".jpeg", ".png", ".pgm", ".ppm"};
	const char *dot = strrchr(name, '.');

	if (!dot || dot == name)
		return false;
	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
		if (strcasecmp(dot, ending[i]) == 0)
			return true;
	return false;
}

static enum phiz_status note(struct scan *s, struct seen *seen, const char *person, const char *name)
{
	if (seen->count++)
		return PHIZ_OK;
	seen->first = person ? phiz_asprintf(s->ctx, "%s/%s", person, name) : phiz_strdup(s->ctx, name);
	return seen->first ? PHIZ_OK : PHIZ_E_NOMEM;
}

static void say(const struct scan *s, const struct seen *seen, enum phiz_log_level level, const char *what)
{
	if (seen->count)
		phiz_log(s->ctx, level, "%s: %s: %zu (first: %s)", s->dir, what, seen->count, seen->first);
}

static void say_what_was_left_out(struct scan *s)
{
	say(s, &s->loose, PHIZ_LOG_WARN, "photos in no person's folder, left out");
	say(s, &s->nested, PHIZ_LOG_WARN, "folders inside a person's folder, not descended into");
	say(s, &s->other, PHIZ_LOG_WARN, "files not named .jpg, .jpeg, .png, .pgm or .ppm, left out");
	say(s, &s->empty, PHIZ_LOG_WARN, "people without photos, left out");
	s->dataset->n_loose += s->loose.count;
	s->dataset->n_nested += s->nested.count;
	s->dataset->n_other += s->other.count;
}

static void scan_close(struct scan *s)
{
	phiz_free(s->ctx, s->loose.first);
	phiz_free(s->ctx, s->nested.first);
	phiz_free(s->ctx, s->other.first);
	phiz_free(s->ctx, s->empty.first);
}

/* Adds the file if it is a photo, and notes it if it is not. relative: its folder seen from the root, "" for none. */
static enum phiz_status scan_file(struct scan *s, const char *folder, const char *relative, const char *name,
                                  int person)
{
	struct phiz_sample sample = {.root = s->root, .person = person, .part = s->part};
	char *path = phiz_path_join(s->ctx, folder, name);
	enum phiz_status status = PHIZ_E_NOMEM;

	if (!path)
		return status;
	if (phiz_path_is_dir(path)) {
		status = note(s, &s->nested, relative, name);
	} else if (!phiz_is_photo_name(name) || !phiz_path_is_file(path)) {
		status = note(s, &s->other, relative, name);
	} else if (!phiz_utf8_valid(name, strlen(name))) {
		s->dataset->n_other++;
		phiz_log(s->ctx, PHIZ_LOG_WARN, "%s: a photo is left out because its name is not UTF-8", folder);
		status = PHIZ_OK;
	} else {
		sample.path = *relative ? phiz_asprintf(s->ctx, "%s/%s", relative, name) : phiz_strdup(s->ctx, name);
		if (sample.path)
			status = phiz_dataset_add_sample(s->ctx, s->dataset, &sample);
		phiz_free(s->ctx, sample.path);
	}
	phiz_free(s->ctx, path);
	return status;
}

static enum phiz_status no_photos(struct scan *s, const char *folder, size_t nested, size_t other)
{
	if (nested)
		return phiz_fail(s->ctx, PHIZ_E_ARG, "%s: holds folders but no photos: want a folder per person with the "
		                 "photos in it; is %s itself the folder of people?", folder, folder);
	if (other)
		return phiz_fail(s->ctx, PHIZ_E_ARG, "%s: none of its files is named .jpg, .jpeg, .png, .pgm or .ppm: "
		                 "convert them, or remove the folder", folder);
	return phiz_fail(s->ctx, PHIZ_E_ARG, "%s: this person has no photos: add some, or remove the folder", folder);
}

static enum phiz_status scan_person(struct scan *s, const char *folder, const char *name)
{
	struct phiz_names files = {0};
	size_t before = s->dataset->count, nested = s->nested.count, other = s->other.count;
	int person = -1;
	enum phiz_status status = phiz_dir_list(s->ctx, folder, &files);

	if (status)
		return status;
	status = phiz_dataset_add_person(s->ctx, s->dataset, name, s->stranger, &person);
	for (size_t i = 0; !status && i < files.count; i++)
		if (files.name[i][0] != '.')
			status = scan_file(s, folder, name, files.name[i], person);
	if (!status && s->dataset->count == before) {
		if (s->allow_empty)
			status = note(s, &s->empty, NULL, name);
		else
			status = no_photos(s, folder, s->nested.count - nested, s->other.count - other);
	}
	phiz_names_free(s->ctx, &files);
	return status;
}

/* A name directly under the root: a person's folder, or a file to be noted. */
static enum phiz_status scan_entry(struct scan *s, const char *name, size_t number)
{
	char *path = phiz_path_join(s->ctx, s->dir, name);
	enum phiz_status status = PHIZ_OK;

	if (!path)
		return PHIZ_E_NOMEM;
	if (!phiz_path_is_dir(path)) {
		if (phiz_is_photo_name(name))
			status = note(s, &s->loose, NULL, name);
		else
			phiz_log(s->ctx, PHIZ_LOG_DEBUG, "%s: is no folder, left out", path);
	} else if (!phiz_utf8_valid(name, strlen(name))) {
		status = phiz_fail(s->ctx, PHIZ_E_ARG, "%s: the name of folder %zu in it is not UTF-8: rename it",
		                   s->dir, number);
	} else {
		status = scan_person(s, path, name);
	}
	phiz_free(s->ctx, path);
	return status;
}

/* Adds people and samples of s->dir to the dataset; the caller finishes the dataset. */
static enum phiz_status scan_root(struct scan *s)
{
	struct phiz_names names = {0};
	enum phiz_status status;

	if (!phiz_path_is_dir(s->dir))
		return phiz_fail(s->ctx, PHIZ_E_NOTFOUND, "%s: no such folder: want one with a folder of photos per person",
		                 s->dir);
	status = phiz_dataset_add_root(s->ctx, s->dataset, s->dir, &s->root);
	if (!status)
		status = phiz_dir_list(s->ctx, s->dir, &names);
	for (size_t i = 0; !status && i < names.count; i++)
		if (names.name[i][0] != '.' && names.name[i][0] != '_')
			status = scan_entry(s, names.name[i], i + 1);
		else if (names.name[i][0] == '_')
			phiz_log(s->ctx, PHIZ_LOG_DEBUG, "%s/%s: set aside (its name begins with '_'), left out", s->dir,
			         names.name[i]);
	phiz_names_free(s->ctx, &names);
	if (!status)
		say_what_was_left_out(s);
	return status;
}

static enum phiz_status check_people(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, const char *dir, int min)
{
	if (dataset->n_known == 0)
		return phiz_fail(ctx, PHIZ_E_ARG, "%s: no people found: want a folder per person with the photos in it%s", dir,
		                 dataset->n_loose ? "; its photos lie in no folder" : "");
	if (dataset->n_known < min)
		return phiz_fail(ctx, PHIZ_E_ARG, "%s: only %d %s found (%s), want at least %d: add a folder of photos for "
		                 "each person", dir, dataset->n_known, dataset->n_known == 1 ? "person" : "people",
		                 dataset->people.name[0], min);
	return PHIZ_OK;
}

/* Every sample is a group of its own. */
static void ungroup(struct phiz_dataset *dataset)
{
	for (size_t i = 0; i < dataset->count; i++)
		dataset->sample[i].group = (uint32_t)i;
}

enum phiz_status phiz_dataset_scan(struct phiz_ctx *ctx, const char *dir, const struct phiz_scan_options *options,
                                   struct phiz_dataset **out)
{
	struct scan s = {.ctx = ctx, .dir = dir, .part = PHIZ_PART_TRAIN};
	int min = options && options->min_people > 0 ? options->min_people : 2;
	enum phiz_status status;

	*out = NULL;
	s.allow_empty = options && options->allow_empty;
	status = phiz_dataset_create(ctx, &s.dataset);
	if (!status)
		status = scan_root(&s);
	if (!status)
		status = phiz_dataset_finish(ctx, s.dataset);
	if (!status)
		status = check_people(ctx, s.dataset, dir, min);
	scan_close(&s);
	if (status) {
		phiz_dataset_free(ctx, &s.dataset);
		return status;
	}
	ungroup(s.dataset);
	*out = s.dataset;
	return PHIZ_OK;
}

/* The first person of `found` whom `dataset` does not know is an error; otherwise adds the samples. */
static enum phiz_status merge(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const struct phiz_dataset *found,
                              enum phiz_part part)
{
	int root;
	enum phiz_status status = phiz_dataset_add_root(ctx, dataset, found->roots.name[0], &root);

	for (size_t i = 0; !status && i < found->count; i++) {
		struct phiz_sample sample = found->sample[i];
		const char *name = found->people.name[sample.person];
		sample.root = root;
		sample.part = part;
		sample.person = phiz_dataset_find_person(dataset, name);
		if (sample.person < 0 || sample.person >= dataset->n_known) {
			const char *meant = phiz_suggest(name, (const char *const *)dataset->people.name,
			                                 (size_t)dataset->n_known);
			return phiz_fail(ctx, PHIZ_E_ARG, "%s/%s: no person of this name among the %d of %s%s%s%s",
			                 found->roots.name[0], name, dataset->n_known, dataset->roots.name[0],
			                 meant ? " (did you mean '" : "", meant ? meant : "", meant ? "'?)" : "");
		}
		status = phiz_dataset_add_sample(ctx, dataset, &sample);
	}
	return status;
}

enum phiz_status phiz_dataset_add_dir(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *dir,
                                      enum phiz_part part)
{
	struct phiz_scan_options options = {.min_people = 1, .allow_empty = true};
	struct phiz_dataset *found;
	enum phiz_status status = phiz_dataset_scan(ctx, dir, &options, &found);

	if (status)
		return status;
	status = merge(ctx, dataset, found, part);
	dataset->n_loose += found->n_loose;
	dataset->n_nested += found->n_nested;
	dataset->n_other += found->n_other;
	phiz_dataset_free(ctx, &found);
	if (!status)
		status = phiz_dataset_finish(ctx, dataset);
	if (!status)
		ungroup(dataset);
	return status;
}

/* The name of the folder that the path lies in: "b" of "a/b/c.jpg"; "stranger" if it lies in none. */
static char *folder_name(struct phiz_ctx *ctx, const char *path)
{
	const char *base = phiz_path_base(path), *end = base, *start;

	while (end > path && end[-1] == '/')
		end--;
	start = end;
	while (start > path && start[-1] != '/')
		start--;
	if (start == end || (end - start == 1 && *start == '.'))
		return phiz_strdup(ctx, "stranger");
	return phiz_strndup(ctx, start, (size_t)(end - start));
}

/* Strips trailing slashes, so that the last component is the folder's name. */
static char *without_slashes(struct phiz_ctx *ctx, const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return phiz_strndup(ctx, path, n);
}

/* A folder of photos that all show unnamed strangers. */
static enum phiz_status scan_flat(struct scan *s)
{
	struct phiz_names files = {0};
	char *dir = without_slashes(s->ctx, s->dir);
	int person = -1;
	enum phiz_status status = PHIZ_E_NOMEM;

	if (!dir)
		return status;
	status = phiz_dataset_add_root(s->ctx, s->dataset, s->dir, &s->root);
	if (!status)
		status = phiz_dataset_add_person(s->ctx, s->dataset, phiz_path_base(dir), true, &person);
	if (!status)
		status = phiz_dir_list(s->ctx, s->dir, &files);
	for (size_t i = 0; !status && i < files.count; i++)
		if (files.name[i][0] != '.')
			status = scan_file(s, s->dir, "", files.name[i], person);
	phiz_names_free(s->ctx, &files);
	phiz_free(s->ctx, dir);
	if (!status)
		say_what_was_left_out(s);
	return status;
}

static enum phiz_status has_folders(struct phiz_ctx *ctx, const char *dir, bool *out)
{
	struct phiz_names names = {0};
	enum phiz_status status = phiz_dir_list(ctx, dir, &names);

	*out = false;
	for (size_t i = 0; !status && !*out && i < names.count; i++) {
		char *path = names.name[i][0] == '.' ? NULL : phiz_path_join(ctx, dir, names.name[i]);
		if (!path && names.name[i][0] != '.')
			status = PHIZ_E_NOMEM;
		*out = path && phiz_path_is_dir(path);
		phiz_free(ctx, path);
	}
	phiz_names_free(ctx, &names);
	return status;
}

/* The folder that a list's paths are relative to: where the first of them is found. */
static enum phiz_status find_base(struct phiz_ctx *ctx, const char *list, const char *line, char **out)
{
	size_t dir_length = (size_t)(phiz_path_base(list) - list);
	char *base[3] = {NULL, NULL, NULL};
	enum phiz_status status = PHIZ_E_NOMEM;

	*out = NULL;
	base[0] = dir_length ? phiz_strndup(ctx, list, dir_length) : phiz_strdup(ctx, ".");
	base[1] = base[0] ? phiz_path_join(ctx, base[0], "..") : NULL;
	base[2] = phiz_strdup(ctx, ".");
	if (base[0] && base[1] && base[2])
		status = PHIZ_OK;
	for (int i = 0; !status && !*out && i < 3; i++) {
		char *path = phiz_path_join(ctx, base[i], line);
		if (!path) {
			status = PHIZ_E_NOMEM;
		} else if (phiz_path_is_file(path) || phiz_path_is_dir(path)) {
			*out = base[i];
			base[i] = NULL;
		}
		phiz_free(ctx, path);
	}
	for (int i = 0; i < 3; i++)
		phiz_free(ctx, base[i]);
	if (!status && !*out)
		status = phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s:1: no such file as '%s' beside the list, in the folder above it "
		                   "or in the current one", list, line);
	return status;
}

static enum phiz_status list_line(struct scan *s, const char *list, int number, const char *base, const char *line)
{
	char *path = phiz_path_join(s->ctx, base, line), *person = NULL;
	struct phiz_sample sample = {.root = s->root, .part = s->part};
	enum phiz_status status = PHIZ_E_NOMEM;

	if (!path)
		return status;
	if (phiz_path_is_dir(path)) {
		struct phiz_names files = {0};
		person = without_slashes(s->ctx, line);
		status = person ? phiz_dir_list(s->ctx, path, &files) : PHIZ_E_NOMEM;
		if (!status)
			status = phiz_dataset_add_person(s->ctx, s->dataset, phiz_path_base(person), true, &sample.person);
		for (size_t i = 0; !status && i < files.count; i++)
			if (files.name[i][0] != '.')
				status = scan_file(s, path, person, files.name[i], sample.person);
		phiz_names_free(s->ctx, &files);
	} else if (phiz_path_is_file(path)) {
		person = folder_name(s->ctx, line);
		if (person)
			status = phiz_dataset_add_person(s->ctx, s->dataset, person, true, &sample.person);
		sample.path = (char *)line;
		if (!status)
			status = phiz_dataset_add_sample(s->ctx, s->dataset, &sample);
	} else {
		status = phiz_fail(s->ctx, PHIZ_E_NOTFOUND, "%s:%d: no such file: %s", list, number, path);
	}
	phiz_free(s->ctx, person);
	phiz_free(s->ctx, path);
	return status;
}

static enum phiz_status scan_lines(struct scan *s, const char *list, char *text)
{
	char *base = NULL, *line = text;
	enum phiz_status status = PHIZ_OK;

	for (int number = 1; !status && line; number++) {
		char *end = strchr(line, '\n');
		size_t n = end ? (size_t)(end - line) : strlen(line);
		if (n && line[n - 1] == '\r')
			n--;
		line[n] = '\0';
		if (*line && *line != '#') {
			if (!base) {
				status = find_base(s->ctx, list, line, &base);
				if (!status)
					status = phiz_dataset_add_root(s->ctx, s->dataset, base, &s->root);
			}
			if (!status)
				status = list_line(s, list, number, base, line);
		}
		line = end ? end + 1 : NULL;
	}
	if (!status && !base)
		status = phiz_fail(s->ctx, PHIZ_E_ARG, "%s: an empty list: want the path of a photo on each line", list);
	phiz_free(s->ctx, base);
	return status;
}

static enum phiz_status scan_list(struct scan *s, const char *list)
{
	struct phiz_bytes text;
	enum phiz_status status;

	phiz_bytes_init(&text, s->ctx);
	status = phiz_file_read(s->ctx, list, MAX_LIST_BYTES, &text);
	if (!status && (memchr(text.data, '\0', text.size) || !phiz_utf8_valid(text.data, text.size)))
		status = phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: is not UTF-8 text: want the path of a photo on each line", list);
	if (!status)
		status = scan_lines(s, list, text.data);
	if (!status)
		say_what_was_left_out(s);
	phiz_bytes_free(&text);
	return status;
}

enum phiz_status phiz_dataset_add_people(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *dir)
{
	struct scan s = {.ctx = ctx, .dataset = dataset, .dir = dir, .part = PHIZ_PART_TRAIN};
	enum phiz_status status = scan_root(&s);

	scan_close(&s);
	if (!status)
		status = phiz_dataset_finish(ctx, dataset);
	if (!status)
		ungroup(dataset);
	return status;
}

/* People without names, for `part`. */
static enum phiz_status add_nameless(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *path,
                                     enum phiz_part part)
{
	struct scan s = {.ctx = ctx, .dataset = dataset, .dir = path, .part = part, .stranger = true};
	size_t before = dataset->count;
	bool folders = false;
	enum phiz_status status = PHIZ_OK;

	s.allow_empty = true;
	if (!phiz_path_is_dir(path)) {
		status = scan_list(&s, path);
	} else {
		status = has_folders(ctx, path, &folders);
		if (!status)
			status = folders ? scan_root(&s) : scan_flat(&s);
	}
	scan_close(&s);
	if (!status && dataset->count == before)
		status = phiz_fail(ctx, PHIZ_E_ARG, "%s: no photos%s in it", path,
		                   part == PHIZ_PART_STRANGER ? " of strangers" : "");
	if (!status)
		status = phiz_dataset_finish(ctx, dataset);
	if (!status)
		ungroup(dataset);
	return status;
}

enum phiz_status phiz_dataset_add_strangers(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *path)
{
	return add_nameless(ctx, dataset, path, PHIZ_PART_STRANGER);
}

enum phiz_status phiz_dataset_add_unlabelled(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *path)
{
	return add_nameless(ctx, dataset, path, PHIZ_PART_TRAIN);
}
