/* Who is who among faces without names: groups of embeddings that are close by cosine. A matrix in, labels out; nothing
 * here knows of files or pictures. Results do not depend on the number of threads. */
#ifndef PHIZ_DEPLOY_CLUSTER_H
#define PHIZ_DEPLOY_CLUSTER_H

#include <stdbool.h>

#include <phiz/ctx.h>

enum { PHIZ_NOISE = -1 }; /* the label of a point that belongs to no group */

/* Points on the unit sphere: copies of the rows given, L2-normalised, in rows of `stride` floats. Memory: one copy. */
struct phiz_points {
	struct phiz_ctx *ctx;
	float *row; /* n x stride, 64-byte aligned; zeros behind dim */
	int64_t n, dim, stride;
};
/* x: n x dim floats. ARG (n or dim < 1; n > 2^31 - 1), NUMERIC (a row with NaN, Inf, or of zeros only; it is named by
 * its index from 0), NOMEM. */
enum phiz_status phiz_points_create(struct phiz_ctx *ctx, const float *x, int64_t n, int64_t dim,
                                    struct phiz_points *out);
void phiz_points_free(struct phiz_points *points);

/* Groups are numbered from 0, the largest first; of equally large ones that with the earlier first point. */
struct phiz_clusters {
	struct phiz_ctx *ctx;
	int32_t *label; /* n of them: 0..k-1 or PHIZ_NOISE */
	int64_t n;
	int k;
	int64_t noise;    /* points without a group */
	double objective; /* k-means: sum of 1 - cosine to the own centre; else 0 */
};
void phiz_clusters_free(struct phiz_clusters *clusters);

/* Called now and then with the share that is done, 0..1; true breaks off (CANCELLED). */
typedef bool (*phiz_cluster_progress_fn)(void *user, double done);

/* Zeros: defaults (in brackets). */
struct phiz_kmeans_options {
	int restarts;       /* the best of so many starts is kept and improved, 1..1000 (4) */
	int max_iterations; /* of each start, 1..10000 (100) */
	uint64_t seed;
	phiz_cluster_progress_fn progress;
	void *user;
};

/* k-means on the sphere (Dhillon, Modha 2001): centres are normalised means, seeded by greedy k-means++ (Arthur,
 * Vassilvitskii 2007; the best of 2 + ln k draws each time). The best start is improved by swapping centres (Franti
 * 2018) until 16 swaps were in vain. k: 1..n. Groups that run empty get the point that is farthest from its centre, so
 * k groups come out unless points coincide. Errors: ARG, NOMEM, CANCELLED. */
enum phiz_status phiz_cluster_kmeans(const struct phiz_points *points, int k, const struct phiz_kmeans_options *options,
                                     struct phiz_clusters *out);

/* k-means with the k of k_min..k_max whose mean silhouette is highest, the smaller of equals. Above 5,000 points k is
 * chosen on 5,000 of them, drawn by seed. 2 <= k_min <= k_max < n. curve (may be NULL): k_max - k_min + 1 silhouettes,
 * NaN for k that were not tried. */
enum phiz_status phiz_cluster_auto(const struct phiz_points *points, int k_min, int k_max,
                                   const struct phiz_kmeans_options *options, double *curve,
                                   struct phiz_clusters *out);

/* DBSCAN (Ester et al. 1996) with distance 1 - cosine: points with at least min_points points (themselves included)
 * within eps are cores; cores within eps of each other are of one group, and so is any point within eps of one of its
 * cores (of several groups, that whose first core comes first). eps in 0..2, min_points >= 1. No matrix of distances is
 * kept: distances are reckoned twice, in blocks. Errors: ARG, NOMEM, CANCELLED. */
struct phiz_dbscan_options {
	double eps;
	int min_points;
	phiz_cluster_progress_fn progress;
	void *user;
};
enum phiz_status phiz_cluster_dbscan(const struct phiz_points *points, const struct phiz_dbscan_options *options,
                                     struct phiz_clusters *out);

/* An eps from the data: where the sorted distances of the points to their (min_points - 1)-th nearest other bend most
 * (the point farthest below the straight line from the first to the last). Of at most 2,000 points, drawn by seed.
 * *eps: 0..2. n > min_points >= 2. */
enum phiz_status phiz_cluster_knee(const struct phiz_points *points, int min_points, uint64_t seed, double *eps);

/* ---- How good? ---- */

/* The silhouette (Rousseeuw 1987) of each point with distance 1 - cosine, exactly, in O(n k dim): (b - a) / max(a, b),
 * a the mean distance to the others of its group, b that to the nearest other group; 0 for a group of one. *mean over
 * points that have a group. each (may be NULL): n values, NaN for noise. group_mean (may be NULL): k values. ARG with
 * fewer than two groups. */
enum phiz_status phiz_cluster_silhouette(const struct phiz_points *points, const struct phiz_clusters *clusters,
                                         double *each, double *group_mean, double *mean);

/* Against known names: truth[i] >= 0 says who point i is. */
struct phiz_cluster_agreement {
	double purity;    /* share of the grouped points that are of their group's most frequent person */
	double nmi;       /* mutual information over the mean of both entropies, 0..1 (1 if both are one group) */
	double precision; /* of all pairs in one group, those of one person */
	double recall;    /* of all pairs of one person, those in one group */
	double f1;        /* the harmonic mean of both */
};
/* For nmi and pairs each noise point is a group of its own. 0/0 counts as 1 where nothing was to be found. */
enum phiz_status phiz_cluster_compare(const struct phiz_clusters *clusters, const int32_t *truth,
                                      struct phiz_cluster_agreement *out);

/* ---- For the files of this part ---- */

/* Numbers groups as phiz_clusters says; labels below 0 become noise. label has values below `limit`. */
enum phiz_status phiz_clusters_finish(struct phiz_clusters *clusters, int32_t limit);
enum phiz_status phiz_clusters_create(struct phiz_ctx *ctx, int64_t n, struct phiz_clusters *out);

#endif
