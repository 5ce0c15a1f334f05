/* batch_norm of blocked tensors; the formulas stand in core/ops/batch_norm.c. A plane is one image's channels of a
 * block: its mean and its squares about that mean are taken while it is in the cache, then the planes are put together
 * in double (Chan, Golub and LeVeque 1979). Within a plane, sums run in float over BN_RUN pixels. */
#include "core/cpu/vector/shared.h"

enum { BN_RUN = 256 };

struct bnb {
	struct phiz_call *call;
	int64_t images, blocks, area;
	int act;
	float slope;
	bool batch;
	double (*first)[BLOCK], (*second)[BLOCK]; /* of a plane: [image * blocks + block] */
	float *mean, *scale, *of_x, *shift;                 /* of a channel; what they mean stands where they are used */
};

static void bnb_of(struct phiz_call *call, struct bnb *b)
{
	const int64_t *dim = call->in[PHIZ_BATCH_NORM_INPUT].shape.dim;
	const union phiz_attr *attr = call->node->attr;
	const int64_t planes = dim[0] * (dim[1] / BLOCK);
	*b = (struct bnb){.call = call, .images = dim[0], .blocks = dim[1] / BLOCK, .area = dim[2] * dim[3],
	                  .act = (int)attr[PHIZ_BATCH_NORM_ACT].i, .slope = (float)attr[PHIZ_BATCH_NORM_ACT_SLOPE].f,
	                  .batch = bn_uses_batch(call)};
	if (!call->workspace)
		return;
	b->first = (double (*)[BLOCK])call->workspace;
	b->second = b->first + planes;
	b->mean = (float *)(void *)(b->second + planes);
	b->scale = b->mean + dim[1];
	b->of_x = b->scale + dim[1];
	b->shift = b->of_x + dim[1];
}

static size_t bnb_workspace(const struct phiz_call *call, bool backward, int threads)
{
	const int64_t *dim = call->in[PHIZ_BATCH_NORM_INPUT].shape.dim;
	(void)backward;
	(void)threads;
	return (size_t)(dim[0] * dim[1]) * 2 * sizeof(double) + (size_t)dim[1] * 4 * sizeof(float);
}

/* total[c] += the sums of a run, then they are 0 again */
INLINE void bnb_flush(double total[BLOCK], vec part[PARTS])
{
	float sum[BLOCK];
	EACH_PART(v) {
		vec_store(sum + v * VEC, part[v]);
		part[v] = (vec){0};
	}
	for (int c = 0; c < BLOCK; c++)
		total[c] += (double)sum[c];
}

/* total[c] = sum over pixels of x, or of (x - mean[c])^2. Even and odd pixels are summed apart, for speed. */
INLINE void bnb_sum(const element *x, int64_t area, const float *mean, double total[BLOCK])
{
	vec near[PARTS], part[2][PARTS];
	EACH_PART(v) {
		near[v] = mean ? vec_load(mean + v * VEC) : (vec){0};
		part[0][v] = part[1][v] = (vec){0};
	}
	for (int c = 0; c < BLOCK; c++)
		total[c] = 0;
	for (int64_t from = 0; from < area; from += BN_RUN) {
		int64_t end = area - from < BN_RUN ? area : from + BN_RUN, i = from;
		for (; i + 2 <= end; i += 2)
			UNROLL
			for (int odd = 0; odd < 2; odd++)
				EACH_PART(v) {
					vec d = vec_get(x + (i + odd) * BLOCK + v * VEC) - near[v];
					part[odd][v] += mean ? d * d : d;
				}
		if (i < end)
			EACH_PART(v) {
				vec d = vec_get(x + i * BLOCK + v * VEC) - near[v];
				part[0][v] += mean ? d * d : d;
			}
		bnb_flush(total, part[0]);
		bnb_flush(total, part[1]);
	}
}

static void bnb_plane_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct bnb *b = arg;
	const element *x = input_of(b->call, PHIZ_BATCH_NORM_INPUT);
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		const element *plane = x + i * b->area * BLOCK;
		float near[BLOCK];
		bnb_sum(plane, b->area, NULL, b->first[i]);
		for (int c = 0; c < BLOCK; c++) {
			b->first[i][c] /= (double)b->area;
			near[c] = (float)b->first[i][c];
		}
		bnb_sum(plane, b->area, near, b->second[i]);
		for (int c = 0; c < BLOCK; c++) { /* what the mean was rounded by is taken off again */
			double off = b->first[i][c] - (double)near[c];
			b->second[i][c] -= (double)b->area * off * off;
		}
	}
}

/* The mean and the biased variance of channel c of all planes. */
static void bnb_join(const struct bnb *b, int64_t c, double *mean, double *var)
{
	const int64_t block = c / BLOCK, lane = c % BLOCK;
	double m = 0, squares = 0;
	for (int64_t n = 0; n < b->images; n++)
		m += b->first[n * b->blocks + block][lane];
	m /= (double)b->images;
	for (int64_t n = 0; n < b->images; n++) {
		double d = b->first[n * b->blocks + block][lane] - m;
		squares += b->second[n * b->blocks + block][lane] + (double)b->area * d * d;
	}
	*mean = m;
	*var = squares / (double)(b->images * b->area);
	if (*var < 0)
		*var = 0;
}

