/* Where the faces of a dataset's photos are: five points (and a box) of each, from a CSV. */
#ifndef PHIZ_DATASETS_LANDMARKS_H
#define PHIZ_DATASETS_LANDMARKS_H

#include <phiz/align.h>

#include "datasets/scan.h"

/* The file's columns, by the names in its header and in any order, others left unread: file (relative to the folder
 * that the CSV lies in), lx ly rx ry nx ny mlx mly mrx mry (the points in the order of struct phiz_face), and, if they
 * are there, x y w h (the box) and score. */
#define PHIZ_LANDMARKS_NAME "landmarks.csv"

/* Faces of all samples, by index: face[i].score is -1 where the CSV does not have the photo. NULL: no landmarks. */
struct phiz_landmarks {
	struct phiz_face *face;
	size_t count, found;
	bool boxes; /* they have boxes too */
};

/* Looks the samples up in the CSVs of their roots: `path`, or (NULL) landmarks.csv in a root's folder or the one above
 * it; photos of a root that has none are not found. A photo that comes twice has the face with the higher score.
 * Errors: NOTFOUND (path given and not there), FORMAT ("FILE:LINE: ..."), ARG (a root that is not under path's folder),
 * IO, NOMEM. Free with phiz_landmarks_free. */
enum phiz_status phiz_landmarks_read(struct phiz_ctx *ctx, const char *path, const struct phiz_dataset *dataset,
                                 struct phiz_landmarks *out);
void phiz_landmarks_free(struct phiz_ctx *ctx, struct phiz_landmarks *faces);

/* Photos without a face get part SKIP; says how many. ARG if none is left. */
enum phiz_status phiz_landmarks_require(struct phiz_ctx *ctx, const struct phiz_landmarks *faces,
                                         struct phiz_dataset *dataset);

/* One CSV from memory, for the reader and its tests: rows sorted by file. */
struct phiz_face_row {
	const char *file; /* in csv text */
	struct phiz_face face;
	int line;
};
struct phiz_face_table {
	struct phiz_face_row *row;
	size_t count;
	bool boxes;
	struct phiz_csv *csv; /* owns the names */
};
enum phiz_status phiz_face_table_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                       struct phiz_face_table *out);
void phiz_face_table_free(struct phiz_ctx *ctx, struct phiz_face_table *table);
/* NULL: not there. */
const struct phiz_face *phiz_face_table_find(const struct phiz_face_table *table, const char *file);

#endif
