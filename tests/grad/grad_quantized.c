/* The operators on quantised values, and on the bytes of pictures, have no gradient. Their reference kernels against
 * the formulas in double: a byte is right if it is the nearest to what the formula gives, but for what single precision
 * leaves open between two. */
#include "grad/grad.h"

#include "core/ops/rule.h"

enum { CASES = 40 };

/* The part of a step that float's rounding of a few hundred steps may take away from or add to. */
static const double open = 1e-3;

static double attr(const struct op_run *r, const char *name)
{
	const struct phiz_op *op = r->node.op;

	for (int i = 0; i < op->n_attrs; i++)
		if (strcmp(op->attrs[i].name, name) == 0)
			return op->attrs[i].kind == PHIZ_ATTR_INT ? (double)r->node.attr[i].i : r->node.attr[i].f;
	fail_msg("%s has no attribute %s", op->name, name);
	return 0;
}

/* Is `got` the byte for t steps above zero? */
static void check_byte(const struct op_case *c, double got, double t, double zero)
{
	t += zero;
	t = t < 0 ? 0 : t > 255 ? 255 : t;
	if (!(fabs(got - t) <= 0.5 + open))
		fail_msg("%s: got %g for %.9g", c->text, got, t);
}

static void check_near(const struct op_case *c, double got, double want, double scale)
{
	if (!(fabs(got - want) <= 1e-6 * scale))
		fail_msg("%s: got %.9g, want %.9g", c->text, got, want);
}

static double sum_linear(const struct op_run *r, int64_t n, int64_t g)
{
	const struct phiz_tensor *x = &r->call.in[0], *w = &r->call.in[1];
	double sum = 0, zero = attr(r, "input_zero");

	for (int64_t f = 0; f < x->shape.dim[1]; f++)
		sum += (op_get(x, n * x->shape.dim[1] + f) - zero) * op_get(w, g * x->shape.dim[1] + f);
	return sum;
}

/* The sum of output o: every element of the filter looks for its place in the picture. */
static double sum_conv2d(const struct op_run *r, int64_t o)
{
	const struct phiz_tensor *x = &r->call.in[0], *w = &r->call.in[1];
	const int64_t *xd = x->shape.dim, *wd = w->shape.dim, *yd = r->call.out[0].shape.dim;
	int64_t q = o % yd[3], p = o / yd[3] % yd[2], k = o / yd[3] / yd[2] % yd[1], n = o / yd[3] / yd[2] / yd[1];
	int64_t inner = wd[1] * wd[2] * wd[3], group = k * (int64_t)attr(r, "groups") / wd[0];
	double sum = 0;

	for (int64_t i = 0; i < inner; i++) {
		int64_t c = group * wd[1] + i / (wd[2] * wd[3]);
		double h = (double)p * attr(r, "stride_h") + (double)(i / wd[3] % wd[2]) * attr(r, "dilation_h");
		double v = (double)q * attr(r, "stride_w") + (double)(i % wd[3]) * attr(r, "dilation_w");

		h -= attr(r, "pad_top");
		v -= attr(r, "pad_left");
		if (h < 0 || v < 0 || h >= (double)xd[2] || v >= (double)xd[3])
			continue;
		sum += (op_get(x, ((n * xd[1] + c) * xd[2] + (int64_t)h) * xd[3] + (int64_t)v) - attr(r, "input_zero")) *
		       op_get(w, k * inner + i);
	}
	return sum;
}

static void check_conv2d(const struct op_case *c, const struct op_run *r, int64_t o)
{
	const struct phiz_tensor *y = &r->call.out[0], *in = r->call.in;
	int64_t k = o / (y->shape.dim[2] * y->shape.dim[3]) % y->shape.dim[1];
	double t = op_get(&in[PHIZ_QUANTIZED_SCALE], k) * sum_conv2d(r, o) + op_get(&in[PHIZ_QUANTIZED_BIAS], k);

	if (in[PHIZ_QUANTIZED_RESIDUAL].data)
		t += attr(r, "residual_scale") * (op_get(&in[PHIZ_QUANTIZED_RESIDUAL], o) - attr(r, "residual_zero"));
	if (in[PHIZ_QUANTIZED_SLOPE].data && t < 0)
		t *= op_get(&in[PHIZ_QUANTIZED_SLOPE], k);
	if (attr(r, "relu") > 0 && t < 0)
		t = 0;
	check_byte(c, op_get(y, o), t, attr(r, "output_zero"));
}

static void check_average(const struct op_case *c, const struct op_run *r, int64_t o)
{
	int64_t area = r->call.in[0].shape.dim[2] * r->call.in[0].shape.dim[3];
	double sum = 0;

	for (int64_t i = 0; i < area; i++)
		sum += attr(r, "scale") * (op_get(&r->call.in[0], o * area + i) - attr(r, "zero"));
	check_near(c, op_get(&r->call.out[0], o), sum / (double)area, 255 * attr(r, "scale"));
}

