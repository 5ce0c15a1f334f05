/* What is searched: a row per person, the mean of their embeddings; and the photos that were rejected for them. */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/cpu/search.h"
#include "deploy/gallery.h"

void phiz_index_free(struct phiz_gallery *g)
{
	struct phiz_index *x = &g->index;

	phiz_free(g->ctx, x->own);
	phiz_free(g->ctx, x->own_person);
	phiz_free(g->ctx, x->counters);
	phiz_free(g->ctx, x->counter);
	if (x->map.data)
		phiz_map_close(&x->map);
	memset(x, 0, sizeof *x);
}

/* The row being made. */
struct means {
	struct phiz_gallery *g;
	int64_t capacity, n, person; /* person: of the sums; 0: none yet */
	double *sum;
	float *embedding;
};

static void finish_row(struct means *m)
{
	struct phiz_index *x = &m->g->index;
	float *row = x->own + m->n * x->stride;
	double square = 0;

	if (!m->person)
		return;
	for (int d = 0; d < m->g->dim; d++)
		square += m->sum[d] * m->sum[d];
	double scale = square > 0 ? 1 / sqrt(square) : 0; /* photos that cancel out resemble nobody */
	for (int d = 0; d < m->g->dim; d++)
		row[d] = (float)(m->sum[d] * scale);
	x->own_person[m->n++] = m->person;
	m->person = 0;
}

static enum phiz_status add_row(struct means *m, sqlite3_stmt *stmt)
{
	struct phiz_gallery *g = m->g;
	int64_t id = sqlite3_column_int64(stmt, 0), person = sqlite3_column_int64(stmt, 1);

	if (person != m->person) {
		finish_row(m);
		if (m->n == m->capacity)
			return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: is damaged: its people cannot be counted", g->path);
		m->person = person;
		memset(m->sum, 0, (size_t)g->dim * sizeof *m->sum);
	}
	enum phiz_status status = phiz_unseal(g, id, person, 0, sqlite3_column_blob(stmt, 2),
	                                      (size_t)sqlite3_column_bytes(stmt, 2), m->embedding);
	if (!status)
		status = phiz_embedding_normalize(g, m->embedding, m->embedding); /* the file may be hostile */
	for (int d = 0; d < g->dim && !status; d++)
		m->sum[d] += (double)m->embedding[d];
	return status;
}

static enum phiz_status build_rows(struct phiz_gallery *g, int64_t people)
{
	struct phiz_index *x = &g->index;
	struct means m = {.g = g, .capacity = people};
	sqlite3_stmt *stmt = NULL;
	size_t floats;
	bool row = true;

	if (!phiz_size_mul((size_t)people, (size_t)x->stride, &floats))
		return phiz_fail(g->ctx, PHIZ_E_LIMIT, "%s: too many people", g->path);
	x->own = phiz_calloc(g->ctx, floats, sizeof *x->own);
	x->own_person = phiz_alloc(g->ctx, (size_t)people, sizeof *x->own_person);
	m.sum = phiz_alloc(g->ctx, (size_t)g->dim, sizeof *m.sum);
	m.embedding = phiz_alloc(g->ctx, (size_t)g->dim, sizeof *m.embedding);
	enum phiz_status status = x->own && x->own_person && m.sum && m.embedding ? PHIZ_OK : PHIZ_E_NOMEM;
	if (!status)
		status = phiz_sql_open(g, &stmt, "SELECT id, person, embedding FROM photo WHERE kind = 0 ORDER BY person, id",
		                       "");
	while (!status && row) {
		status = phiz_sql_step(g, stmt, &row);
		if (!status && row)
			status = add_row(&m, stmt);
	}
	if (!status)
		finish_row(&m);
	sqlite3_finalize(stmt);
	phiz_free(g->ctx, m.sum);
	phiz_free(g->ctx, m.embedding);
	x->n = m.n;
	x->rows = x->own;
	x->person = x->own_person;
	return status;
}

/* -1: nobody of this id has a row. */
static int64_t row_of(const struct phiz_index *x, int64_t person)
{
	int64_t low = 0, high = x->n;

	while (low < high) {
		int64_t middle = low + (high - low) / 2;
		if (x->person[middle] < person)
			low = middle + 1;
		else
			high = middle;
	}
	return low < x->n && x->person[low] == person ? low : -1;
}

static enum phiz_status read_counters(struct phiz_gallery *g)
{
	struct phiz_index *x = &g->index;
	sqlite3_stmt *stmt = NULL;
	int64_t n = 0;
	size_t floats;
	bool row = true;
	enum phiz_status status = phiz_sql_int(g, &n, "SELECT count(*) FROM photo WHERE kind = 1", "");

