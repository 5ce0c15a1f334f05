/* Winograd's F(2x2, 3x3) (Lavin and Gray 2016) for 3x3 convolutions of stride 1, in three launches: for each tile of
 * 2x2 outputs the 4x4 elements d of x that it sees become V = B^T d B; 16 matrix products M_e = U_e V_e, with U = G g
 * G^T made once of the filters; Y = A^T M A and what follows a convolution.
 *
 * B^T = 1  0 -1  0    G = 1   0   0     A^T = 1  1  1  0 0  1  1  0        1/2 1/2 1/2         0  1 -1 -1 0 -1  1  0
 * 1/2 -1/2 1/2 0  1  0 -1        0   0   1
 *
 * 4 multiplications an output and channel instead of 9. V and U are of dtype T, rounded once each; M is in float. V, M
 * and their way to memory and back are the price: 16 * (C * 2 + K * 4) bytes a tile, twice, in F16. What is cheaper on
 * a Nano is counted for each layer (lean_ops.c): it is this one from 14x14 pixels on, 0.5 to 0.85 of the time of the
 * direct way. F(4x4, 3x3) is not here: its transforms have factors up to 8, whose rounding in half takes most of what
 * F16 allows. */
#include "core/cuda/kernels_lean.h"

#include "core/cuda/device.h"

namespace {

enum { POINTS = 16 };

struct tiles {
	int rows, columns; /* of an image */
	int64_t count;     /* of all images */
};

tiles tiles_of(const phiz_cuda_lean_conv &v)
{
	tiles t = {(v.p + 1) / 2, (v.q + 1) / 2, 0};
	t.count = v.n * t.rows * t.columns;
	return t;
}

/* [a b c d] by B^T. */
__device__ void input_side(float *a, float *b, float *c, float *d)
{
	const float w = *a - *c, x = *b + *c, y = *c - *b, z = *b - *d;
	*a = w;
	*b = x;
	*c = y;
	*d = z;
}

/* V [16][C][tiles], neighbouring threads on neighbouring tiles. */
template <typename T, typename In> __global__ void transform_in(phiz_cuda_lean_conv v, tiles t, void *to)
{
	EACH(i, v.c * t.count) {
		const int64_t tile = i % t.count, c = i / t.count, n = tile / t.columns / t.rows;
		const int h0 = (int)(tile / t.columns % t.rows) * 2 - v.pad_top, w0 = (int)(tile % t.columns) * 2 - v.pad_left;
		const int64_t plane = (n * v.c + c) * v.h * v.w;
		float d[4][4];
#pragma unroll
		for (int r = 0; r < 4; r++)
#pragma unroll
			for (int s = 0; s < 4; s++) {
				const int h = h0 + r, w = w0 + s;
				const bool in = h >= 0 && h < v.h && w >= 0 && w < v.w;
				d[r][s] = in ? number<In>(v.x, plane + (int64_t)h * v.w + w) : 0.0f;
			}
#pragma unroll
		for (int s = 0; s < 4; s++)
			input_side(&d[0][s], &d[1][s], &d[2][s], &d[3][s]);
#pragma unroll
		for (int r = 0; r < 4; r++)
			input_side(&d[r][0], &d[r][1], &d[r][2], &d[r][3]);
#pragma unroll
		for (int e = 0; e < POINTS; e++)
			put<T>(to, (e * (int64_t)v.c + c) * t.count + tile, d[e / 4][e % 4]);
	}
}

__device__ float activate(float y, int act, float slope) /* NaN stays NaN */
{
	return act == ACT_NONE || !(y <= 0) ? y : act == ACT_RELU ? 0.0f : y * slope;
}

template <typename Out> __global__ void transform_out(phiz_cuda_lean_conv v, tiles t, const float *m)
{
	EACH(i, v.k * t.count) {
		const int64_t tile = i % t.count, k = i / t.count, n = tile / t.columns / t.rows;
		const int p0 = (int)(tile / t.columns % t.rows) * 2, q0 = (int)(tile % t.columns) * 2;
		float half[2][4];
#pragma unroll
		for (int s = 0; s < 4; s++) {
			float a[4];
#pragma unroll
			for (int r = 0; r < 4; r++)
				a[r] = m[((4 * r + s) * (int64_t)v.k + k) * t.count + tile];
			half[0][s] = a[0] + a[1] + a[2];
			half[1][s] = a[1] - a[2] - a[3];
		}
#pragma unroll
		for (int o = 0; o < 4; o++) {
			const int p = p0 + o / 2, q = q0 + o % 2;
			const float *a = half[o / 2];
			if (p >= v.p || q >= v.q)
				continue;
			const int64_t at = ((n * v.k + k) * v.p + p) * v.q + q;
			float y = o % 2 ? a[1] - a[2] - a[3] : a[0] + a[1] + a[2];
			if (v.bias)
				y += v.bias[k];
			if (v.residual)
				y += number<Out>(v.residual, at);
			put<Out>(v.y, at, activate(y, v.act, v.slope));
		}
	}
}

/* The 16 products as one 1x1 convolution in 16 groups on a picture of one row. */
phiz_cuda_lean_conv products_of(const phiz_cuda_lean_conv &v, const tiles &t)
{
	phiz_cuda_lean_conv m = v;
	m.n = 1;
	m.c = POINTS * v.c;
	m.k = POINTS * v.k;
	m.h = m.p = m.r = m.s = 1;
	m.w = m.q = (int)t.count;
	m.stride_h = m.stride_w = m.dilation_h = m.dilation_w = 1;
	m.pad_top = m.pad_left = m.act = 0;
	m.groups = POINTS;
	m.x_dtype = v.dtype;
	m.y_dtype = F32;
	m.bias = NULL;
	m.residual = NULL;
	return m;
}

size_t line_up(size_t bytes) { return (bytes + 255) & ~(size_t)255; }

size_t v_bytes(const phiz_cuda_lean_conv &v, const tiles &t)
{
	return line_up(POINTS * (size_t)v.c * (size_t)t.count * (v.dtype == F16 ? 2 : 4));
}

template <typename T, typename In>
void start_in(const phiz_cuda_lean_conv &v, const tiles &t, void *to, void *stream)
{
	LAUNCH((transform_in<T, In>), blocks_for(v.c * t.count), THREADS, stream)(v, t, to);
}

}

