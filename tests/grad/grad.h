/* Gradients of every operator: what each grad_NAME is built from. */
#ifndef PHIZ_TESTS_GRAD_H
#define PHIZ_TESTS_GRAD_H

#include "support/op_case.h"

#define PHIZ_OP(name) void grad_##name(void **state);
#include "core/ops/ops.def"
#undef PHIZ_OP

/* Holds one case, filled from the seed, to everything that backward promises:
 * - the double kernel's gradients are the central differences of its forward;
 * - each subset of them comes out bit by bit the same, also when what `reads` leaves out is overwritten with NaN;
 * - bits of `accumulate` add to what is there; without dout nothing is touched;
 * - the float kernel agrees with the double one, forward, saved, state and backward;
 * - forward is the same without memory for saved values, and over its own input where alias_mask allows it;
 * - nothing outside of the tensors is written, nothing allocated. */
void grad_check(struct phiz_ctx *ctx, const struct op_case *c, uint64_t seed);
/* grad_check on `count` small cases of this op at random. */
void grad_draws(const struct phiz_op *op, int count);
/* grad_check on one case (described here), in a context of its own. */
void grad_case(struct op_case *c);
/* Prints how much of the tolerances the op's checks used since the last call. */
void grad_report(const struct phiz_op *op);

#endif
