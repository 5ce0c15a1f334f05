/* Arithmetic on shapes and other short lists of numbers, done at import and for all probes at once; and constants that
 * only change their shape. */
#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/io/onnx_import.h"

/* ---- Sources ---- */

static void shape(struct phiz_onnx_import *m)
{
	struct phiz_onnx_value *v = phiz_onnx_in(m, 0);
	struct phiz_fold f = {1, 0, true, {{0}}};
	int64_t begin = phiz_onnx_int(m, "start", 0), end = phiz_onnx_int(m, "end", INT64_MAX);
	int p, d, ndim;

	if (!v)
		return;
	ndim = v->tensor ? v->tensor->shape.ndim : v->fold ? v->fold->ndim : phiz_onnx_shape(m, 0, v->value)->ndim;
	begin = begin < 0 ? begin + ndim : begin;
	end = end < 0 ? end + ndim : end;
	for (d = 0; d < ndim; d++) {
		if (d < begin || d >= end)
			continue;
		for (p = 0; p < PHIZ_PROBES; p++)
			f.v[p][f.n] = (double)(v->value != PHIZ_NONE ? phiz_onnx_shape(m, p, v->value)->dim[d]
			                       : v->tensor           ? v->tensor->shape.dim[d]
			                                             : v->fold->n);
		f.n++;
	}
	phiz_onnx_out_fold(m, &f);
}

static void fill(struct phiz_fold *f, int i, double v)
{
	int p;

	for (p = 0; p < PHIZ_PROBES; p++)
		f->v[p][i] = v;
}

static void constant(struct phiz_onnx_import *m)
{
	const struct phiz_onnx_attr *a;
	struct phiz_fold f = {0, 1, true, {{0}}};
	struct phiz_tensor *t = NULL;
	struct phiz_span name;
	int i;

	if ((a = phiz_onnx_attr(m, "value", PHIZ_ONNX_A_TENSOR)) != NULL) {
		m->status = phiz_onnx_read_tensor(m->ctx, a->tensor, &m->beside, &name, &t);
		if (m->status == PHIZ_E_NOMEM)
			return;
		if (m->status) {
			char text[256];

			strncpy(text, phiz_ctx_message(m->ctx), sizeof(text) - 1);
			text[sizeof(text) - 1] = 0;
			i = (int)m->status;
			m->status = PHIZ_OK;
			phiz_onnx_fail(m, (enum phiz_status)i, "%s", text);
			return;
		}
		phiz_onnx_out_tensor(m, t);
		return;
	}
	if ((a = phiz_onnx_attr(m, "value_int", PHIZ_ONNX_A_INT)) != NULL) {
		fill(&f, 0, (double)a->i);
	} else if ((a = phiz_onnx_attr(m, "value_float", PHIZ_ONNX_A_FLOAT)) != NULL) {
		fill(&f, 0, (double)a->f);
		f.whole = false;
	} else if ((a = phiz_onnx_attr(m, "value_ints", PHIZ_ONNX_A_INTS)) != NULL) {
		f.ndim = 1;
		for (i = 0; i < a->n_ints; i++)
			fill(&f, i, (double)a->ints[i]);
		f.n = a->n_ints;
	} else if ((a = phiz_onnx_attr(m, "value_floats", PHIZ_ONNX_A_FLOATS)) != NULL) {
		f.ndim = 1;
		for (i = 0; i < a->n_floats; i++)
			fill(&f, i, (double)a->floats[i]);
		f.n = a->n_floats;
		f.whole = false;
	} else {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "no value of a kind that phiz reads");
	}
	phiz_onnx_out_fold(m, &f);
}

/* ---- Lists ---- */

static void constant_of_shape(struct phiz_onnx_import *m)
{
	const struct phiz_onnx_attr *a = phiz_onnx_attr(m, "value", PHIZ_ONNX_A_TENSOR);
	struct phiz_fold in, f = {1, 0, false, {{0}}};
	struct phiz_tensor *t = NULL;
	struct phiz_span name;
	double v = 0;
	int i;

	if (!phiz_onnx_in_fold(m, 0, &in) || in.n > 1 ||
	    (in.n == 1 && (!phiz_fold_same(m, &in, 0) || !(in.v[0][0] >= 0 && in.v[0][0] <= PHIZ_FOLD_MAX)))) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "more than a list of %d numbers", PHIZ_FOLD_MAX);
		return;
	}
	if (a)
		m->status = phiz_onnx_read_tensor(m->ctx, a->tensor, &m->beside, &name, &t);
	if (t && phiz_tensor_count(t) != 1)
		phiz_onnx_fail(m, PHIZ_E_FORMAT, "want one number");
	if (t && !m->status) {
		struct phiz_tensor one;

		phiz_tensor_view(&one, PHIZ_F64, &t->shape, &v);
		m->status = phiz_tensor_convert(m->ctx, t, &one);
		f.whole = t->dtype != PHIZ_F32;
	}
	phiz_tensor_free(m->ctx, &t);
	f.ndim = in.n;
	f.n = in.n ? (int)in.v[0][0] : 1;
	for (i = 0; i < f.n; i++)
		fill(&f, i, v);
	phiz_onnx_out_fold(m, &f);
}

