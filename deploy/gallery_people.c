/* People and their photos: adding, renaming, merging, removing. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "deploy/gallery.h"

enum { MAX_CONSENT = 4000, MAX_SOURCE = 1000, MAX_KEEP_DAYS = 36500, SUGGEST_FROM = 5000 };

enum phiz_status phiz_embedding_normalize(struct phiz_gallery *g, const float *from, float *out)
{
	double square = 0;

	for (int d = 0; d < g->dim; d++)
		square += (double)from[d] * (double)from[d];
	if (!isfinite(square) || square < 1e-30)
		return phiz_fail(g->ctx, PHIZ_E_NUMERIC, "%s: an embedding is %s", g->path,
		                 isfinite(square) ? "all zeros" : "not finite");
	/* What was normalised stays as it is to the last bit, so that it is known again. */
	double scale = fabs(square - 1) < 1e-6 ? 1 : 1 / sqrt(square);
	for (int d = 0; d < g->dim; d++)
		out[d] = (float)((double)from[d] * scale);
	return PHIZ_OK;
}

static enum phiz_status check_name(struct phiz_gallery *g, const char *name)
{
	size_t size = strlen(name);
	bool good = size > 0 && size <= PHIZ_NAME_MAX_BYTES && phiz_utf8_valid(name, size) && name[0] != ' ' &&
	            name[size - 1] != ' ';

	for (size_t i = 0; i < size && good; i++)
		good = (unsigned char)name[i] >= 0x20 && name[i] != 0x7f;
	if (!good)
		return phiz_fail(g->ctx, PHIZ_E_ARG, "a person's name is 1 to %d bytes of UTF-8 without control characters and "
		                 "without blanks at its ends", PHIZ_NAME_MAX_BYTES);
	if (!strcmp(name, "unknown"))
		return phiz_fail(g->ctx, PHIZ_E_ARG, "nobody can be called 'unknown': that is the answer for strangers");
	return PHIZ_OK;
}

static enum phiz_status add_to_names(void *user, const struct phiz_person *person)
{
	void **to = user;
	struct phiz_gallery *g = to[0];

	return phiz_names_add(g->ctx, to[1], person->name);
}

static enum phiz_status not_found(struct phiz_gallery *g, const char *name)
{
	struct phiz_names names = {0};
	void *user[2] = {g, &names};
	int64_t n = 0;
	enum phiz_status status = phiz_sql_int(g, &n, "SELECT count(*) FROM person", "");

	if (!status && n < SUGGEST_FROM)
		status = phiz_gallery_people(g, add_to_names, user);
	if (!status) {
		const char *near = phiz_suggest(name, (const char *const *)names.name, names.count);
		status = phiz_fail(g->ctx, PHIZ_E_NOTFOUND, "%s: there is no %.200s%s%.200s%s", g->path, name,
		                   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	}
	phiz_names_free(g->ctx, &names);
	return status;
}

/* *id: 0 if there is none. */
static enum phiz_status look_up(struct phiz_gallery *g, const char *name, int64_t *id)
{
	enum phiz_status status = phiz_sql_int(g, id, "SELECT id FROM person WHERE name = ?", "t", name);

	return status == PHIZ_E_NOTFOUND ? PHIZ_OK : status;
}

enum phiz_status phiz_person_find(struct phiz_gallery *g, const char *name, int64_t *id)
{
	enum phiz_status status = look_up(g, name, id);

