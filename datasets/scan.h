/* A folder of photographs, one folder per person, as a list of samples. Decodes nothing. */
#ifndef PHIZ_DATASETS_SCAN_H
#define PHIZ_DATASETS_SCAN_H

#include <stdbool.h>

#include <phiz/ctx.h>

#include "core/base/file.h"

/* What a sample is for. */
enum phiz_part {
	PHIZ_PART_TRAIN,
	PHIZ_PART_VAL,
	PHIZ_PART_TEST,
	PHIZ_PART_STRANGER, /* shows nobody of the known people: for thresholds and false accepts */
	PHIZ_PART_SKIP      /* left out: cannot be read */
};
#define PHIZ_N_PARTS 5

struct phiz_sample {
	char *path; /* of the file, relative to roots.name[root], or absolute */
	int root;
	int person; /* index into people; >= n_known: a stranger */
	enum phiz_part part;
	uint32_t group; /* photos of one group (near-duplicates, bursts) belong on one side of a split */
};

/* people: the known ones first, sorted bytewise (their index is the label), then the strangers, sorted. Samples are
 * sorted by (root, person, path), so that their order, which every draw depends on, is a function of names alone. */
struct phiz_dataset {
	struct phiz_names roots;
	struct phiz_names people;
	bool *stranger; /* of each person */
	size_t stranger_capacity;
	int n_known;
	struct phiz_sample *sample;
	size_t count, capacity;
	/* What was seen and left out (each kind is also logged, with its first name). */
	size_t n_loose;  /* photos directly under a root, in no person's folder */
	size_t n_nested; /* folders inside a person's folder: not descended into */
	size_t n_other;  /* files in a person's folder that are not named as photos */
};

struct phiz_scan_options {
	int min_people;   /* fewer known people are an error; 0: 2 */
	bool allow_empty; /* a person's folder without a photo is left out with a warning instead of an error */
};

/* Scans DIR: each folder in it is a person, each file in that with a photo's ending (.jpg .jpeg .png .pgm .ppm in any
 * case) a photo. Names that start with '.' are ignored, and those in DIR that start with '_' (what was set aside:
 * _aside, _sheets). Symbolic links are followed. options may be NULL.
 * Every sample gets part TRAIN and a group of its own.
 * Errors: NOTFOUND (no such folder), ARG (no people, too few of them, a person without photos, a name that is not
 * UTF-8), IO, NOMEM. */
enum phiz_status phiz_dataset_scan(struct phiz_ctx *ctx, const char *dir, const struct phiz_scan_options *options,
                                   struct phiz_dataset **out);
/* A dataset of no samples, to be filled by the functions below or by phiz_split_read. */
enum phiz_status phiz_dataset_create(struct phiz_ctx *ctx, struct phiz_dataset **out);
void phiz_dataset_free(struct phiz_ctx *ctx, struct phiz_dataset **dataset);

/* Adds the photos of another folder of the same people (of validation photos, say) as `part`. People who are known but
 * have no folder in dir are no error. Errors: as phiz_dataset_scan; ARG (a person that the dataset does not know). */
enum phiz_status phiz_dataset_add_dir(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *dir,
                                      enum phiz_part part);
/* Adds the people of another folder, as phiz_dataset_scan does; people who are known already get more photos. */
enum phiz_status phiz_dataset_add_people(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *dir);
/* Adds photos that are trained on without anybody's name (part TRAIN, of a person who is a stranger): path as of
 * phiz_dataset_add_strangers. */
enum phiz_status phiz_dataset_add_unlabelled(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *path);
/* Adds strangers. path: a folder of people, a folder of photos (one stranger, named as the folder), or a text file with
 * the path of a photo or of a person's folder on each line (relative to the file's folder, the one above it, or the
 * current one: the first where the first line is found; # begins a comment line). A photo's person is the name of its
 * folder. Errors: as phiz_dataset_scan; NOTFOUND ("LIST:3: ..."); ARG (a stranger who is a known
 * person). */
enum phiz_status phiz_dataset_add_strangers(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *path);

/* Builders: add a root, a person, a sample (the text is copied). A person may be added more than once. When all are in,
 * phiz_dataset_finish brings people and samples into their order (person indices change) and drops people without
 * samples. ARG: a person who is both known and a stranger, a photo that is there twice. */
enum phiz_status phiz_dataset_add_root(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *dir, int *root);
enum phiz_status phiz_dataset_add_person(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *name,
                                         bool stranger, int *person);
enum phiz_status phiz_dataset_add_sample(struct phiz_ctx *ctx, struct phiz_dataset *dataset,
                                         const struct phiz_sample *sample);
enum phiz_status phiz_dataset_finish(struct phiz_ctx *ctx, struct phiz_dataset *dataset);

/* Makes the person a stranger, with all photos (part STRANGER). The labels of the others move up. */
enum phiz_status phiz_dataset_estrange(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const char *person);

/* The path to open, as a new string (phiz_free). NULL: out of memory. */
char *phiz_dataset_path(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, size_t sample);
/* Index of a person, -1 if there is none of this name. */
int phiz_dataset_find_person(const struct phiz_dataset *dataset, const char *name);
/* The indices of the samples of a part, in order; free with phiz_free. count may be 0. */
enum phiz_status phiz_dataset_select(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, enum phiz_part part,
                                     uint32_t **index, size_t *count);
/* How many samples of a part the person has; person -1: all of them. */
size_t phiz_dataset_count(const struct phiz_dataset *dataset, enum phiz_part part, int person);
/* SHA-256 in hex over people, paths and parts: equal if and only if labels and the order of samples are. Roots do not
 * count, so a dataset may move. */
void phiz_dataset_sha256(const struct phiz_dataset *dataset, char out[65]);

/* "train", "val", "test", "stranger", "skip". */
const char *phiz_part_name(enum phiz_part part);
bool phiz_part_parse(const char *name, enum phiz_part *out);

/* Is it named as a photo: .jpg .jpeg .png .pgm .ppm in any case? */
bool phiz_is_photo_name(const char *name);

#endif
