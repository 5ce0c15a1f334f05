/* Comparing runs of one operator: what the tests of gradients and of kernels share. */
#ifndef PHIZ_TESTS_OP_CHECK_H
#define PHIZ_TESTS_OP_CHECK_H

#include "support/op_case.h"
#include "support/tolerance.h"

/* A copy of a tensor in memory of the run. */
struct phiz_tensor op_copy(struct op_run *r, const struct phiz_tensor *t);
bool op_same_bytes(const struct phiz_tensor *a, const struct phiz_tensor *b);

/* Inputs whose gradient has memory, bit i for input i. */
unsigned op_wanted(const struct op_run *r);

/* Sets to NaN all floats of inputs and outputs that backward does not read for the gradients in `want`
 * (op->reads). */
void op_poison_unread(struct op_run *r, unsigned want);

/* After forward: outputs, saved values and changed state of two runs of one case; after backward: gradients. */
void op_compare_forward(struct tolerance_use *use, enum precision precision, const struct op_run *got,
                        const struct op_run *want, const char *text);
void op_compare_backward(struct tolerance_use *use, enum precision precision, const struct op_run *got,
                         const struct op_run *want, const char *text);

#endif
