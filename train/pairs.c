#include "train/pairs.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "datasets/csv.h"

enum { MAX_BYTES = 1 << 28, MAX_FOLDS = 1000, CSV_FOLDS = 10, MAX_NUMBER = 99999999, MAX_FIELDS = 5, NAME_SHOWN = 60 };

/* A file as it is named in a pair, before files that are named twice are made one. */
struct named {
	char *path;
	size_t at; /* 2 * pair + which of the two */
};

struct parser {
	struct phiz_ctx *ctx;
	const char *name, *root;
	struct phiz_pair_list *out;
	struct named *file;
	size_t n_files, capacity;
	int line;
};

static enum phiz_status fail(const struct parser *p, const char *what)
{
	return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: %s", p->name, p->line, what);
}

/* Takes path over. */
static enum phiz_status add_file(struct parser *p, char *path)
{
	if (!path)
		return PHIZ_E_NOMEM;
	if (phiz_grow(p->ctx, &p->file, &p->capacity, p->n_files + 1, sizeof *p->file)) {
		phiz_free(p->ctx, path);
		return PHIZ_E_NOMEM;
	}
	p->file[p->n_files] = (struct named){path, p->n_files};
	p->n_files++;
	return PHIZ_OK;
}

static enum phiz_status add_pair(struct parser *p, bool same, int fold)
{
	struct phiz_pair_list *out = p->out;

	if (out->count >= INT32_MAX)
		return phiz_fail(p->ctx, PHIZ_E_LIMIT, "%s: too many pairs", p->name);
	enum phiz_status status = phiz_grow(p->ctx, &out->pair, &out->capacity, out->count + 1, sizeof *out->pair);
	if (!status)
		out->pair[out->count++] = (struct phiz_photo_pair){0, 0, same, fold};
	return status;
}

/* --- Files that are named several times become one. --- */

static int by_path(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int order = strcmp(x->path, y->path);

	return order ? order : (x->at > y->at) - (x->at < y->at);
}

static enum phiz_status number_files(struct parser *p)
{
	enum phiz_status status = PHIZ_OK;

	if (p->n_files)
		qsort(p->file, p->n_files, sizeof *p->file, by_path);
	for (size_t i = 0; i < p->n_files && !status; i++) {
		struct phiz_photo_pair *pair = &p->out->pair[p->file[i].at / 2];
		if (i == 0 || strcmp(p->file[i].path, p->file[i - 1].path) != 0)
			status = phiz_names_add(p->ctx, &p->out->file, p->file[i].path);
		*(p->file[i].at % 2 ? &pair->b : &pair->a) = (uint32_t)(p->out->file.count - 1);
	}
	return status;
}

/* --- LFW's pairs.txt. --- */

/* The next line of *at into a buffer of `size` bytes, cut into fields at blanks and tabs. */
static enum phiz_status next_line(struct parser *p, const char **at, const char *end, char *line, size_t size,
                                  char *field[MAX_FIELDS], int *n)
{
	const char *stop = memchr(*at, '\n', (size_t)(end - *at));
	size_t length = (size_t)((stop ? stop : end) - *at);

	p->line++;
	*n = 0;
	if (length >= size)
		return fail(p, "a line that is too long");
	memcpy(line, *at, length);
	line[length] = 0;
	if (strlen(line) != length)
		return fail(p, "a NUL byte in a text file");
	*at = stop ? stop + 1 : end;
	for (char *s = line + strspn(line, " \t\r"); *s; s += strspn(s, " \t\r")) {
		if (*n == MAX_FIELDS)
			return fail(p, "too many fields");
		field[(*n)++] = s;
		s += strcspn(s, " \t\r");
		if (*s)
			*s++ = 0;
	}
	return PHIZ_OK;
}

static enum phiz_status read_number(struct parser *p, const char *text, int64_t min, int64_t max, int64_t *out)
{
	if (phiz_parse_i64(p->ctx, text, min, max, out))
		return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: %s", p->name, p->line, phiz_ctx_message(p->ctx));
	return PHIZ_OK;
}