static void gather(struct phiz_onnx_import *m)
{
	struct phiz_fold from, index, f;
	int p, i;

	if (phiz_onnx_int(m, "axis", 0) != 0 || !phiz_onnx_in_fold(m, 0, &from) || !phiz_onnx_in_fold(m, 1, &index) ||
	    from.ndim != 1) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "from what is no list");
		return;
	}
	f = index;
	f.whole = from.whole;
	for (p = 0; p < PHIZ_PROBES; p++)
		for (i = 0; i < index.n; i++) {
			double k = index.v[p][i] < 0 ? index.v[p][i] + from.n : index.v[p][i];

			if (!(k >= 0 && k < from.n)) {
				phiz_onnx_fail(m, PHIZ_E_FORMAT, "index %.10g of %d numbers", index.v[p][i], from.n);
				return;
			}
			f.v[p][i] = from.v[p][(int)k];
		}
	phiz_onnx_out_fold(m, &f);
}

static void concat(struct phiz_onnx_import *m)
{
	struct phiz_fold f = {1, 0, true, {{0}}}, part;
	int p, i, k;

	if (phiz_onnx_int(m, "axis", 0) != 0 && phiz_onnx_int(m, "axis", 0) != -1)
		phiz_onnx_fail(m, PHIZ_E_FORMAT, "axis of lists that is not 0");
	for (k = 0; k < m->node.n_in && !m->status; k++) {
		if (!phiz_onnx_in_fold(m, k, &part) || part.ndim != 1 || f.n + part.n > PHIZ_FOLD_MAX) {
			phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "of what are no lists, or more than %d numbers", PHIZ_FOLD_MAX);
			return;
		}
		f.whole = f.whole && part.whole;
		for (p = 0; p < PHIZ_PROBES; p++)
			for (i = 0; i < part.n; i++)
				f.v[p][f.n + i] = part.v[p][i];
		f.n += part.n;
	}
	phiz_onnx_out_fold(m, &f);
}

/* One bound of a slice, cut to the list. */
static int bound(double v, int n)
{
	v = v < 0 ? v + n : v;
	return !(v > 0) ? 0 : v > n ? n : (int)v; /* no number counts as 0 */
}

static void slice(struct phiz_onnx_import *m)
{
	const struct phiz_onnx_attr *begins = phiz_onnx_attr(m, "starts", PHIZ_ONNX_A_INTS);
	const struct phiz_onnx_attr *ends = phiz_onnx_attr(m, "ends", PHIZ_ONNX_A_INTS);
	struct phiz_fold from, f, begin, end, step;
	int64_t axes[PHIZ_ONNX_LIST] = {0};
	int p, i, n_axes = phiz_onnx_axes(m, 3, axes), at, to;

	if (m->status || !phiz_onnx_in_fold(m, 0, &from))
		return;
	if (begins && ends) {
		begin = end = (struct phiz_fold){1, 1, true, {{0}}};
		fill(&begin, 0, (double)begins->ints[0]);
		fill(&end, 0, (double)ends->ints[0]);
		begin.n = begins->n_ints;
		end.n = ends->n_ints;
	} else if (!phiz_onnx_in_fold(m, 1, &begin) || !phiz_onnx_in_fold(m, 2, &end)) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "bounds that are not known when importing");
		return;
	}
	step = (struct phiz_fold){1, 1, true, {{1}}};
	if (phiz_onnx_has(m, 4))
		(void)phiz_onnx_in_fold(m, 4, &step);
	if (from.ndim != 1 || begin.n != 1 || end.n != 1 || step.n != 1 || step.v[0][0] != 1 || n_axes > 1 ||
	    axes[0] != 0) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "of a list in other than one piece");
		return;
	}
	f = from;
	for (p = 0; p < PHIZ_PROBES; p++) {
		at = bound(begin.v[p][0], from.n);
		to = bound(end.v[p][0], from.n);
		if (p > 0 && m->live[p] && to - at != f.n && !(to < at && f.n == 0))
			phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "as long as the picture's size says");
		if (p == 0)
			f.n = to > at ? to - at : 0;
		for (i = 0; i < f.n && at + i < from.n; i++)
			f.v[p][i] = from.v[p][at + i];
	}
	phiz_onnx_out_fold(m, &f);
}

/* ---- Element by element ---- */

