/* What is in the folder. More lenient than phiz_dataset_scan: what that refuses is what is to be found here. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "datasets/split.h"
#include "tools/check.h"

struct list {
	struct phiz_ctx *ctx;
	struct check *check;
	enum phiz_part part;
};

static bool part_of_name(const char *name, enum phiz_part *part)
{
	if (!strcmp(name, "train"))
		*part = PHIZ_PART_TRAIN;
	else if (!strcmp(name, "val") || !strcmp(name, "valid") || !strcmp(name, "validation"))
		*part = PHIZ_PART_VAL;
	else if (!strcmp(name, "test"))
		*part = PHIZ_PART_TEST;
	else
		return false;
	return true;
}

static enum phiz_image_format sniff(const char *path)
{
	unsigned char head[64];
	struct phiz_ctx *ctx;
	struct phiz_input input;
	enum phiz_image_format format = PHIZ_IMAGE_UNKNOWN;

	if (phiz_ctx_create(NULL, &ctx)) /* whoever cannot be opened is nobody's error here */
		return format;
	if (!phiz_input_open(ctx, path, &input)) {
		size_t n = input.size < sizeof(head) ? input.size : sizeof(head);
		if (phiz_input_read(&input, 0, head, n))
			format = phiz_image_sniff(head, n);
		phiz_input_close(&input);
	}
	phiz_ctx_free(&ctx);
	return format;
}

/* relative is taken over. */
static enum phiz_status add_file(struct list *l, char *relative, const char *path, int person)
{
	struct phiz_checkup *c = &l->check->c;
	struct phiz_photo p = {.path = relative, .person = person, .part = l->part};
	struct stat info;

	if (phiz_grow(l->ctx, &c->photo, &c->capacity, c->count + 1, sizeof(*c->photo))) {
		phiz_free(l->ctx, relative);
		return PHIZ_E_NOMEM;
	}
	if (stat(path, &info) == 0) {
		p.bytes = (int64_t)info.st_size;
		p.modified = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
	}
	if (phiz_path_is_dir(path))
		p.kind = PHIZ_FILE_FOLDER;
	else if (phiz_is_photo_name(phiz_path_base(relative)))
		p.kind = person < 0 ? PHIZ_FILE_LOOSE : PHIZ_FILE_PHOTO;
	else
		p.kind = PHIZ_FILE_OTHER;
	if (p.kind == PHIZ_FILE_OTHER)
		p.format = sniff(path);
	c->photo[c->count++] = p;
	return PHIZ_OK;
}

static enum phiz_status list_person(struct list *l, const char *folder, const char *relative, int person)
{
	struct phiz_names names = {0};
	enum phiz_status status = phiz_dir_list(l->ctx, folder, &names);

	for (size_t i = 0; !status && i < names.count; i++) {
		char *path, *name;
		if (names.name[i][0] == '.')
			continue;
		path = phiz_path_join(l->ctx, folder, names.name[i]);
		name = phiz_path_join(l->ctx, relative, names.name[i]);
		status = path && name ? add_file(l, name, path, person) : PHIZ_E_NOMEM;
		phiz_free(l->ctx, path);
	}
	phiz_names_free(l->ctx, &names);
	return status;
}

/* People are known by name in all parts. */
static enum phiz_status add_person(struct list *l, const char *name, int *person)
{
	struct phiz_names *people = &l->check->c.people;

	for (size_t i = 0; l->check->by_part && i < people->count; i++)
		if (!strcmp(people->name[i], name)) {
			*person = (int)i;
			return PHIZ_OK;
		}
	*person = (int)people->count;
	return phiz_names_add(l->ctx, people, name);
}

static enum phiz_status list_people(struct list *l, const char *folder, const char *relative)
{
	struct phiz_names names = {0};
	enum phiz_status status = phiz_dir_list(l->ctx, folder, &names);

	for (size_t i = 0; !status && i < names.count; i++) {
		char *path, *name;
		int person = -1;
		if (names.name[i][0] == '.' || names.name[i][0] == '_') /* hidden; set aside, as scanning has it */
			continue;
		path = phiz_path_join(l->ctx, folder, names.name[i]);
		name = phiz_path_join(l->ctx, relative, names.name[i]);
		if (!path || !name) {
			status = PHIZ_E_NOMEM;
		} else if (phiz_path_is_dir(path)) {
			status = add_person(l, names.name[i], &person);
			if (!status)
				status = list_person(l, path, name, person);
		} else if (phiz_is_photo_name(names.name[i])) {
			status = add_file(l, name, path, -1);
			name = NULL;
		}
		phiz_free(l->ctx, path);
		phiz_free(l->ctx, name);
	}
	phiz_names_free(l->ctx, &names);
	return status;
}