/* y = act((x - mean) * scale + shift) */
INLINE void bnb_row(element *y, const element *x, int64_t area, const float *mean, const float *scale,
                    const float *shift, float slope, int act)
{
	vec m[PARTS], s[PARTS], t[PARTS];
	EACH_PART(v) {
		m[v] = vec_load(mean + v * VEC);
		s[v] = vec_load(scale + v * VEC);
		t[v] = vec_load(shift + v * VEC);
	}
	for (int64_t i = 0; i < area * BLOCK; i += BLOCK)
		EACH_PART(v) {
			vec at = (vec_get(x + i + v * VEC) - m[v]) * s[v] + t[v];
			vec_put(y + i + v * VEC, vec_act(act, slope, at));
		}
}

static void bnb_apply_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct bnb *b = arg;
	const element *x = input_of(b->call, PHIZ_BATCH_NORM_INPUT);
	element *y = b->call->out[0].data;
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		int64_t at = i * b->area * BLOCK, c = i % b->blocks * BLOCK;
		WITH_ACT(b->act, bnb_row, y + at, x + at, b->area, b->mean + c, b->scale + c, b->shift + c, b->slope);
	}
}

static enum phiz_status bnb_forward(struct phiz_call *call)
{
	const float *w = phiz_in(call, PHIZ_BATCH_NORM_WEIGHT), *bias = phiz_in(call, PHIZ_BATCH_NORM_BIAS);
	struct bnb b;
	bnb_of(call, &b);
	if (b.batch) /* a plane of a blocked tensor has two pixels at least */
		phiz_parallel_for(call->ctx, b.images * b.blocks, 1, bnb_plane_pieces, &b);
	for (int64_t c = 0; c < b.blocks * BLOCK; c++) {
		double mean = (double)phiz_in(call, PHIZ_BATCH_NORM_MEAN)[c];
		double var = (double)phiz_in(call, PHIZ_BATCH_NORM_VAR)[c];
		if (b.batch) {
			bnb_join(&b, c, &mean, &var);
			bn_move_running(call, c, mean, var);
		}
		double invstd = 1 / sqrt(var + call->node->attr[PHIZ_BATCH_NORM_EPS].f);
		double scale = (w ? (double)w[c] : 1) * invstd;
		if (call->saved[BN_MEAN].data)
			((float *)call->saved[BN_MEAN].data)[c] = (float)mean;
		if (call->saved[BN_INVSTD].data)
			((float *)call->saved[BN_INVSTD].data)[c] = (float)invstd;
		b.mean[c] = (float)mean;
		b.scale[c] = (float)scale;
		b.shift[c] = (float)((bias ? (double)bias[c] : 0) - (mean - (double)b.mean[c]) * scale);
	}
	phiz_parallel_for(call->ctx, b.images * b.blocks, 1, bnb_apply_pieces, &b);
	return PHIZ_OK;
}

/* --- Backward: e = dy * act'(y) --- */

/* e; y is not read where nothing is fused */
INLINE vec bnb_e(const element *g, const element *y, float slope, int act)
{
	return act == PHIZ_ACT_NONE ? vec_get(g) : vec_act_gradient(act, slope, vec_get(y), vec_get(g));
}

/* Sums over pixels of e and of e * (x - mean); x NULL: the second is 0. */
INLINE void bnb_sums(const element *g, const element *y, const element *x, int64_t area, const float *mean,
                     double first[BLOCK], double second[BLOCK], float slope, int act)
{
	vec near[PARTS], part[PARTS], dot[PARTS];
	EACH_PART(v) {
		near[v] = vec_load(mean + v * VEC);
		part[v] = dot[v] = (vec){0};
	}
	for (int c = 0; c < BLOCK; c++)
		first[c] = second[c] = 0;
	for (int64_t from = 0; from < area; from += BN_RUN) {
		int64_t end = (area - from < BN_RUN ? area : from + BN_RUN) * BLOCK;
		for (int64_t i = from * BLOCK; i < end; i += BLOCK)
			EACH_PART(v) {
				vec e = bnb_e(g + i + v * VEC, y + i + v * VEC, slope, act);
				part[v] += e;
				if (x)
					dot[v] += e * (vec_get(x + i + v * VEC) - near[v]);
			}
		bnb_flush(first, part);
		bnb_flush(second, dot);
	}
}

