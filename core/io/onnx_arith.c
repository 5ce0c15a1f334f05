/* What each ONNX operator becomes: sums, products, and norms that are computed step by step. */
#include <string.h>

#include "core/io/onnx_import.h"

/* ---- With constants ---- */

/* The constant at input i, turned by fn, as a parameter that repeats along x as ONNX broadcasts. No training changes
 * it: such numbers are the networks' own arithmetic. */
static int repeated(struct phiz_onnx_import *m, int i, int x, float (*fn)(float), const char *role)
{
	const struct phiz_tensor *from = phiz_onnx_in_tensor(m, i);
	struct phiz_tensor *to = NULL;
	struct phiz_shape shape = {0};
	char text[128];
	int d, lead;

	if (m->status)
		return PHIZ_NONE;
	shape.ndim = phiz_onnx_shape(m, 0, x)->ndim;
	lead = shape.ndim - from->shape.ndim;
	if (lead < 0 || from->dtype != PHIZ_F32) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "with a constant of shape %s, of more dims than the other side, or of "
		               "whole numbers", phiz_shape_text(&from->shape, text));
		return PHIZ_NONE;
	}
	for (d = 0; d < shape.ndim; d++)
		shape.dim[d] = d < lead ? 1 : from->shape.dim[d - lead];
	if (!fn)
		return phiz_onnx_param(m, i, &shape, false);
	m->status = phiz_tensor_create(m->ctx, PHIZ_F32, &shape, &to);
	if (m->status)
		return PHIZ_NONE;
	for (int64_t k = 0; k < phiz_tensor_count(to); k++)
		((float *)to->data)[k] = fn(((const float *)from->data)[k]);
	return phiz_onnx_new_param(m, role, to, false);
}

/* x * scale + shift; PHIZ_NONE where there is none. */
static int affine(struct phiz_onnx_import *m, int x, int scale, int shift, bool last)
{
	int in[] = {x, scale, shift};

	return phiz_onnx_add(m, "affine", in, 3, NULL, 0, last);
}

/* A parameter of one number, -1. */
static int minus_one(struct phiz_onnx_import *m, int x)
{
	struct phiz_tensor *t = NULL;
	struct phiz_shape shape = {0};
	int d;

	if (m->status)
		return PHIZ_NONE;
	shape.ndim = phiz_onnx_shape(m, 0, x)->ndim;
	for (d = 0; d < shape.ndim; d++)
		shape.dim[d] = 1;
	m->status = phiz_tensor_create(m->ctx, PHIZ_F32, &shape, &t);
	if (m->status)
		return PHIZ_NONE;
	*(float *)t->data = -1;
	return phiz_onnx_new_param(m, "minus_one", t, false);
}

static float minus(float v) { return -v; }
static float one_by(float v) { return 1 / v; }

/* Which of two inputs is the constant: 0, 1, or -1 where both are computed. */
static int constant_side(struct phiz_onnx_import *m)
{
	return phiz_onnx_in_is_constant(m, 0) ? 0 : phiz_onnx_in_is_constant(m, 1) ? 1 : -1;
}

static void add(struct phiz_onnx_import *m)
{
	int c = constant_side(m), in[2], x;

	if (c >= 0) {
		x = phiz_onnx_in_graph(m, 1 - c);
		phiz_onnx_out_value(m, affine(m, x, PHIZ_NONE, repeated(m, c, x, NULL, NULL), true));
		return;
	}
	in[0] = phiz_onnx_in_graph(m, 0);
	in[1] = phiz_onnx_in_graph(m, 1);
	phiz_onnx_out_value(m, phiz_onnx_add(m, "add", in, 2, NULL, 0, true));
}

static void sub(struct phiz_onnx_import *m)
{
	int c = constant_side(m), in[2], x, shift;

	x = phiz_onnx_in_graph(m, c == 0 ? 1 : 0);
	if (c >= 0) {
		shift = repeated(m, c, x, c == 1 ? minus : NULL, "shift");
		phiz_onnx_out_value(m, affine(m, x, c == 1 ? PHIZ_NONE : minus_one(m, x), shift, true));
		return;
	}
	in[0] = x;
	in[1] = phiz_onnx_in_graph(m, 1);
	in[1] = affine(m, in[1], minus_one(m, in[1]), PHIZ_NONE, false);
	phiz_onnx_out_value(m, phiz_onnx_add(m, "add", in, 2, NULL, 0, true));
}

