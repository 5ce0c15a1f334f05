/* What each ONNX operator becomes: those that move elements. */
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

/* ---- Moving ---- */

static void transpose(struct phiz_onnx_import *m)
{
	static const char *const names[] = {"p0", "p1", "p2", "p3", "p4", "p5"};
	int x = phiz_onnx_in_graph(m, 0), ndim, d;
	struct phiz_attr_arg attr[PHIZ_MAX_DIMS];
	int64_t perm[PHIZ_MAX_DIMS];
	bool moves = false;

	if (m->status)
		return;
	ndim = phiz_onnx_shape(m, 0, x)->ndim;
	for (d = 0; d < ndim; d++)
		perm[d] = ndim - 1 - d;
	phiz_onnx_ints(m, "perm", perm, ndim, 0, ndim - 1);
	for (d = 0; d < ndim; d++) {
		attr[d].name = names[d];
		attr[d].value = (double)perm[d];
		moves = moves || perm[d] != d;
	}
	phiz_onnx_out_value(m, moves ? phiz_onnx_add(m, "permute", &x, 1, attr, ndim, true) : x);
}

/* Dims of 1 put in or taken out: a reshape. */
static void change_rank(struct phiz_onnx_import *m, bool in)
{
	int x = phiz_onnx_in_graph(m, 0), n, p, d, i, k, ndim;
	struct phiz_fold dims = {1, 0, true, {{0}}};
	int64_t axes[PHIZ_ONNX_LIST];
	const struct phiz_shape *s;

	n = phiz_onnx_axes(m, 1, axes);
	if (m->status)
		return;
	s = phiz_onnx_shape(m, 0, x);
	ndim = in ? s->ndim + n : s->ndim;
	if (ndim > PHIZ_MAX_DIMS) {
		phiz_onnx_fail(m, PHIZ_E_LIMIT, "more than %d dims", PHIZ_MAX_DIMS);
		return;
	}
	for (d = k = 0; d < ndim; d++) {
		bool named = !in && n == 0 && s->dim[d] == 1 && d > 0; /* Squeeze without axes; the batch stays */

		for (i = 0; i < n; i++)
			named = named || axes[i] == d || axes[i] + ndim == d;
		if (named && !in && s->dim[d] != 1)
			phiz_onnx_fail(m, PHIZ_E_SHAPE, "dim %d is not 1", d);
		if (named && !in)
			continue;
		if (!named && in && k >= s->ndim) {
			phiz_onnx_fail(m, PHIZ_E_FORMAT, "axes that do not fit");
			return;
		}
		for (p = 0; p < PHIZ_PROBES; p++)
			dims.v[p][dims.n] = named ? 1 : (double)phiz_onnx_shape(m, p, x)->dim[in ? k : d];
		dims.n++;
		k += !named;
	}
	if (dims.n < 1)
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "no dim is left");
	phiz_onnx_out_value(m, add_reshape(m, x, &dims, true));
}

static void unsqueeze(struct phiz_onnx_import *m) { change_rank(m, true); }
static void squeeze(struct phiz_onnx_import *m) { change_rank(m, false); }

/* Starts, ends or steps: an attribute, or input i. False if they are not given. */
static bool bounds(struct phiz_onnx_import *m, const char *name, int i, struct phiz_fold *f)
{
	const struct phiz_onnx_attr *a = phiz_onnx_attr(m, name, PHIZ_ONNX_A_INTS);
	int k;

	if (!a && !phiz_onnx_has(m, i))
		return false;
	if (!a && !phiz_onnx_in_fold(m, i, f))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "its %s are not known when importing", name);
	if (a) {
		f->n = a->n_ints;
		for (k = 0; k < f->n; k++)
			set_all(f, k, (double)a->ints[k]);
	}
	for (k = 0; k < f->n && !m->status; k++)
		if (!phiz_fold_same(m, f, k))
			phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "its %s follow the picture's size", name);
	return !m->status;
}

static double within(double v, double low, double high)
{
	return v < low ? low : v > high ? high : v;
}

