/* What phiz cluster writes: a folder for each group, contact sheets, a table. */
#ifndef PHIZ_TOOLS_CLUSTER_OUT_H
#define PHIZ_TOOLS_CLUSTER_OUT_H

#include <phiz/align.h>

#include "core/base/file.h"
#include "deploy/cluster.h"

/* A face: a point to group. */
struct phiz_seen {
	size_t file; /* index into the photos; of a .npy: the row */
	int index, count; /* of the face, and how many the photo has */
	bool found;       /* by a detector: face is where; else the whole picture */
	struct phiz_face face;
	int32_t person; /* index into people, -1: no names */
};

struct phiz_grouping {
	struct phiz_ctx *ctx;
	const struct phiz_names *photos; /* paths; NULL: the points are rows of a .npy file */
	const struct phiz_names *people; /* names of the photos' folders; count 0: not known */
	const struct phiz_seen *seen;
	const struct phiz_clusters *clusters;
	const double *silhouette; /* of each point; NULL: there are none */
	bool copy;                /* photos are copied, not linked */
};

/* "cluster_07", or "_unsorted" for what belongs nowhere. */
void phiz_cluster_name(int32_t label, int k, char name[32]);

/* Makes folder `out`, which must not be there or be empty: in it clusters.csv, for each group a folder of its photos
 * (hard links where the file system allows it, else copies; nothing is moved), and _sheets with a contact sheet each.
 * It appears whole or not at all. Errors: ARG (it is there and not empty), IO, NOMEM, CANCELLED. */
enum phiz_status phiz_cluster_write(const struct phiz_grouping *g, const char *out);

#endif
