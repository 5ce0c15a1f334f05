/* What each ONNX operator becomes: shapes and sums. */
#include <string.h>

#include "core/io/onnx_import.h"

/* ---- Reshaping ---- */

static double count(const struct phiz_shape *shape)
{
	return (double)phiz_shape_count(shape);
}

/* The dims that a fold asks for at a probe: 0 copied from x, -1 what is left. False if they do not fit. */
static bool resolve(const struct phiz_shape *x, const double *want, int n, bool zero_copies, double *out)
{
	double product = 1, left;
	int i, rest = -1;

	for (i = 0; i < n; i++) {
		out[i] = want[i];
		if (want[i] == 0 && zero_copies)
			out[i] = i < x->ndim ? (double)x->dim[i] : 0;
		if (want[i] == -1 && rest >= 0)
			return false;
		if (want[i] == -1)
			rest = i;
		else
			product *= out[i];
	}
	if (rest < 0)
		return product == count(x);
	left = product > 0 ? count(x) / product : 0;
	out[rest] = left;
	return left >= 1 && left * product == count(x) && left == (double)(int64_t)left;
}

/* Adds a reshape of x to dims[p][i] (n of them, whole). A dim that the input has in the same place is copied, one that
 * follows the picture's size otherwise is what is left. */
static int add_reshape(struct phiz_onnx_import *m, int x, const struct phiz_fold *dims, bool last)
{
	struct phiz_attr_arg attr[1 + PHIZ_MAX_DIMS] = {{"ndim", dims->n}};
	static const char *const names[] = {"d0", "d1", "d2", "d3", "d4", "d5"};
	int i, p, rest = 0;

	for (i = 0; i < dims->n && !m->status; i++) {
		bool copies = true;

		for (p = 0; p < PHIZ_PROBES; p++)
			if (m->live[p])
				copies = copies && i < phiz_onnx_shape(m, p, x)->ndim &&
				         dims->v[p][i] == (double)phiz_onnx_shape(m, p, x)->dim[i];
		attr[1 + i].name = names[i];
		attr[1 + i].value = copies ? 0 : phiz_fold_same(m, dims, i) ? dims->v[0][i] : -1;
		rest += attr[1 + i].value == -1;
	}
	if (rest > 1)
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "several dims follow the picture's size: phiz can write down one");
	return phiz_onnx_add(m, "reshape", &x, 1, attr, 1 + dims->n, last);
}

/* The dims at all live probes; a probe at which they do not fit is given up. */
static bool resolve_all(struct phiz_onnx_import *m, int x, const struct phiz_fold *want, bool zero_copies,
                        struct phiz_fold *out)
{
	int p;

	*out = *want;
	for (p = 0; p < PHIZ_PROBES; p++)
		if (m->live[p] && !resolve(phiz_onnx_shape(m, p, x), want->v[p], want->n, zero_copies, out->v[p])) {
			if (p == 0)
				return false;
			m->live[p] = false;
		}
	return true;
}

static bool fits_all(const struct phiz_onnx_import *m, int x, const struct phiz_fold *want, bool zero_copies)
{
	double out[PHIZ_FOLD_MAX];
	bool fits = true;
	int p;

	for (p = 0; p < PHIZ_PROBES; p++)
		fits = fits && (!m->live[p] || resolve(phiz_onnx_shape(m, p, x), want->v[p], want->n, zero_copies, out));
	return fits;
}

static void set_all(struct phiz_fold *f, int i, double v)
{
	int p;

	for (p = 0; p < PHIZ_PROBES; p++)
		f->v[p][i] = v;
}

/* A network that was exported for one size has that size's numbers in its shapes. Where the file fixes the batch at 1,
 * a leading 1 can stand for it; and one other number that only this size explains becomes "what is left". */
static void free_sizes(const struct phiz_onnx_import *m, int x, struct phiz_fold *want, bool zero_copies)
{
	struct phiz_fold tried;
	int i;

	for (i = 0; i < want->n; i++)
		if (!phiz_fold_same(m, want, i))
			return;
	tried = *want;
	if (m->fixed_batch && want->n > 0 && want->v[0][0] == 1 && zero_copies)
		set_all(&tried, 0, 0);
	if (fits_all(m, x, &tried, zero_copies)) {
		*want = tried;
		return;
	}
	for (i = 1; i < want->n; i++)
		if (want->v[0][i] == -1)
			return;
	for (i = 1; i < want->n; i++) {
		double number = tried.v[0][i];

		set_all(&tried, i, -1);
		if (fits_all(m, x, &tried, zero_copies)) {
			*want = tried;
			return;
		}
		set_all(&tried, i, number);
	}
}

