/* The inside of a gallery; for deploy only. */
#ifndef PHIZ_DEPLOY_GALLERY_H
#define PHIZ_DEPLOY_GALLERY_H

#include <phiz/gallery.h>
#include <sqlite3.h>

#include "core/base/file.h"

enum { PHIZ_GALLERY_SCHEMA = 2, PHIZ_GALLERY_APP = 0x7068697a }; /* "phiz" */

/* Nonce and tag that a sealed embedding has besides its floats. */
enum { PHIZ_SEAL_EXTRA = 24 + 16, PHIZ_KEY_BYTES = 32 };

struct phiz_gallery_key {
	bool on;
	unsigned char seal[PHIZ_KEY_BYTES], audit[PHIZ_KEY_BYTES];
};

/* A photo that was rejected, of the person with this row. Sorted by row. */
struct phiz_counter {
	int64_t row;
	float *embedding; /* dim floats, in the index's `counters` */
};

/* What is searched: a row per person. */
struct phiz_index {
	bool ready;
	int64_t generation, n, stride;
	const float *rows;      /* n x stride: means, normalised; in `own` or in the map */
	const int64_t *person;  /* ids by row, ascending */
	float *own;
	int64_t *own_person;
	struct phiz_map map;    /* of the matrix file; data NULL: none */
	float *counters;
	struct phiz_counter *counter;
	int64_t n_counters, n_countered; /* n_countered: people with counterexamples */
};

struct phiz_gallery {
	struct phiz_ctx *ctx;
	sqlite3 *db;
	char *path, *matrix_path;
	bool memory; /* no file */
	unsigned char id[16]; /* random, of this file */
	int dim;
	char model[65];
	int64_t matrix_rows;
	struct phiz_gallery_key key;
	struct phiz_index index;
	char *names[PHIZ_GALLERY_MAX_TOP]; /* of the last search */
	int n_names;
};

/* --- gallery_sql.c: statements. types: i int64_t, d double, t const char * (NULL: null), b const void *, size_t --- */
enum phiz_status phiz_sql_fail(struct phiz_gallery *g, const char *what);
enum phiz_status phiz_sql_open(struct phiz_gallery *g, sqlite3_stmt **out, const char *sql, const char *types, ...);
/* *row: is there a row? */
enum phiz_status phiz_sql_step(struct phiz_gallery *g, sqlite3_stmt *stmt, bool *row);
enum phiz_status phiz_sql_run(struct phiz_gallery *g, const char *sql, const char *types, ...);
/* The first column of the first row; NOTFOUND, without a message, if there is no row. */
enum phiz_status phiz_sql_int(struct phiz_gallery *g, int64_t *out, const char *sql, const char *types, ...);
/* Several statements without arguments. */
enum phiz_status phiz_sql_script(struct phiz_gallery *g, const char *sql);
enum phiz_status phiz_sql_begin(struct phiz_gallery *g);
/* Commits if status is OK; else, or if that fails, rolls back. Returns what it came to, with its message. */
enum phiz_status phiz_sql_end(struct phiz_gallery *g, enum phiz_status status);
/* Of a column that may be NULL: never NULL. */
const char *phiz_sql_text(sqlite3_stmt *stmt, int column);

/* --- gallery_schema.c --- */
/* Brings the file to this version; what was empty becomes a gallery, whole or not at all. */
enum phiz_status phiz_schema_migrate(struct phiz_gallery *g, const struct phiz_gallery_options *o);
/* Refuses what is no gallery. *fresh: it is empty and may become one. */
enum phiz_status phiz_schema_check(struct phiz_gallery *g, bool *fresh);

/* --- gallery.c --- */
enum phiz_status phiz_state_read(struct phiz_gallery *g);

/* --- gallery_crypt.c --- */
/* Makes the key of a new gallery and stores what is needed to make it again. */
enum phiz_status phiz_key_create(struct phiz_gallery *g, const struct phiz_gallery_options *o);
/* Makes the key of an encrypted gallery; ARG: wrong, missing. No key and none wanted: OK. */
enum phiz_status phiz_key_open(struct phiz_gallery *g, const struct phiz_gallery_options *o);
/* Bytes that an embedding takes in the file. */
size_t phiz_seal_size(const struct phiz_gallery *g);
/* Embedding to bytes and back; photo, person and kind are bound in. FORMAT where the bytes are not what was sealed. */
void phiz_seal(const struct phiz_gallery *g, int64_t photo, int64_t person, int kind, const float *embedding,
               unsigned char *out);
enum phiz_status phiz_unseal(struct phiz_gallery *g, int64_t photo, int64_t person, int kind, const void *bytes,
                             size_t size, float *embedding);

/* --- gallery_audit.c --- */
enum phiz_status phiz_audit_add(struct phiz_gallery *g, const char *action, const char *fmt, ...) PHIZ_PRINTF(3, 4);

/* --- gallery_people.c --- */
/* The id of a person; NOTFOUND with "did you mean". */
enum phiz_status phiz_person_find(struct phiz_gallery *g, const char *name, int64_t *id);
/* Normalises dim floats into out; ARG where that cannot be done. from may be out. */
enum phiz_status phiz_embedding_normalize(struct phiz_gallery *g, const float *from, float *out);
enum phiz_status phiz_person_import(struct phiz_gallery *g, const char *name, const struct phiz_template *photo, int n,
                                    const struct phiz_template *rejected, int n_rejected,
                                    const struct phiz_person_options *options, int *added);
enum phiz_status phiz_generation_bump(struct phiz_gallery *g);
/* Adds photos to a person inside a transaction. */
enum phiz_status phiz_photos_add(struct phiz_gallery *g, int64_t person, int kind, const struct phiz_template *photo,
                                 int n, int *added);

/* --- gallery_index.c, gallery_matrix.c --- */
/* The index of the present state. */
enum phiz_status phiz_index_refresh(struct phiz_gallery *g);
void phiz_index_free(struct phiz_gallery *g);
/* Opens the matrix file if it is this gallery's of this generation and sound; *found. */
enum phiz_status phiz_matrix_open(struct phiz_gallery *g, int64_t generation, bool *found);
enum phiz_status phiz_matrix_write(struct phiz_gallery *g);
/* Overwrites and deletes the matrix file and what a killed process left of one. */
enum phiz_status phiz_matrix_erase(struct phiz_gallery *g);

#endif
