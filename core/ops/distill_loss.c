/* distill_loss: s_n, t_n the L2-normalised rows of student a and teacher b, d_nm = s_n.s_m - t_n.t_m, k = similarity:
 *   loss = 1/N sum_n (1 - s_n.t_n) + k/N^2 sum_nm d_nm^2
 * With g_n = dloss (-t_n / N + 4 k / N^2 sum_m d_nm s_m): da_n = (g_n - s_n (g_n.s_n)) / |a_n|. Sums in double.
 * Saved: d [N,N], |a_n| [N]. (Park et al. 2019, "Relational knowledge distillation", with cosines.) */
#include "core/ops/kernel.h"

#include <math.h>

#include "core/ops/rule.h"

enum { SAVED_DIFFERENCE, SAVED_NORM, SAVED };
#define EPS 1e-12 /* rows shorter than this count as this long */

static double dot(const real *a, const real *b, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)a[i] * b[i];
	return sum;
}

static double row_norm(const real *x, int64_t n)
{
	double r = sqrt(dot(x, x, n));

	return r < EPS ? EPS : r;
}

enum phiz_status REF(phiz_distill_loss_forward)(struct phiz_call *call)
{
	int64_t rows = call->in[PHIZ_DISTILL_STUDENT].shape.dim[0], dims = call->in[PHIZ_DISTILL_STUDENT].shape.dim[1];
	const real *a = phiz_in(call, PHIZ_DISTILL_STUDENT), *b = phiz_in(call, PHIZ_DISTILL_TEACHER);
	real *difference = call->saved[SAVED_DIFFERENCE].data, *norm = call->saved[SAVED_NORM].data;
	double k = call->node->attr[PHIZ_DISTILL_SIMILARITY].f, angles = 0, squares = 0;

	for (int64_t n = 0; n < rows; n++) {
		const real *an = a + n * dims, *bn = b + n * dims;
		double length = row_norm(an, dims), teacher_length = row_norm(bn, dims);

		if (norm)
			norm[n] = (real)length;
		angles += 1 - dot(an, bn, dims) / (length * teacher_length);
		for (int64_t m = 0; m <= n; m++) { /* the matrix is symmetric */
			double d = dot(an, a + m * dims, dims) / (length * row_norm(a + m * dims, dims)) -
			           dot(bn, b + m * dims, dims) / (teacher_length * row_norm(b + m * dims, dims));

			squares += m < n ? 2 * d * d : d * d;
			if (difference)
				difference[n * rows + m] = difference[m * rows + n] = (real)d;
		}
	}
	*(real *)call->out[0].data = (real)((angles + k * squares / (double)rows) / (double)rows);
	return PHIZ_OK;
}

/* Element i of g_n. */
static double pull(const struct phiz_call *call, int64_t n, int64_t i, double teacher_norm)
{
	int64_t rows = call->in[PHIZ_DISTILL_STUDENT].shape.dim[0], dims = call->in[PHIZ_DISTILL_STUDENT].shape.dim[1];
	const real *a = phiz_in(call, PHIZ_DISTILL_STUDENT), *b = phiz_in(call, PHIZ_DISTILL_TEACHER);
	const real *d = (const real *)call->saved[SAVED_DIFFERENCE].data + n * rows, *norm = call->saved[SAVED_NORM].data;
	double k = call->node->attr[PHIZ_DISTILL_SIMILARITY].f, sum = 0;

	for (int64_t m = 0; m < rows; m++)
		sum += (double)d[m] * a[m * dims + i] / norm[m];
	return (4 * k / (double)rows * sum - b[n * dims + i] / teacher_norm) / (double)rows;
}

enum phiz_status REF(phiz_distill_loss_backward)(struct phiz_call *call)
{
	int64_t rows = call->in[PHIZ_DISTILL_STUDENT].shape.dim[0], dims = call->in[PHIZ_DISTILL_STUDENT].shape.dim[1];
	const real *a = phiz_in(call, PHIZ_DISTILL_STUDENT), *b = phiz_in(call, PHIZ_DISTILL_TEACHER);
	const real *dloss = call->dout[0].data, *norm = call->saved[SAVED_NORM].data;
	real *da = phiz_din(call, PHIZ_DISTILL_STUDENT);
	bool add = phiz_adds(call, PHIZ_DISTILL_STUDENT);

