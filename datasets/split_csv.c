/* The split's CSV: "file,person,part,group". */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "datasets/csv.h"
#include "datasets/split.h"

#define MAX_CSV_BYTES ((size_t)1 << 30)

enum column { COLUMN_FILE, COLUMN_PERSON, COLUMN_PART, COLUMN_GROUP, N_COLUMNS };
static const char *const columns[N_COLUMNS] = {"file", "person", "part", "group"};

/* "dir/path", made absolute if dir is not. */
static char *absolute_path(struct phiz_ctx *ctx, const char *dir, const char *path)
{
	char here[4096];
	char *full = phiz_path_join(ctx, dir, path), *absolute = NULL;

	if (!full || full[0] == '/')
		return full;
	if (getcwd(here, sizeof(here)))
		absolute = phiz_path_join(ctx, here, full);
	else
		phiz_fail(ctx, PHIZ_E_IO, "the current folder is gone or its name is too long: give an absolute path for %s",
		          dir);
	phiz_free(ctx, full);
	return absolute;
}

static enum phiz_status write_row(struct phiz_ctx *ctx, const struct phiz_dataset *d, const struct phiz_sample *s,
                                  struct phiz_bytes *text)
{
	char *absolute = NULL;

	if (s->root != 0) {
		absolute = absolute_path(ctx, d->roots.name[s->root], s->path);
		if (!absolute)
			return phiz_ctx_status(ctx);
	}
	phiz_bytes_csv(text, absolute ? absolute : s->path);
	phiz_bytes_text(text, ",");
	phiz_bytes_csv(text, d->people.name[s->person]);
	phiz_bytes_printf(text, ",%s,%u\n", phiz_part_name(s->part), s->group);
	phiz_free(ctx, absolute);
	return phiz_bytes_status(text);
}

enum phiz_status phiz_split_format(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, struct phiz_bytes *out)
{
	enum phiz_status status = PHIZ_OK;

	phiz_bytes_text(out, "file,person,part,group\n");
	for (size_t i = 0; !status && i < dataset->count; i++)
		if (dataset->sample[i].part != PHIZ_PART_SKIP)
			status = write_row(ctx, dataset, &dataset->sample[i], out);
	return status ? status : phiz_bytes_status(out);
}

enum phiz_status phiz_split_write(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, const char *path)
{
	struct phiz_bytes text;
	enum phiz_status status;

	phiz_bytes_init(&text, ctx);
	status = phiz_split_format(ctx, dataset, &text);
	if (!status)
		status = phiz_file_write(ctx, path, text.data, text.size);
	phiz_bytes_free(&text);
	return status;
}

static enum phiz_status check_header(struct phiz_ctx *ctx, const struct phiz_csv *csv, const char *path)
{
	bool right = csv->columns == N_COLUMNS;

	for (int i = 0; right && i < N_COLUMNS; i++)
		right = strcmp(csv->row[0].field[i], columns[i]) == 0;
	if (right)
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_FORMAT, "%s:1: want the header file,person,part,group, as phiz data split "
	                 "writes it", path);
}

/* Absolute, or below the data folder: no component of a relative path may be "..", "." or empty. */
static bool is_safe_path(const char *path)
{
	if (path[0] == '/')
		return path[1] != '\0';
	for (;;) {
		const char *slash = strchr(path, '/');
		size_t n = slash ? (size_t)(slash - path) : strlen(path);
		if (n == 0 || (n <= 2 && strspn(path, ".") >= n))
			return false;
		if (!slash)
			return true;
		path = slash + 1;
	}
}

static enum phiz_status read_group(struct phiz_ctx *ctx, const char *text, uint32_t *group)
{
	int64_t value = 0;
	enum phiz_status status = phiz_parse_i64(ctx, text, 0, UINT32_MAX, &value);

	*group = (uint32_t)value;
	return status;
}

static enum phiz_status read_row(struct phiz_ctx *ctx, char **field, int root, struct phiz_dataset *d)
{
	struct phiz_sample s = {.path = field[COLUMN_FILE], .root = root};