/* Both computed: of one shape, or one is a number per channel [N, C, 1, 1]. */
static void mul(struct phiz_onnx_import *m)
{
	int c = constant_side(m), in[2], x;

	if (c >= 0) {
		x = phiz_onnx_in_graph(m, 1 - c);
		phiz_onnx_out_value(m, affine(m, x, repeated(m, c, x, NULL, NULL), PHIZ_NONE, true));
		return;
	}
	in[0] = phiz_onnx_in_graph(m, 0);
	in[1] = phiz_onnx_in_graph(m, 1);
	if (!m->status &&
	    phiz_shape_count(phiz_onnx_shape(m, 0, in[0])) < phiz_shape_count(phiz_onnx_shape(m, 0, in[1]))) {
		x = in[0];
		in[0] = in[1];
		in[1] = x;
	}
	phiz_onnx_out_value(m, phiz_onnx_add(m, "mul", in, 2, NULL, 0, true));
}

/* ---- x / max(||x||, eps), which networks compute step by step ---- */

static struct phiz_onnx_value *norm_at(struct phiz_onnx_import *m, int i)
{
	struct phiz_onnx_value *v = phiz_onnx_has(m, i) ? phiz_onnx_in(m, i) : NULL;

	return v && v->norm_of != PHIZ_NONE ? v : NULL;
}

static void out_norm(struct phiz_onnx_import *m, int of, double eps)
{
	struct phiz_onnx_value *v = phiz_onnx_new(m, m->node.out[0]);

	if (v) {
		v->norm_of = of;
		v->norm_eps = eps;
	}
}

/* Is this the one axis that l2_normalize works on? */
static bool is_channels(const struct phiz_onnx_import *m, int x, int64_t axis)
{
	int ndim = phiz_onnx_shape(m, 0, x)->ndim;

	return ndim > 1 && (axis == 1 || axis + ndim == 1);
}

static void reduce_l2(struct phiz_onnx_import *m)
{
	int64_t axes[PHIZ_ONNX_LIST] = {0};
	int x = phiz_onnx_in_graph(m, 0), n = phiz_onnx_axes(m, 1, axes);

	if (phiz_onnx_int(m, "keepdims", 1) != 1 || (m->opset >= 18 && phiz_onnx_int(m, "noop_with_empty_axes", 0)) ||
	    (!m->status && (n != 1 || !is_channels(m, x, axes[0]))))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want the norm along axis 1, which is kept, to divide by");
	out_norm(m, x, 0);
}

/* A norm that is bounded below. */
static void bound_norm(struct phiz_onnx_import *m, int at, int constant)
{
	struct phiz_onnx_value *v = norm_at(m, at);
	struct phiz_fold eps;

	if (!v)
		return;
	if (!phiz_onnx_in_fold(m, constant, &eps) || eps.n != 1 || !phiz_fold_same(m, &eps, 0) || eps.v[0][0] < 0 ||
	    eps.v[0][0] > 1)
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want the norm's lower bound as a number from 0 to 1");
	else
		out_norm(m, v->norm_of, eps.v[0][0] > v->norm_eps ? eps.v[0][0] : v->norm_eps);
}

static void max(struct phiz_onnx_import *m)
{
	if (m->node.n_in == 2 && (norm_at(m, 0) || norm_at(m, 1)))
		bound_norm(m, norm_at(m, 0) ? 0 : 1, norm_at(m, 0) ? 1 : 0);
	else
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "phiz does it on norms only");
}

static void expand(struct phiz_onnx_import *m)
{
	struct phiz_onnx_value *v = norm_at(m, 0);

	if (v)
		out_norm(m, v->norm_of, v->norm_eps);
	else
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "phiz does it on norms only");
}

static void l2_normalize(struct phiz_onnx_import *m, int x, double eps)
{
	const struct phiz_attr_arg attr = {"eps", eps > 1e-30 ? eps : 1e-30};

	phiz_onnx_out_value(m, phiz_onnx_add(m, "l2_normalize", &x, 1, &attr, 1, true));
}