	return status || *id ? status : not_found(g, name);
}

bool phiz_gallery_has(struct phiz_gallery *g, const char *name)
{
	int64_t id = 0;

	return !look_up(g, name, &id) && id != 0;
}

enum phiz_status phiz_generation_bump(struct phiz_gallery *g)
{
	return phiz_sql_run(g, "UPDATE state SET generation = generation + 1", "");
}

/* Has the person a photo of this kind with exactly this embedding? */
static enum phiz_status has_photo(struct phiz_gallery *g, int64_t person, int kind, const float *embedding,
                                  float *scratch, bool *has)
{
	sqlite3_stmt *stmt;
	bool row = true;
	enum phiz_status status = phiz_sql_open(g, &stmt, "SELECT id, embedding FROM photo WHERE person = ? AND kind = ?",
	                                        "ii", person, (int64_t)kind);

	*has = false;
	while (!status && !*has) {
		status = phiz_sql_step(g, stmt, &row);
		if (status || !row)
			break;
		status = phiz_unseal(g, sqlite3_column_int64(stmt, 0), person, kind, sqlite3_column_blob(stmt, 1),
		                     (size_t)sqlite3_column_bytes(stmt, 1), scratch);
		*has = !status && !memcmp(scratch, embedding, (size_t)g->dim * sizeof *scratch);
	}
	sqlite3_finalize(stmt);
	return status;
}

static enum phiz_status add_photo(struct phiz_gallery *g, int64_t person, int kind, const struct phiz_template *photo,
                                  const float *embedding, unsigned char *sealed)
{
	size_t size = phiz_seal_size(g);
	int64_t id;

	/* The id is part of what is sealed, so the row comes first. */
	enum phiz_status status = phiz_sql_run(g, "INSERT INTO photo(person, kind, embedding, source, quality, created) "
	                                       "VALUES(?, ?, zeroblob(?), substr(?, 1, ?), "
	                                       "CASE WHEN ? < 0 THEN NULL ELSE ? END, ?)", "iiitiddi", person,
	                                       (int64_t)kind,
	                                       (int64_t)size, photo->source, (int64_t)MAX_SOURCE, photo->quality,
	                                       photo->quality, photo->created > 0 ? photo->created : (int64_t)time(NULL));
	if (status)
		return status;
	id = sqlite3_last_insert_rowid(g->db);
	phiz_seal(g, id, person, kind, embedding, sealed);
	return phiz_sql_run(g, "UPDATE photo SET embedding = ? WHERE id = ?", "bi", sealed, size, id);
}

enum phiz_status phiz_photos_add(struct phiz_gallery *g, int64_t person, int kind, const struct phiz_template *photo,
                                 int n, int *added)
{
	float *embedding = phiz_alloc(g->ctx, 2 * (size_t)g->dim, sizeof *embedding);
	unsigned char *sealed = phiz_alloc(g->ctx, phiz_seal_size(g), 1);
	enum phiz_status status = embedding && sealed ? PHIZ_OK : PHIZ_E_NOMEM;
	bool has;

	for (int i = 0; i < n && !status; i++) {
		status = phiz_embedding_normalize(g, photo[i].embedding, embedding);
		if (!status)
			status = has_photo(g, person, kind, embedding, embedding + g->dim, &has);
		if (!status && !has) {
			status = add_photo(g, person, kind, &photo[i], embedding, sealed);
			++*added;
		}
	}
	phiz_free(g->ctx, sealed);
	phiz_free(g->ctx, embedding);
	return status;
}

static enum phiz_status check_options(struct phiz_gallery *g, const struct phiz_person_options *o)
{
	if (o && o->consent && (strlen(o->consent) > MAX_CONSENT || !phiz_utf8_valid(o->consent, strlen(o->consent))))
		return phiz_fail(g->ctx, PHIZ_E_ARG, "a consent note is at most %d bytes of UTF-8", MAX_CONSENT);
	if (o && (o->keep_days < 0 || o->keep_days > MAX_KEEP_DAYS))
		return phiz_fail(g->ctx, PHIZ_E_ARG, "photos are kept for 1 to %d days", MAX_KEEP_DAYS);
	return PHIZ_OK;
}

static enum phiz_status check_bound(struct phiz_gallery *g, const struct phiz_template *photo, int n)
{
	if (!g->dim)
		return phiz_fail(g->ctx, PHIZ_E_ARG, "%s: is not bound to a model yet (phiz_gallery_bind)", g->path);
	return photo && n > 0 ? PHIZ_OK : phiz_fail(g->ctx, PHIZ_E_ARG, "no photos to add");
}

static enum phiz_status enroll(struct phiz_gallery *g, const char *name, const struct phiz_template *photo, int n,
                               const struct phiz_person_options *o, int *added)
{
	int64_t id;
	enum phiz_status status = look_up(g, name, &id);
	bool is_new = !status && !id;

	if (is_new) {
		status = phiz_sql_run(g, "INSERT INTO person(name, created) VALUES(?, ?)", "ti", name, (int64_t)time(NULL));
		id = sqlite3_last_insert_rowid(g->db);
	}
	if (!status && o && o->consent)
		status = phiz_sql_run(g, "UPDATE person SET consent = ? WHERE id = ?", "ti", o->consent, id);
	if (!status && o && o->keep_days)
		status = phiz_sql_run(g, "UPDATE person SET keep_days = ? WHERE id = ?", "ii", o->keep_days, id);
	if (!status)
		status = phiz_photos_add(g, id, 0, photo, n, added);
	if (!status && *added)
		status = phiz_generation_bump(g);
	if (!status && (*added || is_new || (o && (o->consent || o->keep_days))))
		status = phiz_audit_add(g, "enroll", "%s: %d photos%s%s%.500s", name, *added, is_new ? ", new" : "",
		                        o && o->consent ? ", consent: " : "", o && o->consent ? o->consent : "");
	return status;
}

enum phiz_status phiz_gallery_enroll(struct phiz_gallery *g, const char *name, const struct phiz_template *photo, int n,
                                     const struct phiz_person_options *options, int *added)
{
	int count = 0;
	enum phiz_status status = check_bound(g, photo, n);

	if (!status)
		status = check_name(g, name);
	if (!status)
		status = check_options(g, options);
	if (!status)
		status = phiz_sql_begin(g);
	if (status)
		return status;
	status = phiz_sql_end(g, enroll(g, name, photo, n, options, &count));
	if (added)
		*added = status ? 0 : count;
	return status;
}

enum phiz_status phiz_gallery_reject(struct phiz_gallery *g, const char *name, const struct phiz_template *photo, int n,
                                     int *added)
{
	int count = 0;
	int64_t id;
	enum phiz_status status = check_bound(g, photo, n);

	if (!status)
		status = phiz_sql_begin(g);
	if (status)
		return status;
	status = phiz_person_find(g, name, &id);
	if (!status)
		status = phiz_photos_add(g, id, 1, photo, n, &count);
	if (!status && count)
		status = phiz_generation_bump(g);
	if (!status && count)
		status = phiz_audit_add(g, "reject", "%s: %d photos that are not", name, count);
	status = phiz_sql_end(g, status);
	if (added)
		*added = status ? 0 : count;
	return status;
}

/* Photos and counterexamples of a person at once. */
enum phiz_status phiz_person_import(struct phiz_gallery *g, const char *name, const struct phiz_template *photo, int n,
                                    const struct phiz_template *rejected, int n_rejected,
                                    const struct phiz_person_options *options, int *added)
{
	int64_t id;
	int counters = 0;
	enum phiz_status status = check_name(g, name);

	*added = 0;
	if (!status)
		status = check_options(g, options);
	if (!status)
		status = phiz_sql_begin(g);
	if (status)
		return status;
	if (n > 0)
		status = enroll(g, name, photo, n, options, added);
	if (!status)
		status = phiz_person_find(g, name, &id);
	if (!status && n_rejected > 0)
		status = phiz_photos_add(g, id, 1, rejected, n_rejected, &counters);
	if (!status && counters)
		status = phiz_generation_bump(g);
	if (!status && counters)
		status = phiz_audit_add(g, "reject", "%s: %d photos that are not", name, counters);
	status = phiz_sql_end(g, status);
	*added = status ? 0 : *added + counters;
	return status;
}

enum phiz_status phiz_gallery_rename(struct phiz_gallery *g, const char *name, const char *to)
{
	int64_t id, other;
	enum phiz_status status = check_name(g, to);

