/* A gallery: who is who, by embeddings, in an SQLite file. A person is added in a moment; whom nobody resembles enough
 * is unknown.
 *
 * Rule: a person is the mean of the L2-normalised embeddings of the photos enrolled, normalised again. The similarity
 * of a face to a person is the cosine of its embedding with that mean; but where the face lies nearer to a photo that
 * was rejected for this person ("this is not NAME"), it is the difference of the two, which is at most 0.
 *
 * The file is in WAL mode with synchronous = FULL: what a call reported done survives a crash, and a call is done whole
 * or not at all. It is bound to the model that made its embeddings (phiz_gallery_bind). Beside it, once it holds many
 * people and is not encrypted, lies FILE.matrix with the means, mapped for searching and made anew when stale.
 *
 * A gallery is used by one thread at a time; several may open the same file, also in several processes. */
#ifndef PHIZ_GALLERY_H
#define PHIZ_GALLERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <phiz/ctx.h>

#ifdef __cplusplus
extern "C" {
#endif

struct phiz_gallery;

enum {
	PHIZ_NAME_MAX_BYTES = 200,   /* of a person's name */
	PHIZ_GALLERY_MAX_DIM = 4096, /* floats of an embedding */
	PHIZ_GALLERY_MAX_TOP = 1024  /* candidates of one search */
};

struct phiz_gallery_options {
	bool create;            /* make the file if it is not there; else NOTFOUND */
	bool encrypt;           /* with create: a new gallery keeps its embeddings under the key below */
	const char *passphrase; /* of an encrypted gallery (Argon2id), or */
	const char *key_file;   /* the path of a file of 32 bytes or more; NULL both: not encrypted */
	int64_t matrix_rows;    /* from so many people on a matrix file is kept; 0: 4096 */
};

/* What the gallery holds and is bound to. */
struct phiz_gallery_info {
	int64_t people, photos, rejected; /* rejected: photos kept as "this is not NAME" */
	int dim;                          /* 0: not bound to a model yet */
	char model[65];                   /* its hash, 64 hex digits; "" */
	char model_name[256];             /* what it was called; "" */
	bool encrypted;
	int schema;
	int64_t generation; /* grows with every change to people and embeddings */
};

/* path: the SQLite file. ctx must outlive the gallery. Errors: NOTFOUND, IO, FORMAT (no SQLite file, one of another
 * program, damaged), UNSUPPORTED (made by a newer phiz), ARG (wrong key, key missing), NOMEM. */
PHIZ_API enum phiz_status phiz_gallery_open(struct phiz_ctx *ctx, const char *path,
                                            const struct phiz_gallery_options *options, struct phiz_gallery **out);
/* A gallery in memory only, for trying things: no file, no matrix, gone when it is freed. */
PHIZ_API enum phiz_status phiz_gallery_open_memory(struct phiz_ctx *ctx, const struct phiz_gallery_options *options,
                                                   struct phiz_gallery **out);
PHIZ_API void phiz_gallery_free(struct phiz_gallery **gallery);
/* Needs no key: is the file there and encrypted? false where it cannot be told. */
PHIZ_API bool phiz_gallery_is_encrypted(struct phiz_ctx *ctx, const char *path);
PHIZ_API enum phiz_status phiz_gallery_describe(struct phiz_gallery *gallery, struct phiz_gallery_info *out);
/* Binds an empty gallery to a model, or checks that it is bound to this one. hash: 64 hex digits (phiz_model_hash);
 * name is for messages. ARG, with a line that says which is which, for another model or dimension. */
PHIZ_API enum phiz_status phiz_gallery_bind(struct phiz_gallery *gallery, const char *hash, int dim, const char *name);

/* --- People --- */

/* A photo's embedding to keep. */
struct phiz_template {
	const float *embedding; /* dim floats, finite, not all zero; normalised on the way in */
	const char *source;     /* name of the file, or NULL */
	double quality;         /* 0..1, < 0: not known */
	int64_t created;        /* seconds since 1970; 0: now */
};

struct phiz_person_options {
	const char *consent; /* note, replaces the one there; NULL: as it is */
	int64_t keep_days;   /* from the last photo on, 1..36500; 0: as it is (for ever, for a new person) */
};

/* Adds photos to a person, who is made if not there; in one transaction. A photo whose embedding the person has already
 * is not added twice. *added (may be NULL): how many were new. ARG: not bound, a bad name (empty, over 200 bytes, not
 * UTF-8, control characters), "unknown" as name, a bad embedding. */
PHIZ_API enum phiz_status phiz_gallery_enroll(struct phiz_gallery *gallery, const char *name,
                                              const struct phiz_template *photo, int n,
                                              const struct phiz_person_options *options, int *added);
/* "This is not NAME": keeps the embeddings as counterexamples of the person. NOTFOUND with "did you mean". */
PHIZ_API enum phiz_status phiz_gallery_reject(struct phiz_gallery *gallery, const char *name,
                                              const struct phiz_template *photo, int n, int *added);
PHIZ_API enum phiz_status phiz_gallery_rename(struct phiz_gallery *gallery, const char *name, const char *to);
/* All of from's photos become into's, and from is gone. */
PHIZ_API enum phiz_status phiz_gallery_merge(struct phiz_gallery *gallery, const char *from, const char *into);
/* Removes the person. erase: leaves no byte of the embeddings in any of the gallery's files (rewrites them: slow on a
 * large gallery; IO if another program holds the file open meanwhile: then repeat it). */
PHIZ_API enum phiz_status phiz_gallery_remove(struct phiz_gallery *gallery, const char *name, bool erase);
/* Removes one photo or counterexample of a person by its id (struct phiz_photo). Erases as above. */
PHIZ_API enum phiz_status phiz_gallery_remove_photo(struct phiz_gallery *gallery, const char *name, int64_t id,
                                                    bool erase);
/* Removes, with erasing, everybody whose keep_days are over at `now`, and, with older_than_days > 0, everybody whose
 * last photo is older than that. each is called with each name after it is gone; may be NULL. */
PHIZ_API enum phiz_status phiz_gallery_purge(struct phiz_gallery *gallery, int64_t now, int64_t older_than_days,
                                             void (*each)(void *user, const char *name), void *user, int64_t *removed);

struct phiz_person {
	int64_t id;
	const char *name;
	int64_t created, last; /* seconds since 1970; last: of the newest photo */
	const char *consent;   /* or NULL */
	int64_t keep_days;     /* 0: for ever */
	int64_t photos, rejected;
};
struct phiz_photo {
	int64_t id;
	bool rejected;
	const char *source; /* or NULL */
	double quality;     /* < 0: not known */
	int64_t created;
};
/* Call back for each person by name, or for each photo of a person; a status other than OK ends it and is returned.
 * What is pointed to lasts for the call. The call back must not change the gallery. */
typedef enum phiz_status (*phiz_person_fn)(void *user, const struct phiz_person *person);
typedef enum phiz_status (*phiz_photo_fn)(void *user, const struct phiz_photo *photo);
PHIZ_API enum phiz_status phiz_gallery_people(struct phiz_gallery *gallery, phiz_person_fn each, void *user);
PHIZ_API enum phiz_status phiz_gallery_photos(struct phiz_gallery *gallery, const char *name, phiz_photo_fn each,
                                              void *user);
PHIZ_API bool phiz_gallery_has(struct phiz_gallery *gallery, const char *name);

/* --- Recognising --- */

struct phiz_match {
	int64_t person; /* id */
	const char *name; /* until the next call for this gallery */
	double similarity;
};
/* The k people most similar to an embedding (dim floats; need not be normalised), best first: exactly, whatever the
 * number of people. *n of them, fewer than k where there are fewer people. */
PHIZ_API enum phiz_status phiz_gallery_search(struct phiz_gallery *gallery, const float *embedding, int k,
                                              struct phiz_match *out, int *n);
/* Of an embedding to one person. */
PHIZ_API enum phiz_status phiz_gallery_similarity(struct phiz_gallery *gallery, const float *embedding,
                                                  const char *name, double *out);
/* How well a person can be told from the others: the other person whose mean is most similar, `except` (may be NULL)
 * left out. *found: is there one? */
PHIZ_API enum phiz_status phiz_gallery_nearest(struct phiz_gallery *gallery, const char *name, const char *except,
                                               struct phiz_match *out, bool *found);
/* For each enrolled photo of those who have at least two, the similarity to its own person without that photo
 * (leave one out); free *out with phiz_gallery_values_free. */
PHIZ_API enum phiz_status phiz_gallery_leave_one_out(struct phiz_gallery *gallery, double **out, int64_t *n);
PHIZ_API void phiz_gallery_values_free(struct phiz_gallery *gallery, double **values);

/* --- Threshold --- */

/* The similarity from which on a face is somebody. */
struct phiz_limit {
	double value;
	double low, high;  /* 95 % interval of the value; high is infinite where strangers are too few to bound it */
	double far;        /* share of strangers asked for */
	int64_t strangers, passed; /* faces it was made with, and those of them that reach it */
	double far_high;   /* with 95 % confidence no more than this share of strangers passes */
	int64_t created;
};
/* From the best similarity of each stranger to anybody: the smallest value that at most far * n of them reach. The
 * interval is that of order statistics: it holds for any distribution of similarities (binomial; David and Nagaraja,
 * Order Statistics, 7.1); far_high is Clopper and Pearson's one-sided bound. similarity is sorted in place. ARG: n < 1,
 * far not in 0..1, not finite. */
PHIZ_API enum phiz_status phiz_limit_from(struct phiz_ctx *ctx, double *similarity, int64_t n, double far,
                                          struct phiz_limit *out);
PHIZ_API enum phiz_status phiz_gallery_set_limit(struct phiz_gallery *gallery, const struct phiz_limit *limit);
/* NOTFOUND if none was set. */
PHIZ_API enum phiz_status phiz_gallery_limit(struct phiz_gallery *gallery, struct phiz_limit *out);

/* --- Export and import: JSON lines --- */

struct phiz_bytes;
/* The first line is {"phiz_gallery":1,"model":HASH,"model_name":..,"dim":N}, then one line per photo, {"name",
 * "embedding":[..],"kind":"photo"|"rejected","source","quality","created","consent","keep_days"}, a person's lines
 * together. The embeddings are in the clear, also of an encrypted gallery. */
PHIZ_API enum phiz_status phiz_gallery_export(struct phiz_gallery *gallery, struct phiz_bytes *out);
/* Takes such lines; the first may be missing where the gallery is bound already. Each run of lines of one name is one
 * transaction; done is called after it, and may be NULL. What is there already is not added twice, so that an import
 * that was broken off can be repeated. cancel (may be NULL): polled between people. Errors: FORMAT ("NAME:LINE: ..."),
 * ARG (another model), CANCELLED. What was reported done stays. */
PHIZ_API enum phiz_status phiz_gallery_import(struct phiz_gallery *gallery, const char *text, size_t size,
                                              const char *name, const volatile int *cancel,
                                              void (*done)(void *user, const char *person, int added), void *user);

/* --- Audit log --- */

/* Every change, in a chain: hash = BLAKE2b(hash before, id, time, action, detail), keyed where the gallery is
 * encrypted. The log is append-only in the database; changing, dropping or reordering entries with another program
 * breaks the chain. Cutting off its end does not: keep the last hash elsewhere, and ask for it. */
struct phiz_audit {
	int64_t id, time;
	const char *action; /* "create", "enroll", "remove", "erase", "rename", "merge", "export", "import", "reject",
	                       "calibrate", "purge", "migrate" */
	const char *detail;
	char hash[65];
};
typedef enum phiz_status (*phiz_audit_fn)(void *user, const struct phiz_audit *entry);
PHIZ_API enum phiz_status phiz_gallery_audit(struct phiz_gallery *gallery, phiz_audit_fn each, void *user);
/* Checks the chain; head (64 hex digits) may be NULL, else it must be the hash of one of the entries. FORMAT with the
 * first entry that is wrong. *entries, last: of a sound log. */
PHIZ_API enum phiz_status phiz_gallery_audit_verify(struct phiz_gallery *gallery, const char *head, int64_t *entries,
                                                    char last[65]);

#ifdef __cplusplus
}
#endif
#endif
