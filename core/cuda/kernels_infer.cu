/* See kernels_infer.h. */
#include "core/cuda/kernels_infer.h"

#include "core/cuda/device.h"

/* Is the pixel in the box x, y, width, height? */
static inline __device__ bool is_in(const int32_t *box, int64_t w, int64_t h)
{
	return w >= box[0] && h >= box[1] && w - box[0] < box[2] && h - box[1] < box[3];
}

/* A thread a pixel, so that reads and writes are whole lines. */
template <typename T> static __global__ void normalize(struct phiz_cuda_normalize p)
{
	const int64_t width = p.y.dim[3], area = p.y.dim[2] * width;
	EACH(i, p.y.dim[0] * area) {
		const int64_t n = i / area, pixel = i - n * area, h = pixel / width, w = pixel - h * width;
		const bool erased = p.erased && is_in(p.erased + 4 * n, w, h);
		for (int c = 0; c < 3; c++) {
			float v = ((float)p.x[(3 * n + c) * area + pixel] / 255.0f - p.mean[c]) / p.std[c];
			put<T>(p.y.data, offset(&p.y, n, c, h, w), erased ? 0.0f : v);
		}
	}
}

int phiz_cuda_run_normalize(const struct phiz_cuda_normalize *p, void *stream)
{
	unsigned blocks = blocks_for(p->y.dim[0] * p->y.dim[2] * p->y.dim[3]);
	if (p->y.dtype == F32)
		LAUNCH((normalize<float>), blocks, THREADS, stream)(*p);
	else if (p->y.dtype == F16)
		LAUNCH((normalize<__half>), blocks, THREADS, stream)(*p);
	else
		LAUNCH((normalize<__nv_bfloat16>), blocks, THREADS, stream)(*p);
	return (int)cudaPeekAtLastError();
}