	if (!status)
		status = phiz_sql_begin(g);
	if (status)
		return status;
	status = phiz_person_find(g, name, &id);
	if (!status)
		status = look_up(g, to, &other);
	if (!status && other && other != id)
		status = phiz_fail(g->ctx, PHIZ_E_ARG, "%s: there is a %s already: phiz gallery merge makes one person of two",
		                   g->path, to);
	if (!status)
		status = phiz_sql_run(g, "UPDATE person SET name = ? WHERE id = ?", "ti", to, id);
	if (!status)
		status = phiz_audit_add(g, "rename", "%s to %s", name, to);
	return phiz_sql_end(g, status);
}

/* One photo at a time: each is sealed for its person. */
static enum phiz_status move_photos(struct phiz_gallery *g, int64_t from, int64_t into)
{
	float *embedding = phiz_alloc(g->ctx, (size_t)g->dim + 1, sizeof *embedding);
	unsigned char *sealed = phiz_alloc(g->ctx, phiz_seal_size(g) + 1, 1);
	enum phiz_status status = embedding && sealed ? PHIZ_OK : PHIZ_E_NOMEM;
	bool row = true;

	while (!status && row) {
		sqlite3_stmt *stmt;
		int64_t id = 0;
		int kind = 0;
		status = phiz_sql_open(g, &stmt, "SELECT id, kind, embedding FROM photo WHERE person = ? LIMIT 1", "i", from);
		if (!status)
			status = phiz_sql_step(g, stmt, &row);
		if (!status && row) {
			id = sqlite3_column_int64(stmt, 0);
			kind = sqlite3_column_int(stmt, 1);
			status = phiz_unseal(g, id, from, kind, sqlite3_column_blob(stmt, 2), (size_t)sqlite3_column_bytes(stmt, 2),
			                     embedding);
		}
		sqlite3_finalize(stmt);
		if (!status && row) {
			phiz_seal(g, id, into, kind, embedding, sealed);
			status = phiz_sql_run(g, "UPDATE photo SET person = ?, embedding = ? WHERE id = ?", "ibi", into, sealed,
			                      phiz_seal_size(g), id);
		}
	}
	phiz_free(g->ctx, sealed);
	phiz_free(g->ctx, embedding);
	return status;
}

enum phiz_status phiz_gallery_merge(struct phiz_gallery *g, const char *from, const char *into)
{
	int64_t a, b;
	enum phiz_status status = phiz_sql_begin(g);

