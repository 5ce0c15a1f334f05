/* The log of changes, a chain of hashes. */
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "deploy/gallery.h"

enum { HASH = 32, DETAIL = 1024 };

static void add_number(crypto_generichash_state *h, uint64_t v)
{
	unsigned char bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char)(v >> 8 * i);
	crypto_generichash_update(h, bytes, sizeof bytes);
}

static void add_text(crypto_generichash_state *h, const char *text)
{
	add_number(h, strlen(text));
	crypto_generichash_update(h, (const unsigned char *)text, strlen(text));
}

/* The gallery's id is in the chain, so that it cannot be put into another gallery. */
static void hash_entry(const struct phiz_gallery *g, const unsigned char before[HASH], int64_t id, int64_t when,
                       const char *action, const char *detail, unsigned char out[HASH])
{
	crypto_generichash_state h;

	crypto_generichash_init(&h, g->key.on ? g->key.audit : NULL, g->key.on ? PHIZ_KEY_BYTES : 0, HASH);
	crypto_generichash_update(&h, g->id, sizeof g->id);
	crypto_generichash_update(&h, before, HASH);
	add_number(&h, (uint64_t)id);
	add_number(&h, (uint64_t)when);
	add_text(&h, action);
	add_text(&h, detail);
	crypto_generichash_final(&h, out, HASH);
}

static enum phiz_status last_entry(struct phiz_gallery *g, int64_t *id, unsigned char hash[HASH])
{
	sqlite3_stmt *stmt;
	bool row = false;
	enum phiz_status status = phiz_sql_open(g, &stmt, "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1", "");

	*id = 0;
	memset(hash, 0, HASH);
	if (!status)
		status = phiz_sql_step(g, stmt, &row);
	if (!status && row) {
		*id = sqlite3_column_int64(stmt, 0);
		if (sqlite3_column_bytes(stmt, 1) == HASH)
			memcpy(hash, sqlite3_column_blob(stmt, 1), HASH);
	}
	sqlite3_finalize(stmt);
	return status;
}

enum phiz_status phiz_audit_add(struct phiz_gallery *g, const char *action, const char *fmt, ...)
{
	unsigned char before[HASH], hash[HASH];
	char detail[DETAIL];
	int64_t id, now = (int64_t)time(NULL);
	va_list args;

	va_start(args, fmt);
	vsnprintf(detail, sizeof detail, fmt, args);
	va_end(args);
	enum phiz_status status = last_entry(g, &id, before);
	if (status)
		return status;
	hash_entry(g, before, id + 1, now, action, detail, hash);
	return phiz_sql_run(g, "INSERT INTO audit(id, time, action, detail, hash) VALUES(?, ?, ?, ?, ?)", "iittb", id + 1,
	                    now, action, detail, hash, sizeof hash);
}

static void read_entry(sqlite3_stmt *stmt, struct phiz_audit *e)
{
	e->id = sqlite3_column_int64(stmt, 0);
	e->time = sqlite3_column_int64(stmt, 1);
	e->action = phiz_sql_text(stmt, 2);
	e->detail = phiz_sql_text(stmt, 3);
	e->hash[0] = '\0';
	if (sqlite3_column_bytes(stmt, 4) == HASH)
		sodium_bin2hex(e->hash, sizeof e->hash, sqlite3_column_blob(stmt, 4), HASH);
}

static const char entries_sql[] = "SELECT id, time, action, detail, hash FROM audit ORDER BY id";

enum phiz_status phiz_gallery_audit(struct phiz_gallery *g, phiz_audit_fn each, void *user)
{
	struct phiz_audit entry;
	sqlite3_stmt *stmt;
	bool row = true;
	enum phiz_status status = phiz_sql_open(g, &stmt, entries_sql, "");

	while (!status && row) {
		status = phiz_sql_step(g, stmt, &row);
		if (!status && row) {
			read_entry(stmt, &entry);
			status = each(user, &entry);
		}
	}
	sqlite3_finalize(stmt);
	return status;
}

struct check {
	struct phiz_gallery *g;
	const char *head;
	bool seen; /* head */
	int64_t n;
	unsigned char hash[HASH];
};

static enum phiz_status check_entry(void *user, const struct phiz_audit *e)
{
	struct check *c = user;
	char want[2 * HASH + 1];

	if (e->id != c->n + 1)
		return phiz_fail(c->g->ctx, PHIZ_E_FORMAT, "%s: the log was tampered with: entry %lld is missing", c->g->path,
		                 (long long)c->n + 1);
	hash_entry(c->g, c->hash, e->id, e->time, e->action, e->detail, c->hash);
	sodium_bin2hex(want, sizeof want, c->hash, HASH);
	if (strcmp(want, e->hash))
		return phiz_fail(c->g->ctx, PHIZ_E_FORMAT, "%s: the log was tampered with: entry %lld (%.20s) or its hash is "
		                 "not what was written", c->g->path, (long long)e->id, e->action);
	c->n = e->id;
	c->seen = c->seen || (c->head && !strcmp(c->head, want));
	return PHIZ_OK;
}

enum phiz_status phiz_gallery_audit_verify(struct phiz_gallery *g, const char *head, int64_t *entries, char last[65])
{
	struct check c = {.g = g, .head = head};
	enum phiz_status status = phiz_gallery_audit(g, check_entry, &c);

	*entries = c.n;
	sodium_bin2hex(last, 65, c.hash, HASH);
	if (!status && c.n == 0)
		return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: the log was tampered with: it is empty", g->path);
	if (!status && head && !c.seen)
		return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: the log was tampered with: no entry has the hash %.64s: its end "
		                 "was cut off or written anew", g->path, head);
	return status;
}
