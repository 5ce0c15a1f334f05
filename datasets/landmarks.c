/* POSIX's realpath is in its X/Open part. */
#define _XOPEN_SOURCE 700

#include "datasets/landmarks.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/parse.h"
#include "datasets/csv.h"

#define MAX_CSV_BYTES ((size_t)1 << 30)
#define MAX_COORDINATE 1e6

/* --- One CSV. --- */

enum { COLUMN_FILE, COLUMN_POINT, COLUMN_BOX = COLUMN_POINT + 2 * PHIZ_LANDMARKS, COLUMN_SCORE = COLUMN_BOX + 4,
       COLUMNS };

static const char *const column_names[COLUMNS] = {
	"file", "lx", "ly", "rx", "ry", "nx", "ny", "mlx", "mly", "mrx", "mry", "x", "y", "w", "h", "score",
};

/* at[c]: the column of the CSV, -1 where there is none. */
static enum phiz_status find_columns(struct phiz_ctx *ctx, const struct phiz_csv *csv, const char *name,
                                     int at[COLUMNS])
{
	bool source = false, fate = false;

	for (int i = 0; i < csv->columns; i++) {
		source = source || !strcmp(csv->row[0].field[i], "source");
		fate = fate || !strcmp(csv->row[0].field[i], "fate");
	}
	if (source && fate)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s:1: the manifest of phiz data extract, whose pixels are those of the "
		                 "photos; where the faces are in the crops the " PHIZ_LANDMARKS_NAME " beside it says", name);
	for (int c = 0; c < COLUMNS; c++) {
		at[c] = -1;
		for (int i = 0; i < csv->columns; i++)
			if (!strcmp(csv->row[0].field[i], column_names[c]))
				at[c] = i;
		if (at[c] < 0 && c < COLUMN_BOX)
			return phiz_fail(ctx, PHIZ_E_FORMAT, "%s:1: no column '%s': want file,lx,ly,rx,ry,nx,ny,mlx,mly,mrx,mry",
			                 name, column_names[c]);
	}
	return PHIZ_OK;
}

static enum phiz_status read_number(struct phiz_ctx *ctx, const char *name, int line, const char *column,
                                    const char *text, float *out)
{
	double value;

	if (phiz_parse_f64(ctx, text, -MAX_COORDINATE, MAX_COORDINATE, &value))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s:%d: %s: want a number of pixels, got '%s'", name, line, column, text);
	*out = (float)value;
	return PHIZ_OK;
}

static enum phiz_status read_row(struct phiz_ctx *ctx, const struct phiz_csv_row *from, const char *name,
                                 const int at[COLUMNS], bool boxes, struct phiz_face_row *out)
{
	enum phiz_status status = PHIZ_OK;

	out->file = from->field[at[COLUMN_FILE]];
	out->line = from->line;
	if (!*out->file)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s:%d: the name of the photo is empty", name, from->line);
	for (int i = 0; !status && i < 2 * PHIZ_LANDMARKS; i++)
		status = read_number(ctx, name, from->line, column_names[COLUMN_POINT + i],
		                     from->field[at[COLUMN_POINT + i]], &out->face.landmark[i / 2][i % 2]);
	for (int i = 0; !status && boxes && i < 4; i++)
		status = read_number(ctx, name, from->line, column_names[COLUMN_BOX + i], from->field[at[COLUMN_BOX + i]],
		                     &out->face.box[i]);
	out->face.score = 1;
	if (!status && at[COLUMN_SCORE] >= 0)
		status = read_number(ctx, name, from->line, "score", from->field[at[COLUMN_SCORE]], &out->face.score);
	if (!status && !(out->face.score >= 0))
		status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s:%d: score: want 0 or more, got %g", name, from->line,
		                   (double)out->face.score);
	return status;
}

/* By file; of one file the better score first. */
static int compare_rows(const void *a, const void *b)
{
	const struct phiz_face_row *x = a, *y = b;
	int order = strcmp(x->file, y->file);

	if (order)
		return order;
	if (x->face.score > y->face.score)
		return -1;
	if (x->face.score < y->face.score)
		return 1;
	return x->line - y->line;
}

enum phiz_status phiz_face_table_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                       struct phiz_face_table *out)
{
	int at[COLUMNS];
	enum phiz_status status;

