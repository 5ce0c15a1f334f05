/* triplet_loss: u_i the L2-normalised rows of x, d_ij = |u_i - u_j|^2 = 2 - 2 u_i.u_j, hinge h(a,p,n) =
 * max(0, d_ap - d_an + margin) for a, p of one label and n of another; ops.h says which triplets count.
 * With w_ij = dloss/dd_ij (saved) and c_ij = -2 (w_ij + w_ji): g_i = sum_j c_ij u_j,
 * dx_i = (g_i - u_i (g_i.u_i)) / |x_i|.
 * Sums in double. Saved: d [N,N], w [N,N], |x_i| [N]. */
#include "core/base/error.h"
#include "core/ops/kernel.h"

#include <math.h>

#include "core/ops/rule.h"

enum { SAVED_DISTANCE, SAVED_WEIGHT, SAVED_NORM, SAVED };
#define EPS 1e-12 /* rows shorter than this count as this long */

struct rows {
	const real *x;
	const int32_t *label;
	int64_t n, dims;
	real *distance, *weight; /* saved, or NULL */
	double margin, sum;      /* of the triplets that count, and how many: */
	int64_t count;
};

static double row_norm(const real *x, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)x[i] * x[i];
	sum = sqrt(sum);
	return sum < EPS ? EPS : sum;
}

/* Rounded, so that it is the same whether it is kept or not. */
static real measure(const struct rows *r, int64_t i, int64_t j)
{
	const real *a = r->x + i * r->dims, *b = r->x + j * r->dims;
	double dot = 0;

	for (int64_t d = 0; d < r->dims; d++)
		dot += (double)a[d] * b[d];
	return (real)(2 - 2 * dot / (row_norm(a, r->dims) * row_norm(b, r->dims)));
}

static double distance(const struct rows *r, int64_t i, int64_t j)
{
	return (double)(r->distance ? r->distance[i * r->n + j] : measure(r, i, j));
}

static bool is_pair(const struct rows *r, int64_t a, int64_t p)
{
	return a != p && r->label[a] >= 0 && r->label[a] == r->label[p];
}

static bool is_other(const struct rows *r, int64_t a, int64_t n)
{
	return r->label[n] >= 0 && r->label[n] != r->label[a];
}

/* One triplet; only those above 0 count where `active`. */
static void add_triplet(struct rows *r, int64_t a, int64_t p, int64_t n, bool active)
{
	double h = distance(r, a, p) - distance(r, a, n) + r->margin;

	if (h > 0) {
		r->sum += h;
		if (r->weight) {
			r->weight[a * r->n + p] += 1;
			r->weight[a * r->n + n] -= 1;
		}
	}
	r->count += h > 0 || !active;
}

static void mine_all(struct rows *r)
{
	for (int64_t a = 0; a < r->n; a++)
		for (int64_t p = 0; p < r->n; p++)
			for (int64_t n = 0; is_pair(r, a, p) && n < r->n; n++)
				if (is_other(r, a, n))
					add_triplet(r, a, p, n, true);
}

/* The nearest other beyond `least`; the farthest where none is. -1: there are no others. */
static int64_t nearest_beyond(const struct rows *r, int64_t a, double least)
{
	int64_t nearest = -1, farthest = -1;

	for (int64_t n = 0; n < r->n; n++) {
		if (!is_other(r, a, n))
			continue;
		if (farthest < 0 || distance(r, a, n) > distance(r, a, farthest))
			farthest = n;
		if (distance(r, a, n) > least && (nearest < 0 || distance(r, a, n) < distance(r, a, nearest)))
			nearest = n;
	}
	return nearest < 0 ? farthest : nearest;
}

static void mine_semi_hard(struct rows *r)
{
	for (int64_t a = 0; a < r->n; a++)
		for (int64_t p = 0; p < r->n; p++) {
			int64_t n = is_pair(r, a, p) ? nearest_beyond(r, a, distance(r, a, p)) : -1;

			if (n >= 0)
				add_triplet(r, a, p, n, false);
		}
}

static void mine_hard(struct rows *r)
{
	for (int64_t a = 0; a < r->n; a++) {
		int64_t far = -1, n = nearest_beyond(r, a, -1);

		for (int64_t p = 0; p < r->n; p++)
			if (is_pair(r, a, p) && (far < 0 || distance(r, a, p) > distance(r, a, far)))
				far = p;
		if (far >= 0 && n >= 0)
			add_triplet(r, a, far, n, false);
	}
}

static void prepare(struct rows *r, real *norm)
{
	for (int64_t i = 0; norm && i < r->n; i++)
		norm[i] = (real)row_norm(r->x + i * r->dims, r->dims);
	if (r->weight)
		phiz_fill_zero(r->weight, r->n * r->n);
	for (int64_t i = 0; r->distance && i < r->n; i++)
		for (int64_t j = 0; j < r->n; j++)
			r->distance[i * r->n + j] = measure(r, i, j);
}

