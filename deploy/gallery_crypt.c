/* Embeddings under a key: Argon2id from a passphrase (or BLAKE2b from a key file), XChaCha20-Poly1305 per photo. */
#include <sodium.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "deploy/gallery.h"

enum {
	OPS = 3,                /* passes of Argon2id over */
	MEMORY = 64 << 20,      /* so many bytes: a fraction of a second on a PC, some seconds on a small board */
	MAX_OPS = 64, MAX_MEMORY = 1 << 30, /* of a file that may be hostile */
	MIN_KEY_FILE = 32, MAX_KEY_FILE = 1 << 20,
	SALT = crypto_pwhash_SALTBYTES
};

static void subkey(unsigned char *out, const unsigned char *master, const char *use)
{
	crypto_generichash(out, PHIZ_KEY_BYTES, (const unsigned char *)use, strlen(use), master, PHIZ_KEY_BYTES);
}

static enum phiz_status from_file(struct phiz_gallery *g, const char *path, const unsigned char *salt,
                                  unsigned char *master)
{
	struct phiz_bytes text;

	phiz_bytes_init(&text, g->ctx);
	enum phiz_status status = phiz_file_read(g->ctx, path, MAX_KEY_FILE, &text);
	if (!status && text.size < MIN_KEY_FILE)
		status = phiz_fail(g->ctx, PHIZ_E_ARG, "%s: want a key file of %d bytes or more, such as head -c 32 "
		                   "/dev/urandom makes", path, MIN_KEY_FILE);
	if (!status)
		crypto_generichash(master, PHIZ_KEY_BYTES, (const unsigned char *)text.data, text.size, salt, SALT);
	if (text.data)
		sodium_memzero(text.data, text.size);
	phiz_bytes_free(&text);
	return status;
}

static enum phiz_status derive(struct phiz_gallery *g, const struct phiz_gallery_options *o, const unsigned char *salt,
                               int64_t ops, int64_t memory, unsigned char *proof)
{
	unsigned char master[PHIZ_KEY_BYTES];
	enum phiz_status status = PHIZ_OK;

	if (o->key_file)
		status = from_file(g, o->key_file, salt, master);
	else if (crypto_pwhash(master, sizeof master, o->passphrase, strlen(o->passphrase), salt, (unsigned long long)ops,
	                       (size_t)memory, crypto_pwhash_ALG_ARGON2ID13))
		status = phiz_fail(g->ctx, PHIZ_E_NOMEM, "%s: no %lld MiB of memory to make the key from the passphrase",
		                   g->path,
		                   (long long)memory >> 20);
	if (!status) {
		subkey(g->key.seal, master, "phiz gallery seal");
		subkey(g->key.audit, master, "phiz gallery audit");
		subkey(proof, master, "phiz gallery proof");
	}
	sodium_memzero(master, sizeof master);
	return status;
}

enum phiz_status phiz_key_create(struct phiz_gallery *g, const struct phiz_gallery_options *o)
{
	unsigned char salt[SALT], proof[PHIZ_KEY_BYTES];

	if (!o->key_file && (!o->passphrase || !*o->passphrase))
		return phiz_fail(g->ctx, PHIZ_E_ARG, "%s: encryption wants a passphrase or a key file", g->path);
	if (sodium_init() < 0)
		return phiz_fail(g->ctx, PHIZ_E_INTERNAL, "%s: no randomness for a key", g->path);
	randombytes_buf(salt, sizeof salt);
	enum phiz_status status = derive(g, o, salt, OPS, MEMORY, proof);
	if (!status)
		status = phiz_sql_run(g, "UPDATE state SET kdf = ?, salt = ?, ops = ?, memory = ?, proof = ?", "tbiib",
		                      o->key_file ? "file" : "argon2id", salt, sizeof salt, (int64_t)OPS, (int64_t)MEMORY,
		                      proof,
		                      sizeof proof);
	g->key.on = !status;
	return status;
}

static enum phiz_status open_key(struct phiz_gallery *g, const struct phiz_gallery_options *o, sqlite3_stmt *stmt)
{
	unsigned char salt[SALT], want[PHIZ_KEY_BYTES], proof[PHIZ_KEY_BYTES];
	bool file = !strcmp(phiz_sql_text(stmt, 0), "file");
	int64_t ops = sqlite3_column_int64(stmt, 2), memory = sqlite3_column_int64(stmt, 3);