	if (status)
		return status;
	status = phiz_person_find(g, from, &a);
	if (!status)
		status = phiz_person_find(g, into, &b);
	if (!status && a == b)
		status = phiz_fail(g->ctx, PHIZ_E_ARG, "%s: cannot be merged into itself", from);
	if (!status)
		status = move_photos(g, a, b);
	if (!status)
		status = phiz_sql_run(g, "DELETE FROM person WHERE id = ?", "i", a);
	if (!status)
		status = phiz_generation_bump(g);
	if (!status)
		status = phiz_audit_add(g, "merge", "%s into %s", from, into);
	return phiz_sql_end(g, status);
}

static enum phiz_status empty_log(struct phiz_gallery *g)
{
	sqlite3_stmt *stmt;
	bool row = false;
	enum phiz_status status = phiz_sql_open(g, &stmt, "PRAGMA wal_checkpoint(TRUNCATE)", "");

	if (!status)
		status = phiz_sql_step(g, stmt, &row);
	if (!status && row && sqlite3_column_int(stmt, 0))
		status = phiz_fail(g->ctx, PHIZ_E_IO, "%s: another program holds it open, so that bytes of what was removed "
		                   "may be left in its files: close that and erase again (phiz gallery purge does)", g->path);
	sqlite3_finalize(stmt);
	return status;
}

/* Leaves no byte of what was deleted: free pages are overwritten when the log is written back (secure_delete), then the
 * file is written anew, and the log is emptied. */
static enum phiz_status erase_remains(struct phiz_gallery *g)
{
	enum phiz_status status = empty_log(g);

	if (!status)
		status = phiz_sql_script(g, "VACUUM");
	return status ? status : empty_log(g);
}

/* The means of a matrix file are made of what goes, so it goes too. */
static enum phiz_status after_removal(struct phiz_gallery *g, bool erase)
{
	phiz_index_free(g);
	enum phiz_status status = phiz_matrix_erase(g);

	return status || !erase ? status : erase_remains(g);
}

static enum phiz_status remove_person(struct phiz_gallery *g, const char *name, const char *action)
{
	int64_t id;
	enum phiz_status status = phiz_sql_begin(g);

	if (status)
		return status;
	status = phiz_person_find(g, name, &id);
	if (!status)
		status = phiz_sql_run(g, "DELETE FROM person WHERE id = ?", "i", id);
	if (!status)
		status = phiz_generation_bump(g);
	if (!status)
		status = phiz_audit_add(g, action, "%s", name);
	return phiz_sql_end(g, status);
}

enum phiz_status phiz_gallery_remove(struct phiz_gallery *g, const char *name, bool erase)
{
	enum phiz_status status = remove_person(g, name, erase ? "erase" : "remove");

	return status ? status : after_removal(g, erase);
}

enum phiz_status phiz_gallery_remove_photo(struct phiz_gallery *g, const char *name, int64_t id, bool erase)
{
	int64_t person;
	enum phiz_status status = phiz_sql_begin(g);