static void slice(struct phiz_onnx_import *m)
{
	struct phiz_fold start = {0}, end = {0}, step = {0};
	int64_t axes[PHIZ_ONNX_LIST];
	int x = phiz_onnx_in_graph(m, 0), n, i, n_axes = phiz_onnx_axes(m, 3, axes);
	bool steps = bounds(m, "steps", 4, &step);

	if (!bounds(m, "starts", 1, &start) || !bounds(m, "ends", 2, &end))
		phiz_onnx_fail(m, PHIZ_E_FORMAT, "no starts or no ends");
	n = start.n;
	if (!m->status && (end.n != n || (n_axes && n_axes != n) || (steps && step.n != n) || n < 1 || n > PHIZ_MAX_DIMS))
		phiz_onnx_fail(m, PHIZ_E_FORMAT, "starts, ends, axes and steps of different lengths");
	for (i = 0; i < n && !m->status; i++) {
		int64_t axis = n_axes ? axes[i] : i, ndim = phiz_onnx_shape(m, 0, x)->ndim;
		double size;

		axis = axis < 0 ? axis + ndim : axis;
		if (axis < 0 || axis >= ndim || (steps && step.v[0][i] != 1)) {
			phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "steps other than 1, or an axis that is not there");
			return;
		}
		size = (double)phiz_onnx_shape(m, 0, x)->dim[axis];
		const struct phiz_attr_arg attr[] = {{"axis", (double)axis},
		                                     {"start", within(start.v[0][i], -size, INT32_MAX)},
		                                     {"end", within(end.v[0][i], -size, INT32_MAX)}};
		x = phiz_onnx_add(m, "slice", &x, 1, attr, 3, i == n - 1);
	}
	phiz_onnx_out_value(m, x);
}

static void pad(struct phiz_onnx_import *m)
{
	struct phiz_fold pads = {0}, value = {0};
	int x = phiz_onnx_in_graph(m, 0), i;

	phiz_onnx_want_text(m, "mode", "constant");
	set_all(&value, 0, phiz_onnx_float(m, "value", 0));
	if (!bounds(m, "pads", 1, &pads))
		phiz_onnx_fail(m, PHIZ_E_FORMAT, "no pads");
	if (phiz_onnx_has(m, 2) && (!phiz_onnx_in_fold(m, 2, &value) || value.n != 1))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "its value is not known when importing");
	if (phiz_onnx_has(m, 3))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "axes");
	for (i = 0; i < 8 && !m->status; i++)
		if (pads.n != 8 || pads.v[0][i] < 0 || (i % 4 < 2 && pads.v[0][i] != 0))
			phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want pads of H and W alone, not negative");
	const struct phiz_attr_arg attr[] = {{"top", pads.v[0][2]}, {"left", pads.v[0][3]}, {"bottom", pads.v[0][6]},
	                                     {"right", pads.v[0][7]}, {"value", value.v[0][0]}};
	phiz_onnx_out_value(m, phiz_onnx_add(m, "pad2d", &x, 1, attr, 5, true));
}

/* ---- Larger pictures ---- */

/* Adds the operator for these scales of N, C, H, W, the same at all sizes. */
static void enlarge(struct phiz_onnx_import *m, int x, const double *scale)
{
	const struct phiz_attr_arg attr[] = {{"scale_h", scale[2]}, {"scale_w", scale[3]}};
	int i;

	for (i = 0; i < 4 && !m->status; i++)
		if (!(scale[i] >= 1 && scale[i] <= 65536) || scale[i] != (double)(int)scale[i] || (i < 2 && scale[i] != 1))
			phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want height and width times a whole number, got %.10g, %.10g, "
			               "%.10g, %.10g", scale[0], scale[1], scale[2], scale[3]);
	phiz_onnx_out_value(m, phiz_onnx_add(m, "resize_nearest", &x, 1, attr, 2, true));
}

