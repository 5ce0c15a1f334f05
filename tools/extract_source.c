/* What there is to do, and what is done already. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "datasets/scan.h"
#include "tools/extract.h"

#define LOOSE "faces" /* the folder of faces nobody has named */
enum { MAX_STATE_BYTES = 1 << 30 };

/* --- Collecting. --- */

static bool is_video_name(const char *name)
{
	static const char *const ending[] = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi",
	                                     ".ts",  ".mpg", ".mpeg", ".ogv", ".wmv", ".flv", ".3gp"};
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < sizeof ending / sizeof ending[0]; i++)
		if (!strcasecmp(dot, ending[i]))
			return true;
	return false;
}

static enum phiz_status add(struct extract *e, const char *path, const char *key, const char *person, bool video)
{
	struct extract_source s = {.video = video};
	struct stat info;
	enum phiz_status status;

	if (stat(path, &info) != 0)
		return phiz_fail(e->ctx, PHIZ_E_NOTFOUND, "%s: no such file", path);
	s.size = (int64_t)info.st_size;
	s.mtime = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
	status = phiz_grow(e->ctx, &e->source, &e->capacity, e->count + 1, sizeof *e->source);
	if (status)
		return status;
	s.path = phiz_strdup(e->ctx, path);
	s.key = phiz_strdup(e->ctx, key);
	s.person = person ? phiz_strdup(e->ctx, person) : NULL;
	e->source[e->count++] = s;
	return s.path && s.key && (s.person || !person) ? PHIZ_OK : PHIZ_E_NOMEM;
}

/* A folder whose photos lie in no person's folder: one person, named as the folder. */
static enum phiz_status add_one_person(struct extract *e, const char *dir, const struct phiz_names *names)
{
	char *copy = phiz_strdup(e->ctx, dir);
	enum phiz_status status = copy ? PHIZ_OK : PHIZ_E_NOMEM;

	for (size_t n = copy ? strlen(copy) : 0; n > 1 && copy[n - 1] == '/'; n--)
		copy[n - 1] = '\0';
	const char *person = copy ? phiz_path_base(copy) : "";
	for (size_t i = 0; i < names->count && !status; i++) {
		char *path = phiz_path_join(e->ctx, dir, names->name[i]);

		status = path ? PHIZ_OK : PHIZ_E_NOMEM;
		if (path && names->name[i][0] != '.' && phiz_is_photo_name(names->name[i]) && phiz_path_is_file(path))
			status = add(e, path, names->name[i], person, false);
		phiz_free(e->ctx, path);
	}
	phiz_free(e->ctx, copy);
	return status;
}

static enum phiz_status add_people(struct extract *e, const char *dir)
{
	struct phiz_scan_options o = {.min_people = 1, .allow_empty = true};
	struct phiz_dataset *d;
	enum phiz_status status = phiz_dataset_scan(e->ctx, dir, &o, &d);

	for (size_t i = 0; !status && i < d->count; i++) {
		char *path = phiz_dataset_path(e->ctx, d, i);

		status = path ? add(e, path, d->sample[i].path, d->people.name[d->sample[i].person], false) : PHIZ_E_NOMEM;
		phiz_free(e->ctx, path);
	}
	phiz_dataset_free(e->ctx, &d);
	return status;
}

static enum phiz_status add_folder(struct extract *e, const char *dir)
{
	struct phiz_names names = {0};
	bool folders = false, photos = false;
	enum phiz_status status = phiz_dir_list(e->ctx, dir, &names);

	for (size_t i = 0; i < names.count && !status; i++) {
		char *path = phiz_path_join(e->ctx, dir, names.name[i]);

		status = path ? PHIZ_OK : PHIZ_E_NOMEM;
		if (path && names.name[i][0] != '.' && phiz_path_is_dir(path))
			folders = true;
		else if (path && phiz_is_photo_name(names.name[i]))
			photos = true;
		phiz_free(e->ctx, path);
	}
	if (!status)
		status = photos && !folders ? add_one_person(e, dir, &names) : add_people(e, dir);
	phiz_names_free(e->ctx, &names);
	return status;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct extract_source *)a)->path, ((const struct extract_source *)b)->path);
}

enum phiz_status extract_collect(struct extract *e, int n, char **args)
{
	enum phiz_status status = PHIZ_OK;
	size_t kept = 0;