static double apply(char op, bool whole, double a, double b)
{
	double v;

	switch (op) {
	case '+': return a + b;
	case '-': return a - b;
	case '*': return a * b;
	case 'f': return floor(a);
	case 'c': return ceil(a);
	}
	v = a / b;
	return whole && isfinite(v) ? trunc(v) : v;
}

static void elementwise(struct phiz_onnx_import *m, char op, int n_in)
{
	struct phiz_fold a, b, f;
	int p, i;

	if (!phiz_onnx_in_fold(m, 0, &a) || !phiz_onnx_in_fold(m, n_in - 1, &b))
		return;
	if (a.n != b.n && a.n != 1 && b.n != 1) {
		phiz_onnx_fail(m, PHIZ_E_SHAPE, "lists of %d and %d numbers", a.n, b.n);
		return;
	}
	f = a.n >= b.n && a.ndim >= b.ndim ? a : b;
	f.whole = a.whole && b.whole;
	for (p = 0; p < PHIZ_PROBES; p++)
		for (i = 0; i < f.n; i++) {
			f.v[p][i] = apply(op, f.whole, a.v[p][a.n == 1 ? 0 : i], b.v[p][b.n == 1 ? 0 : i]);
			if (!isfinite(f.v[p][i]))
				phiz_onnx_fail(m, PHIZ_E_NUMERIC, "gives no finite number");
		}
	phiz_onnx_out_fold(m, &f);
}

static void add(struct phiz_onnx_import *m) { elementwise(m, '+', 2); }
static void sub(struct phiz_onnx_import *m) { elementwise(m, '-', 2); }
static void mul(struct phiz_onnx_import *m) { elementwise(m, '*', 2); }
static void div_(struct phiz_onnx_import *m) { elementwise(m, '/', 2); }
static void floor_(struct phiz_onnx_import *m) { elementwise(m, 'f', 1); }
static void ceil_(struct phiz_onnx_import *m) { elementwise(m, 'c', 1); }

static void cast(struct phiz_onnx_import *m)
{
	int64_t to = phiz_onnx_int(m, "to", 0);
	struct phiz_fold f;
	int p, i;

	(void)phiz_onnx_int(m, "saturate", 1);
	if (m->status || !phiz_onnx_in_fold(m, 0, &f))
		return;
	f.whole = to != PHIZ_ONNX_T_FLOAT && to != PHIZ_ONNX_T_DOUBLE && to != PHIZ_ONNX_T_FLOAT16 &&
	          to != PHIZ_ONNX_T_BFLOAT16;
	for (p = 0; p < PHIZ_PROBES && f.whole; p++)
		for (i = 0; i < f.n; i++)
			f.v[p][i] = trunc(f.v[p][i]);
	phiz_onnx_out_fold(m, &f);
}

/* ---- Another shape ---- */

static void identity(struct phiz_onnx_import *m)
{
	struct phiz_fold f;

	if (phiz_onnx_in_fold(m, 0, &f))
		phiz_onnx_out_fold(m, &f);
}

/* A scalar becomes a list of one, or the other way round. */
static void change_rank(struct phiz_onnx_import *m, int ndim)
{
	struct phiz_fold f;
	int64_t axes[PHIZ_ONNX_LIST];
	int n = phiz_onnx_axes(m, 1, axes);

	if (m->status || !phiz_onnx_in_fold(m, 0, &f))
		return;
	if (f.n != 1 || n > 1 || (ndim == 1 && f.ndim == 1))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "of a list");
	f.ndim = ndim;
	phiz_onnx_out_fold(m, &f);
}

static void unsqueeze(struct phiz_onnx_import *m) { change_rank(m, 1); }
static void squeeze(struct phiz_onnx_import *m) { change_rank(m, 0); }

static void reshape(struct phiz_onnx_import *m)
{
	struct phiz_fold f, to;

	(void)phiz_onnx_int(m, "allowzero", 0);
	if (!phiz_onnx_in_fold(m, 0, &f) || !phiz_onnx_in_fold(m, 1, &to))
		return;
	if (to.n > 1 || (to.n == 0 && f.n != 1) || (to.n == 1 && to.v[0][0] != -1 && to.v[0][0] != f.n))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "of a list into other than a list");
	f.ndim = to.n;
	phiz_onnx_out_fold(m, &f);
}

static const struct {
	const char *op;
	phiz_onnx_row_fn fn;
	bool source; /* folds whatever its inputs are */
} rows[] = {
	{"Shape", shape, true},
	{"Constant", constant, true},
	{"ConstantOfShape", constant_of_shape, false},
	{"Gather", gather, false},
	{"Concat", concat, false},
	{"Slice", slice, false},
	{"Add", add, false},
	{"Sub", sub, false},
	{"Mul", mul, false},
	{"Div", div_, false},
	{"Floor", floor_, false},
	{"Ceil", ceil_, false},
	{"Cast", cast, false},
	{"Identity", identity, false},
	{"Unsqueeze", unsqueeze, false},
	{"Squeeze", squeeze, false},
	{"Reshape", reshape, false},
};

