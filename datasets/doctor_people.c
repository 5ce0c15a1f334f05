/* Who is who, by cosines of embeddings. doctor.h says the rules; here is how they are kept cheap: folders are judged on
 * at most PEERS of their photos, others' folders are compared by their means first, only the nearest few exactly. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/base/thread.h"
#include "datasets/doctor_internal.h"

enum {
	PEERS = 192,        /* of a folder, evenly spaced in it */
	SAMPLE = 40000,     /* pairs of strangers that are drawn */
	MIN_PAIRS = 100,
	NEAREST = 3,        /* people who are compared exactly */
	MIN_CLUSTER = 3,
	MIN_MIXED = 6,      /* photos of a folder that may be called mixed */
	MIN_FOLDER = 4      /* of a folder that says who is a stranger in it */
};
#define DEFAULT_SAME 0.35
#define MARGIN 0.1        /* by which another person must be nearer than the own folder */
#define MIXED_SIGMA 1.5   /* average linkage stops at stranger_mean + this many sigma */
#define NOBODY_SIGMA 0.5  /* median of cosines to the own folder of somebody who is not in it */
#define NOBODY_NEAREST 2.0 /* and the highest of them */
#define INSIDE_SHARE 0.6  /* of the cosines inside of two folders that those between them must reach */
#define CHANCE 0.05       /* of a single false alarm among all pairs of small folders */

struct who {
	struct doctor *d;
	size_t dim, people;
	uint32_t *photo;   /* embedded photos, by person */
	size_t *start;     /* those of person p: photo[start[p] .. start[p + 1]) */
	double *own;       /* [photo index]: median cosine to the rest of its folder; NAN: no rest */
	double *nearest;   /* [photo index]: highest such cosine */
	double *inside;    /* [person]: median of own */
	float *mean;       /* [person][dim]: robust, L2-normalised */
	int *other;        /* [photo index]: whom a suspicious photo shows, -1: nobody */
	double *other_cosine;
	bool *wrong;       /* [photo index] */
	bool *mixed;       /* [person] */
	double mu, sigma, same;
	double elsewhere; /* like same, for the best of all other people */
	double **scratch;         /* of each worker: PEERS * PEERS */
};

static const float *row(const struct who *w, size_t photo)
{
	return w->d->c->embedding + photo * w->dim;
}