	for (int i = 0; i < n && !status; i++) {
		if (phiz_path_is_dir(args[i]))
			status = add_folder(e, args[i]);
		else if (!phiz_path_is_file(args[i]))
			status = phiz_fail(e->ctx, PHIZ_E_NOTFOUND, "%s: no such file or folder", args[i]);
		else
			status = add(e, args[i], phiz_path_base(args[i]), NULL, is_video_name(args[i]));
	}
	if (status)
		return status;
	if (e->count == 0)
		return phiz_fail(e->ctx, PHIZ_E_ARG, "%s: no photos (.jpg .jpeg .png .pgm .ppm) and no videos", args[0]);
	qsort(e->source, e->count, sizeof *e->source, by_path);
	for (size_t i = 0; i < e->count; i++) {
		struct extract_source *s = &e->source[i];

		if (s->person && (!strcmp(s->person, PHIZ_CROPS_ASIDE) || !strcmp(s->person, PHIZ_CROPS_SHEETS)))
			return phiz_fail(e->ctx, PHIZ_E_ARG, "%s: nobody may be called %s: rename the folder", s->path, s->person);
		if (kept && !strcmp(s->path, e->source[kept - 1].path)) { /* named twice */
			phiz_free(e->ctx, s->path);
			phiz_free(e->ctx, s->key);
			phiz_free(e->ctx, s->person);
			continue;
		}
		e->source[kept++] = *s;
	}
	e->count = kept;
	return PHIZ_OK;
}

/* --- Names that are taken: a set of hashes of PERSON/STEM, in small letters, since file systems may not tell capitals
 * apart. --- */

struct taken {
	uint64_t *slot;
	size_t size; /* a power of two, more than twice the names */
};

static uint64_t hash_name(const char *person, const char *stem)
{
	const char *part[3] = {person, "/", stem};
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (int i = 0; i < 3; i++)
		for (const char *p = part[i]; *p; p++)
			h = (h ^ (uint64_t)(unsigned char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p)) * 1099511628211u;
	return h ? h : 1;
}

/* false: it was taken already. */
static bool take(struct taken *t, const char *person, const char *stem)
{
	uint64_t h = hash_name(person, stem);
	size_t i = (size_t)h & (t->size - 1);

	for (; t->slot[i]; i = (i + 1) & (t->size - 1))
		if (t->slot[i] == h)
			return false;
	t->slot[i] = h;
	return true;
}

static char *stem_of(struct phiz_ctx *ctx, const char *path)
{
	const char *base = phiz_path_base(path), *dot = strrchr(base, '.');

	return phiz_strndup(ctx, base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
}

/* "photo", else "photo.png", else "photo.png-2" ... */
static enum phiz_status name_crops(struct extract *e, struct extract_source *s, struct taken *t)
{
	const char *person = s->person ? s->person : LOOSE, *base = phiz_path_base(s->path);

	s->stem = stem_of(e->ctx, s->path);
	for (int n = 1; s->stem && !take(t, person, s->stem); n++) {
		phiz_free(e->ctx, s->stem);
		s->stem = n == 1 ? phiz_strdup(e->ctx, base) : phiz_asprintf(e->ctx, "%s-%d", base, n);
	}
	return s->stem ? PHIZ_OK : PHIZ_E_NOMEM;
}

/* The stem that a recorded source has: of its crop's name, without the number behind it. */
static enum phiz_status recall_stem(struct extract *e, struct extract_source *s, struct taken *t)
{
	for (size_t i = 0; i < s->rows.count && !s->stem; i++) {
		const struct phiz_crop *c = &s->rows.crop[i];

		if (*c->file)
			s->stem = stem_of(e->ctx, c->file);
		if (s->stem && (!s->person || c->fate == PHIZ_CROP_ASIDE) && strrchr(s->stem, '_'))
			*strrchr(s->stem, '_') = '\0';
		if (*c->file && !s->stem)
			return PHIZ_E_NOMEM;
	}
	if (s->stem)
		take(t, s->person ? s->person : LOOSE, s->stem);
	return PHIZ_OK;
}

/* --- Going on. --- */

static bool crops_are_there(const struct extract *e, const struct phiz_crop *row, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *path = *row[i].file ? extract_crop_path(e->ctx, e, row[i].file) : NULL;
		bool there = !path || phiz_path_is_file(path);

		phiz_free(e->ctx, path);
		if (!there)
			return false;
	}
	return true;
}

/* They are of a photo that has changed since. */
static void remove_crops(const struct extract *e, const struct phiz_crop *row, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *path = *row[i].file ? extract_crop_path(e->ctx, e, row[i].file) : NULL;

		if (path)
			remove(path);
		phiz_free(e->ctx, path);
	}
}