	if (status || n == 0)
		return status;
	if (!phiz_size_mul((size_t)n, (size_t)g->dim, &floats))
		return phiz_fail(g->ctx, PHIZ_E_LIMIT, "%s: too many rejected photos", g->path);
	x->counters = phiz_alloc(g->ctx, floats, sizeof *x->counters);
	x->counter = phiz_alloc(g->ctx, (size_t)n, sizeof *x->counter);
	status = x->counters && x->counter ? PHIZ_OK : PHIZ_E_NOMEM;
	if (!status)
		status = phiz_sql_open(g, &stmt, "SELECT id, person, embedding FROM photo WHERE kind = 1 ORDER BY person, id",
		                       "");
	while (!status && row && x->n_counters < n) {
		status = phiz_sql_step(g, stmt, &row);
		if (status || !row)
			break;
		int64_t person = sqlite3_column_int64(stmt, 1), at = row_of(x, person);
		if (at < 0)
			continue; /* of somebody without photos: nothing to counter */
		float *to = x->counters + x->n_counters * g->dim;
		status = phiz_unseal(g, sqlite3_column_int64(stmt, 0), person, 1, sqlite3_column_blob(stmt, 2),
		                     (size_t)sqlite3_column_bytes(stmt, 2), to);
		if (!status)
			status = phiz_embedding_normalize(g, to, to);
		if (x->n_counters == 0 || x->counter[x->n_counters - 1].row != at)
			x->n_countered++;
		x->counter[x->n_counters].row = at;
		x->counter[x->n_counters++].embedding = to;
	}
	sqlite3_finalize(stmt);
	return status;
}

static enum phiz_status build(struct phiz_gallery *g, int64_t generation)
{
	struct phiz_index *x = &g->index;
	int64_t people = 0;
	bool found = false;
	enum phiz_status status = phiz_sql_int(g, &people, "SELECT count(DISTINCT person) FROM photo WHERE kind = 0", "");

	x->generation = generation;
	x->stride = phiz_search_stride(g->dim);
	if (!status && people >= g->matrix_rows && !g->key.on)
		status = phiz_matrix_open(g, generation, &found);
	if (!status && !found)
		status = build_rows(g, people);
	if (!status)
		status = read_counters(g);
	if (!status && !found && people >= g->matrix_rows && !g->key.on) {
		status = phiz_matrix_write(g);
		if (status && status != PHIZ_E_NOMEM) { /* a full disk, say */
			phiz_log(g->ctx, PHIZ_LOG_WARN, "%s (searching goes on without the file)", phiz_ctx_message(g->ctx));
			status = PHIZ_OK;
		}
	}
	x->ready = !status;
	return status;
}

enum phiz_status phiz_index_refresh(struct phiz_gallery *g)
{
	int64_t generation = 0;
	enum phiz_status status;

	if (!g->dim)
		return phiz_fail(g->ctx, PHIZ_E_ARG, "%s: nobody is enrolled yet", g->path);
	status = phiz_sql_int(g, &generation, "SELECT generation FROM state", "");
	if (status || (g->index.ready && g->index.generation == generation))
		return status;
	phiz_index_free(g);
	status = phiz_sql_script(g, "BEGIN"); /* counts, means and generation of one moment */
	if (status)
		return status;
	status = phiz_sql_int(g, &generation, "SELECT generation FROM state", "");
	if (!status)
		status = build(g, generation);
	status = phiz_sql_end(g, status);
	if (status)
		phiz_index_free(g);
	return status;
}

/* --- Searching --- */

static double cosine(const float *a, const float *b, int dim)
{
	double sum = 0;

	for (int d = 0; d < dim; d++)
		sum += (double)a[d] * (double)b[d];
	return sum;
}

/* Of a normalised query to the person of a row, with what was rejected. */
static double similarity(const struct phiz_gallery *g, const float *query, int64_t row)
{
	const struct phiz_index *x = &g->index;
	double own = cosine(query, x->rows + row * x->stride, g->dim), counter = -2;
	int64_t low = 0, high = x->n_counters;

	while (low < high) {
		int64_t middle = low + (high - low) / 2;
		if (x->counter[middle].row < row)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < x->n_counters && x->counter[low].row == row; low++)
		counter = fmax(counter, cosine(query, x->counter[low].embedding, g->dim));
	return counter >= own ? own - counter : own;
}

