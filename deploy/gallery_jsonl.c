/* Galleries as JSON lines: for moving, for keeping copies, and for embeddings that were made elsewhere. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/error.h"
#include "core/io/json.h"
#include "deploy/gallery.h"

enum { MAX_LINE = 1 << 20, MAX_PHOTOS = 100000 };

/* --- Export --- */

static void add_photo(struct phiz_gallery *g, sqlite3_stmt *stmt, const float *embedding, struct phiz_bytes *out)
{
	phiz_bytes_text(out, "{\"name\":");
	phiz_bytes_json(out, phiz_sql_text(stmt, 3));
	phiz_bytes_printf(out, ",\"kind\":\"%s\"", sqlite3_column_int(stmt, 2) ? "rejected" : "photo");
	if (sqlite3_column_type(stmt, 5) != SQLITE_NULL) {
		phiz_bytes_text(out, ",\"source\":");
		phiz_bytes_json(out, phiz_sql_text(stmt, 5));
	}
	if (sqlite3_column_type(stmt, 6) != SQLITE_NULL && isfinite(sqlite3_column_double(stmt, 6))) {
		phiz_bytes_text(out, ",\"quality\":");
		phiz_json_add_real(out, sqlite3_column_double(stmt, 6));
	}
	phiz_bytes_printf(out, ",\"created\":%" PRId64, (int64_t)sqlite3_column_int64(stmt, 7));
	if (sqlite3_column_type(stmt, 8) != SQLITE_NULL) {
		phiz_bytes_text(out, ",\"consent\":");
		phiz_bytes_json(out, phiz_sql_text(stmt, 8));
	}
	if (sqlite3_column_int64(stmt, 9) > 0)
		phiz_bytes_printf(out, ",\"keep_days\":%" PRId64, (int64_t)sqlite3_column_int64(stmt, 9));
	phiz_bytes_text(out, ",\"embedding\":[");
	for (int d = 0; d < g->dim; d++) {
		if (d)
			phiz_bytes_text(out, ",");
		phiz_json_add_float(out, embedding[d]);
	}
	phiz_bytes_text(out, "]}\n");
}

static void add_header(struct phiz_gallery *g, const struct phiz_gallery_info *info, struct phiz_bytes *out)
{
	phiz_bytes_printf(out, "{\"phiz_gallery\":1,\"model\":\"%s\",\"model_name\":", g->model);
	phiz_bytes_json(out, info->model_name);
	phiz_bytes_printf(out, ",\"dim\":%d}\n", g->dim);
}

static enum phiz_status add_photos(struct phiz_gallery *g, float *embedding, struct phiz_bytes *out)
{
	sqlite3_stmt *stmt;
	bool row = true;
	enum phiz_status status = phiz_sql_open(g, &stmt, "SELECT photo.id, person, kind, name, embedding, source, "
	                                        "quality, photo.created, consent, keep_days FROM photo JOIN person ON "
	                                        "person.id = photo.person ORDER BY person.id, kind, photo.id", "");

	while (!status && row) {
		status = phiz_sql_step(g, stmt, &row);
		if (status || !row)
			break;
		status = phiz_unseal(g, sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1),
		                     sqlite3_column_int(stmt, 2),
		                     sqlite3_column_blob(stmt, 4), (size_t)sqlite3_column_bytes(stmt, 4), embedding);
		if (!status)
			add_photo(g, stmt, embedding, out);
		if (!status)
			status = phiz_bytes_status(out);
	}
	sqlite3_finalize(stmt);
	return status;
}

enum phiz_status phiz_gallery_export(struct phiz_gallery *g, struct phiz_bytes *out)
{
	struct phiz_gallery_info info;
	enum phiz_status status = phiz_gallery_describe(g, &info);

	if (status)
		return status;
	if (!g->dim)
		return phiz_fail(g->ctx, PHIZ_E_ARG, "%s: nobody is enrolled yet", g->path);
	float *embedding = phiz_alloc(g->ctx, (size_t)g->dim, sizeof *embedding);
	if (!embedding)
		return PHIZ_E_NOMEM;
	status = phiz_sql_begin(g); /* of one moment, and with its entry in the log */
	if (!status) {
		add_header(g, &info, out);
		status = add_photos(g, embedding, out);
		if (!status)
			status = phiz_audit_add(g, "export", "%" PRId64 " people, %" PRId64 " photos", info.people, info.photos);
		status = phiz_sql_end(g, status);
	}
	phiz_free(g->ctx, embedding);
	return status;
}

/* --- Import --- */

/* The lines of one name so far. */
struct batch {
	struct phiz_gallery *g;
	const char *file;
	int64_t line, first; /* first: of this person */
	char *name, *consent;
	int64_t keep_days;
	struct phiz_template *photo; /* photos from the front; rejected: kind 1 */
	bool *is_rejected;
	char **source;
	size_t n, capacity, rejected_capacity, source_capacity;
	float *embedding;
	size_t embedding_capacity;
	int64_t people;
	void (*done)(void *user, const char *person, int added);
	void *user;
};

