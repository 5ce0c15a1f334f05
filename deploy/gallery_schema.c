/* The tables of a gallery, version by version. A new gallery goes through all of them. The SQL is that of SQLite 3.22.
 */
#include <string.h>

#include "core/base/error.h"
#include "deploy/gallery.h"

/* Version 1: people, their photos' embeddings, the model that made them, the log. kind: 0 photo, 1 rejected. */
static const char version_1[] =
	"CREATE TABLE state(one INTEGER PRIMARY KEY CHECK(one = 1), gallery BLOB NOT NULL, generation INTEGER NOT NULL,"
	" model TEXT, model_name TEXT, dim INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE person(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,"
	" consent TEXT);CREATE TABLE photo(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" person INTEGER NOT NULL REFERENCES person(id) ON DELETE CASCADE, kind INTEGER NOT NULL CHECK(kind IN (0, 1)),"
	" embedding BLOB NOT NULL, source TEXT, quality REAL, created INTEGER NOT NULL);"
	"CREATE INDEX photo_person ON photo(person, kind);"
	"CREATE TABLE audit(id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, action TEXT NOT NULL,"
	" detail TEXT NOT NULL, hash BLOB NOT NULL);"
	"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;"
	"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;"
	"INSERT INTO state(one, gallery, generation) VALUES(1, randomblob(16), 1);";

/* Version 2: how long people are kept, encryption, thresholds with their interval. */
static const char version_2[] =
	"ALTER TABLE person ADD COLUMN keep_days INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE state ADD COLUMN kdf TEXT;ALTER TABLE state ADD COLUMN salt BLOB;"
	"ALTER TABLE state ADD COLUMN ops INTEGER;"
	"ALTER TABLE state ADD COLUMN memory INTEGER;"
	"ALTER TABLE state ADD COLUMN proof BLOB;CREATE TABLE threshold(model TEXT PRIMARY KEY, value REAL NOT NULL, low "
	"REAL NOT NULL, high REAL, far REAL NOT NULL, strangers INTEGER NOT NULL, passed INTEGER NOT NULL, far_high REAL "
	"NOT NULL, created INTEGER NOT NULL);";

static const char *const versions[PHIZ_GALLERY_SCHEMA] = {version_1, version_2};

/* Somebody's own triggers and views would run with each of our statements. */
static enum phiz_status check_objects(struct phiz_gallery *g)
{
	int64_t n = 0;
	enum phiz_status status = phiz_sql_int(g, &n,
		"SELECT count(*) FROM sqlite_master WHERE type IN ('trigger', 'view') AND sql NOT IN ("
		"'CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, ''the log is append-only''); "
			"END','CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, ''the log is "
			"append-only''); END')",
		"");

	if (!status && n)
		return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: holds triggers or views that phiz did not make: refused", g->path);
	return status;
}

enum phiz_status phiz_schema_check(struct phiz_gallery *g, bool *fresh)
{
	int64_t app = 0, version = 0, objects = 0;
	enum phiz_status status = phiz_sql_int(g, &app, "PRAGMA application_id", "");

	*fresh = false;
	if (!status)
		status = phiz_sql_int(g, &version, "PRAGMA user_version", "");
	if (!status)
		status = phiz_sql_int(g, &objects, "SELECT count(*) FROM sqlite_master", "");
	if (status)
		return status;
	if (!app && !version && !objects) {
		*fresh = true;
		return PHIZ_OK;
	}
	if (app != PHIZ_GALLERY_APP || version < 1)
		return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: is an SQLite file of another program, not a gallery", g->path);
	if (version > PHIZ_GALLERY_SCHEMA)
		return phiz_fail(g->ctx, PHIZ_E_UNSUPPORTED, "%s: was made by a newer phiz (schema %lld, this one knows %d): "
		                 "update phiz", g->path, (long long)version, PHIZ_GALLERY_SCHEMA);
	return check_objects(g);
}

static enum phiz_status set_version(struct phiz_gallery *g)
{
	char pragma[96];

	sqlite3_snprintf(sizeof pragma, pragma, "PRAGMA application_id=%d;PRAGMA user_version=%d", PHIZ_GALLERY_APP,
	                 PHIZ_GALLERY_SCHEMA);
	return phiz_sql_script(g, pragma);
}

static enum phiz_status begin_gallery(struct phiz_gallery *g, const struct phiz_gallery_options *o)
{
	enum phiz_status status = phiz_state_read(g);

	if (!status && o->encrypt)
		status = phiz_key_create(g, o);
	return status ? status : phiz_audit_add(g, "create", "schema %d%s", PHIZ_GALLERY_SCHEMA,
	                                        o->encrypt ? ", encrypted" : "");
}

enum phiz_status phiz_schema_migrate(struct phiz_gallery *g, const struct phiz_gallery_options *o)
{
	int64_t version = 0, from;
	enum phiz_status status = phiz_sql_int(g, &version, "PRAGMA user_version", "");

	if (status || version == PHIZ_GALLERY_SCHEMA)
		return status;
	status = phiz_sql_begin(g);
	if (status)
		return status;
	status = phiz_sql_int(g, &version, "PRAGMA user_version", ""); /* another process may have been quicker */
	from = version;
	for (; !status && version < PHIZ_GALLERY_SCHEMA; version++)
		status = phiz_sql_script(g, versions[version]);
	if (!status && from < version)
		status = set_version(g);
	if (!status && from == 0)
		status = begin_gallery(g, o);
	else if (!status && from < version)
		status = phiz_audit_add(g, "migrate", "schema %lld to %d", (long long)from, PHIZ_GALLERY_SCHEMA);
	return phiz_sql_end(g, status);
}
