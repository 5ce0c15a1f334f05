/* Measurements in a file, so that a second check of a folder need not look at every photo again. */
#ifndef PHIZ_DATASETS_CHECKUP_FILE_H
#define PHIZ_DATASETS_CHECKUP_FILE_H

#include "datasets/doctor.h"

/* Appends what was measured of the photos in done (NULL: of all) that are of kind PHOTO. key: 64 hex digits of what the
 * measurements depend on (detector, embedder, version); the bytes end with their SHA-256. */
void phiz_checkup_format(const struct phiz_checkup *checkup, const bool *done, const char *key, struct phiz_bytes *out);
/* Reads it back, strictly: FORMAT for anything damaged, NOTFOUND where the key is another one. Photos are sorted by
 * path; people, persons, parts are not kept. name is used in messages. */
enum phiz_status phiz_checkup_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *name,
                                    const char *key, struct phiz_checkup *out);
/* The photo of this path, size and time, or NULL. */
const struct phiz_photo *phiz_checkup_find(const struct phiz_checkup *checkup, const char *path, int64_t bytes,
                                           int64_t modified);

#endif