/* Are all folders of it named as parts, two of them at least, and are there folders in them? */
static bool holds_parts(struct phiz_ctx *ctx, const char *dir, const struct phiz_names *names)
{
	size_t parts = 0;
	enum phiz_part part;

	for (size_t i = 0; i < names->count; i++) {
		char *path = names->name[i][0] == '.' ? NULL : phiz_path_join(ctx, dir, names->name[i]);
		struct phiz_names in = {0};
		bool folder = path && phiz_path_is_dir(path), people = false;

		if (folder && part_of_name(names->name[i], &part) && !phiz_dir_list(ctx, path, &in))
			for (size_t k = 0; k < in.count && !people; k++) {
				char *inner = phiz_path_join(ctx, path, in.name[k]);
				people = inner && in.name[k][0] != '.' && phiz_path_is_dir(inner);
				phiz_free(ctx, inner);
			}
		phiz_names_free(ctx, &in);
		phiz_free(ctx, path);
		if (folder && !people)
			return false;
		parts += people;
	}
	return parts >= 2;
}

static int compare_photos(const void *a, const void *b)
{
	return strcmp(((const struct phiz_photo *)a)->path, ((const struct phiz_photo *)b)->path);
}

static enum phiz_status list_parts(struct list *l, const struct phiz_names *names)
{
	enum phiz_status status = PHIZ_OK;

	l->check->by_part = l->check->c.split = true;
	for (size_t i = 0; !status && i < names->count; i++) {
		if (!part_of_name(names->name[i], &l->part))
			continue;
		char *path = phiz_path_join(l->ctx, l->check->dir, names->name[i]);
		if (!path)
			return PHIZ_E_NOMEM;
		if (phiz_path_is_dir(path))
			status = list_people(l, path, names->name[i]);
		phiz_free(l->ctx, path);
	}
	return status;
}

enum phiz_status phiz_check_list(struct phiz_ctx *ctx, struct check *check)
{
	struct list l = {.ctx = ctx, .check = check, .part = PHIZ_PART_TRAIN};
	struct phiz_checkup *c = &check->c;
	struct phiz_names names = {0};
	enum phiz_status status;

	if (!phiz_path_is_dir(check->dir))
		return phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no such folder: want one with a folder of photos per person",
		                 check->dir);
	status = phiz_dir_list(ctx, check->dir, &names);
	if (!status)
		status = holds_parts(ctx, check->dir, &names) ? list_parts(&l, &names) : list_people(&l, check->dir, "");
	phiz_names_free(ctx, &names);
	if (!status && c->people.count == 0)
		status = phiz_fail(ctx, PHIZ_E_ARG, "%s: no people found: want a folder per person with the photos in it%s",
		                   check->dir, c->count ? "; its photos lie in no folder" : "");
	if (!status && c->count)
		qsort(c->photo, c->count, sizeof(*c->photo), compare_photos);
	if (!status) {
		c->hash = phiz_calloc(ctx, c->count, sizeof(*c->hash));
		status = c->hash ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	return status;
}

enum phiz_status phiz_check_split(struct phiz_ctx *ctx, struct check *check, const char *csv, size_t *unknown)
{
	struct phiz_checkup *c = &check->c;
	struct phiz_dataset *d = NULL;
	enum phiz_status status = phiz_split_read(ctx, csv, check->dir, &d);

	*unknown = 0;
	if (status)
		return status;
	for (size_t i = 0; i < c->count; i++)
		c->photo[i].part = PHIZ_PART_SKIP;
	for (size_t i = 0; i < d->count; i++) {
		struct phiz_photo key = {.path = d->sample[i].path}, *found;

		found = c->count ? bsearch(&key, c->photo, c->count, sizeof(key), compare_photos) : NULL;
		if (found)
			found->part = d->sample[i].part;
		else if (d->sample[i].path[0] != '/')
			(*unknown)++;
	}
	c->split = true;
	phiz_dataset_free(ctx, &d);
	return PHIZ_OK;
}
