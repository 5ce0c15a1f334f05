/* The one table of tolerances per (operator, precision), and comparing with it. */
#ifndef PHIZ_TESTS_TOLERANCE_H
#define PHIZ_TESTS_TOLERANCE_H

#include "support/support.h"

#include <phiz/op.h>

enum precision {
	PRECISION_F64,        /* double against double: another order of summation */
	PRECISION_DIFFERENCE, /* central differences in double against backward */
	PRECISION_REFERENCE,  /* the float reference kernel, which sums in double, against double */
	PRECISION_F32,        /* a float kernel that sums in float, against double */
	PRECISION_F32_GRADIENT, /* gradients of whole networks: as F32, but for the way back */
	PRECISION_BF16,       /* bf16 activations, float sums, against double, of the same inputs */
	PRECISION_F16,
	PRECISION_U8, /* quantised values: the same bytes */
	PRECISIONS
};

/* |got - want| <= absolute * (largest |want| of the tensor, at least 1e-3) + relative * |want|. NaN matches NaN, an
 * infinity the same infinity. */
struct tolerance {
	double absolute, relative;
};
/* op NULL: a whole network. */
struct tolerance tolerance_of(const struct phiz_op *op, enum precision precision);
const char *precision_name(enum precision precision);

/* The worst of many comparisons. Zero-initialise. */
struct tolerance_use {
	double used; /* part of the tolerance, 0..1 */
	int compared;
	char where[500];
};

/* The largest part of the tolerance that an element of `got` uses (any two dtypes); *at: which, if not NULL. */
double tolerance_used(const struct phiz_op *op, enum precision precision, const struct phiz_tensor *got,
                      const struct phiz_tensor *want, int64_t *at);
/* The same, kept in *use; fails the test beyond the tolerance, naming `what`. */
void tolerance_check(struct tolerance_use *use, const struct phiz_op *op, enum precision precision, const char *what,
                     const struct phiz_tensor *got, const struct phiz_tensor *want);
/* "conv2d f32: 0.31 of the tolerance used (of 48 tensors; worst: ...)" */
void tolerance_print(const struct tolerance_use *use, const struct phiz_op *op, enum precision precision);

#endif
