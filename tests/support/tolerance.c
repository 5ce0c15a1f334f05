#include "support/tolerance.h"

#include <stdio.h>

#include "core/ops/ops.h"
#include "support/op_case.h"

/* Sums differ by the order of their terms, more the longer they are; elementwise ops by a rounding or two; ops that
 * move bytes not at all (but for what they add). */
#define SUMS \
	{[PRECISION_F64] = {1e-14, 1e-14}, [PRECISION_DIFFERENCE] = {2e-9, 1e-9}, [PRECISION_REFERENCE] = {1e-7, 3e-7}, \
	 [PRECISION_F32] = {3e-6, 2e-6}, [PRECISION_BF16] = {8e-3, 5e-3}, [PRECISION_F16] = {3e-3, 2e-3}}
/* conv2d may be Winograd's F(4x4, 3x3), which rounds about ten times as much. */
#define CONVOLUTION \
	{[PRECISION_F64] = {1e-14, 1e-14}, [PRECISION_DIFFERENCE] = {2e-9, 1e-9}, [PRECISION_REFERENCE] = {1e-7, 3e-7}, \
	 [PRECISION_F32] = {1e-5, 1e-5}, [PRECISION_BF16] = {4e-3, 5e-3}, [PRECISION_F16] = {3e-3, 2e-3}}
#define STATISTICS \
	{[PRECISION_F64] = {1e-13, 1e-13}, [PRECISION_DIFFERENCE] = {2e-8, 1e-8}, [PRECISION_REFERENCE] = {5e-7, 5e-7}, \
	 [PRECISION_F32] = {1e-5, 1e-5}, [PRECISION_BF16] = {1e-2, 1e-2}, [PRECISION_F16] = {5e-3, 5e-3}}
/* Differences of sums that cancel. */
#define DISTANCES \
	{[PRECISION_F64] = {1e-13, 1e-13}, [PRECISION_DIFFERENCE] = {2e-8, 1e-8}, [PRECISION_REFERENCE] = {5e-6, 5e-6}, \
	 [PRECISION_F32] = {2e-5, 2e-5}, [PRECISION_BF16] = {4e-2, 2e-2}, [PRECISION_F16] = {5e-3, 5e-3}}
#define ELEMENT \
	{[PRECISION_F64] = {1e-16, 1e-15}, [PRECISION_DIFFERENCE] = {2e-9, 1e-9}, [PRECISION_REFERENCE] = {0, 3e-7}, \
	 [PRECISION_F32] = {1e-7, 5e-7}, [PRECISION_BF16] = {2e-3, 5e-3}, [PRECISION_F16] = {1e-3, 2e-3}}

/* Quantised values have one right answer. */
#define EXACT {[PRECISION_F32] = {0, 0}}

static const struct {
	const struct phiz_op *op;
	struct tolerance tolerance[PRECISIONS];
} table[] = {
	{&phiz_op_conv2d, CONVOLUTION},
	{&phiz_op_batch_norm, STATISTICS},
	{&phiz_op_relu, ELEMENT},
	{&phiz_op_leaky_relu, ELEMENT},
	{&phiz_op_prelu, SUMS},
	{&phiz_op_sigmoid, STATISTICS}, /* 1 - y cancels */
	{&phiz_op_softmax, SUMS},
	{&phiz_op_max_pool2d, SUMS},
	{&phiz_op_avg_pool2d, SUMS},
	{&phiz_op_global_avg_pool, SUMS},
	{&phiz_op_linear, SUMS},
	{&phiz_op_add, ELEMENT},
	{&phiz_op_mul, SUMS},
	{&phiz_op_concat, ELEMENT},
	{&phiz_op_flatten, ELEMENT},
	{&phiz_op_reshape, ELEMENT},
	{&phiz_op_dropout, ELEMENT},
	{&phiz_op_l2_normalize, STATISTICS},
	{&phiz_op_softmax_cross_entropy, SUMS},
	{&phiz_op_margin_linear, STATISTICS},
	{&phiz_op_triplet_loss, DISTANCES},
	{&phiz_op_center_loss, STATISTICS},
	{&phiz_op_distill_loss, STATISTICS},
	{&phiz_op_cast, ELEMENT},
	{&phiz_op_exp, SUMS},
	{&phiz_op_clamp, ELEMENT},
	{&phiz_op_affine, SUMS},
	{&phiz_op_permute, ELEMENT},
	{&phiz_op_slice, ELEMENT},
	{&phiz_op_pad2d, ELEMENT},
	{&phiz_op_resize_nearest, SUMS},
	{&phiz_op_lp_pool2d, STATISTICS},
	{&phiz_op_local_response_norm, STATISTICS},
	{&phiz_op_normalize_bytes, EXACT},
	{&phiz_op_quantize, EXACT},
	{&phiz_op_dequantize, EXACT},
	{&phiz_op_quantized_conv2d, EXACT},
	{&phiz_op_quantized_linear, EXACT},
	{&phiz_op_quantized_global_avg_pool, EXACT},
	{NULL, {[PRECISION_F32] = {1e-5, 0}, [PRECISION_F32_GRADIENT] = {1e-4, 0}}}, /* a whole network */
};