	memset(out, 0, sizeof *out);
	out->csv = phiz_calloc(ctx, 1, sizeof *out->csv);
	if (!out->csv)
		return PHIZ_E_NOMEM;
	status = phiz_csv_parse(ctx, text, size, name, out->csv);
	if (!status)
		status = find_columns(ctx, out->csv, name, at);
	if (!status) {
		out->boxes = true;
		for (int i = 0; i < 4; i++)
			out->boxes = out->boxes && at[COLUMN_BOX + i] >= 0;
		out->row = phiz_calloc(ctx, out->csv->count, sizeof *out->row);
		status = out->row ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	for (size_t i = 1; !status && i < out->csv->count; i++) {
		status = read_row(ctx, &out->csv->row[i], name, at, out->boxes, &out->row[out->count]);
		out->count++;
	}
	if (status)
		phiz_face_table_free(ctx, out);
	else
		qsort(out->row, out->count, sizeof *out->row, compare_rows);
	return status;
}

void phiz_face_table_free(struct phiz_ctx *ctx, struct phiz_face_table *table)
{
	if (table->csv)
		phiz_csv_free(ctx, table->csv);
	phiz_free(ctx, table->csv);
	phiz_free(ctx, table->row);
	memset(table, 0, sizeof *table);
}

const struct phiz_face *phiz_face_table_find(const struct phiz_face_table *table, const char *file)
{
	size_t low = 0, high = table->count;

	while (low < high) { /* the first row that is not before it */
		size_t middle = low + (high - low) / 2;

		if (strcmp(table->row[middle].file, file) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < table->count && !strcmp(table->row[low].file, file) ? &table->row[low].face : NULL;
}

/* --- The CSV of each root. --- */

/* A table that was read, and the folder that its names are relative to. */
struct source {
	char *path, *folder; /* folder: as realpath says */
	struct phiz_face_table table;
};

struct sources {
	struct source *source;
	size_t count;
};

static enum phiz_status real_path(struct phiz_ctx *ctx, const char *path, char **out)
{
	char real[PATH_MAX];

	*out = NULL;
	if (!realpath(path, real))
		return phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no such folder", path);
	*out = phiz_strdup(ctx, real);
	return *out ? PHIZ_OK : PHIZ_E_NOMEM;
}

static enum phiz_status folder_of(struct phiz_ctx *ctx, const char *path, char **out)
{
	size_t length = (size_t)(phiz_path_base(path) - path);
	char *folder = length ? phiz_strndup(ctx, path, length) : phiz_strdup(ctx, ".");
	enum phiz_status status = folder ? real_path(ctx, folder, out) : PHIZ_E_NOMEM;

	phiz_free(ctx, folder);
	return status;
}

static enum phiz_status open_source(struct phiz_ctx *ctx, const char *path, struct source *out)
{
	struct phiz_bytes text;
	enum phiz_status status;

	memset(out, 0, sizeof *out);
	phiz_bytes_init(&text, ctx);
	out->path = phiz_strdup(ctx, path);
	status = out->path ? folder_of(ctx, path, &out->folder) : PHIZ_E_NOMEM;
	if (!status)
		status = phiz_file_read(ctx, path, MAX_CSV_BYTES, &text);
	if (!status)
		status = phiz_face_table_parse(ctx, text.data, text.size, path, &out->table);
	phiz_bytes_free(&text);
	return status;
}

static void close_sources(struct phiz_ctx *ctx, struct sources *all)
{
	for (size_t i = 0; i < all->count; i++) {
		phiz_free(ctx, all->source[i].path);
		phiz_free(ctx, all->source[i].folder);
		phiz_face_table_free(ctx, &all->source[i].table);
	}
	phiz_free(ctx, all->source);
}

/* The CSV at this path, read once; *out is NULL if there is none. */
static enum phiz_status need_source(struct phiz_ctx *ctx, struct sources *all, const char *path, struct source **out)
{
	*out = NULL;
	if (!phiz_path_is_file(path))
		return PHIZ_OK;
	for (size_t i = 0; i < all->count && !*out; i++)
		if (!strcmp(all->source[i].path, path))
			*out = &all->source[i];
	if (*out)
		return PHIZ_OK;
	*out = &all->source[all->count++];
	return open_source(ctx, path, *out);
}

/* What stands between the source's folder and the root: "celeba/" for .../faces and .../faces/celeba. NULL in *out: the
 * root does not lie there. */
static enum phiz_status prefix_of(struct phiz_ctx *ctx, const struct source *source, const char *root, char **out)
{
	size_t length = strlen(source->folder);
	char *real;
	enum phiz_status status = real_path(ctx, root, &real);

	*out = NULL;
	if (status)
		return status;
	if (!strcmp(real, source->folder))
		*out = phiz_strdup(ctx, "");
	else if (!strncmp(real, source->folder, length) && (real[length] == '/' || length == 1))
		*out = phiz_asprintf(ctx, "%s/", real + length + (length > 1));
	else
		length = 0;
	phiz_free(ctx, real);
	return *out || !length ? PHIZ_OK : PHIZ_E_NOMEM;
}

/* The source of a root, and what its names begin with there; *out NULL: none. */
static enum phiz_status source_of_root(struct phiz_ctx *ctx, struct sources *all, const char *given, const char *root,
                                       struct source **out, char **prefix)
{
	char *path[2] = {NULL, NULL}, *above = NULL;
	enum phiz_status status = PHIZ_OK;

	*out = NULL;
	*prefix = NULL;
	if (given) {
		status = need_source(ctx, all, given, out);
		if (!status && !*out)
			status = phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no such file", given);
	} else {
		path[0] = phiz_path_join(ctx, root, PHIZ_LANDMARKS_NAME);
		above = phiz_path_join(ctx, root, "..");
		path[1] = above ? phiz_path_join(ctx, above, PHIZ_LANDMARKS_NAME) : NULL;
		status = path[0] && path[1] ? PHIZ_OK : PHIZ_E_NOMEM;
		for (int i = 0; i < 2 && !status && !*out; i++)
			status = need_source(ctx, all, path[i], out);
	}
	if (!status && *out)
		status = prefix_of(ctx, *out, root, prefix);
	if (!status && *out && !*prefix)
		status = phiz_fail(ctx, PHIZ_E_ARG, "%s: its photos' names are relative to its folder, and %s does not lie "
		                   "there", (*out)->path, root);
	phiz_free(ctx, path[0]);
	phiz_free(ctx, path[1]);
	phiz_free(ctx, above);
	return status;
}

static enum phiz_status look_up(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, int root,
                                const struct source *source, const char *prefix, struct phiz_landmarks *out)
{
	for (size_t i = 0; i < dataset->count; i++) {
		const struct phiz_sample *s = &dataset->sample[i];
		const struct phiz_face *face;
		char *name;

		if (s->root != root || s->path[0] == '/')
			continue;
		name = phiz_asprintf(ctx, "%s%s", prefix, s->path);
		if (!name)
			return PHIZ_E_NOMEM;
		face = phiz_face_table_find(&source->table, name);
		phiz_free(ctx, name);
		if (face) {
			out->face[i] = *face;
			out->found++;
		}
	}
	return PHIZ_OK;
}

enum phiz_status phiz_landmarks_read(struct phiz_ctx *ctx, const char *path, const struct phiz_dataset *dataset,
                                 struct phiz_landmarks *out)
{
	struct sources all = {NULL, 0};
	enum phiz_status status;

	memset(out, 0, sizeof *out);
	/* Two for each root at most. */
	all.source = phiz_calloc(ctx, 2 * dataset->roots.count + 1, sizeof *all.source);
	out->face = phiz_calloc(ctx, dataset->count + 1, sizeof *out->face);
	out->count = dataset->count;
	status = all.source && out->face ? PHIZ_OK : PHIZ_E_NOMEM;
	for (size_t i = 0; !status && i < out->count; i++)
		out->face[i].score = -1;
	for (size_t r = 0; !status && r < dataset->roots.count; r++) {
		struct source *source;
		char *prefix;

		status = source_of_root(ctx, &all, path, dataset->roots.name[r], &source, &prefix);
		if (!status && source)
			status = look_up(ctx, dataset, (int)r, source, prefix, out);
		phiz_free(ctx, prefix);
	}
	out->boxes = all.count > 0;
	for (size_t i = 0; i < all.count; i++)
		out->boxes = out->boxes && all.source[i].table.boxes;
	close_sources(ctx, &all);
	if (status || !all.count)
		phiz_landmarks_free(ctx, out);
	return status;
}

void phiz_landmarks_free(struct phiz_ctx *ctx, struct phiz_landmarks *faces)
{
	phiz_free(ctx, faces->face);
	memset(faces, 0, sizeof *faces);
}

enum phiz_status phiz_landmarks_require(struct phiz_ctx *ctx, const struct phiz_landmarks *faces,
                                         struct phiz_dataset *dataset)
{
	size_t left = 0, dropped = 0, first = 0;

	for (size_t i = 0; i < dataset->count; i++) {
		if (dataset->sample[i].part == PHIZ_PART_SKIP)
			continue;
		if (faces->face && faces->face[i].score >= 0) {
			left++;
			continue;
		}
		dataset->sample[i].part = PHIZ_PART_SKIP;
		first = dropped++ ? first : i;
	}
	if (!left)
		return phiz_fail(ctx, PHIZ_E_ARG, "no photo has landmarks: want a " PHIZ_LANDMARKS_NAME " with the photos or "
		                 "in the folder above them (phiz data extract writes one), data.landmarks = FILE, or "
		                 "data.align = none");
	if (dropped)
		phiz_log(ctx, PHIZ_LOG_WARN, "%zu photos without landmarks are left out, first %s", dropped,
		         dataset->sample[first].path);
	return PHIZ_OK;
}