static enum phiz_status add_lfw_file(struct parser *p, const char *person, const char *number)
{
	int64_t n;

	if (strchr(person, '/') || person[0] == '.')
		return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: '%.*s' is no name of a folder", p->name, p->line, NAME_SHOWN,
		                 person);
	enum phiz_status status = read_number(p, number, 0, MAX_NUMBER, &n);
	if (status)
		return status;
	return add_file(p, phiz_asprintf(p->ctx, "%s%s%s/%s_%04d.jpg", p->root ? p->root : "", p->root ? "/" : "", person,
	                                 person, (int)n));
}

static enum phiz_status lfw_line(struct parser *p, char *const *field, int n, bool same, int fold)
{
	if (n != (same ? 3 : 4))
		return fail(p, same ? "want NAME I J (a pair of one person)" : "want NAME I NAME J (a pair of two people)");
	enum phiz_status status = add_lfw_file(p, field[0], field[1]);
	if (!status)
		status = same ? add_lfw_file(p, field[0], field[2]) : add_lfw_file(p, field[2], field[3]);
	return status ? status : add_pair(p, same, fold);
}

static enum phiz_status parse_lfw(struct parser *p, const char *text, size_t size)
{
	const char *at = text, *end = text + size;
	char line[1024], *field[MAX_FIELDS];
	int64_t folds = 1, half;
	int n;
	enum phiz_status status = next_line(p, &at, end, line, sizeof line, field, &n);

	if (!status && n == 2)
		status = read_number(p, field[0], 1, MAX_FOLDS, &folds);
	if (!status)
		status = read_number(p, field[n - 1], 1, MAX_NUMBER, &half);
	for (int64_t i = 0; !status && i < folds * 2 * half; i++) {
		if (at == end)
			return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s: ends after %d lines; its first line promises %lld pairs",
			                 p->name, p->line, (long long)(folds * 2 * half));
		status = next_line(p, &at, end, line, sizeof line, field, &n);
		if (!status)
			status = lfw_line(p, field, n, i / half % 2 == 0, (int)(i / (2 * half)));
	}
	while (!status && at < end) {
		status = next_line(p, &at, end, line, sizeof line, field, &n);
		if (!status && n)
			status = fail(p, "more pairs than the first line promises");
	}
	p->out->n_folds = (int)folds;
	return status;
}

/* --- CSV. --- */

static bool read_same(const char *text, bool *out)
{
	static const char *const words[] = {"0", "false", "False", "1", "true", "True"};

	for (int w = 0; w < 6; w++)
		if (!strcmp(text, words[w])) {
			*out = w >= 3;
			return true;
		}
	return false;
}

static enum phiz_status csv_row(struct parser *p, const struct phiz_csv_row *row, int columns)
{
	int64_t fold = 1;
	bool same;
	enum phiz_status status = PHIZ_OK;

	p->line = row->line;
	if (!read_same(row->field[2], &same))
		return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s:%d: '%.*s': want 1 (one person) or 0", p->name, p->line, NAME_SHOWN,
		                 row->field[2]);
	for (int i = 0; i < 2 && !status; i++) {
		if (!*row->field[i])
			return fail(p, "a pair without a file");
		status = add_file(p, p->root ? phiz_path_join(p->ctx, p->root, row->field[i])
		                             : phiz_strdup(p->ctx, row->field[i]));
	}
	if (!status && columns == 4)
		status = read_number(p, row->field[3], 1, MAX_FOLDS, &fold);
	if (fold > p->out->n_folds)
		p->out->n_folds = (int)fold;
	return status ? status : add_pair(p, same, (int)fold - 1);
}

/* The i-th of n pairs of a kind goes to fold i * folds / n. */
static void deal_folds(struct phiz_pair_list *pairs)
{
	size_t count[2] = {0, 0}, seen[2] = {0, 0};

	for (size_t i = 0; i < pairs->count; i++)
		count[pairs->pair[i].same]++;
	size_t fewer = count[0] < count[1] ? count[0] : count[1];
	pairs->n_folds = fewer < 1 ? 1 : fewer < CSV_FOLDS ? (int)fewer : CSV_FOLDS;
	for (size_t i = 0; i < pairs->count; i++) {
		struct phiz_photo_pair *pair = &pairs->pair[i];
		pair->fold = (int)(seen[pair->same]++ * (size_t)pairs->n_folds / count[pair->same]);
	}
}