static void lp_normalization(struct phiz_onnx_import *m)
{
	int x = phiz_onnx_in_graph(m, 0);
	int64_t axis = phiz_onnx_int(m, "axis", -1);

	if (phiz_onnx_int(m, "p", 2) != 2 || (!m->status && !is_channels(m, x, axis)))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want p 2 along axis 1");
	l2_normalize(m, x, 0);
}

static void div_(struct phiz_onnx_import *m)
{
	struct phiz_onnx_value *norm = norm_at(m, 1);
	int x;

	if (m->status)
		return;
	x = phiz_onnx_in_graph(m, 0);
	if (norm && x == norm->norm_of)
		l2_normalize(m, x, norm->norm_eps);
	else if (!norm && phiz_onnx_in_is_constant(m, 1))
		phiz_onnx_out_value(m, affine(m, x, repeated(m, 1, x, one_by, "scale"), PHIZ_NONE, true));
	else
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "by what is neither a constant nor the norm of the other side");
}

/* ---- One input ---- */

static void exp_(struct phiz_onnx_import *m)
{
	int x = phiz_onnx_in_graph(m, 0);

	phiz_onnx_out_value(m, phiz_onnx_add(m, "exp", &x, 1, NULL, 0, true));
}

/* The bound in the attribute or, newer, at input i. */
static bool clip_bound(struct phiz_onnx_import *m, const char *name, int i, struct phiz_attr_arg *out)
{
	struct phiz_fold f;

	out->name = name;
	if (m->opset < 11) {
		const struct phiz_onnx_attr *a = phiz_onnx_attr(m, name, PHIZ_ONNX_A_FLOAT);

		out->value = a ? (double)a->f : 0;
		return a != NULL;
	}
	if (!phiz_onnx_has(m, i))
		return false;
	if (!phiz_onnx_in_fold(m, i, &f) || f.n != 1 || !phiz_fold_same(m, &f, 0)) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "its %s is not known when importing", name);
		return false;
	}
	out->value = f.v[0][0];
	return true;
}

static void clip(struct phiz_onnx_import *m)
{
	struct phiz_attr_arg attr[2];
	int x, n = 0;

	if (norm_at(m, 0) && m->opset >= 11 && !phiz_onnx_has(m, 2)) {
		bound_norm(m, 0, 1);
		return;
	}
	x = phiz_onnx_in_graph(m, 0);
	n += clip_bound(m, "min", 1, &attr[n]);
	n += clip_bound(m, "max", 2, &attr[n]);
	phiz_onnx_out_value(m, phiz_onnx_add(m, "clamp", &x, 1, attr, n, true));
}

/* Over H and W: a global average pool. */
static void reduce_mean(struct phiz_onnx_import *m)
{
	int64_t axes[PHIZ_ONNX_LIST] = {0}, keep = phiz_onnx_int(m, "keepdims", 1);
	int x = phiz_onnx_in_graph(m, 0), n = phiz_onnx_axes(m, 1, axes), i;
	const struct phiz_attr_arg start = {"start", 1};
	unsigned seen = 0;

	for (i = 0; i < n; i++)
		seen |= axes[i] >= -4 && axes[i] < 4 ? 1u << (axes[i] & 3) : 16u;
	if (!m->status && (phiz_onnx_shape(m, 0, x)->ndim != 4 || n != 2 || seen != 12u))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want the mean over H and W");
	if (m->opset >= 18)
		(void)phiz_onnx_int(m, "noop_with_empty_axes", 0);
	x = phiz_onnx_add(m, "global_avg_pool", &x, 1, NULL, 0, keep != 0);
	if (!keep)
		x = phiz_onnx_add(m, "flatten", &x, 1, &start, 1, true);
	phiz_onnx_out_value(m, x);
}

static const struct {
	const char *op;
	phiz_onnx_row_fn fn;
} rows[] = {
	{"Add", add},
	{"Sub", sub},
	{"Mul", mul},
	{"Div", div_},
	{"Exp", exp_},
	{"Clip", clip},
	{"Max", max},
	{"Expand", expand},
	{"ReduceMean", reduce_mean},
	{"ReduceL2", reduce_l2},
	{"LpNormalization", lp_normalization},
};

phiz_onnx_row_fn phiz_onnx_arithmetic(struct phiz_span op)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (phiz_span_is(op, rows[i].op))
			return rows[i].fn;
	return NULL;
}