/* Rows of one source: taken over if the file is as it was and all crops are there. */
static enum phiz_status take_rows(struct extract *e, const struct phiz_crop *row, size_t n)
{
	struct extract_source key = {.path = row->source};
	struct extract_source *s = bsearch(&key, e->source, e->count, sizeof key, by_path);
	struct phiz_crops *into = s ? &s->rows : &e->others;
	enum phiz_status status = PHIZ_OK;

	if (s && (s->size != row->size || s->mtime != row->mtime || !crops_are_there(e, row, n))) {
		remove_crops(e, row, n);
		return PHIZ_OK;
	}
	for (size_t i = 0; i < n && !status; i++)
		status = phiz_crops_add(e->ctx, into, &row[i]);
	if (s && !status)
		s->done = true;
	return status;
}

static enum phiz_status read_state(struct extract *e, const char *path)
{
	struct phiz_crops rows = {0};
	struct phiz_bytes text;
	enum phiz_status status;

	phiz_bytes_init(&text, e->ctx);
	status = phiz_file_read(e->ctx, path, MAX_STATE_BYTES, &text);
	if (!status)
		status = phiz_crops_parse(e->ctx, text.data, text.size, path, &rows);
	for (size_t i = 0, n; i < rows.count && !status; i += n) {
		for (n = 1; i + n < rows.count && !strcmp(rows.crop[i + n].source, rows.crop[i].source); n++)
			;
		status = take_rows(e, &rows.crop[i], n);
	}
	phiz_crops_free(e->ctx, &rows);
	phiz_bytes_free(&text);
	return status;
}

/* A new folder, or one of ours that was made in the same way. */
static enum phiz_status claim(struct extract *e)
{
	struct phiz_crops_settings there;
	struct phiz_names names = {0};
	char *path = phiz_path_join(e->ctx, e->dir, PHIZ_CROPS_SETTINGS), what[128];
	enum phiz_status status;

	if (!path)
		return PHIZ_E_NOMEM;
	if (phiz_path_is_file(path)) {
		status = phiz_crops_settings_read(e->ctx, e->dir, &there);
		if (!status && phiz_crops_settings_differ(&there, &e->settings, what, sizeof what))
			status = phiz_fail(e->ctx, PHIZ_E_ARG, "%s: holds crops made with --%s; choose another folder", e->dir,
			                   what);
	} else {
		status = phiz_dir_make(e->ctx, e->dir);
		if (!status)
			status = phiz_dir_list(e->ctx, e->dir, &names);
		/* Hidden files are no matter, such as what is left of settings that were being written. */
		for (size_t i = 0; i < names.count && !status; i++)
			if (names.name[i][0] != '.')
				status = phiz_fail(e->ctx, PHIZ_E_ARG,
				                   "%s: not empty (%s) and not made by \"phiz data extract\"; choose another folder",
				                   e->dir, names.name[i]);
	}
	if (!status)
		status = phiz_crops_settings_write(e->ctx, e->dir, &e->settings);
	phiz_names_free(e->ctx, &names);
	phiz_free(e->ctx, path);
	return status;
}

enum phiz_status extract_resume(struct extract *e)
{
	struct taken t = {NULL, 16};
	char *path = phiz_path_join(e->ctx, e->dir, PHIZ_CROPS_STATE);
	enum phiz_status status = path ? claim(e) : PHIZ_E_NOMEM;

	if (!status && phiz_path_is_file(path))
		status = read_state(e, path);
	phiz_free(e->ctx, path);
	while (t.size < 2 * (e->count + e->others.count) + 2)
		t.size *= 2;
	if (!status && !(t.slot = phiz_calloc(e->ctx, t.size, sizeof *t.slot)))
		status = PHIZ_E_NOMEM;
	for (size_t i = 0; i < e->others.count && !status; i++) {
		const struct phiz_crop *c = &e->others.crop[i];
		char *stem = *c->file ? stem_of(e->ctx, c->file) : NULL;

		if (*c->file && !stem)
			status = PHIZ_E_NOMEM;
		if (stem && c->fate == PHIZ_CROP_ASIDE && strrchr(stem, '_'))
			*strrchr(stem, '_') = '\0';
		if (stem)
			take(&t, c->person, stem);
		phiz_free(e->ctx, stem);
	}
	for (size_t i = 0; i < e->count && !status; i++)
		status = recall_stem(e, &e->source[i], &t);
	for (size_t i = 0; i < e->count && !status; i++) {
		if (!e->source[i].stem)
			status = name_crops(e, &e->source[i], &t);
		e->told.there += e->source[i].done;
	}
	phiz_free(e->ctx, t.slot);
	return status;
}