	if (!is_safe_path(s.path))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "file '%s': want a path below the data folder, without '..', or an "
		                 "absolute one", s.path);
	if (!*field[COLUMN_PERSON])
		return phiz_fail(ctx, PHIZ_E_FORMAT, "the person has no name");
	if (!phiz_part_parse(field[COLUMN_PART], &s.part) || s.part == PHIZ_PART_SKIP)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "part '%s': want train, val, test or stranger", field[COLUMN_PART]);
	if (read_group(ctx, field[COLUMN_GROUP], &s.group)) {
		phiz_fail_in(ctx, "group");
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s", phiz_ctx_message(ctx));
	}
	if (phiz_dataset_add_person(ctx, d, field[COLUMN_PERSON], s.part == PHIZ_PART_STRANGER, &s.person))
		return phiz_ctx_status(ctx);
	return phiz_dataset_add_sample(ctx, d, &s);
}

static int compare_files(const void *a, const void *b)
{
	const struct phiz_csv_row *x = *(const struct phiz_csv_row *const *)a, *y = *(const struct phiz_csv_row *const *)b;
	int c = strcmp(x->field[COLUMN_FILE], y->field[COLUMN_FILE]);

	return c ? c : (x->line > y->line) - (x->line < y->line);
}

/* No file in two rows, whatever they say of it. */
static enum phiz_status check_files(struct phiz_ctx *ctx, const struct phiz_csv *csv, const char *path)
{
	size_t n = csv->count - 1; /* without the header */
	const struct phiz_csv_row **row = phiz_alloc(ctx, n, sizeof(*row));
	enum phiz_status status = PHIZ_OK;

	if (!row)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < n; i++)
		row[i] = &csv->row[i + 1];
	qsort(row, n, sizeof(*row), compare_files);
	for (size_t i = 1; !status && i < n; i++)
		if (strcmp(row[i - 1]->field[COLUMN_FILE], row[i]->field[COLUMN_FILE]) == 0)
			status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s:%d: '%s' is there already, in line %d", path, row[i]->line,
			                   row[i]->field[COLUMN_FILE], row[i - 1]->line);
	phiz_free(ctx, row);
	return status;
}

static enum phiz_status read_rows(struct phiz_ctx *ctx, const struct phiz_csv *csv, const char *path, const char *dir,
                                  struct phiz_dataset *d)
{
	int root;
	enum phiz_status status = phiz_dataset_add_root(ctx, d, dir, &root);

	for (size_t i = 1; !status && i < csv->count; i++) {
		status = read_row(ctx, csv->row[i].field, root, d);
		if (status)
			phiz_fail_in(ctx, "%s:%d", path, csv->row[i].line);
	}
	if (status)
		return status;
	status = phiz_dataset_finish(ctx, d);
	if (status == PHIZ_E_ARG)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %s", path, phiz_ctx_message(ctx));
	if (!status && d->n_known == 0)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: names no known person", path);
	return status;
}

enum phiz_status phiz_split_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                  const char *dir, struct phiz_dataset **out)
{
	struct phiz_csv csv = {0};
	struct phiz_dataset *d = NULL;
	enum phiz_status status = phiz_csv_parse(ctx, text, size, name, &csv);

	if (!status)
		status = check_header(ctx, &csv, name);
	if (!status)
		status = check_files(ctx, &csv, name);
	if (!status)
		status = phiz_dataset_create(ctx, &d);
	if (!status)
		status = read_rows(ctx, &csv, name, dir, d);
	phiz_csv_free(ctx, &csv);
	if (status)
		phiz_dataset_free(ctx, &d);
	*out = d;
	return status;
}

enum phiz_status phiz_split_read(struct phiz_ctx *ctx, const char *path, const char *dir, struct phiz_dataset **out)
{
	struct phiz_bytes text;
	enum phiz_status status;

	*out = NULL;
	phiz_bytes_init(&text, ctx);
	status = phiz_file_read(ctx, path, MAX_CSV_BYTES, &text);
	if (!status)
		status = phiz_split_parse(ctx, text.data, text.size, path, dir, out);
	phiz_bytes_free(&text);
	return status;
}