	if (!da || !dloss)
		return PHIZ_OK;
	for (int64_t n = 0; n < rows; n++) {
		double teacher_norm = row_norm(b + n * dims, dims), along = 0, r = norm[n];

		/* A row that counts as longer than it is is only scaled. */
		for (int64_t i = 0; r > EPS && i < dims; i++)
			along += pull(call, n, i, teacher_norm) * a[n * dims + i] / r;
		for (int64_t i = 0; i < dims; i++)
			phiz_put(&da[n * dims + i], add,
			         (real)(*dloss * (pull(call, n, i, teacher_norm) - along * a[n * dims + i] / r) / r));
	}
	return PHIZ_OK;
}

#ifndef PHIZ_REAL_F64
static enum phiz_status infer(struct phiz_ctx *ctx, const struct phiz_node *node, const struct phiz_type *in,
                              struct phiz_type *out)
{
	struct phiz_shape scalar = {0};
	enum phiz_status status = phiz_rule_begin(ctx, node, in);

	if (status == PHIZ_OK)
		status = phiz_rule_float(ctx, node, in, PHIZ_DISTILL_STUDENT);
	if (status == PHIZ_OK)
		status = phiz_rule_ndim(ctx, node, in, PHIZ_DISTILL_STUDENT, 2, "[N, D]");
	if (status == PHIZ_OK)
		status = phiz_rule_dtype(ctx, node, in, PHIZ_DISTILL_TEACHER, in[PHIZ_DISTILL_STUDENT].dtype);
	if (status == PHIZ_OK)
		status = phiz_rule_shape(ctx, node, in, PHIZ_DISTILL_TEACHER, &in[PHIZ_DISTILL_STUDENT].shape);
	if (status == PHIZ_OK)
		status = phiz_rule_output(ctx, phiz_rule_wide(in[PHIZ_DISTILL_STUDENT].dtype), &scalar, out);
	return status;
}

static int saved(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_type *types)
{
	int64_t rows = in[PHIZ_DISTILL_STUDENT].shape.dim[0];

	(void)node;
	types[SAVED_DIFFERENCE].dtype = types[SAVED_NORM].dtype = out[0].dtype;
	types[SAVED_DIFFERENCE].shape = phiz_shape_2d(rows, rows);
	types[SAVED_NORM].shape = phiz_shape_1d(rows);
	return SAVED;
}

static void reads(const struct phiz_node *node, unsigned want, unsigned *in_mask, unsigned *out_mask)
{
	(void)node;
	*in_mask = want & 1u ? 1u << PHIZ_DISTILL_STUDENT | 1u << PHIZ_DISTILL_TEACHER : 0;
	*out_mask = 0;
}

static void cost(const struct phiz_node *node, const struct phiz_type *in, const struct phiz_type *out,
                 struct phiz_cost *c)
{
	double pairs = phiz_cost_count(in) * (double)in->shape.dim[0];

	phiz_cost_fill(node, in, out, 4 * pairs, 4 * pairs, c);
}

static const char *const input_names[] = {"student", "teacher"};
static const struct phiz_attr_desc attrs[] = {
	[PHIZ_DISTILL_SIMILARITY] = {"similarity", PHIZ_ATTR_FLOAT, 1, 0, 1e6},
};

const struct phiz_op phiz_op_distill_loss = {
	.name = "distill_loss",
	.min_inputs = PHIZ_DISTILL_INPUTS,
	.max_inputs = PHIZ_DISTILL_INPUTS,
	.n_outputs = 1,
	.input_names = input_names,
	.attrs = attrs,
	.n_attrs = 1,
	.diff_mask = 1u << PHIZ_DISTILL_STUDENT,
	.infer = infer,
	.saved = saved,
	.reads = reads,
	.cost = cost,
	PHIZ_REFERENCE(distill_loss),
};
#endif