static void clear(struct batch *b)
{
	struct phiz_ctx *ctx = b->g->ctx;

	for (size_t i = 0; i < b->n; i++)
		phiz_free(ctx, b->source[i]);
	phiz_free(ctx, b->name);
	phiz_free(ctx, b->consent);
	b->name = b->consent = NULL;
	b->keep_days = 0;
	b->n = 0;
}

static enum phiz_status flush(struct batch *b)
{
	struct phiz_ctx *ctx = b->g->ctx;
	struct phiz_person_options o = {.consent = b->consent, .keep_days = b->keep_days};
	size_t photos = 0, rejected = 0;
	int added = 0;

	if (b->n == 0)
		return PHIZ_OK;
	struct phiz_template *sorted = phiz_alloc(ctx, b->n, sizeof *sorted);
	if (!sorted)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < b->n; i++)
		b->photo[i].embedding = b->embedding + i * (size_t)b->g->dim; /* it has stopped moving */
	for (size_t i = 0; i < b->n; i++)
		if (!b->is_rejected[i])
			sorted[photos++] = b->photo[i];
	for (size_t i = 0; i < b->n; i++)
		if (b->is_rejected[i])
			sorted[photos + rejected++] = b->photo[i];
	enum phiz_status status = phiz_person_import(b->g, b->name, sorted, (int)photos, sorted + photos, (int)rejected, &o,
	                                             &added);
	phiz_free(ctx, sorted);
	if (status)
		return phiz_fail_in(ctx, "%s:%" PRId64, b->file, b->first);
	b->people++;
	if (b->done)
		b->done(b->user, b->name, added);
	clear(b);
	return PHIZ_OK;
}

static enum phiz_status wrong(struct batch *b, const char *what)
{
	return phiz_fail(b->g->ctx, PHIZ_E_FORMAT, "%s:%" PRId64 ": %s", b->file, b->line, what);
}

/* A text that may be missing; *out NULL then. */
static enum phiz_status get_text(struct batch *b, const json_t *object, const char *key, const char **out)
{
	const json_t *value = json_object_get(object, key);
	char what[64];

	*out = NULL;
	if (!value || json_is_null(value))
		return PHIZ_OK;
	*out = json_string_value(value);
	if (*out)
		return PHIZ_OK;
	sqlite3_snprintf(sizeof what, what, "\"%s\" is no text", key);
	return wrong(b, what);
}

static enum phiz_status get_embedding(struct batch *b, const json_t *object)
{
	const json_t *list = json_object_get(object, "embedding");
	int dim = b->g->dim;
	char what[96];

	if (!json_is_array(list))
		return wrong(b, "want \"embedding\":[numbers]");
	if (json_array_size(list) != (size_t)dim) {
		sqlite3_snprintf(sizeof what, what, "the embedding has %d numbers, want %d", (int)json_array_size(list), dim);
		return wrong(b, what);
	}
	enum phiz_status status = phiz_grow(b->g->ctx, &b->embedding, &b->embedding_capacity, (b->n + 1) * (size_t)dim,
	                                    sizeof *b->embedding);
	for (int d = 0; d < dim && !status; d++) {
		double v;
		if (!phiz_json_real(json_array_get(list, (size_t)d), &v) || fabs(v) > 1e30)
			return wrong(b, "an embedding holds finite numbers only");
		b->embedding[b->n * (size_t)dim + (size_t)d] = (float)v;
	}
	return status;
}

static enum phiz_status get_numbers(struct batch *b, const json_t *object, struct phiz_template *photo)
{
	const json_t *quality = json_object_get(object, "quality"), *created = json_object_get(object, "created"),
	             *keep = json_object_get(object, "keep_days");

	photo->quality = -1;
	if (quality && !json_is_null(quality) &&
	    (!phiz_json_real(quality, &photo->quality) || photo->quality < 0 || photo->quality > 1))
		return wrong(b, "want \"quality\" from 0 to 1");
	if (created && !phiz_json_int(created, 0, (int64_t)1 << 40, &photo->created))
		return wrong(b, "want \"created\" in seconds since 1970");
	if (keep && !phiz_json_int(keep, 0, 36500, &b->keep_days))
		return wrong(b, "want \"keep_days\" from 0 to 36500");
	return PHIZ_OK;
}

static enum phiz_status start_person(struct batch *b, const char *name)
{
	enum phiz_status status = PHIZ_OK;

	if (b->name && strcmp(b->name, name))
		status = flush(b);
	if (!status && !b->name) {
		b->first = b->line;
		b->name = phiz_strdup(b->g->ctx, name);
		status = b->name ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	return status;
}

static enum phiz_status make_room(struct batch *b)
{
	enum phiz_status status;

