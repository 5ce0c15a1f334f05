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
	PRECISION_BF16,       /* bf16 activations, float sums, against double */
	PRECISION_F16,
	PRECISIONS
};

/* |got - want| <= absolute * (largest |want| of the tensor, at least 1e-3) + relative * |want|. NaN matches NaN, an
 * infinity the same infinity. */
struct tolerance {
	double absolute, relative;
};
struct tolerance tolerance_of(const struct phiz_op *op, enum precision precision);
const char *precision_name(enum precision precision);

/* The worst of many comparisons. Zero-initialise. */
struct tolerance_use {
	double used; /* part of the tolerance, 0..1 */
	int compared;
	char where[500];
};

/* Compares element by element (any two dtypes of floats); fails the test beyond the tolerance, naming `what`. */
void tolerance_check(struct tolerance_use *use, const struct phiz_op *op, enum precision precision, const char *what,
                     const struct phiz_tensor *got, const struct phiz_tensor *want);
/* "conv2d f32: 0.31 of the tolerance used (of 48 tensors; worst: ...)" */
void tolerance_print(const struct tolerance_use *use, const struct phiz_op *op, enum precision precision);

#endif