	if (status)
		return status;
	status = phiz_person_find(g, name, &person);
	if (!status)
		status = phiz_sql_run(g, "DELETE FROM photo WHERE id = ? AND person = ?", "ii", id, person);
	if (!status && sqlite3_changes(g->db) != 1)
		status = phiz_fail(g->ctx, PHIZ_E_NOTFOUND, "%s: %s has no photo %" PRId64 ": phiz gallery show lists them",
		                   g->path,
		                   name, id);
	if (!status)
		status = phiz_generation_bump(g);
	if (!status)
		status = phiz_audit_add(g, erase ? "erase" : "remove", "%s: photo %" PRId64, name, id);
	status = phiz_sql_end(g, status);
	return status ? status : after_removal(g, erase);
}

static enum phiz_status names_due(struct phiz_gallery *g, int64_t now, int64_t older, struct phiz_names *names)
{
	sqlite3_stmt *stmt;
	bool row = true;
	enum phiz_status status = phiz_sql_open(g, &stmt,
		"SELECT p.name, p.keep_days, max(p.created, coalesce((SELECT max(created) FROM photo WHERE person = p.id "
		"AND kind = 0), 0)) AS last FROM person p WHERE (p.keep_days > 0 AND last + p.keep_days * 86400 <= ?1) "
		"OR (?2 > 0 AND last + ?2 * 86400 < ?1) ORDER BY p.name", "ii", now, older);

	while (!status && row) {
		status = phiz_sql_step(g, stmt, &row);
		if (!status && row)
			status = phiz_names_add(g->ctx, names, phiz_sql_text(stmt, 0));
	}
	sqlite3_finalize(stmt);
	return status;
}

enum phiz_status phiz_gallery_purge(struct phiz_gallery *g, int64_t now, int64_t older_than_days,
                                    void (*each)(void *user, const char *name), void *user, int64_t *removed)
{
	struct phiz_names names = {0};
	enum phiz_status status;

	*removed = 0;
	if (older_than_days < 0 || older_than_days > MAX_KEEP_DAYS)
		return phiz_fail(g->ctx, PHIZ_E_ARG, "want an age of 1 to %d days", MAX_KEEP_DAYS);
	status = names_due(g, now, older_than_days, &names);
	for (size_t i = 0; i < names.count && !status; i++)
		status = remove_person(g, names.name[i], "purge");
	if (!status) /* also what an earlier erasure could not reach */
		status = after_removal(g, true);
	for (size_t i = 0; i < names.count && !status; i++) {
		++*removed;
		if (each)
			each(user, names.name[i]);
	}
	phiz_names_free(g->ctx, &names);
	return status;
}

enum phiz_status phiz_gallery_people(struct phiz_gallery *g, phiz_person_fn each, void *user)
{
	sqlite3_stmt *stmt;
	bool row = true;
	enum phiz_status status = phiz_sql_open(g, &stmt,
		"SELECT id, name, created, consent, keep_days, (SELECT count(*) FROM photo WHERE person = p.id AND kind = 0), "
		"(SELECT count(*) FROM photo WHERE person = p.id AND kind = 1), "
		"coalesce((SELECT max(created) FROM photo WHERE person = p.id AND kind = 0), created) FROM person p ORDER BY "
			"name",
		"");

	while (!status && row) {
		status = phiz_sql_step(g, stmt, &row);
		if (status || !row)
			break;
		struct phiz_person p = {
			.id = sqlite3_column_int64(stmt, 0), .name = phiz_sql_text(stmt, 1),
			.created = sqlite3_column_int64(stmt, 2), .consent = (const char *)sqlite3_column_text(stmt, 3),
			.keep_days = sqlite3_column_int64(stmt, 4), .photos = sqlite3_column_int64(stmt, 5),
			.rejected = sqlite3_column_int64(stmt, 6), .last = sqlite3_column_int64(stmt, 7),
		};
		status = each(user, &p);
	}
	sqlite3_finalize(stmt);
	return status;
}

enum phiz_status phiz_gallery_photos(struct phiz_gallery *g, const char *name, phiz_photo_fn each, void *user)
{
	sqlite3_stmt *stmt = NULL;
	bool row = true;
	int64_t id;
	enum phiz_status status = phiz_person_find(g, name, &id);

	if (!status)
		status = phiz_sql_open(g, &stmt, "SELECT id, kind, source, coalesce(quality, -1), created FROM photo WHERE "
		                       "person = ? ORDER BY kind, id", "i", id);
	while (!status && row) {
		status = phiz_sql_step(g, stmt, &row);
		if (status || !row)
			break;
		struct phiz_photo p = {
			.id = sqlite3_column_int64(stmt, 0), .rejected = sqlite3_column_int(stmt, 1) != 0,
			.source = (const char *)sqlite3_column_text(stmt, 2), .quality = sqlite3_column_double(stmt, 3),
			.created = sqlite3_column_int64(stmt, 4),
		};
		status = each(user, &p);
	}
	sqlite3_finalize(stmt);
	return status;
}