	if ((!file && strcmp(phiz_sql_text(stmt, 0), "argon2id")) || sqlite3_column_bytes(stmt, 1) != SALT ||
	    sqlite3_column_bytes(stmt, 4) != PHIZ_KEY_BYTES || ops < 1 || ops > MAX_OPS || memory < 8 << 10 ||
	    memory > MAX_MEMORY)
		return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: is damaged: what it says of its key makes no sense", g->path);
	if (file && !o->key_file)
		return phiz_fail(g->ctx, PHIZ_E_ARG, "%s: is encrypted under a key file: --key FILE", g->path);
	if (!file && (o->key_file || !o->passphrase))
		return phiz_fail(g->ctx, PHIZ_E_ARG, "%s: is encrypted under a passphrase: PHIZ_GALLERY_PASSPHRASE, or type it",
		                 g->path);
	memcpy(salt, sqlite3_column_blob(stmt, 1), SALT);
	memcpy(want, sqlite3_column_blob(stmt, 4), PHIZ_KEY_BYTES);
	enum phiz_status status = derive(g, o, salt, ops, memory, proof);
	if (!status && sodium_memcmp(want, proof, sizeof proof))
		status = phiz_fail(g->ctx, PHIZ_E_ARG, "%s: this is not the %s that it was encrypted under", g->path,
		                   file ? "key file" : "passphrase");
	g->key.on = !status;
	return status;
}

enum phiz_status phiz_key_open(struct phiz_gallery *g, const struct phiz_gallery_options *o)
{
	sqlite3_stmt *stmt;
	bool row = false;
	enum phiz_status status = phiz_sql_open(g, &stmt, "SELECT kdf, salt, ops, memory, proof FROM state", "");

	if (!status)
		status = phiz_sql_step(g, stmt, &row);
	if (!status && row && sqlite3_column_type(stmt, 0) != SQLITE_NULL) {
		if (sodium_init() < 0)
			status = phiz_fail(g->ctx, PHIZ_E_INTERNAL, "%s: libsodium does not start", g->path);
		else
			status = open_key(g, o, stmt);
	} else if (!status && o->encrypt) {
		status = phiz_fail(g->ctx, PHIZ_E_ARG, "%s: is there already and is not encrypted: export it, and import it "
		                   "into a new one", g->path);
	}
	sqlite3_finalize(stmt);
	return status;
}

size_t phiz_seal_size(const struct phiz_gallery *g)
{
	return (size_t)g->dim * sizeof(float) + (g->key.on ? PHIZ_SEAL_EXTRA : 0);
}

/* What a sealed embedding is bound to: swapped between photos, people, kinds or galleries it does not open. */
enum { BOUND = 16 + 8 + 8 + 1 };

static void bound(const struct phiz_gallery *g, int64_t photo, int64_t person, int kind, unsigned char out[BOUND])
{
	memcpy(out, g->id, 16);
	for (int i = 0; i < 8; i++) {
		out[16 + i] = (unsigned char)((uint64_t)photo >> 8 * i);
		out[24 + i] = (unsigned char)((uint64_t)person >> 8 * i);
	}
	out[32] = (unsigned char)kind;
}

void phiz_seal(const struct phiz_gallery *g, int64_t photo, int64_t person, int kind, const float *embedding,
               unsigned char *out)
{
	unsigned char with[BOUND];
	size_t size = (size_t)g->dim * sizeof(float);

	if (!g->key.on) {
		memcpy(out, embedding, size);
		return;
	}
	bound(g, photo, person, kind, with);
	randombytes_buf(out, 24);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + 24, NULL, (const unsigned char *)(const void *)embedding, size,
	                                           with,
	                                           sizeof with, NULL, out, g->key.seal);
}

enum phiz_status phiz_unseal(struct phiz_gallery *g, int64_t photo, int64_t person, int kind, const void *bytes,
                             size_t size, float *embedding)
{
	unsigned char with[BOUND];
	const unsigned char *p = bytes;

	if (!p || size != phiz_seal_size(g))
		return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: is damaged: the embedding of photo %lld has %zu bytes, want %zu",
		                 g->path, (long long)photo, size, phiz_seal_size(g));
	if (!g->key.on) {
		memcpy(embedding, p, size);
		return PHIZ_OK;
	}
	bound(g, photo, person, kind, with);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)(void *)embedding, NULL, NULL, p + 24, size - 24,
	                                               with,
	                                               sizeof with, p, g->key.seal))
		return phiz_fail(g->ctx, PHIZ_E_FORMAT, "%s: the embedding of photo %lld was changed by another program",
		                 g->path,
		                 (long long)photo);
	return PHIZ_OK;
}