static void bnb_sums_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct bnb *b = arg;
	const element *g = b->call->dout[0].data, *y = b->act == PHIZ_ACT_NONE ? g : b->call->out[0].data;
	const element *x = b->of_x ? input_of(b->call, PHIZ_BATCH_NORM_INPUT) : NULL;
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		int64_t at = i * b->area * BLOCK, c = i % b->blocks * BLOCK;
		WITH_ACT(b->act, bnb_sums, g + at, y + at, x ? x + at : NULL, b->area, b->mean + c, b->first[i], b->second[i],
		         b->slope);
	}
}

/* dx (+)= e * scale - ((x - mean) * of_x + shift); x NULL: of_x and shift are 0 */
INLINE void bnb_back_row(element *d, const element *g, const element *y, const element *x, int64_t area,
                         const float *mean, const float *scale, const float *of_x, const float *shift, float slope,
                         bool add, int act)
{
	vec m[PARTS], s[PARTS], o[PARTS], t[PARTS];
	EACH_PART(v) {
		m[v] = vec_load(mean + v * VEC);
		s[v] = vec_load(scale + v * VEC);
		o[v] = x ? vec_load(of_x + v * VEC) : (vec){0};
		t[v] = vec_load(shift + v * VEC);
	}
	for (int64_t i = 0; i < area * BLOCK; i += BLOCK)
		EACH_PART(v) {
			element *to = d + i + v * VEC;
			vec at = bnb_e(g + i + v * VEC, y + i + v * VEC, slope, act) * s[v];
			if (x)
				at -= (vec_get(x + i + v * VEC) - m[v]) * o[v] + t[v];
			vec_put(to, add ? vec_get(to) + at : at);
		}
}

static void bnb_back_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct bnb *b = arg;
	const element *g = b->call->dout[0].data, *y = b->act == PHIZ_ACT_NONE ? g : b->call->out[0].data;
	const element *x = b->batch ? input_of(b->call, PHIZ_BATCH_NORM_INPUT) : NULL;
	element *dx = gradient_of(b->call, PHIZ_BATCH_NORM_INPUT);
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		int64_t at = i * b->area * BLOCK, c = i % b->blocks * BLOCK;
		WITH_ACT(b->act, bnb_back_row, dx + at, g + at, y + at, x ? x + at : NULL, b->area, b->mean + c, b->scale + c,
		         b->of_x + c, b->shift + c, b->slope, phiz_adds(b->call, PHIZ_BATCH_NORM_INPUT));
	}
}

static enum phiz_status bnb_backward(struct phiz_call *call)
{
	const float *w = phiz_in(call, PHIZ_BATCH_NORM_WEIGHT);
	element *dx = gradient_of(call, PHIZ_BATCH_NORM_INPUT);
	float *dw = phiz_din(call, PHIZ_BATCH_NORM_WEIGHT);
	float *db = phiz_din(call, PHIZ_BATCH_NORM_BIAS), *of_x;
	struct bnb b;
	if (!call->dout[0].data)
		return PHIZ_OK;
	bnb_of(call, &b);
	of_x = b.of_x;
	const bool needs_x = dw || (dx && b.batch), sums = needs_x || db;
	const double m = (double)(b.images * b.area);
	const int64_t channels = b.blocks * BLOCK;
	memcpy(b.mean, call->saved[BN_MEAN].data, (size_t)channels * sizeof *b.mean);
	b.of_x = needs_x ? of_x : NULL;
	if (sums)
		phiz_parallel_for(call->ctx, b.images * b.blocks, 1, bnb_sums_pieces, &b);
	b.of_x = of_x;
	for (int64_t c = 0; c < channels; c++) {
		double invstd = (double)((const float *)call->saved[BN_INVSTD].data)[c];
		double scale = (w ? (double)w[c] : 1) * invstd;
		double sum = 0, dot = 0;
		for (int64_t n = 0; sums && n < b.images; n++) {
			sum += b.first[n * b.blocks + c / BLOCK][c % BLOCK];
			dot += b.second[n * b.blocks + c / BLOCK][c % BLOCK];
		}
		dot *= invstd;
		b.scale[c] = (float)scale;
		b.of_x[c] = (float)(scale * invstd * dot / m);
		b.shift[c] = (float)(scale * sum / m);
		if (dw)
			phiz_put(&dw[c], phiz_adds(call, PHIZ_BATCH_NORM_WEIGHT), (float)dot);
		if (db)
			phiz_put(&db[c], phiz_adds(call, PHIZ_BATCH_NORM_BIAS), (float)sum);
	}
	if (dx)
		phiz_parallel_for(call->ctx, b.images * b.blocks, 1, bnb_back_pieces, &b);
	return PHIZ_OK;
}

static bool bnb_supports(const struct phiz_call *call)
{
	return call->out[0].layout == PHIZ_BLOCKED && all_alike(call);
}

const struct phiz_kernel PHIZ_VECTOR_ROW(blocked_batch_norm) = {
	PHIZ_VECTOR_KERNEL_NAMED("batch_norm", "blocked"), .supports = bnb_supports, .workspace = bnb_workspace,
	.forward = bnb_forward, .backward = bnb_backward, .blocked = true,
};