phiz_onnx_row_fn phiz_onnx_folding(struct phiz_span op)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (phiz_span_is(op, rows[i].op))
			return rows[i].fn;
	return NULL;
}

/* ---- Constants of any size that only change their shape ---- */

static void copy_shape(struct phiz_onnx_import *m, const struct phiz_shape *to)
{
	const struct phiz_tensor *from = phiz_onnx_in_tensor(m, 0);
	struct phiz_tensor *t = NULL;

	if (m->status || !from)
		return;
	m->status = phiz_tensor_create(m->ctx, from->dtype, to, &t);
	if (m->status)
		return;
	if (phiz_tensor_bytes(t) > 0)
		memcpy(t->data, from->data, phiz_tensor_bytes(t));
	phiz_onnx_out_tensor(m, t);
}

static void unsqueeze_tensor(struct phiz_onnx_import *m)
{
	const struct phiz_tensor *t = phiz_onnx_in_tensor(m, 0);
	const struct phiz_shape *from;
	struct phiz_shape to = {0};
	int64_t axes[PHIZ_ONNX_LIST];
	int n = phiz_onnx_axes(m, 1, axes), i, d, k = 0;

	if (m->status)
		return;
	from = &t->shape;
	to.ndim = from->ndim + n;
	if (to.ndim > PHIZ_MAX_DIMS) {
		phiz_onnx_fail(m, PHIZ_E_LIMIT, "more than %d dims", PHIZ_MAX_DIMS);
		return;
	}
	for (d = 0; d < to.ndim; d++) {
		bool made = false;

		for (i = 0; i < n; i++)
			made = made || axes[i] == d || axes[i] + to.ndim == d;
		if (!made && k >= from->ndim) {
			phiz_onnx_fail(m, PHIZ_E_FORMAT, "axes that do not fit");
			return;
		}
		to.dim[d] = made ? 1 : from->dim[k++];
	}
	copy_shape(m, &to);
}

static void transpose_tensor(struct phiz_onnx_import *m)
{
	const struct phiz_tensor *from = phiz_onnx_in_tensor(m, 0);
	int64_t perm[2] = {1, 0}, r, c;
	struct phiz_tensor *t;
	struct phiz_shape to;

	phiz_onnx_ints(m, "perm", perm, 2, 0, 1);
	if (m->status)
		return;
	if (from->shape.ndim != 2 || from->dtype != PHIZ_F32 || perm[0] != 1 || perm[1] != 0) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "of a constant that is no matrix of floating point");
		return;
	}
	to = phiz_shape_2d(from->shape.dim[1], from->shape.dim[0]);
	m->status = phiz_tensor_create(m->ctx, PHIZ_F32, &to, &t);
	if (m->status)
		return;
	for (r = 0; r < to.dim[0]; r++)
		for (c = 0; c < to.dim[1]; c++)
			((float *)t->data)[r * to.dim[1] + c] = ((const float *)from->data)[c * to.dim[0] + r];
	phiz_onnx_out_tensor(m, t);
}

static void same_tensor(struct phiz_onnx_import *m)
{
	const struct phiz_tensor *from = phiz_onnx_in_tensor(m, 0);

	(void)phiz_onnx_int(m, "to", 0);
	if (from)
		copy_shape(m, &from->shape);
}

/* ---- Whether to fold ---- */

static bool all_known(struct phiz_onnx_import *m)
{
	struct phiz_fold f;
	bool known = m->node.n_in > 0;
	int i;

	for (i = 0; i < m->node.n_in && known; i++)
		known = !phiz_onnx_has(m, i) || phiz_onnx_in_fold(m, i, &f);
	return known;
}

bool phiz_onnx_fold_node(struct phiz_onnx_import *m)
{
	static const struct {
		const char *op;
		phiz_onnx_row_fn fn;
	} of_tensors[] = {{"Unsqueeze", unsqueeze_tensor}, {"Transpose", transpose_tensor}, {"Identity", same_tensor},
	                  {"Cast", same_tensor}};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (phiz_span_is(m->node.op, rows[i].op) && (rows[i].source || all_known(m))) {
			rows[i].fn(m);
			return true;
		}
	if (m->status || !phiz_onnx_has(m, 0) || !phiz_onnx_in_is_constant(m, 0))
		return m->status != PHIZ_OK;
	for (i = 0; i < sizeof(of_tensors) / sizeof(of_tensors[0]); i++)
		if (phiz_span_is(m->node.op, of_tensors[i].op)) {
			of_tensors[i].fn(m);
			return true;
		}
	return false;
}