enum phiz_status REF(phiz_triplet_loss_forward)(struct phiz_call *call)
{
	const struct phiz_shape *shape = &call->in[PHIZ_TRIPLET_INPUT].shape;
	int64_t mining = call->node->attr[PHIZ_TRIPLET_MINING].i;
	struct rows r = {
		.x = phiz_in(call, PHIZ_TRIPLET_INPUT), .label = call->in[PHIZ_TRIPLET_LABELS].data, .n = shape->dim[0],
		.dims = shape->dim[1], .distance = call->saved[SAVED_DISTANCE].data, .weight = call->saved[SAVED_WEIGHT].data,
		.margin = call->node->attr[PHIZ_TRIPLET_MARGIN].f,
	};

	prepare(&r, call->saved[SAVED_NORM].data);
	if (mining == PHIZ_MINE_ALL)
		mine_all(&r);
	else if (mining == PHIZ_MINE_SEMI_HARD)
		mine_semi_hard(&r);
	else
		mine_hard(&r);
	*(real *)call->out[0].data = (real)(r.count ? r.sum / (double)r.count : 0);
	for (int64_t i = 0; r.weight && r.count && i < r.n * r.n; i++)
		r.weight[i] = (real)(r.weight[i] / (double)r.count);
	return PHIZ_OK;
}

/* Element d of g_i. */
static double pull(const struct phiz_call *call, int64_t i, int64_t d)
{
	int64_t n = call->in[PHIZ_TRIPLET_INPUT].shape.dim[0], dims = call->in[PHIZ_TRIPLET_INPUT].shape.dim[1];
	const real *x = phiz_in(call, PHIZ_TRIPLET_INPUT), *w = call->saved[SAVED_WEIGHT].data;
	const real *norm = call->saved[SAVED_NORM].data;
	double sum = 0;

	for (int64_t j = 0; j < n; j++)
		sum -= 2 * ((double)w[i * n + j] + w[j * n + i]) * x[j * dims + d] / norm[j];
	return sum;
}

enum phiz_status REF(phiz_triplet_loss_backward)(struct phiz_call *call)
{
	int64_t n = call->in[PHIZ_TRIPLET_INPUT].shape.dim[0], dims = call->in[PHIZ_TRIPLET_INPUT].shape.dim[1];
	const real *x = phiz_in(call, PHIZ_TRIPLET_INPUT), *norm = call->saved[SAVED_NORM].data;
	const real *dloss = call->dout[0].data;
	real *dx = phiz_din(call, PHIZ_TRIPLET_INPUT);
	bool add = phiz_adds(call, PHIZ_TRIPLET_INPUT);

	if (!dx || !dloss)
		return PHIZ_OK;
	for (int64_t i = 0; i < n; i++) {
		double along = 0, length = norm[i];

		for (int64_t d = 0; length > EPS && d < dims; d++)
			along += pull(call, i, d) * x[i * dims + d] / length;
		for (int64_t d = 0; d < dims; d++)
			phiz_put(&dx[i * dims + d], add,
			         (real)(*dloss * (pull(call, i, d) - along * x[i * dims + d] / length) / length));
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape scalar = {0}, samples;
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_float(ctx, node, in, PHIZ_TRIPLET_INPUT);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_TRIPLET_INPUT, 2, "[N, D]");
	if (status == PHIZ_OK)
		status = phiz_rule_dtype(ctx, node, in, PHIZ_TRIPLET_LABELS, PHIZ_I32);
	samples = phiz_shape_1d(in[PHIZ_TRIPLET_INPUT].shape.dim[0]);
	if (status == PHIZ_OK)
		status = phiz_rule_shape(ctx, node, in, PHIZ_TRIPLET_LABELS, &samples);
	if (status == PHIZ_OK)
		status = phiz_rule_output(ctx, phiz_rule_wide(in[PHIZ_TRIPLET_INPUT].dtype), &scalar, out);
	return status;
}

static int saved(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_type *types)
{
	int64_t n = in[PHIZ_TRIPLET_INPUT].shape.dim[0];

	(void)node;
	for (int i = 0; i < SAVED; i++)
		types[i].dtype = out[0].dtype;
	types[SAVED_DISTANCE].shape = types[SAVED_WEIGHT].shape = phiz_shape_2d(n, n);
	types[SAVED_NORM].shape = phiz_shape_1d(n);
	return SAVED;
}

static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = want & 1u;
	*out_mask = 0;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	double pairs = phiz_cost_count(in) * (double)in->shape.dim[0];

	phiz_cost_fill(node, in, out, 2 * pairs, 4 * pairs, c);
}

static const char *const input_names[] = {"input", "labels"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_TRIPLET_MARGIN] = {"margin", PHIZ_ATTR_FLOAT, 0.2, 0, 4},
	[PHIZ_TRIPLET_MINING] = {"mining", PHIZ_ATTR_INT, PHIZ_MINE_SEMI_HARD, PHIZ_MINE_ALL, PHIZ_MINE_HARD},
};

const struct phiz_op phiz_op_triplet_loss = {
	.name = "triplet_loss",
	.min_inputs = PHIZ_TRIPLET_INPUTS,
	.max_inputs = PHIZ_TRIPLET_INPUTS,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = PHIZ_TRIPLET_ATTRS,
	.diff_mask = 1u << PHIZ_TRIPLET_INPUT,
	.infer = infer,
	.saved = saved,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(triplet_loss),
};
#endif
