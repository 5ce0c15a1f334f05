/* Lists of pairs of photographs, each of one person or of two: what verification is measured on. */
#ifndef PHIZ_TRAIN_PAIRS_H
#define PHIZ_TRAIN_PAIRS_H

#include <stdbool.h>

#include "core/base/file.h"

struct phiz_photo_pair {
	uint32_t a, b; /* of the files */
	bool same;     /* one person */
	int fold;      /* 0 .. n_folds-1 */
};

struct phiz_pair_list {
	struct phiz_names file; /* each photograph once */
	struct phiz_photo_pair *pair;
	size_t count, capacity;
	int n_folds;
};

/* Two formats, told apart by the first line.
 * LFW's pairs.txt: "FOLDS N" (or "N": one fold), then for each fold N lines "NAME I J" (the same person) and N lines
 * "NAME I NAME J"; the file is NAME/NAME_000I.jpg.
 * CSV: a line "FILE,FILE,SAME" a pair, SAME being 1 or 0, true or false; a first line that is none is a header; a
 * fourth field may give the fold, counted from 1. Without it the same and the different pairs are dealt out in order to
 * ten folds (fewer where there are fewer).
 * root is put before names that are not absolute; NULL: nothing is. name is for messages. Errors: FORMAT
 * ("NAME:LINE: ..."), LIMIT (2^31 pairs), NOMEM. */
enum phiz_status phiz_pair_list_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                      const char *root, struct phiz_pair_list *out);
/* The same from a file. An LFW file that is not there as .jpg is looked for as .jpeg, .png, .ppm and .pgm. */
enum phiz_status phiz_pair_list_read(struct phiz_ctx *ctx, const char *path, const char *root,
                                     struct phiz_pair_list *out);
void phiz_pair_list_free(struct phiz_ctx *ctx, struct phiz_pair_list *pairs);

#endif