	if (b->n == MAX_PHOTOS)
		return wrong(b, "more than 100000 photos of one person");
	status = phiz_grow(b->g->ctx, &b->photo, &b->capacity, b->n + 1, sizeof *b->photo);
	if (!status)
		status = phiz_grow(b->g->ctx, &b->is_rejected, &b->rejected_capacity, b->n + 1, sizeof *b->is_rejected);
	if (!status)
		status = phiz_grow(b->g->ctx, &b->source, &b->source_capacity, b->n + 1, sizeof *b->source);
	return status;
}

static enum phiz_status take_photo(struct batch *b, const json_t *object)
{
	const char *name, *kind, *source, *consent;
	struct phiz_template photo = {.quality = -1};
	enum phiz_status status = get_text(b, object, "name", &name);

	if (!status && !name)
		return wrong(b, "want \"name\"");
	if (!status)
		status = get_text(b, object, "kind", &kind);
	if (!status && kind && strcmp(kind, "photo") && strcmp(kind, "rejected"))
		return wrong(b, "want \"kind\" photo or rejected");
	if (!status)
		status = get_text(b, object, "source", &source);
	if (!status)
		status = get_text(b, object, "consent", &consent);
	if (!status)
		status = start_person(b, name);
	if (!status)
		status = get_numbers(b, object, &photo);
	if (!status)
		status = make_room(b);
	if (!status)
		status = get_embedding(b, object);
	if (!status && consent) {
		phiz_free(b->g->ctx, b->consent);
		b->consent = phiz_strdup(b->g->ctx, consent);
		status = b->consent ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (status)
		return status;
	b->source[b->n] = source ? phiz_strdup(b->g->ctx, source) : NULL;
	if (source && !b->source[b->n])
		return PHIZ_E_NOMEM;
	photo.source = b->source[b->n];
	b->photo[b->n] = photo;
	b->is_rejected[b->n++] = kind && !strcmp(kind, "rejected");
	return PHIZ_OK;
}

static enum phiz_status take_header(struct batch *b, const json_t *object)
{
	const char *model, *name;
	int64_t version, dim;
	enum phiz_status status = get_text(b, object, "model", &model);

	if (!status)
		status = get_text(b, object, "model_name", &name);
	if (status)
		return status;
	if (!phiz_json_int(json_object_get(object, "phiz_gallery"), 1, INT32_MAX, &version) || !model ||
	    !phiz_json_int(json_object_get(object, "dim"), 1, PHIZ_GALLERY_MAX_DIM, &dim))
		return wrong(b, "want {\"phiz_gallery\":1,\"model\":HASH,\"dim\":N}");
	if (version != 1)
		return phiz_fail(b->g->ctx, PHIZ_E_UNSUPPORTED, "%s: was written by a newer phiz", b->file);
	status = phiz_gallery_bind(b->g, model, (int)dim, name);
	return status ? phiz_fail_in(b->g->ctx, "%s", b->file) : PHIZ_OK;
}

static enum phiz_status take_line(struct batch *b, const char *text, size_t size)
{
	json_t *object = NULL;
	char *what;
	enum phiz_status status;

	if (size > MAX_LINE)
		return wrong(b, "a line of more than 1 MiB");
	what = phiz_asprintf(b->g->ctx, "%s:%" PRId64, b->file, b->line);
	if (!what)
		return PHIZ_E_NOMEM;
	status = phiz_json_parse(b->g->ctx, text, size, what, &object);
	if (!status && !json_is_object(object))
		status = wrong(b, "want a JSON object");
	if (!status && json_object_get(object, "phiz_gallery"))
		status = b->line == 1 ? take_header(b, object) : wrong(b, "the header belongs into the first line");
	else if (!status && !b->g->dim)
		status = phiz_fail(b->g->ctx, PHIZ_E_ARG, "%s: does not say which model made it, and the gallery is new: "
		                   "--model says so", b->file);
	else if (!status)
		status = take_photo(b, object);
	if (object)
		json_decref(object);
	phiz_free(b->g->ctx, what);
	return status;
}

enum phiz_status phiz_gallery_import(struct phiz_gallery *g, const char *text, size_t size, const char *name,
                                     const volatile int *cancel,
                                     void (*done)(void *user, const char *person, int added), void *user)
{
	struct batch b = {.g = g, .file = name, .done = done, .user = user};
	enum phiz_status status = PHIZ_OK;
	size_t at = 0;

	while (at < size && !status && !(cancel && *cancel)) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t length = end ? (size_t)(end - (text + at)) : size - at;
		b.line++;
		if (length > 0)
			status = take_line(&b, text + at, length);
		at += length + 1;
	}
	if (!status && cancel && *cancel)
		status = phiz_fail(g->ctx, PHIZ_E_CANCELLED, "%s: broken off after %" PRId64 " people, who are in; the same "
		                   "command goes on", name, b.people);
	if (!status)
		status = flush(&b);
	if (!status && b.people) {
		status = phiz_sql_begin(g);
		if (!status)
			status = phiz_sql_end(g, phiz_audit_add(g, "import", "%s: %" PRId64 " people", name, b.people));
	}
	clear(&b);
	phiz_free(g->ctx, b.photo);
	phiz_free(g->ctx, b.is_rejected);
	phiz_free(g->ctx, b.source);
	phiz_free(g->ctx, b.embedding);
	return status;
}