/* Scales from input i, or from the sizes at input k; a size that the file fixed is taken for the factor that it was. */
static void enlarge_by(struct phiz_onnx_import *m, int x, int i, int k)
{
	struct phiz_fold f = {0};
	bool by_size = !phiz_onnx_has(m, i) || (phiz_onnx_in_fold(m, i, &f) && f.n == 0);
	double scale[4] = {0};
	int p, d;

	if (!m->status && (!phiz_onnx_in_fold(m, by_size ? k : i, &f) || f.n != 4 || phiz_onnx_shape(m, 0, x)->ndim != 4))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want scales or sizes of N, C, H, W that are known when importing");
	for (d = 0; d < 4 && !m->status; d++) {
		bool fixed = by_size && phiz_fold_same(m, &f, d);

		for (p = 0; p < PHIZ_PROBES; p++) {
			double v = by_size ? f.v[p][d] / (double)phiz_onnx_shape(m, p, x)->dim[d] : f.v[p][d];

			if (p == 0)
				scale[d] = v;
			else if (m->live[p] && !fixed && v != scale[d])
				phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "its scales follow the picture's size");
		}
	}
	enlarge(m, x, scale);
}

/* Which element is the nearest is a matter of two attributes; those that give x / scale, rounded down, for whole
 * scales. */
static void check_nearest(struct phiz_onnx_import *m)
{
	const struct phiz_onnx_attr *how = phiz_onnx_attr(m, "coordinate_transformation_mode", PHIZ_ONNX_A_STRING);
	const struct phiz_onnx_attr *round = phiz_onnx_attr(m, "nearest_mode", PHIZ_ONNX_A_STRING);
	bool floor = round && phiz_span_is(round->s, "floor"), half, asymmetric;
	char a[PHIZ_SHOWN], b[PHIZ_SHOWN];

	half = !how || phiz_span_is(how->s, "half_pixel") || phiz_span_is(how->s, "pytorch_half_pixel");
	asymmetric = how && (phiz_span_is(how->s, "asymmetric") || phiz_span_is(how->s, "tf_half_pixel_for_nn"));
	if (!(half && (!round || phiz_span_is(round->s, "round_prefer_floor") ||
	               phiz_span_is(round->s, "round_prefer_ceil"))) && !(asymmetric && floor))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "nearest by '%s' and '%s'",
		               how ? phiz_span_shown(how->s, a) : "half_pixel",
		               round ? phiz_span_shown(round->s, b) : "round_prefer_floor");
}

static void resize(struct phiz_onnx_import *m)
{
	int x = phiz_onnx_in_graph(m, 0);

	phiz_onnx_want_text(m, "mode", "nearest");
	phiz_onnx_want_text(m, "keep_aspect_ratio_policy", "stretch");
	(void)phiz_onnx_float(m, "cubic_coeff_a", 0); /* of other modes */
	(void)phiz_onnx_float(m, "extrapolation_value", 0);
	(void)phiz_onnx_int(m, "exclude_outside", 0);
	if (phiz_onnx_int(m, "antialias", 0))
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "antialias");
	if (m->opset > 10)
		check_nearest(m);
	enlarge_by(m, x, m->opset > 10 ? 2 : 1, 3);
}

static void upsample(struct phiz_onnx_import *m)
{
	const struct phiz_onnx_attr *a = phiz_onnx_attr(m, "scales", PHIZ_ONNX_A_FLOATS);
	int x = phiz_onnx_in_graph(m, 0), i;
	double scale[4];

	phiz_onnx_want_text(m, "mode", "nearest");
	if (!a) {
		enlarge_by(m, x, 1, 1);
		return;
	}
	if (a->n_floats != 4)
		phiz_onnx_fail(m, PHIZ_E_UNSUPPORTED, "want scales of N, C, H, W");
	for (i = 0; i < 4; i++)
		scale[i] = (double)a->floats[i];
	enlarge(m, x, scale);
}

static const struct {
	const char *op;
	phiz_onnx_row_fn fn;
} rows[] = {
	{"Reshape", reshape},
	{"Flatten", flatten},
	{"Squeeze", squeeze},
	{"Unsqueeze", unsqueeze},
	{"Transpose", transpose},
	{"Concat", concat},
	{"Slice", slice},
	{"Pad", pad},
	{"Resize", resize},
	{"Upsample", upsample},
};

phiz_onnx_row_fn phiz_onnx_shaping(struct phiz_span op)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (phiz_span_is(op, rows[i].op))
			return rows[i].fn;
	return NULL;
}
