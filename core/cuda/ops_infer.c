/* Rows of the kernel table for operators that mostly run forward only: what pictures begin with, and what detectors end
 * with. */
#include "core/cuda/row.h"

#include "core/cuda/kernels_infer.h"
#include "core/ops/ops.h"

/* --- normalize_bytes: bytes, whatever the plan's precision is, into a picture of the row's dtype --- */

static enum phiz_status normalize_bytes(struct phiz_call *call)
{
	const union phiz_attr *a = call->node->attr;
	struct phiz_cuda_normalize p = {
		.x = call->in[0].data, .erased = data_of(call, PHIZ_NORMALIZE_ERASED),
		.y = phiz_cuda_picture_of(&call->out[0]),
	};
	for (int c = 0; c < 3; c++) {
		p.mean[c] = (float)a[PHIZ_NORMALIZE_MEAN + c].f;
		p.std[c] = (float)a[PHIZ_NORMALIZE_STD + c].f;
	}
	return started(call, phiz_cuda_run_normalize(&p, phiz_cuda_of(call)->stream));
}

/* --- Elements that go elsewhere: permute, slice, concat, resize_nearest, in whatever layouts --- */

static void strides_of(const struct phiz_tensor *t, int64_t *stride)
{
	if (t->shape.ndim == 4) {
		const struct phiz_cuda_picture p = phiz_cuda_picture_of(t);
		for (int d = 0; d < 4; d++)
			stride[d] = p.stride[d];
		return;
	}
	int64_t step = 1;
	for (int d = t->shape.ndim; d-- > 0; step *= t->shape.dim[d])
		stride[d] = step;
}

/* All of `over`, which x and y hold with their own strides. */
static struct phiz_cuda_walk walk_over(const struct phiz_tensor *over, const struct phiz_tensor *x,
                                       const struct phiz_tensor *y)
{
	struct phiz_cuda_walk w = {.ndim = over->shape.ndim};
	for (int d = 0; d < w.ndim; d++)
		w.dim[d] = over->shape.dim[d];
	strides_of(x, w.stride[0]);
	strides_of(y, w.stride[1]);
	return w;
}

static bool same_dtypes(const struct phiz_call *call)
{
	bool same = call->out[0].shape.ndim <= PHIZ_CUDA_DIMS;
	for (int i = 0; i < call->n_in; i++)
		same = same && call->in[i].dtype == call->out[0].dtype;
	return same;
}

static enum phiz_status move(const struct phiz_call *call, const struct phiz_cuda_walk *w, int input, int64_t from,
                             int64_t to)
{
	const size_t size = phiz_dtype_size(call->out[0].dtype);
	return started(call, phiz_cuda_move(w, (const char *)call->in[input].data + (size_t)from * size,
	                                    (char *)call->out[0].data + (size_t)to * size, (int)call->out[0].dtype,
	                                    phiz_cuda_of(call)->stream));
}

static int axis_of(const struct phiz_call *call, int attr)
{
	int64_t axis = call->node->attr[attr].i;
	return (int)(axis < 0 ? axis + call->out[0].shape.ndim : axis);
}

static enum phiz_status permute(struct phiz_call *call)
{
	struct phiz_cuda_walk w = walk_over(&call->out[0], &call->in[0], &call->out[0]);
	int64_t stride[PHIZ_CUDA_DIMS];
	strides_of(&call->in[0], stride);
	for (int d = 0; d < w.ndim; d++)
		w.stride[0][d] = stride[call->node->attr[d].i];
	return move(call, &w, 0, 0, 0);
}

static enum phiz_status slice(struct phiz_call *call)
{
	const struct phiz_cuda_walk w = walk_over(&call->out[0], &call->in[0], &call->out[0]);
	const int axis = axis_of(call, PHIZ_SLICE_AXIS);
	int64_t start = call->node->attr[PHIZ_SLICE_START].i;
	start = start < 0 ? start + call->in[0].shape.dim[axis] : start;
	return move(call, &w, 0, start * w.stride[0][axis], 0);
}

static enum phiz_status concat(struct phiz_call *call)
{
	const int axis = axis_of(call, PHIZ_CONCAT_AXIS);
	enum phiz_status status = PHIZ_OK;
	int64_t begin = 0;
	for (int i = 0; i < call->n_in && !status; i++) {
		const struct phiz_cuda_walk w = walk_over(&call->in[i], &call->in[i], &call->out[0]);
		status = move(call, &w, i, 0, begin * w.stride[1][axis]);
		begin += call->in[i].shape.dim[axis];
	}
	return status;
}

/* [n, c, h, by_h, w, by_w], where x stands still along by_h and by_w. */
static enum phiz_status resize_nearest(struct phiz_call *call)
{
	const struct phiz_cuda_picture x = phiz_cuda_picture_of(&call->in[0]), y = phiz_cuda_picture_of(&call->out[0]);
	const int64_t by_h = call->node->attr[PHIZ_RESIZE_SCALE_H].i, by_w = call->node->attr[PHIZ_RESIZE_SCALE_W].i;
	const struct phiz_cuda_walk w = {
		.ndim = 6, .dim = {x.dim[0], x.dim[1], x.dim[2], by_h, x.dim[3], by_w},
		.stride = {{x.stride[0], x.stride[1], x.stride[2], 0, x.stride[3], 0},
		           {y.stride[0], y.stride[1], by_h * y.stride[2], y.stride[2], by_w * y.stride[3], y.stride[3]}},
	};
	return move(call, &w, 0, 0, 0);
}

/* --- affine, with f32 scale and shift --- */