static void check_normalized(const struct op_case *c, const struct op_run *r, int64_t o)
{
	static const char *const mean[] = {"mean0", "mean1", "mean2"}, *const std[] = {"std0", "std1", "std2"};
	const struct phiz_tensor *y = &r->call.out[0], *box = &r->call.in[PHIZ_NORMALIZE_ERASED];
	const int64_t *d = y->shape.dim, w = o % d[3], h = o / d[3] % d[2], k = o / d[3] / d[2] % 3;
	const int64_t at = 4 * (o / d[3] / d[2] / 3);
	double x = (op_get(&r->call.in[0], o) / 255 - attr(r, mean[k])) / attr(r, std[k]);

	if (r->node.n_inputs > PHIZ_NORMALIZE_ERASED && (double)w >= op_get(box, at) && (double)h >= op_get(box, at + 1) &&
	    (double)w < op_get(box, at) + op_get(box, at + 2) && (double)h < op_get(box, at + 1) + op_get(box, at + 3))
		x = 0;
	check_near(c, op_get(y, o), x, 1 / attr(r, std[k]));
}

static void check_output(const struct op_case *c, const struct op_run *r, int64_t o)
{
	const struct phiz_op *op = r->node.op;
	const struct phiz_tensor *x = &r->call.in[0], *y = &r->call.out[0];
	int64_t g = o % y->shape.dim[y->shape.ndim > 1];

	if (op == &phiz_op_normalize_bytes)
		check_normalized(c, r, o);
	else if (op == &phiz_op_quantize)
		check_byte(c, op_get(y, o), op_get(x, o) / attr(r, "scale"), attr(r, "zero"));
	else if (op == &phiz_op_dequantize)
		check_near(c, op_get(y, o), attr(r, "scale") * (op_get(x, o) - attr(r, "zero")), 255 * attr(r, "scale"));
	else if (op == &phiz_op_quantized_linear)
		check_near(c, op_get(y, o), op_get(&r->call.in[PHIZ_QUANTIZED_BIAS], g) +
		           op_get(&r->call.in[PHIZ_QUANTIZED_SCALE], g) * sum_linear(r, o / y->shape.dim[1], g), 1000);
	else if (op == &phiz_op_quantized_conv2d)
		check_conv2d(c, r, o);
	else
		check_average(c, r, o);
}

static void check(const struct phiz_op *op)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_rng rng;

	phiz_rng_init(&rng, 8, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < CASES; i++) {
		struct op_case c;
		struct op_run r;

		op_draw(&c, op, &rng, 4, false);
		op_run_start(&r, ctx, &c, PHIZ_F32);
		op_run_fill(&r, (uint64_t)i);
		op_run_forward(&r, phiz_op_reference(op, r.call.in[0].dtype));
		for (int64_t o = 0; o < phiz_tensor_count(&r.call.out[0]); o++)
			check_output(&c, &r, o);
		assert_false(phiz_op_has_backward(&r.node));
		op_run_guards(&r, c.text);
		op_run_done(&r);
	}
	test_ctx_done(&ctx);
}

/* What no byte can say: beyond both ends, halves between two bytes, NaN. */
static void check_edges(void)
{
	static const double x[] = {-1e30, 1e30, -(double)INFINITY, (double)INFINITY, (double)NAN,
	                           0.5, 1.5, 2.5, -0.5, -1.5};
	static const int want[] = {0, 255, 0, 255, 0, 100, 102, 102, 100, 98};
	struct phiz_ctx *ctx = test_ctx(1);
	struct op_case c;
	struct op_run r;

	op_case_parse(&c, "quantize [10] zero=100");
	op_run_start(&r, ctx, &c, PHIZ_F32);
	for (int i = 0; i < 10; i++)
		op_set(&r.call.in[0], i, x[i]);
	op_run_forward(&r, &phiz_op_quantize.reference_f32);
	for (int i = 0; i < 10; i++)
		assert_int_equal((int)op_get(&r.call.out[0], i), want[i]);
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_normalize_bytes(void **state)
{
	(void)state;
	check(&phiz_op_normalize_bytes);
}

void grad_quantize(void **state)
{
	(void)state;
	check(&phiz_op_quantize);
	check_edges();
}

void grad_dequantize(void **state)
{
	(void)state;
	check(&phiz_op_dequantize);
}

void grad_quantized_conv2d(void **state)
{
	(void)state;
	check(&phiz_op_quantized_conv2d);
}

void grad_quantized_linear(void **state)
{
	(void)state;
	check(&phiz_op_quantized_linear);
}

void grad_quantized_global_avg_pool(void **state)
{
	(void)state;
	check(&phiz_op_quantized_global_avg_pool);
}