static double cosine(const struct who *w, const float *a, const float *b)
{
	double sum[4] = {0, 0, 0, 0};
	size_t i = 0;

	for (; i + 4 <= w->dim; i += 4)
		for (size_t k = 0; k < 4; k++)
			sum[k] += (double)a[i + k] * (double)b[i + k];
	for (; i < w->dim; i++)
		sum[0] += (double)a[i] * (double)b[i];
	return sum[0] + sum[1] + (sum[2] + sum[3]);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts v. */
static double median(double *v, size_t n)
{
	if (n == 0)
		return NAN;
	qsort(v, n, sizeof(*v), compare_doubles);
	return (v[n / 2] + v[(n - 1) / 2]) / 2;
}

static size_t size_of(const struct who *w, size_t person)
{
	return w->start[person + 1] - w->start[person];
}

/* The k-th of at most PEERS photos of a folder. */
static uint32_t peer(const struct who *w, size_t person, size_t k)
{
	size_t n = size_of(w, person);

	return w->photo[w->start[person] + (n <= PEERS ? k : k * n / PEERS)];
}

static size_t peers(const struct who *w, size_t person)
{
	size_t n = size_of(w, person);

	return n < PEERS ? n : PEERS;
}

/* Standard deviations above the mean that a normal draw passes in `chance` of all cases. Bisection on erfc. */
static double quantile(double chance)
{
	double low = 0, high = 40;

	for (int i = 0; i < 60; i++) {
		double middle = (low + high) / 2;
		if (erfc(middle / sqrt(2)) / 2 > chance)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* --- What strangers have in common. --- */

static enum phiz_status measure_strangers(struct who *w)
{
	struct phiz_ctx *ctx = w->d->ctx;
	size_t total = w->start[w->people], n = 0, with_photos = 0;
	double *value = phiz_alloc(ctx, SAMPLE, sizeof(*value)), threshold = w->d->c->threshold;
	struct phiz_rng rng;

	if (!value)
		return PHIZ_E_NOMEM;
	for (size_t p = 0; p < w->people; p++)
		with_photos += size_of(w, p) > 0;
	phiz_rng_init(&rng, 0, 0, total, PHIZ_STREAM_SPLIT);
	for (size_t tries = 0; total > 1 && tries < 2 * SAMPLE && n < SAMPLE; tries++) {
		uint32_t a = w->photo[phiz_rng_below(&rng, (uint32_t)total)];
		uint32_t b = w->photo[phiz_rng_below(&rng, (uint32_t)total)];
		if (w->d->c->photo[a].person != w->d->c->photo[b].person)
			value[n++] = cosine(w, row(w, a), row(w, b));
	}
	w->mu = 0;
	w->same = threshold > 0 && threshold < 1 ? threshold : DEFAULT_SAME;
	w->sigma = w->same / w->d->limits->certainty;
	if (with_photos >= 3 && n >= MIN_PAIRS) {
		w->mu = median(value, n);
		for (size_t i = 0; i < n; i++)
			value[i] = fabs(value[i] - w->mu);
		w->sigma = 1.4826 * median(value, n);
		w->same = w->mu + w->d->limits->certainty * w->sigma;
	}
	/* The more people there are the more somebody is like any face by chance. */
	w->elsewhere = w->mu + fmax(w->d->limits->certainty, quantile(CHANCE / (double)(w->people + 1))) * w->sigma;
	phiz_free(ctx, value);
	return PHIZ_OK;
}

/* --- Inside of a folder. --- */

static void find_mean(struct who *w, size_t p, double *scratch)
{
	size_t n = peers(w, p);
	float *mean = w->mean + p * w->dim;
	double limit = -2;

	/* Twice: the mean of all, then of the half that is nearest to it. */
	for (int round = 0; round < 2; round++) {
		double norm = 0;

		if (round == 1) {
			for (size_t i = 0; i < n; i++)
				scratch[n + i] = scratch[i] = cosine(w, mean, row(w, peer(w, p, i)));
			limit = median(scratch + n, n) - 1e-9;
			memset(mean, 0, w->dim * sizeof(*mean));
		}
		for (size_t i = 0; i < n; i++)
			if (round == 0 || scratch[i] >= limit)
				for (size_t k = 0; k < w->dim; k++)
					mean[k] += row(w, peer(w, p, i))[k];
		for (size_t k = 0; k < w->dim; k++)
			norm += (double)mean[k] * (double)mean[k];
		norm = norm > 0 ? 1 / sqrt(norm) : 0;
		for (size_t k = 0; k < w->dim; k++)
			mean[k] = (float)((double)mean[k] * norm);
	}
}

static void measure_folders(void *arg, int64_t begin, int64_t end, int worker)
{
	struct who *w = arg;
	double *v = w->scratch[worker];

	for (size_t p = (size_t)begin; p < (size_t)end; p++) {
		size_t known = 0;

		for (size_t i = w->start[p]; i < w->start[p + 1]; i++) {
			uint32_t a = w->photo[i];
			size_t n = 0;

			for (size_t k = 0; k < peers(w, p); k++) {
				uint32_t b = peer(w, p, k);
				if (b == a)
					continue;
				v[n] = cosine(w, row(w, a), row(w, b));
				w->nearest[a] = n == 0 || v[n] > w->nearest[a] ? v[n] : w->nearest[a];
				n++;
			}
			w->own[a] = median(v, n);
		}
		for (size_t k = 0; k < peers(w, p) && size_of(w, p) > 1; k++)
			v[known++] = w->own[peer(w, p, k)];
		w->inside[p] = median(v, known);
		if (size_of(w, p))
			find_mean(w, p, v);
	}
}

/* Median cosine of a photo to a person's photos (those that are not wrong there). */
static double median_to(const struct who *w, uint32_t photo, size_t person, double *v)
{
	size_t n = 0;

	for (size_t k = 0; k < peers(w, person); k++) {
		uint32_t b = peer(w, person, k);
		if (b != photo && !w->wrong[b])
			v[n++] = cosine(w, row(w, photo), row(w, b));
	}
	return median(v, n);
}

/* Whom the photo is most like, other than its own person. */
static void find_other(struct who *w, uint32_t photo, double *v)
{
	double best[NEAREST];
	size_t who[NEAREST], n = 0;

	w->other[photo] = -1;
	w->other_cosine[photo] = -1;
	for (size_t q = 0; q < w->people; q++) {
		if ((int)q == w->d->c->photo[photo].person || !size_of(w, q))
			continue;
		double c = cosine(w, row(w, photo), w->mean + q * w->dim);
		size_t k = n < NEAREST ? n++ : NEAREST;
		for (; k > 0 && c > best[k - 1]; k--)
			if (k < NEAREST) {
				best[k] = best[k - 1];
				who[k] = who[k - 1];
			}
		if (k < NEAREST) {
			best[k] = c;
			who[k] = q;
		}
	}
	for (size_t k = 0; k < n; k++) {
		double c = median_to(w, photo, who[k], v);
		if (c > w->other_cosine[photo]) {
			w->other[photo] = (int)who[k];
			w->other_cosine[photo] = c;
		}
	}
}

static void look_elsewhere(void *arg, int64_t begin, int64_t end, int worker)
{
	struct who *w = arg;

	for (size_t i = (size_t)begin; i < (size_t)end; i++) {
		uint32_t photo = w->photo[i];
		if (w->own[photo] < w->same)
			find_other(w, photo, w->scratch[worker]);
	}
}

static struct phiz_finding wrong_person(const struct who *w, uint32_t photo, int other, double value, double limit,
                                        int detail)
{
	struct phiz_finding f = phiz_doctor_of_photo(w->d, PHIZ_FAULT_WRONG_PERSON, photo);

	f.other_person = other;
	f.value = value;
	f.limit = limit;
	f.detail = detail;
	f.move = true;
	if (other >= 0 && peers(w, (size_t)other)) { /* for show: the one of theirs that is most like it */
		double best = -2;
		for (size_t k = 0; k < peers(w, (size_t)other); k++) {
			uint32_t b = peer(w, (size_t)other, k);
			double c = cosine(w, row(w, photo), row(w, b));
			if (c > best) {
				best = c;
				f.other = b;
			}
		}
	}
	return f;
}

static enum phiz_status judge_photo(struct who *w, uint32_t photo, size_t folder)
{
	double own = w->own[photo], other = w->other_cosine[photo];

	if (w->wrong[photo] || !(own < w->same))
		return PHIZ_OK;
	if (w->other[photo] >= 0 && other >= w->elsewhere && other >= own + MARGIN && other > w->nearest[photo]) {
		w->wrong[photo] = true;
		return phiz_doctor_add(w->d, wrong_person(w, photo, w->other[photo], own, other, 0));
	}
	if (folder >= MIN_FOLDER && !w->d->faulty[photo] && own < w->mu + NOBODY_SIGMA * w->sigma &&
	    w->nearest[photo] < w->mu + NOBODY_NEAREST * w->sigma) {
		w->wrong[photo] = true;
		return phiz_doctor_add(w->d, wrong_person(w, photo, -1, own, w->same, 1));
	}
	return PHIZ_OK;
}

/* --- Mixed folders: average linkage. --- */

struct linkage {
	size_t n;
	double *sum;         /* [n][n]: sums of cosines between clusters */
	uint16_t label[PEERS];
	uint16_t size[PEERS];
	bool alive[PEERS];
};

/* Joins the two clusters with the highest mean cosine until that is below `stop`. */
static void link_clusters(struct linkage *l, double stop)
{
	for (;;) {
		size_t a = 0, b = 0;
		double best = stop;

		for (size_t i = 0; i < l->n; i++)
			for (size_t k = i + 1; l->alive[i] && k < l->n; k++) {
				double mean = l->alive[k] ? l->sum[i * l->n + k] / ((double)l->size[i] * l->size[k]) : -2;
				if (mean > best) {
					best = mean;
					a = i;
					b = k;
				}
			}
		if (a == b)
			return;
		l->alive[b] = false;
		l->size[a] = (uint16_t)(l->size[a] + l->size[b]);
		for (size_t k = 0; k < l->n; k++) {
			l->sum[a * l->n + k] += l->sum[b * l->n + k];
			l->sum[k * l->n + a] = l->sum[a * l->n + k];
			if (l->label[k] == b)
				l->label[k] = (uint16_t)a;
		}
	}
}

/* The photo of the cluster that is most like the rest of it. */
static size_t find_middle(const struct who *w, size_t person, const struct linkage *l, size_t cluster)
{
	size_t middle = cluster;
	double best = -1e9;

	for (size_t i = 0; i < l->n; i++) {
		double sum = 0;
		for (size_t k = 0; l->label[i] == cluster && k < l->n; k++)
			if (l->label[k] == cluster && k != i)
				sum += cosine(w, row(w, peer(w, person, i)), row(w, peer(w, person, k)));
		if (l->label[i] == cluster && sum > best) {
			best = sum;
			middle = i;
		}
	}
	return middle;
}

/* Whose photos the cluster's middle is like; -1: nobody's in the set. */
static int find_owner(struct who *w, uint32_t middle, double *v, double *value)
{
	find_other(w, middle, v);
	*value = w->other_cosine[middle];
	return w->other[middle] >= 0 && *value >= w->elsewhere ? w->other[middle] : -1;
}

static enum phiz_status tell_cluster(struct who *w, size_t p, struct linkage *l, size_t main, size_t cluster, double *v)
{
	uint32_t a = peer(w, p, find_middle(w, p, l, main)), b = peer(w, p, find_middle(w, p, l, cluster));
	double value, between = l->sum[main * l->n + cluster] / ((double)l->size[main] * l->size[cluster]);
	int owner = find_owner(w, b, v, &value);
	enum phiz_status status = PHIZ_OK;

	if (owner < 0) {
		struct phiz_finding f = {.fault = PHIZ_FAULT_MIXED_FOLDER, .photo = a, .other = b, .person = (int)p,
		                         .other_person = -1, .value = between, .limit = w->mu + MIXED_SIGMA * w->sigma,
		                         .detail = l->size[cluster]};
		w->mixed[p] = true;
		return phiz_doctor_add(w->d, f);
	}
	for (size_t i = 0; !status && i < l->n; i++) {
		if (l->label[i] != cluster)
			continue;
		uint32_t photo = peer(w, p, i);
		w->wrong[photo] = true;
		status = phiz_doctor_add(w->d, wrong_person(w, photo, owner, between, value, 2));
	}
	return status;
}

static enum phiz_status judge_folder(struct who *w, size_t p, double *scratch)
{
	size_t n = peers(w, p), largest = 0;
	struct linkage l = {.n = n, .sum = scratch};
	double *v = scratch + PEERS * PEERS;
	enum phiz_status status = PHIZ_OK;

	if (n < MIN_MIXED)
		return PHIZ_OK;
	for (size_t i = 0; i < n; i++) {
		l.label[i] = (uint16_t)i;
		/* Blurred faces and profiles are like nobody: they make no cluster of their own. */
		l.alive[i] = !w->d->faulty[peer(w, p, i)];
		l.size[i] = 1;
		for (size_t k = 0; k < n; k++)
			l.sum[i * n + k] = i == k ? 0 : cosine(w, row(w, peer(w, p, i)), row(w, peer(w, p, k)));
	}
	link_clusters(&l, w->mu + MIXED_SIGMA * w->sigma);
	for (size_t i = 1; i < n; i++)
		if (l.alive[i] && (!l.alive[largest] || l.size[i] > l.size[largest]))
			largest = i;
	for (size_t i = 0; !status && i < n; i++)
		if (i != largest && l.alive[i] && l.size[i] >= MIN_CLUSTER)
			status = tell_cluster(w, p, &l, largest, i, v);
	return status;
}

/* --- One person in two folders. --- */

static enum phiz_status judge_two(struct who *w, size_t p, size_t q, double *v)
{
	size_t n = 0, few = size_of(w, p) < size_of(w, q) ? size_of(w, p) : size_of(w, q);
	double best = -2, sigmas = w->d->limits->certainty, needed, limit, value, least;
	struct phiz_finding f = {.fault = PHIZ_FAULT_SAME_PERSON, .photo = -1, .other = -1, .person = (int)p,
	                         .other_person = (int)q};

	for (size_t i = 0; i < peers(w, p); i++)
		for (size_t k = 0; k < peers(w, q); k++) {
			uint32_t a = peer(w, p, i), b = peer(w, q, k);
			if (w->wrong[a] || w->wrong[b])
				continue;
			v[n] = cosine(w, row(w, a), row(w, b));
			if (v[n] > best) {
				best = v[n];
				f.photo = a;
				f.other = b;
			}
			n++;
		}
	/* The fewer the photos the more their median scatters; the more pairs there are the more of them pass by chance. */
	needed = quantile(CHANCE / ((double)w->people * (double)w->people / 2));
	if (needed > sigmas)
		sigmas += (needed - sigmas) * (few <= 2 ? 1 : 2 / (double)few);
	limit = w->mu + sigmas * w->sigma;
	value = median(v, n);
	least = fmin(isnan(w->inside[p]) ? 2 : w->inside[p], isnan(w->inside[q]) ? 2 : w->inside[q]);
	if (least < 2 && INSIDE_SHARE * least > limit)
		limit = INSIDE_SHARE * least;
	if (n == 0 || value < limit)
		return PHIZ_OK;
	f.value = value;
	f.limit = limit;
	return phiz_doctor_add(w->d, f);
}

static enum phiz_status judge_pairs_of_people(struct who *w, double *v)
{
	enum phiz_status status = PHIZ_OK;

	for (size_t p = 0; !status && p < w->people; p++)
		for (size_t q = p + 1; !status && size_of(w, p) && q < w->people; q++)
			/* The cosine of means is never below that of single photos by much. */
			if (size_of(w, q) && cosine(w, w->mean + p * w->dim, w->mean + q * w->dim) >= w->same)
				status = judge_two(w, p, q, v);
	return status;
}

/* --- All of it. --- */

static void list_photos(struct who *w)
{
	const struct phiz_checkup *c = w->d->c;

	for (size_t i = 0; i < c->count; i++)
		if (c->photo[i].embedded && c->photo[i].person >= 0)
			w->start[c->photo[i].person + 1]++;
	for (size_t p = 0; p < w->people; p++)
		w->start[p + 1] += w->start[p];
	for (size_t i = 0; i < c->count; i++)
		if (c->photo[i].embedded && c->photo[i].person >= 0)
			w->photo[w->start[c->photo[i].person]++] = (uint32_t)i;
	for (size_t p = w->people; p > 0; p--)
		w->start[p] = w->start[p - 1];
	w->start[0] = 0;
	for (size_t i = 0; i < c->count; i++)
		w->own[i] = NAN;
}

static enum phiz_status open_who(struct phiz_ctx *ctx, struct who *w)
{
	size_t count = w->d->c->count, n = (size_t)phiz_ctx_threads(ctx);

	w->photo = phiz_alloc(ctx, count, sizeof(*w->photo));
	w->start = phiz_calloc(ctx, w->people + 2, sizeof(*w->start));
	w->own = phiz_alloc(ctx, count, sizeof(*w->own));
	w->nearest = phiz_calloc(ctx, count, sizeof(*w->nearest));
	w->inside = phiz_calloc(ctx, w->people, sizeof(*w->inside));
	w->mean = phiz_calloc(ctx, w->people * w->dim, sizeof(*w->mean));
	w->other = phiz_calloc(ctx, count, sizeof(*w->other));
	w->other_cosine = phiz_calloc(ctx, count, sizeof(*w->other_cosine));
	w->wrong = phiz_calloc(ctx, count, sizeof(*w->wrong));
	w->mixed = phiz_calloc(ctx, w->people, sizeof(*w->mixed));
	w->scratch = phiz_calloc(ctx, n, sizeof(double *));
	if (!w->photo || !w->start || !w->own || !w->nearest || !w->inside || !w->mean || !w->other || !w->other_cosine ||
	    !w->wrong || !w->mixed || !w->scratch)
		return PHIZ_E_NOMEM;
	for (size_t i = 0; i < n; i++) {
		w->scratch[i] = phiz_alloc(ctx, PEERS * PEERS + 2 * PEERS, sizeof(double));
		if (!w->scratch[i])
			return PHIZ_E_NOMEM;
	}
	return PHIZ_OK;
}

static void close_who(struct phiz_ctx *ctx, struct who *w)
{
	for (int i = 0; w->scratch && i < phiz_ctx_threads(ctx); i++)
		phiz_free(ctx, w->scratch[i]);
	phiz_free(ctx, w->scratch);
	phiz_free(ctx, w->photo);
	phiz_free(ctx, w->start);
	phiz_free(ctx, w->own);
	phiz_free(ctx, w->nearest);
	phiz_free(ctx, w->inside);
	phiz_free(ctx, w->mean);
	phiz_free(ctx, w->other);
	phiz_free(ctx, w->other_cosine);
	phiz_free(ctx, w->wrong);
	phiz_free(ctx, w->mixed);
}

static enum phiz_status measure_inside(struct who *w)
{
	double *v = phiz_alloc(w->d->ctx, w->people, sizeof(*v));
	size_t n = 0;

	if (!v)
		return PHIZ_E_NOMEM;
	for (size_t p = 0; p < w->people; p++)
		if (size_of(w, p) > 1)
			v[n++] = w->inside[p];
	w->d->out->inside = n ? median(v, n) : w->same;
	w->d->out->alike = w->d->out->inside < w->same;
	phiz_free(w->d->ctx, v);
	return PHIZ_OK;
}

static enum phiz_status judge_everybody(struct who *w)
{
	size_t total = w->start[w->people];
	enum phiz_status status = measure_strangers(w);

	if (status)
		return status;
	w->d->out->stranger_mean = w->mu;
	w->d->out->stranger_sigma = w->sigma;
	w->d->out->same = w->same;
	phiz_parallel_for(w->d->ctx, (int64_t)w->people, 4, measure_folders, w);
	status = measure_inside(w);
	if (status || w->d->out->alike)
		return status;
	for (size_t p = 0; !status && p < w->people; p++)
		status = judge_folder(w, p, w->scratch[0]);
	if (!status)
		phiz_parallel_for(w->d->ctx, (int64_t)total, 16, look_elsewhere, w);
	for (size_t p = 0; !status && p < w->people; p++)
		for (size_t i = w->start[p]; !status && i < w->start[p + 1] && !w->mixed[p]; i++)
			status = judge_photo(w, w->photo[i], size_of(w, p));
	return status ? status : judge_pairs_of_people(w, w->scratch[0]);
}

enum phiz_status phiz_doctor_people(struct doctor *d)
{
	struct who w = {.d = d, .dim = (size_t)d->c->dim, .people = d->c->people.count};
	enum phiz_status status;

	if (w.dim == 0 || w.people == 0)
		return PHIZ_OK;
	status = open_who(d->ctx, &w);
	if (!status) {
		list_photos(&w);
		status = judge_everybody(&w);
	}
	close_who(d->ctx, &w);
	return status;
}