static void reshape(struct phiz_onnx_import *m)
{
	int x = phiz_onnx_in_graph(m, 0);
	bool zero_copies = m->opset < 14 || phiz_onnx_int(m, "allowzero", 0) == 0;
	struct phiz_fold want, dims;
	int i;

	if (m->status)
		return;
	if (!phiz_onnx_in_fold(m, 1, &want) || want.ndim != 1) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "its shape is not known when importing");
		return;
	}
	if (want.n < 1 || want.n > PHIZ_MAX_DIMS) {
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want 1 to %d dims, got %d", PHIZ_MAX_DIMS, want.n);
		return;
	}
	for (i = 0; i < want.n; i++)
		if (want.v[0][i] < -1 || want.v[0][i] > INT32_MAX) {
			phiz_onnx_fail(m, PHIZ_E_FORMAT, "a dim of %.10g", want.v[0][i]);
			return;
		}
	free_sizes(m, x, &want, zero_copies);
	if (!resolve_all(m, x, &want, zero_copies, &dims)) {
		char text[128];

		phiz_onnx_fail(m, PHIZ_E_SHAPE, "the shape asked for does not hold the elements of %s",
		               phiz_shape_text(phiz_onnx_shape(m, 0, x), text));
		return;
	}
	phiz_onnx_out_value(m, add_reshape(m, x, &dims, true));
}

/* Two dims: those before axis and those from it on. */
static void flatten(struct phiz_onnx_import *m)
{
	int x = phiz_onnx_in_graph(m, 0), p, d, ndim;
	int64_t axis = phiz_onnx_int(m, "axis", 1);
	const struct phiz_attr_arg start = {"start", 1};
	struct phiz_fold dims = {1, 2, true, {{0}}};

	if (m->status)
		return;
	ndim = phiz_onnx_shape(m, 0, x)->ndim;
	if (axis < -ndim || axis > ndim) {
		phiz_onnx_fail(m, PHIZ_E_FORMAT, "axis %lld of %d dims", (long long)axis, ndim);
		return;
	}
	axis = axis < 0 ? axis + ndim : axis;
	for (p = 0; p < PHIZ_PROBES; p++) {
		dims.v[p][0] = dims.v[p][1] = 1;
		for (d = 0; d < ndim; d++)
			dims.v[p][d >= axis] *= (double)phiz_onnx_shape(m, p, x)->dim[d];
	}
	phiz_onnx_out_value(m, axis == 1 && ndim > 1 ? phiz_onnx_add(m, "flatten", &x, 1, &start, 1, true)
	                                             : add_reshape(m, x, &dims, true));
}

static void concat(struct phiz_onnx_import *m)
{
	const struct phiz_attr_arg attr = {"axis", (double)phiz_onnx_int(m, "axis", 1)};
	int in[PHIZ_ONNX_NODE_INPUTS], i;

	for (i = 0; i < m->node.n_in; i++)
		in[i] = phiz_onnx_in_graph(m, i);
	phiz_onnx_out_value(m, phiz_onnx_add(m, "concat", in, m->node.n_in, &attr, 1, true));
}

/* ---- Arithmetic ---- */

static void add(struct phiz_onnx_import *m)
{
	int in[2] = {phiz_onnx_in_graph(m, 0), phiz_onnx_in_graph(m, 1)};

	phiz_onnx_out_value(m, phiz_onnx_add(m, "add", in, 2, NULL, 0, true));
}

static void mul(struct phiz_onnx_import *m)
{
	int in[2] = {phiz_onnx_in_graph(m, 0), phiz_onnx_in_graph(m, 1)};

	if (!m->status && phiz_shape_count(phiz_onnx_shape(m, 0, in[0])) < phiz_shape_count(phiz_onnx_shape(m, 0, in[1]))) {
		int first = in[0];

		in[0] = in[1];
		in[1] = first;
	}
	phiz_onnx_out_value(m, phiz_onnx_add(m, "mul", in, 2, NULL, 0, true));
}

static const struct {
	const char *op;
	phiz_onnx_row_fn fn;
} rows[] = {
	{"Reshape", reshape},
	{"Flatten", flatten},
	{"Concat", concat},
	{"Add", add},
	{"Mul", mul},
};

phiz_onnx_row_fn phiz_onnx_arithmetic(struct phiz_span op)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (phiz_span_is(op, rows[i].op))
			return rows[i].fn;
	return NULL;
}