struct tolerance tolerance_of(const struct phiz_op *op, enum precision precision)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].op == op)
			return table[i].tolerance[precision];
	fail_msg("no tolerances for %s: add a row to tests/support/tolerance.c", op ? op->name : "networks");
	return (struct tolerance){0, 0};
}

const char *precision_name(enum precision precision)
{
	static const char *const names[] = {"f64",  "differences", "f32 reference", "f32", "f32 gradients",
	                                    "bf16", "f16",         "u8"};

	return names[precision];
}

static double largest(const struct phiz_tensor *t)
{
	int64_t n = phiz_tensor_count(t);
	double m = 1e-3;

	for (int64_t i = 0; i < n; i++) {
		double v = fabs(op_get(t, i));

		if (isfinite(v) && v > m)
			m = v;
	}
	return m;
}

/* The part of the tolerance that one element uses. */
static double used_by(double got, double want, double tolerance)
{
	if (got == want || (isnan(got) && isnan(want)))
		return 0;
	if (!isfinite(got) || !isfinite(want))
		return (double)INFINITY;
	return fabs(got - want) / tolerance;
}

double tolerance_used(const struct phiz_op *op, enum precision precision, const struct phiz_tensor *got,
                      const struct phiz_tensor *want, int64_t *at)
{
	struct tolerance tolerance = tolerance_of(op, precision);
	double scale = largest(want), most = 0;
	int64_t n = phiz_tensor_count(want);

	assert_true(phiz_shape_equal(&got->shape, &want->shape));
	for (int64_t i = 0; i < n; i++) {
		double w = op_get(want, i);
		double used = used_by(op_get(got, i), w, tolerance.absolute * scale + tolerance.relative * fabs(w));

		if (used > most) {
			most = used;
			if (at)
				*at = i;
		}
	}
	return most;
}

void tolerance_check(struct tolerance_use *use, const struct phiz_op *op, enum precision precision, const char *what,
                     const struct phiz_tensor *got, const struct phiz_tensor *want)
{
	int64_t at = 0;
	double used = tolerance_used(op, precision, got, want, &at);

	use->compared++;
	if (used > use->used) {
		use->used = used;
		snprintf(use->where, sizeof(use->where), "%s", what);
	}
	if (!(used <= 1))
		fail_msg("%s: element %lld is %.9g, want %.9g: %.3g of the tolerance for %s", what, (long long)at,
		         op_get(got, at), op_get(want, at), used, precision_name(precision));
}

void tolerance_print(const struct tolerance_use *use, const struct phiz_op *op, enum precision precision)
{
	print_message("           %s %s: %.2g of the tolerance used (of %d tensors%s%s)\n", op ? op->name : "network",
	              precision_name(precision), use->used, use->compared, *use->where ? "; worst: " : "", use->where);
}