/* The normalised query with zeros up to the stride; NULL with the status set. */
static float *make_query(struct phiz_gallery *g, const float *embedding, enum phiz_status *status)
{
	float *query = phiz_calloc(g->ctx, (size_t)g->index.stride, sizeof *query);

	*status = query ? phiz_embedding_normalize(g, embedding, query) : PHIZ_E_NOMEM;
	if (*status) {
		phiz_free(g->ctx, query);
		return NULL;
	}
	return query;
}

static enum phiz_status name_match(struct phiz_gallery *g, int64_t row, double value, struct phiz_match *out)
{
	sqlite3_stmt *stmt;
	bool found = false;
	enum phiz_status status = phiz_sql_open(g, &stmt, "SELECT name FROM person WHERE id = ?", "i",
	                                        g->index.person[row]);

	if (!status)
		status = phiz_sql_step(g, stmt, &found);
	if (!status && !found)
		status = phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: changed while it was searched: try again", g->path);
	if (!status) {
		g->names[g->n_names] = phiz_strdup(g->ctx, phiz_sql_text(stmt, 0));
		status = g->names[g->n_names] ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	sqlite3_finalize(stmt);
	if (status)
		return status;
	out->person = g->index.person[row];
	out->name = g->names[g->n_names++];
	out->similarity = value;
	return PHIZ_OK;
}

static void forget_names(struct phiz_gallery *g)
{
	for (int i = 0; i < g->n_names; i++)
		phiz_free(g->ctx, g->names[i]);
	g->n_names = 0;
}

struct scored {
	int64_t row;
	double value;
};

/* Insertion: the hits come nearly sorted. */
static void sort_scored(struct scored *s, int64_t n)
{
	for (int64_t i = 1; i < n; i++) {
		struct scored one = s[i];
		int64_t k = i;
		for (; k > 0 && (s[k - 1].value < one.value || (s[k - 1].value == one.value && s[k - 1].row > one.row)); k--)
			s[k] = s[k - 1];
		s[k] = one;
	}
}

/* Rejected photos only lower similarities, so the best k are among the best k + (people with rejected photos). */
static enum phiz_status top(struct phiz_gallery *g, const float *query, int64_t k, struct scored **out, int64_t *n)
{
	struct phiz_index *x = &g->index;
	int64_t want = k + x->n_countered < x->n ? k + x->n_countered : x->n;
	struct phiz_hit *hit = phiz_alloc(g->ctx, (size_t)want + 1, sizeof *hit);
	struct scored *s = phiz_alloc(g->ctx, (size_t)want + 1, sizeof *s);
	enum phiz_status status = hit && s ? PHIZ_OK : PHIZ_E_NOMEM;

	*n = 0;
	if (!status && want > 0)
		status = phiz_search_top(g->ctx, x->rows, x->n, x->stride, query, want, hit, n);
	for (int64_t i = 0; i < *n && !status; i++) {
		s[i].row = hit[i].row;
		s[i].value = similarity(g, query, hit[i].row);
	}
	phiz_free(g->ctx, hit);
	if (status) {
		phiz_free(g->ctx, s);
		s = NULL;
	} else {
		sort_scored(s, *n);
	}
	*out = s;
	return status;
}

enum phiz_status phiz_gallery_search(struct phiz_gallery *g, const float *embedding, int k, struct phiz_match *out,
                                     int *n)
{
	struct scored *s = NULL;
	int64_t count = 0;

	*n = 0;
	forget_names(g);
	if (k < 1 || k > PHIZ_GALLERY_MAX_TOP)
		return phiz_fail(g->ctx, PHIZ_E_ARG, "want 1 to %d candidates, not %d", PHIZ_GALLERY_MAX_TOP, k);
	enum phiz_status status = phiz_index_refresh(g);
	if (status)
		return status;
	float *query = make_query(g, embedding, &status);
	if (!status)
		status = top(g, query, k, &s, &count);
	for (int64_t i = 0; i < count && i < k && !status; i++) {
		status = name_match(g, s[i].row, s[i].value, &out[i]);
		*n = status ? 0 : (int)i + 1;
	}
	phiz_free(g->ctx, s);
	phiz_free(g->ctx, query);
	return status;
}

/* The row of a person by name, after a refresh; FORMAT cannot be: ARG if the person has no photos. */
static enum phiz_status find_row(struct phiz_gallery *g, const char *name, int64_t *row)
{
	int64_t id;
	enum phiz_status status = phiz_person_find(g, name, &id);

