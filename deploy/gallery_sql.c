/* Statements of SQLite with the gallery's errors. */
#include <stdarg.h>
#include <string.h>

#include "core/base/error.h"
#include "deploy/gallery.h"

enum phiz_status phiz_sql_fail(struct phiz_gallery *g, const char *what)
{
	int code = g->db ? sqlite3_extended_errcode(g->db) : SQLITE_NOMEM;
	const char *text = g->db ? sqlite3_errmsg(g->db) : "out of memory";

	switch (code & 0xff) {
	case SQLITE_NOMEM:
		return phiz_fail(g->ctx, PHIZ_E_NOMEM, "%s: %s: out of memory", g->path, what);
	case SQLITE_NOTADB:
		return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: is not a gallery: not an SQLite file", g->path);
	case SQLITE_CORRUPT:
		return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: is damaged (%s): go back to a copy of it, or make a new one by "
		                 "phiz gallery import", g->path, text);
	case SQLITE_FULL:
		return phiz_fail(g->ctx, PHIZ_E_IO, "%s: %s: disk full: free some space; the gallery is as it was", g->path,
		                 what);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return phiz_fail(g->ctx, PHIZ_E_IO, "%s: %s: another program is at it: try again", g->path, what);
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		return phiz_fail(g->ctx, PHIZ_E_IO, "%s: %s: %s", g->path, what, text);
	case SQLITE_ERROR: /* no such table or column: not made by the statements of gallery_schema.c */
		return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: is no sound gallery: %s", g->path, text);
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
		return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: %s: %s", g->path, what, text);
	case SQLITE_TOOBIG:
		return phiz_fail(g->ctx, PHIZ_E_LIMIT, "%s: %s: %s", g->path, what, text);
	default:
		return phiz_fail(g->ctx, PHIZ_E_INTERNAL, "%s: %s: %s (SQLite code %d)", g->path, what, text, code);
	}
}

static bool bind(sqlite3_stmt *stmt, const char *types, va_list args)
{
	int code = SQLITE_OK;

	for (int i = 1; *types && code == SQLITE_OK; i++, types++) {
		if (*types == 'i') {
			code = sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
		} else if (*types == 'd') {
			code = sqlite3_bind_double(stmt, i, va_arg(args, double));
		} else if (*types == 't') {
			const char *text = va_arg(args, const char *);
			code = text ? sqlite3_bind_text(stmt, i, text, -1, SQLITE_TRANSIENT) : sqlite3_bind_null(stmt, i);
		} else {
			const void *data = va_arg(args, const void *);
			size_t size = va_arg(args, size_t);
			code = sqlite3_bind_blob64(stmt, i, data, size, SQLITE_TRANSIENT);
		}
	}
	return code == SQLITE_OK;
}

static enum phiz_status open_with(struct phiz_gallery *g, sqlite3_stmt **out, const char *sql, const char *types,
                                  va_list args)
{
	*out = NULL;
	if (sqlite3_prepare_v2(g->db, sql, -1, out, NULL) != SQLITE_OK)
		return phiz_sql_fail(g, "cannot read");
	if (!bind(*out, types, args)) {
		enum phiz_status status = phiz_sql_fail(g, "cannot read");
		sqlite3_finalize(*out);
		*out = NULL;
		return status;
	}
	return PHIZ_OK;
}

enum phiz_status phiz_sql_open(struct phiz_gallery *g, sqlite3_stmt **out, const char *sql, const char *types, ...)
{
	va_list args;

	va_start(args, types);
	enum phiz_status status = open_with(g, out, sql, types, args);
	va_end(args);
	return status;
}

enum phiz_status phiz_sql_step(struct phiz_gallery *g, sqlite3_stmt *stmt, bool *row)
{
	int code = sqlite3_step(stmt);

	*row = code == SQLITE_ROW;
	return code == SQLITE_ROW || code == SQLITE_DONE ? PHIZ_OK : phiz_sql_fail(g, "cannot read or write");
}

enum phiz_status phiz_sql_run(struct phiz_gallery *g, const char *sql, const char *types, ...)
{
	sqlite3_stmt *stmt;
	va_list args;
	bool row = false;

	va_start(args, types);
	enum phiz_status status = open_with(g, &stmt, sql, types, args);
	va_end(args);
	do {
		if (!status)
			status = phiz_sql_step(g, stmt, &row);
	} while (!status && row);
	sqlite3_finalize(stmt);
	return status;
}

enum phiz_status phiz_sql_int(struct phiz_gallery *g, int64_t *out, const char *sql, const char *types, ...)
{
	sqlite3_stmt *stmt;
	va_list args;
	bool row = false;

	*out = 0;
	va_start(args, types);
	enum phiz_status status = open_with(g, &stmt, sql, types, args);
	va_end(args);
	if (!status)
		status = phiz_sql_step(g, stmt, &row);
	if (!status && row)
		*out = sqlite3_column_int64(stmt, 0);
	else if (!status)
		status = PHIZ_E_NOTFOUND;
	sqlite3_finalize(stmt);
	return status;
}

enum phiz_status phiz_sql_script(struct phiz_gallery *g, const char *sql)
{
	return sqlite3_exec(g->db, sql, NULL, NULL, NULL) == SQLITE_OK ? PHIZ_OK : phiz_sql_fail(g, "cannot write");
}

enum phiz_status phiz_sql_begin(struct phiz_gallery *g)
{
	return phiz_sql_script(g, "BEGIN IMMEDIATE");
}

enum phiz_status phiz_sql_end(struct phiz_gallery *g, enum phiz_status status)
{
	if (!status)
		status = phiz_sql_script(g, "COMMIT");
	if (status && !sqlite3_get_autocommit(g->db))
		sqlite3_exec(g->db, "ROLLBACK", NULL, NULL, NULL); /* the first error is the one to tell */
	return status;
}

const char *phiz_sql_text(sqlite3_stmt *stmt, int column)
{
	const unsigned char *text = sqlite3_column_text(stmt, column);

	return text ? (const char *)text : "";
}