static bool affine_supports(const struct phiz_call *call)
{
	bool fits = call->in[0].dtype == call->out[0].dtype;
	for (int i = 1; i < call->n_in; i++)
		fits = fits && (call->in[i].shape.ndim < 0 || (call->in[i].dtype == PHIZ_F32 &&
		                                               call->in[i].layout == PHIZ_PLAIN));
	return fits;
}

static enum phiz_status affine(struct phiz_call *call)
{
	struct phiz_cuda_affine p = {
		.walk = walk_over(&call->out[0], &call->in[0], &call->out[0]), .x = call->in[0].data, .y = call->out[0].data,
		.dtype = (int)call->out[0].dtype, .scale = data_of(call, PHIZ_AFFINE_SCALE),
		.shift = data_of(call, PHIZ_AFFINE_SHIFT),
	};
	for (int i = PHIZ_AFFINE_SCALE; i < call->n_in; i++) {
		const struct phiz_shape *s = &call->in[i].shape;
		int64_t step = 1;
		for (int d = s->ndim; d-- > 0; step *= s->dim[d])
			p.walk.stride[1 + i][d] = s->dim[d] == 1 ? 0 : step;
	}
	return started(call, phiz_cuda_run_affine(&p, phiz_cuda_of(call)->stream));
}

/* --- sigmoid, exp --- */

static bool alike(const struct phiz_call *call)
{
	return call->in[0].dtype == call->out[0].dtype && call->in[0].layout == call->out[0].layout;
}

static enum phiz_status unary(const struct phiz_call *call, enum phiz_cuda_unary f)
{
	return started(call, phiz_cuda_run_unary(f, call->in[0].data, call->out[0].data, (int)call->out[0].dtype,
	                                         phiz_tensor_count(&call->out[0]), phiz_cuda_of(call)->stream));
}

static enum phiz_status sigmoid(struct phiz_call *call) { return unary(call, PHIZ_CUDA_SIGMOID); }
static enum phiz_status exponential(struct phiz_call *call) { return unary(call, PHIZ_CUDA_EXP); }

/* --- softmax, l2_normalize --- */

static bool plain(const struct phiz_call *call) { return alike(call) && call->out[0].layout == PHIZ_PLAIN; }

static struct phiz_cuda_lines lines_along(const struct phiz_shape *s, int axis)
{
	struct phiz_cuda_lines l = {1, s->dim[axis], 1};
	for (int d = 0; d < s->ndim; d++) {
		if (d < axis)
			l.outer *= s->dim[d];
		else if (d > axis)
			l.inner *= s->dim[d];
	}
	return l;
}

static enum phiz_status softmax(struct phiz_call *call)
{
	const struct phiz_cuda_lines l = lines_along(&call->out[0].shape, axis_of(call, PHIZ_SOFTMAX_AXIS));
	return started(call, phiz_cuda_run_softmax(&l, call->in[0].data, call->out[0].data, (int)call->out[0].dtype,
	                                       phiz_cuda_of(call)->stream));
}

static struct phiz_cuda_l2 l2_of(const struct phiz_call *call)
{
	return (struct phiz_cuda_l2){
		.lines = lines_along(&call->out[0].shape, 1), .x = call->in[0].data, .y = call->out[0].data,
		.norm = call->saved[0].data, .dtype = (int)call->out[0].dtype,
		.eps = (float)call->node->attr[PHIZ_L2_NORMALIZE_EPS].f,
	};
}

static enum phiz_status l2_normalize(struct phiz_call *call)
{
	const struct phiz_cuda_l2 p = l2_of(call);
	return started(call, phiz_cuda_l2_forward(&p, phiz_cuda_of(call)->stream));
}

static enum phiz_status l2_normalize_back(struct phiz_call *call)
{
	struct phiz_cuda_l2 p = l2_of(call);
	p.dy = call->dout[0].data;
	p.dx = call->din[0].data;
	p.add = call->accumulate & 1u;
	return p.dy && p.dx ? started(call, phiz_cuda_l2_backward(&p, phiz_cuda_of(call)->stream)) : PHIZ_OK;
}

#define ROW(name_, dtype_, supports_, forward_, backward_) \
	{.op = name_, .name = "cuda", .dtype = dtype_, .supports = supports_, .forward = forward_, .backward = backward_, \
	 .blocked = true}
#define ROWS(op_, name_, supports_, forward_, backward_) \
	const struct phiz_kernel phiz_cuda_##op_[3] = {ROW(name_, PHIZ_F32, supports_, forward_, backward_), \
	                                               ROW(name_, PHIZ_F16, supports_, forward_, backward_), \
	                                               ROW(name_, PHIZ_BF16, supports_, forward_, backward_)}
ROWS(permute, "permute", same_dtypes, permute, NULL);
ROWS(slice, "slice", same_dtypes, slice, NULL);
ROWS(concat, "concat", same_dtypes, concat, NULL);
ROWS(resize_nearest, "resize_nearest", same_dtypes, resize_nearest, NULL);
ROWS(affine, "affine", affine_supports, affine, NULL);
ROWS(sigmoid, "sigmoid", alike, sigmoid, NULL);
ROWS(exp, "exp", alike, exponential, NULL);
ROWS(softmax, "softmax", plain, softmax, NULL);
ROWS(l2_normalize, "l2_normalize", plain, l2_normalize, l2_normalize_back);

#define NORMALIZE(dtype_) {.op = "normalize_bytes", .name = "cuda", .dtype = dtype_, .forward = normalize_bytes, \
                           .blocked = true}
const struct phiz_kernel phiz_cuda_normalize_bytes[3] = {NORMALIZE(PHIZ_U8), NORMALIZE(PHIZ_F16), NORMALIZE(PHIZ_BF16)};
