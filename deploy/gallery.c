/* Opening a gallery, and what it is bound to. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/system.h"
#include "deploy/gallery.h"

/* Faces are private: a new file is for its owner only. */
static enum phiz_status create_file(struct phiz_gallery *g)
{
	int fd = open(g->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno == EEXIST ? PHIZ_OK : phiz_fail_system(g->ctx, g->path, "cannot make a gallery", errno);
}

static enum phiz_status open_database(struct phiz_gallery *g, bool create)
{
	if (!g->memory && !phiz_path_is_file(g->path)) {
		if (phiz_path_is_dir(g->path))
			return phiz_fail(g->ctx, PHIZ_E_ARG, "%s: is a folder; want the file of a gallery", g->path);
		if (!create)
			return phiz_fail(g->ctx, PHIZ_E_NOTFOUND, "%s: no gallery here: phiz enroll makes one", g->path);
		enum phiz_status status = create_file(g);
		if (status)
			return status;
	}
	if (sqlite3_open_v2(g->memory ? ":memory:" : g->path, &g->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		return phiz_sql_fail(g, "cannot open");
	sqlite3_extended_result_codes(g->db, 1);
	sqlite3_busy_timeout(g->db, 10000);
#ifdef SQLITE_DBCONFIG_DEFENSIVE
	sqlite3_db_config(g->db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
#endif
	return PHIZ_OK;
}

static enum phiz_status set_up(struct phiz_gallery *g)
{
	sqlite3_stmt *stmt;
	bool row = false;
	enum phiz_status status = phiz_sql_open(g, &stmt, "PRAGMA journal_mode=WAL", "");

	if (!status)
		status = phiz_sql_step(g, stmt, &row);
	if (!status && !g->memory && (!row || strcmp(phiz_sql_text(stmt, 0), "wal")))
		status = phiz_fail(g->ctx, PHIZ_E_IO, "%s: this file system cannot keep a write-ahead log: put the gallery on "
		                   "a local disk", g->path);
	sqlite3_finalize(stmt);
	/* trusted_schema is unknown to old SQLites, which pass over it. */
	if (!status)
		status = phiz_sql_script(g, "PRAGMA synchronous=FULL;PRAGMA foreign_keys=ON;PRAGMA secure_delete=ON;"
		                         "PRAGMA trusted_schema=OFF;PRAGMA temp_store=MEMORY");
	return status;
}

enum phiz_status phiz_state_read(struct phiz_gallery *g)
{
	sqlite3_stmt *stmt;
	bool row = false;
	enum phiz_status status = phiz_sql_open(g, &stmt, "SELECT gallery, dim, model FROM state", "");

	if (!status)
		status = phiz_sql_step(g, stmt, &row);
	if (!status) {
		int64_t dim = row ? sqlite3_column_int64(stmt, 1) : -1;
		size_t length = row ? strlen(phiz_sql_text(stmt, 2)) : 0;
		if (!row || sqlite3_column_bytes(stmt, 0) != 16 || dim < 0 || dim > PHIZ_GALLERY_MAX_DIM ||
		    length != (dim ? 64 : 0)) {
			status = phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: is damaged: its state makes no sense", g->path);
		} else {
			memcpy(g->id, sqlite3_column_blob(stmt, 0), 16);
			g->dim = (int)dim;
			memcpy(g->model, phiz_sql_text(stmt, 2), length + 1);
		}
	}
	sqlite3_finalize(stmt);
	return status;
}

static enum phiz_status open_gallery(struct phiz_gallery *g, const struct phiz_gallery_options *o)
{
	int64_t version = 0;
	bool fresh = false;
	enum phiz_status status = open_database(g, o->create);

	if (!status)
		status = phiz_schema_check(g, &fresh);
	if (!status && fresh && !o->create)
		status = phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: is empty, not a gallery", g->path);
	if (!status && fresh && o->encrypt && !o->key_file && (!o->passphrase || !*o->passphrase))
		status = phiz_fail(g->ctx, PHIZ_E_ARG, "%s: encryption wants a passphrase or a key file", g->path);
	if (!status)
		status = set_up(g);
	if (!status && !fresh)
		status = phiz_sql_int(g, &version, "PRAGMA user_version", "");
	/* The key before the migration writes to the log that is kept under it; version 1 knew no keys. */
	if (!status && version >= 1)
		status = phiz_state_read(g);
	if (!status && version >= 2)
		status = phiz_key_open(g, o);
	if (!status)
		status = phiz_schema_migrate(g, o);
	if (!status && fresh) /* another process made it meanwhile */
		status = phiz_state_read(g);
	if (!status && fresh && !g->key.on)
		status = phiz_key_open(g, o);
	return status;
}

/* path NULL: in memory. */
static enum phiz_status open_at(struct phiz_ctx *ctx, const char *path, const struct phiz_gallery_options *options,
                                struct phiz_gallery **out)
{
	static const struct phiz_gallery_options none = {.create = false};
	const struct phiz_gallery_options *o = options ? options : &none;
	struct phiz_gallery *g = phiz_calloc(ctx, 1, sizeof *g);

	*out = NULL;
	if (!g)
		return PHIZ_E_NOMEM;
	g->ctx = ctx;
	g->memory = !path;
	g->matrix_rows = g->memory ? INT64_MAX : o->matrix_rows > 0 ? o->matrix_rows : 4096;
	g->path = phiz_strdup(ctx, path ? path : "gallery in memory");
	g->matrix_path = path ? phiz_asprintf(ctx, "%s.matrix", path) : NULL;
	enum phiz_status status = g->path && (g->matrix_path || g->memory) ? open_gallery(g, o) : PHIZ_E_NOMEM;
	if (status)
		phiz_gallery_free(&g);
	*out = g;
	return status;
}

enum phiz_status phiz_gallery_open(struct phiz_ctx *ctx, const char *path, const struct phiz_gallery_options *options,
                                   struct phiz_gallery **out)
{
	return open_at(ctx, path, options, out);
}

enum phiz_status phiz_gallery_open_memory(struct phiz_ctx *ctx, const struct phiz_gallery_options *options,
                                          struct phiz_gallery **out)
{
	struct phiz_gallery_options o = options ? *options : (struct phiz_gallery_options){.create = true};

	o.create = true;
	return open_at(ctx, NULL, &o, out);
}

void phiz_gallery_free(struct phiz_gallery **gallery)
{
	struct phiz_gallery *g = *gallery;

	if (!g)
		return;
	struct phiz_ctx *ctx = g->ctx;
	phiz_index_free(g);
	for (int i = 0; i < g->n_names; i++)
		phiz_free(ctx, g->names[i]);
	sqlite3_close(g->db);
	phiz_free(ctx, g->matrix_path);
	phiz_free(ctx, g->path);
	sodium_memzero(&g->key, sizeof g->key);
	phiz_free(ctx, g);
	*gallery = NULL;
}

bool phiz_gallery_is_encrypted(struct phiz_ctx *ctx, const char *path)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	bool encrypted = false;

	(void)ctx;
	if (phiz_path_is_file(path) && sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, "SELECT kdf IS NOT NULL FROM state", -1, &stmt, NULL) == SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		encrypted = sqlite3_column_int(stmt, 0) != 0;
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return encrypted;
}

enum phiz_status phiz_gallery_describe(struct phiz_gallery *g, struct phiz_gallery_info *out)
{
	sqlite3_stmt *stmt;
	bool row = false;

	memset(out, 0, sizeof *out);
	enum phiz_status status = phiz_state_read(g); /* another process may have bound it */
	if (!status)
		status = phiz_sql_open(g, &stmt, "SELECT generation, model_name, (SELECT count(*) FROM person), (SELECT "
		                       "count(*) FROM photo WHERE kind = 0), (SELECT count(*) FROM photo WHERE kind = 1) FROM "
		                       "state",
		                       "");
	if (status)
		return status;
	status = phiz_sql_step(g, stmt, &row);
	if (!status && row) {
		out->generation = sqlite3_column_int64(stmt, 0);
		sqlite3_snprintf(sizeof out->model_name, out->model_name, "%s", phiz_sql_text(stmt, 1));
		out->people = sqlite3_column_int64(stmt, 2);
		out->photos = sqlite3_column_int64(stmt, 3);
		out->rejected = sqlite3_column_int64(stmt, 4);
	}
	sqlite3_finalize(stmt);
	memcpy(out->model, g->model, sizeof out->model);
	out->dim = g->dim;
	out->encrypted = g->key.on;
	out->schema = PHIZ_GALLERY_SCHEMA;
	return status;
}

static enum phiz_status refuse_model(struct phiz_gallery *g, const char *hash, int dim, const char *name)
{
	struct phiz_gallery_info info;
	enum phiz_status status = phiz_gallery_describe(g, &info);

	if (status)
		return status;
	return phiz_fail(g->ctx, PHIZ_E_ARG, "%s: its embeddings were made by %.100s (%.12s, %d numbers), not by %.100s "
	                 "(%.12s, %d): they cannot be compared; use that model, or enrol into another --gallery", g->path,
	                 *info.model_name ? info.model_name : "another model", g->model, g->dim, name, hash, dim);
}

enum phiz_status phiz_gallery_bind(struct phiz_gallery *g, const char *hash, int dim, const char *name)
{
	enum phiz_status status;

	if (strlen(hash) != 64 || strspn(hash, "0123456789abcdef") != 64 || dim < 1 || dim > PHIZ_GALLERY_MAX_DIM)
		return phiz_fail(g->ctx, PHIZ_E_ARG, "a gallery is bound to a model by its hash (64 hex digits) and 1 to %d "
		                 "dimensions", PHIZ_GALLERY_MAX_DIM);
	if (!name || !*name)
		name = "this model";
	if (!g->dim) {
		status = phiz_sql_begin(g);
		if (status)
			return status;
		status = phiz_state_read(g);
		if (!status && !g->dim)
			status = phiz_sql_run(g, "UPDATE state SET model = ?, model_name = ?, dim = ?", "tti", hash, name,
			                      (int64_t)dim);
		status = phiz_sql_end(g, status);
		if (!status)
			status = phiz_state_read(g);
		if (status)
			return status;
	}
	return g->dim == dim && !strcmp(g->model, hash) ? PHIZ_OK : refuse_model(g, hash, dim, name);
}