	if (!status)
		status = phiz_index_refresh(g);
	if (status)
		return status;
	*row = row_of(&g->index, id);
	return *row >= 0 ? PHIZ_OK : phiz_fail(g->ctx, PHIZ_E_ARG, "%s: %s has no photos", g->path, name);
}

enum phiz_status phiz_gallery_similarity(struct phiz_gallery *g, const float *embedding, const char *name, double *out)
{
	int64_t row;
	enum phiz_status status = find_row(g, name, &row);

	*out = 0;
	if (status)
		return status;
	float *query = make_query(g, embedding, &status);
	if (!status)
		*out = similarity(g, query, row);
	phiz_free(g->ctx, query);
	return status;
}

enum phiz_status phiz_gallery_nearest(struct phiz_gallery *g, const char *name, const char *except,
                                      struct phiz_match *out, bool *found)
{
	struct phiz_hit hit[3];
	int64_t row, other = -1, n;
	enum phiz_status status = find_row(g, name, &row);

	*found = false;
	forget_names(g);
	if (!status && except)
		status = find_row(g, except, &other);
	if (!status)
		status = phiz_search_top(g->ctx, g->index.rows, g->index.n, g->index.stride,
		                         g->index.rows + row * g->index.stride, 3, hit, &n);
	for (int64_t i = 0; !status && i < n && !*found; i++)
		if (hit[i].row != row && hit[i].row != other) {
			*found = true;
			status = name_match(g, hit[i].row, cosine(g->index.rows + row * g->index.stride,
			                                          g->index.rows + hit[i].row * g->index.stride, g->dim), out);
		}
	return status;
}

/* --- Leave one out --- */

struct photos {
	struct phiz_gallery *g;
	float *embedding; /* of one person */
	size_t n, capacity;
	double *value;
	size_t n_values, value_capacity;
};

static enum phiz_status judge_person(struct photos *p)
{
	int dim = p->g->dim;
	enum phiz_status status = PHIZ_OK;

	if (p->n >= 2)
		status = phiz_grow(p->g->ctx, &p->value, &p->value_capacity, p->n_values + p->n, sizeof *p->value);
	for (size_t i = 0; i < p->n && p->n >= 2 && !status; i++) {
		double square = 0, dot = 0;
		for (int d = 0; d < dim; d++) {
			double others = 0;
			for (size_t k = 0; k < p->n; k++)
				others += k == i ? 0 : (double)p->embedding[k * (size_t)dim + (size_t)d];
			square += others * others;
			dot += others * (double)p->embedding[i * (size_t)dim + (size_t)d];
		}
		p->value[p->n_values++] = square > 0 ? dot / sqrt(square) : 0;
	}
	p->n = 0;
	return status;
}

static enum phiz_status take_photo(struct photos *p, sqlite3_stmt *stmt, int64_t person)
{
	size_t dim = (size_t)p->g->dim;
	enum phiz_status status = phiz_grow(p->g->ctx, &p->embedding, &p->capacity, (p->n + 1) * dim, sizeof *p->embedding);

	if (!status)
		status = phiz_unseal(p->g, sqlite3_column_int64(stmt, 0), person, 0, sqlite3_column_blob(stmt, 2),
		                     (size_t)sqlite3_column_bytes(stmt, 2), p->embedding + p->n * dim);
	if (!status)
		status = phiz_embedding_normalize(p->g, p->embedding + p->n * dim, p->embedding + p->n * dim);
	p->n += !status;
	return status;
}

enum phiz_status phiz_gallery_leave_one_out(struct phiz_gallery *g, double **out, int64_t *n)
{
	struct photos p = {.g = g};
	sqlite3_stmt *stmt;
	int64_t last = 0;
	bool row = true;
	enum phiz_status status = phiz_sql_open(g, &stmt, "SELECT id, person, embedding FROM photo WHERE kind = 0 "
	                                        "ORDER BY person, id", "");

	while (!status && row) {
		status = phiz_sql_step(g, stmt, &row);
		int64_t person = !status && row ? sqlite3_column_int64(stmt, 1) : 0;
		if (!status && person != last)
			status = judge_person(&p);
		last = person;
		if (!status && row)
			status = take_photo(&p, stmt, person);
	}
	sqlite3_finalize(stmt);
	phiz_free(g->ctx, p.embedding);
	*out = p.value;
	*n = status ? 0 : (int64_t)p.n_values;
	if (status)
		phiz_gallery_values_free(g, out);
	return status;
}

void phiz_gallery_values_free(struct phiz_gallery *g, double **values)
{
	phiz_free(g->ctx, *values);
	*values = NULL;
}
