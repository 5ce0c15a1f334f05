/* Who goes into training and who into validation: stratified by person, without leaks, kept in a CSV. */
#ifndef PHIZ_DATASETS_SPLIT_H
#define PHIZ_DATASETS_SPLIT_H

#include "datasets/phash.h"
#include "datasets/scan.h"

struct phiz_split_options {
	double val, test;  /* share of each person's photos, 0..1, together below 1 */
	uint64_t seed;
	int n_strangers;   /* so many people, drawn by the seed, are taken out as strangers */
	bool keep_bursts;  /* photos of one group stay on one side */
	bool strict;       /* a photo that cannot be read is an error; otherwise it gets part SKIP */
	struct phiz_similar_options similar;
};

struct phiz_split_report {
	size_t photos[PHIZ_N_PARTS];
	int known, strangers;
	size_t groups;       /* of two photos and more */
	size_t grouped;      /* photos in them */
	size_t cross_person; /* pairs of near-duplicates under two names */
	int without_val;     /* known people who have no validation photo (one photo, or one group) */
};

/* val 0.2, test 0, seed 0, no strangers, bursts kept together, lenient. */
void phiz_split_defaults(struct phiz_split_options *options);

/* Sets part and group of every sample. Of a known person's n photos, max(1, round(val * n)) go to VAL (nearest even
 * rounding) and likewise round(test * n) to TEST, but at least one stays in TRAIN; whole groups only, so the figure may
 * be missed by the size of a group. A group that spans people goes to TRAIN. Deterministic: a function of seed and
 * names; a person's split does not depend on the others, nor on threads. Near-duplicates under two names are logged.
 * report may be NULL. Errors: ARG (options; fewer than 2 known people left), FORMAT (strict; a person without a
 * readable photo), NOMEM. */
enum phiz_status phiz_split_run(struct phiz_ctx *ctx, struct phiz_dataset *dataset,
                                const struct phiz_split_options *options, struct phiz_split_report *report);

/* Makes `people` of the known people, drawn by the seed, strangers with all their photos (as n_strangers above does),
 * without looking at a photo. ARG: fewer than 2 known people left. */
enum phiz_status phiz_split_hold_out(struct phiz_ctx *ctx, struct phiz_dataset *dataset, int people, uint64_t seed);

/* Writes "file,person,part,group" for every sample but those of part SKIP; atomically. Samples under the first root are
 * written relative to it, others absolute. */
enum phiz_status phiz_split_write(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, const char *path);
/* Reads it back; dir is the folder that its paths are relative to. Strict: FORMAT ("FILE:LINE: ...") for another
 * header, an unknown part, a group that is no number, an empty name, a path with "..", a file or a person in two roles,
 * no known person. Files are not opened. */
enum phiz_status phiz_split_read(struct phiz_ctx *ctx, const char *path, const char *dir, struct phiz_dataset **out);

/* The same from and to memory (format appends; name is used in messages). */
enum phiz_status phiz_split_format(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, struct phiz_bytes *out);
enum phiz_status phiz_split_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                  const char *dir, struct phiz_dataset **out);

/* Pairs of similar photos that stand in different parts (TRAIN, VAL, TEST, STRANGER): a split that leaks.
 * hash as of phiz_phash_dataset. Sorted by (a, b). */
enum phiz_status phiz_split_leaks(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                  const struct phiz_phash *hash, const struct phiz_similar_options *options,
                                  struct phiz_pairs *out);

#endif
