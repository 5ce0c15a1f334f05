/* What the reference kernels share: their declarations, access to a call's tensors, fused activations. Included after
 * everything else needed; written in `real` (see real.h). */
#ifndef PHIZ_OPS_KERNEL_H
#define PHIZ_OPS_KERNEL_H

#include <stdbool.h>

#include "core/ops/ops.h"
#include "core/ops/real.h"

#define PHIZ_OP(name)                                                     \
	enum phiz_status phiz_##name##_forward_f32(struct phiz_call *call);   \
	enum phiz_status phiz_##name##_backward_f32(struct phiz_call *call);  \
	enum phiz_status phiz_##name##_forward_f64(struct phiz_call *call);   \
	enum phiz_status phiz_##name##_backward_f64(struct phiz_call *call);  \
	enum phiz_status phiz_##name##_forward_u8(struct phiz_call *call);
#include "core/ops/ops.def"
#undef PHIZ_OP

/* The two rows of reference kernels in a descriptor. */
#define PHIZ_REFERENCE(op_name)                                                                 \
	.reference_f32 = {.op = #op_name, .name = "reference", .dtype = PHIZ_F32,                   \
	                  .forward = phiz_##op_name##_forward_f32,                                  \
	                  .backward = phiz_##op_name##_backward_f32},                               \
	.reference_f64 = {.op = #op_name, .name = "reference", .dtype = PHIZ_F64,                   \
	                  .forward = phiz_##op_name##_forward_f64,                                  \
	                  .backward = phiz_##op_name##_backward_f64}

/* The row of an operator on quantised values. */
#define PHIZ_REFERENCE_U8(op_name) \
	.reference_u8 = {.op = #op_name, .name = "reference", .dtype = PHIZ_U8, .forward = phiz_##op_name##_forward_u8}

/* Data of input i and of its gradient; NULL if absent or not wanted. */
static inline const real *phiz_in(const struct phiz_call *call, int i)
{
	return i < call->n_in ? call->in[i].data : NULL;
}

static inline real *phiz_din(const struct phiz_call *call, int i)
{
	return i < call->n_in ? call->din[i].data : NULL;
}

static inline bool phiz_adds(const struct phiz_call *call, int i)
{
	return (call->accumulate >> i & 1u) != 0;
}

/* Writes v to *to, or adds it. */
static inline void phiz_put(real *to, bool add, real v)
{
	*to = add ? *to + v : v;
}

/* n elements of `from` written or added to `to`, which may be `from`. */
static inline void phiz_copy(real *to, const real *from, int64_t n, bool add)
{
	for (int64_t i = 0; (add || to != from) && i < n; i++)
		phiz_put(&to[i], add, from[i]);
}

static inline void phiz_fill_zero(real *to, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		to[i] = 0;
}

/* act(v) of attributes (act, act_slope). NaN stays NaN, as in PyTorch. */
static inline real phiz_act_apply(int64_t act, real slope, real v)
{
	if (act == PHIZ_ACT_NONE || !(v <= 0))
		return v;
	return act == PHIZ_ACT_RELU ? 0 : v * slope;
}

/* The gradient before the activation from the one behind it (g) and the activation's output y; slope >= 0. */
static inline real phiz_act_gradient(int64_t act, real slope, real y, real g)
{
	if (act == PHIZ_ACT_NONE)
		return g;
	if (act == PHIZ_ACT_RELU)
		return y <= 0 ? 0 : g;
	return y > 0 ? g : g * slope;
}

/* A tensor seen as [outer, n, inner] with dim `axis` in the middle. */
struct phiz_lines {
	int64_t outer, n, inner;
};

static inline struct phiz_lines phiz_lines_along(const struct phiz_shape *shape, int64_t axis)
{
	struct phiz_lines lines = {1, 1, 1};

	if (axis < 0)
		axis += shape->ndim;
	for (int d = 0; d < shape->ndim; d++) {
		int64_t *part = d < axis ? &lines.outer : d > axis ? &lines.inner : &lines.n;

		*part *= shape->dim[d];
	}
	return lines;
}

#endif