size_t phiz_cuda_lean_winograd_weight_bytes(const struct phiz_cuda_lean_conv *v)
{
	const phiz_cuda_lean_conv m = products_of(*v, tiles_of(*v));
	return phiz_cuda_lean_weight_bytes(&m);
}

int phiz_cuda_lean_winograd_pack(const struct phiz_cuda_lean_conv *v, const float *w, void *to, void *stream)
{
	const phiz_cuda_lean_conv m = products_of(*v, tiles_of(*v));
	return phiz_cuda_lean_pack_points(&m, w, to, stream);
}

size_t phiz_cuda_lean_winograd_workspace(const struct phiz_cuda_lean_conv *v)
{
	const tiles t = tiles_of(*v);
	return v_bytes(*v, t) + POINTS * (size_t)v->k * (size_t)t.count * sizeof(float);
}

int phiz_cuda_lean_run_winograd(const struct phiz_cuda_lean_conv *v, void *workspace, void *stream)
{
	const tiles t = tiles_of(*v);
	phiz_cuda_lean_conv m = products_of(*v, t);
	m.x = workspace;
	m.y = (char *)workspace + v_bytes(*v, t);
	if (v->dtype == F32)
		start_in<float, float>(*v, t, workspace, stream);
	else if (v->x_dtype == F32)
		start_in<__half, float>(*v, t, workspace, stream);
	else
		start_in<__half, __half>(*v, t, workspace, stream);
	const int error = phiz_cuda_lean_run(&m, stream);
	if (error)
		return error;
	if (v->y_dtype == F32)
		LAUNCH((transform_out<float>), blocks_for(v->k * t.count), THREADS, stream)(*v, t, (const float *)m.y);
	else
		LAUNCH((transform_out<__half>), blocks_for(v->k * t.count), THREADS, stream)(*v, t, (const float *)m.y);
	return (int)cudaPeekAtLastError();
}