static enum phiz_status parse_csv(struct parser *p, const char *text, size_t size)
{
	struct phiz_csv csv;
	bool same;
	enum phiz_status status = phiz_csv_parse(p->ctx, text, size, p->name, &csv);

	if (status)
		return status;
	if (csv.columns != 3 && csv.columns != 4) {
		p->line = 1;
		status = fail(p, "want FILE,FILE,SAME or FILE,FILE,SAME,FOLD, or LFW's \"FOLDS N\"");
	}
	for (size_t i = 0; i < csv.count && !status; i++)
		if (i > 0 || read_same(csv.row[0].field[2], &same))
			status = csv_row(p, &csv.row[i], csv.columns);
	if (!status && csv.columns == 3)
		deal_folds(p->out);
	phiz_csv_free(p->ctx, &csv);
	return status;
}

/* A first line of one or two whole numbers. */
static bool looks_like_lfw(const char *text, size_t size)
{
	size_t i = 0;

	while (i < size && strchr("0123456789 \t\r", text[i]) && text[i])
		i++;
	return i > 0 && (i == size || text[i] == '\n') && text[0] >= '0' && text[0] <= '9';
}

enum phiz_status phiz_pair_list_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                      const char *root, struct phiz_pair_list *out)
{
	struct parser p = {.ctx = ctx, .name = name, .root = root, .out = out};

	memset(out, 0, sizeof *out);
	enum phiz_status status = looks_like_lfw(text, size) ? parse_lfw(&p, text, size) : parse_csv(&p, text, size);
	if (!status && out->count == 0)
		status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s: there are no pairs in it", name);
	if (!status)
		status = number_files(&p);
	for (size_t i = 0; i < p.n_files; i++)
		phiz_free(ctx, p.file[i].path);
	phiz_free(ctx, p.file);
	if (status)
		phiz_pair_list_free(ctx, out);
	return status;
}

/* --- Files. --- */

static enum phiz_status try_endings(struct phiz_ctx *ctx, char **file)
{
	static const char *const ending[] = {".jpeg", ".png", ".ppm", ".pgm"};
	size_t length = strlen(*file);

	if (phiz_path_is_file(*file) || length < 4 || strcmp(*file + length - 4, ".jpg") != 0)
		return PHIZ_OK;
	for (int i = 0; i < 4; i++) {
		char *other = phiz_asprintf(ctx, "%.*s%s", (int)(length - 4), *file, ending[i]);
		if (!other)
			return PHIZ_E_NOMEM;
		if (phiz_path_is_file(other)) {
			phiz_free(ctx, *file);
			*file = other;
			return PHIZ_OK;
		}
		phiz_free(ctx, other);
	}
	return PHIZ_OK;
}

enum phiz_status phiz_pair_list_read(struct phiz_ctx *ctx, const char *path, const char *root,
                                     struct phiz_pair_list *out)
{
	struct phiz_bytes text;

	memset(out, 0, sizeof *out);
	phiz_bytes_init(&text, ctx);
	enum phiz_status status = phiz_file_read(ctx, path, MAX_BYTES, &text);
	if (!status)
		status = phiz_pair_list_parse(ctx, text.data ? text.data : "", text.size, path, root, out);
	for (size_t i = 0; !status && i < out->file.count; i++)
		status = try_endings(ctx, &out->file.name[i]);
	phiz_bytes_free(&text);
	if (status)
		phiz_pair_list_free(ctx, out);
	return status;
}

void phiz_pair_list_free(struct phiz_ctx *ctx, struct phiz_pair_list *pairs)
{
	phiz_names_free(ctx, &pairs->file);
	phiz_free(ctx, pairs->pair);
	memset(pairs, 0, sizeof *pairs);
}
