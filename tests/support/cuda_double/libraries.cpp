/* The test double's cuDNN and cuBLAS: plain loops with sums in double. Descriptors are checked as the libraries do, and
 * algorithms have their workspaces and their refusals, so that fall-backs are needed. */
#include <cublas_v2.h>
#include <cudnn.h>

#include <set>
#include <vector>

#include <stdlib.h>
#include <string.h>

#include <phiz/tensor.h>

#include "double.h"

using cuda_double::call_fails;
using cuda_double::count_live;
using cuda_double::enqueue;
using cuda_double::on_device;

namespace {

/* Elements of any dtype. */
enum kind { SINGLE, HALF, BRAIN };

double get(const void *data, kind k, int64_t i)
{
	if (k == SINGLE)
		return ((const float *)data)[i];
	uint16_t bits = ((const uint16_t *)data)[i];
	return k == HALF ? phiz_f16_to_f32(bits) : phiz_bf16_to_f32(bits);
}

void put(void *data, kind k, int64_t i, double v)
{
	if (k == SINGLE)
		((float *)data)[i] = (float)v;
	else
		((uint16_t *)data)[i] = k == HALF ? phiz_f32_to_f16((float)v) : phiz_f32_to_bf16((float)v);
}

size_t size_of(kind k) { return k == SINGLE ? 4 : 2; }

/* What is alive: a descriptor that was destroyed, or never made, is noticed. */
std::set<const void *> objects;

template <typename T> int make(T **out)
{
	*out = nullptr;
	if (call_fails())
		return -1;
	*out = new T();
	objects.insert(*out);
	count_live(1);
	return 0;
}

template <typename T> void destroy(T *object)
{
	if (!objects.erase(object))
		abort();
	delete object;
	count_live(-1);
}

bool is_alive(const void *object) { return objects.count(object) > 0; }

}

/* --- cuDNN --- */

struct double_cudnn {
	cudaStream_t stream = nullptr;
};
struct dims {
	bool set = false, last = false;
	kind type = SINGLE;
	int dim[4] = {0, 0, 0, 0};
	int64_t count() const { return (int64_t)dim[0] * dim[1] * dim[2] * dim[3]; }
	size_t bytes() const { return (size_t)count() * size_of(type); }
	int64_t at(int a, int b, int c, int d) const
	{
		return last ? (((int64_t)a * dim[2] + c) * dim[3] + d) * dim[1] + b
		            : (((int64_t)a * dim[1] + b) * dim[2] + c) * dim[3] + d;
	}
};
struct double_tensor : dims {};
struct double_filter : dims {};
struct double_conv {
	int pad[2] = {0, 0}, stride[2] = {0, 0}, dilation[2] = {0, 0}, groups = 1;
	cudnnMathType_t math = CUDNN_DEFAULT_MATH;
};
struct double_act {
	bool set = false;
	cudnnActivationMode_t mode = CUDNN_ACTIVATION_IDENTITY;
};

namespace {

kind kind_of(cudnnDataType_t type)
{
	return type == CUDNN_DATA_HALF ? HALF : type == CUDNN_DATA_BFLOAT16 ? BRAIN : SINGLE;
}

cudnnStatus_t set(dims *d, cudnnTensorFormat_t format, cudnnDataType_t type, int a, int b, int c, int e)
{
	if (call_fails() || !is_alive(d) || a < 1 || b < 1 || c < 1 || e < 1)
		return CUDNN_STATUS_BAD_PARAM;
	d->set = true;
	d->last = format == CUDNN_TENSOR_NHWC;
	d->type = kind_of(type);
	d->dim[0] = a;
	d->dim[1] = b;
	d->dim[2] = c;
	d->dim[3] = e;
	return CUDNN_STATUS_SUCCESS;
}

/* A convolution of these descriptors, as it stood when the call was made. */
struct shape {
	dims x, w, y;
	double_conv conv;
};

int out_size(const shape &s, int i)
{
	return (s.x.dim[2 + i] + 2 * s.conv.pad[i] - s.conv.dilation[i] * (s.w.dim[2 + i] - 1) - 1) / s.conv.stride[i] + 1;
}

bool fits(const shape &s)
{
	return s.x.set && s.w.set && s.y.set && s.x.type == s.w.type && s.x.type == s.y.type && s.x.last == s.y.last &&
	       s.x.last == s.w.last && s.conv.stride[0] > 0 && s.x.dim[0] == s.y.dim[0] && s.w.dim[0] == s.y.dim[1] &&
	       s.x.dim[1] == s.w.dim[1] * s.conv.groups && s.w.dim[0] % s.conv.groups == 0 &&
	       s.y.dim[2] == out_size(s, 0) && s.y.dim[3] == out_size(s, 1);
}

bool describe(cudnnTensorDescriptor_t x, cudnnFilterDescriptor_t w, cudnnConvolutionDescriptor_t conv,
              cudnnTensorDescriptor_t y, shape *s)
{
	if (!is_alive(x) || !is_alive(w) || !is_alive(conv) || !is_alive(y))
		return false;
	*s = {*x, *w, *y, *conv};
	return fits(*s);
}

/* Each product of the convolution once: x(n,c,h,i) w(k,cg,r,t) y(n,k,p,q). */
template <typename F> void for_products(const shape &s, F f)
{
	const int kg = s.w.dim[0] / s.conv.groups, cg = s.w.dim[1];
	for (int n = 0; n < s.y.dim[0]; n++)
		for (int k = 0; k < s.y.dim[1]; k++)
			for (int p = 0; p < s.y.dim[2]; p++)
				for (int q = 0; q < s.y.dim[3]; q++)
					for (int c = 0; c < cg; c++)
						for (int r = 0; r < s.w.dim[2]; r++)
							for (int t = 0; t < s.w.dim[3]; t++) {
								int h = p * s.conv.stride[0] + r * s.conv.dilation[0] - s.conv.pad[0];
								int i = q * s.conv.stride[1] + t * s.conv.dilation[1] - s.conv.pad[1];
								if (h >= 0 && h < s.x.dim[2] && i >= 0 && i < s.x.dim[3])
									f(s.x.at(n, k / kg * cg + c, h, i), s.w.at(k, c, r, t), s.y.at(n, k, p, q));
							}
}

/* out = sums + beta * out */
void store(const std::vector<double> &sums, const dims &d, void *out, float beta)
{
	for (int64_t i = 0; i < d.count(); i++)
		put(out, d.type, i, sums[(size_t)i] + (beta != 0 ? (double)beta * get(out, d.type, i) : 0));
}

enum pass { FORWARD, DATA, FILTER };

std::vector<double> widened(const void *data, const dims &d)
{
	std::vector<double> v(data ? (size_t)d.count() : 0);
	for (size_t i = 0; i < v.size(); i++)
		v[i] = get(data, d.type, (int64_t)i);
	return v;
}

/* The sums of the pass; the operand that it gives is NULL. */
std::vector<double> sums_of(const shape &s, pass which, const void *x, const void *w, const void *y)
{
	const std::vector<double> xs = widened(x, s.x), ws = widened(w, s.w), ys = widened(y, s.y);
	std::vector<double> sums((size_t)(which == FORWARD ? s.y : which == DATA ? s.x : s.w).count(), 0);
	for_products(s, [&](int64_t xi, int64_t wi, int64_t yi) {
		if (which == FORWARD)
			sums[(size_t)yi] += xs[(size_t)xi] * ws[(size_t)wi];
		else if (which == DATA)
			sums[(size_t)xi] += ws[(size_t)wi] * ys[(size_t)yi];
		else
			sums[(size_t)wi] += xs[(size_t)xi] * ys[(size_t)yi];
	});
	return sums;
}

void run(const shape &s, pass which, const void *x, const void *w, const void *y, void *out, float beta)
{
	store(sums_of(s, which, x, w, y), which == FORWARD ? s.y : which == DATA ? s.x : s.w, out, beta);
}

/* The table of each pass: a first that wants memory and refuses groups when it runs; one that wants less; and one that
 * is not deterministic. */
const struct {
	int algo;
	size_t memory;
	cudnnDeterminism_t determinism;
} table[] = {{1, 40000, CUDNN_DETERMINISTIC}, {0, 0, CUDNN_DETERMINISTIC}, {3, 512, CUDNN_NON_DETERMINISTIC}};

template <typename Perf, typename Algo> cudnnStatus_t list(const shape &s, int most, int *count, Perf *out)
{
	*count = 0;
	for (int i = 0; i < 3 && i < most; i++) {
		Perf p = {};
		p.algo = (Algo)table[i].algo;
		p.status = CUDNN_STATUS_SUCCESS;
		p.time = 1 + (float)i;
		p.memory = table[i].memory;
		p.determinism = table[i].determinism;
		p.mathType = s.conv.math;
		out[(*count)++] = p;
	}
	return CUDNN_STATUS_SUCCESS;
}

/* May the call be, with this algorithm and workspace? */
cudnnStatus_t check(cudnnHandle_t handle, const shape &s, int algo, const void *work, size_t work_bytes)
{
	if (!is_alive(handle) || !handle->stream)
		return CUDNN_STATUS_BAD_PARAM;
	for (const auto &row : table)
		if (row.algo == algo) {
			if (work_bytes < row.memory || (row.memory && !on_device(work, row.memory)))
				return CUDNN_STATUS_BAD_PARAM;
			return algo == 1 && s.conv.groups > 1 ? CUDNN_STATUS_NOT_SUPPORTED : CUDNN_STATUS_SUCCESS;
		}
	return CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t convolve(cudnnHandle_t handle, const shape &s, pass which, int algo, void *work, size_t work_bytes,
                       const void *x, const void *w, const void *y, void *out, const void *beta)
{
	if (call_fails())
		return CUDNN_STATUS_EXECUTION_FAILED;
	cudnnStatus_t status = check(handle, s, algo, work, work_bytes);
	if (status)
		return status;
	if ((x && !on_device(x, s.x.bytes())) || (w && !on_device(w, s.w.bytes())) || (y && !on_device(y, s.y.bytes())))
		return CUDNN_STATUS_BAD_PARAM;
	if (!on_device(out, (which == FORWARD ? s.y : which == DATA ? s.x : s.w).bytes()))
		return CUDNN_STATUS_BAD_PARAM;
	float b = *(const float *)beta;
	enqueue(handle->stream, [=]() {
		if (table[0].algo == algo)
			memset(work, 0x77, table[0].memory); /* it is used */
		run(s, which, x, w, y, out, b);
	});
	return CUDNN_STATUS_SUCCESS;
}

}

extern "C" {

size_t cudnnGetVersion(void) { return CUDART_VERSION >= 12000 ? 90000 : 8201; }

const char *cudnnGetErrorString(cudnnStatus_t status)
{
	return status == CUDNN_STATUS_SUCCESS         ? "CUDNN_STATUS_SUCCESS"
	       : status == CUDNN_STATUS_BAD_PARAM     ? "CUDNN_STATUS_BAD_PARAM"
	       : status == CUDNN_STATUS_NOT_SUPPORTED ? "CUDNN_STATUS_NOT_SUPPORTED"
	                                              : "CUDNN_STATUS_EXECUTION_FAILED";
}

#define OBJECT(create_, destroy_, type_) \
	cudnnStatus_t create_(type_ *out) { return make(out) ? CUDNN_STATUS_EXECUTION_FAILED : CUDNN_STATUS_SUCCESS; } \
	cudnnStatus_t destroy_(type_ object) \
	{ \
		destroy(object); \
		return CUDNN_STATUS_SUCCESS; \
	}
OBJECT(cudnnCreate, cudnnDestroy, cudnnHandle_t)
OBJECT(cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor, cudnnTensorDescriptor_t)
OBJECT(cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor, cudnnFilterDescriptor_t)
OBJECT(cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor, cudnnConvolutionDescriptor_t)
OBJECT(cudnnCreateActivationDescriptor, cudnnDestroyActivationDescriptor, cudnnActivationDescriptor_t)

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
	if (call_fails() || !is_alive(handle))
		return CUDNN_STATUS_BAD_PARAM;
	handle->stream = stream;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t d, cudnnTensorFormat_t format, cudnnDataType_t type,
                                         int n, int c, int h, int w)
{
	return set(d, format, type, n, c, h, w);
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t d, cudnnDataType_t type, cudnnTensorFormat_t format,
                                         int k, int c, int h, int w)
{
	return set(d, format, type, k, c, h, w);
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t d, int pad_h, int pad_w, int stride_h,
                                              int stride_w, int dilation_h, int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute)
{
	if (call_fails() || !is_alive(d) || mode != CUDNN_CROSS_CORRELATION || compute != CUDNN_DATA_FLOAT)
		return CUDNN_STATUS_BAD_PARAM;
	d->pad[0] = pad_h;
	d->pad[1] = pad_w;
	d->stride[0] = stride_h;
	d->stride[1] = stride_w;
	d->dilation[0] = dilation_h;
	d->dilation[1] = dilation_w;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t d, int groups)
{
	if (call_fails() || !is_alive(d) || groups < 1)
		return CUDNN_STATUS_BAD_PARAM;
	d->groups = groups;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t d, cudnnMathType_t math)
{
	if (call_fails() || !is_alive(d))
		return CUDNN_STATUS_BAD_PARAM;
	d->math = math;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t d, cudnnActivationMode_t mode,
                                           cudnnNanPropagation_t nan, double coefficient)
{
	(void)nan;
	(void)coefficient;
	if (call_fails() || !is_alive(d))
		return CUDNN_STATUS_BAD_PARAM;
	d->set = true;
	d->mode = mode;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                     const cudnnFilterDescriptor_t w,
                                                     const cudnnConvolutionDescriptor_t conv,
                                                     const cudnnTensorDescriptor_t y, int most, int *count,
                                                     cudnnConvolutionFwdAlgoPerf_t *out)
{
	shape s;
	if (call_fails() || !is_alive(handle) || !describe(x, w, conv, y, &s))
		return CUDNN_STATUS_BAD_PARAM;
	return list<cudnnConvolutionFwdAlgoPerf_t, cudnnConvolutionFwdAlgo_t>(s, most, count, out);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t handle, const cudnnFilterDescriptor_t w,
                                                          const cudnnTensorDescriptor_t dy,
                                                          const cudnnConvolutionDescriptor_t conv,
                                                          const cudnnTensorDescriptor_t dx, int most, int *count,
                                                          cudnnConvolutionBwdDataAlgoPerf_t *out)
{
	shape s;
	if (call_fails() || !is_alive(handle) || !describe(dx, w, conv, dy, &s))
		return CUDNN_STATUS_BAD_PARAM;
	return list<cudnnConvolutionBwdDataAlgoPerf_t, cudnnConvolutionBwdDataAlgo_t>(s, most, count, out);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t handle, const cudnnTensorDescriptor_t x,
                                                            const cudnnTensorDescriptor_t dy,
                                                            const cudnnConvolutionDescriptor_t conv,
                                                            const cudnnFilterDescriptor_t dw, int most, int *count,
                                                            cudnnConvolutionBwdFilterAlgoPerf_t *out)
{
	shape s;
	if (call_fails() || !is_alive(handle) || !describe(x, dw, conv, dy, &s))
		return CUDNN_STATUS_BAD_PARAM;
	return list<cudnnConvolutionBwdFilterAlgoPerf_t, cudnnConvolutionBwdFilterAlgo_t>(s, most, count, out);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x_desc,
                                      const void *x, const cudnnFilterDescriptor_t w_desc, const void *w,
                                      const cudnnConvolutionDescriptor_t conv, cudnnConvolutionFwdAlgo_t algo,
                                      void *work, size_t work_bytes, const void *beta,
                                      const cudnnTensorDescriptor_t y_desc, void *y)
{
	shape s;
	if (!describe(x_desc, w_desc, conv, y_desc, &s) || *(const float *)alpha != 1)
		return CUDNN_STATUS_BAD_PARAM;
	return convolve(handle, s, FORWARD, algo, work, work_bytes, x, w, nullptr, y, beta);
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha,
                                           const cudnnFilterDescriptor_t w_desc, const void *w,
                                           const cudnnTensorDescriptor_t dy_desc, const void *dy,
                                           const cudnnConvolutionDescriptor_t conv, cudnnConvolutionBwdDataAlgo_t algo,
                                           void *work, size_t work_bytes, const void *beta,
                                           const cudnnTensorDescriptor_t dx_desc, void *dx)
{
	shape s;
	if (!describe(dx_desc, w_desc, conv, dy_desc, &s) || *(const float *)alpha != 1)
		return CUDNN_STATUS_BAD_PARAM;
	return convolve(handle, s, DATA, algo, work, work_bytes, nullptr, w, dy, dx, beta);
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha,
                                             const cudnnTensorDescriptor_t x_desc, const void *x,
                                             const cudnnTensorDescriptor_t dy_desc, const void *dy,
                                             const cudnnConvolutionDescriptor_t conv,
                                             cudnnConvolutionBwdFilterAlgo_t algo, void *work, size_t work_bytes,
                                             const void *beta, const cudnnFilterDescriptor_t dw_desc, void *dw)
{
	shape s;
	if (!describe(x_desc, dw_desc, conv, dy_desc, &s) || *(const float *)alpha != 1)
		return CUDNN_STATUS_BAD_PARAM;
	return convolve(handle, s, FILTER, algo, work, work_bytes, x, nullptr, dy, dw, beta);
}

/* As cuDNN has it: with ReLU any algorithm, without activation IMPLICIT_PRECOMP_GEMM alone. */
cudnnStatus_t cudnnConvolutionBiasActivationForward(
	cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x_desc, const void *x,
	const cudnnFilterDescriptor_t w_desc, const void *w, const cudnnConvolutionDescriptor_t conv,
	cudnnConvolutionFwdAlgo_t algo, void *work, size_t work_bytes, const void *alpha2,
	const cudnnTensorDescriptor_t z_desc, const void *z, const cudnnTensorDescriptor_t bias_desc, const void *bias,
	const cudnnActivationDescriptor_t act, const cudnnTensorDescriptor_t y_desc, void *y)
{
	shape s;
	if (!describe(x_desc, w_desc, conv, y_desc, &s) || *(const float *)alpha != 1 || !is_alive(z_desc) ||
	    !is_alive(bias_desc) || !is_alive(act) || !act->set || bias_desc->dim[1] != s.y.dim[1])
		return CUDNN_STATUS_BAD_PARAM;
	if (call_fails())
		return CUDNN_STATUS_EXECUTION_FAILED;
	cudnnStatus_t status = check(handle, s, algo, work, work_bytes);
	if (status)
		return status;
	if (act->mode == CUDNN_ACTIVATION_IDENTITY && algo != CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM)
		return CUDNN_STATUS_NOT_SUPPORTED;
	if (!on_device(x, s.x.bytes()) || !on_device(w, s.w.bytes()) || !on_device(y, s.y.bytes()) ||
	    !on_device(z, s.y.bytes()) || !on_device(bias, bias_desc->bytes()))
		return CUDNN_STATUS_BAD_PARAM;
	const float a2 = *(const float *)alpha2;
	const bool relu = act->mode == CUDNN_ACTIVATION_RELU;
	enqueue(handle->stream, [=]() {
		const std::vector<double> sums = sums_of(s, FORWARD, x, w, nullptr);
		for (int n = 0; n < s.y.dim[0]; n++)
			for (int k = 0; k < s.y.dim[1]; k++)
				for (int p = 0; p < s.y.dim[2]; p++)
					for (int q = 0; q < s.y.dim[3]; q++) {
						int64_t i = s.y.at(n, k, p, q);
						double v = sums[(size_t)i] + get(bias, s.y.type, k);
						v += a2 != 0 ? (double)a2 * get(z, s.y.type, i) : 0;
						put(y, s.y.type, i, relu && v < 0 ? 0 : v);
					}
	});
	return CUDNN_STATUS_SUCCESS;
}

}

/* --- cuBLAS --- */

struct double_cublas {
	cudaStream_t stream = nullptr;
};

namespace {

kind kind_of(cudaDataType type)
{
	return type == CUDA_R_32F ? SINGLE : type == CUDA_R_16F ? HALF : BRAIN;
}

}

extern "C" {

cublasStatus_t cublasCreate(cublasHandle_t *out)
{
	return make(out) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle)
{
	destroy(handle);
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream)
{
	if (call_fails() || !is_alive(handle))
		return CUBLAS_STATUS_INVALID_VALUE;
	handle->stream = stream;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void *memory, size_t bytes)
{
	return call_fails() || !is_alive(handle) || !on_device(memory, bytes) ? CUBLAS_STATUS_INVALID_VALUE
	                                                                      : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                            const void *alpha, const void *a, cudaDataType a_type, int lda, const void *b,
                            cudaDataType b_type, int ldb, const void *beta, void *c, cudaDataType c_type, int ldc,
                            cublasComputeType_t compute, cublasGemmAlgo_t algorithm)
{
	(void)compute;
	(void)algorithm;
	if (call_fails())
		return CUBLAS_STATUS_EXECUTION_FAILED;
	if (!is_alive(handle) || a_type != b_type || lda < (ta == CUBLAS_OP_N ? m : k) || ldb < (tb == CUBLAS_OP_N ? k : n) ||
	    ldc < m || !on_device(a, (size_t)(m * k) * size_of(kind_of(a_type))) ||
	    !on_device(b, (size_t)(k * n) * size_of(kind_of(b_type))) ||
	    !on_device(c, (size_t)(m * n) * size_of(kind_of(c_type))))
		return CUBLAS_STATUS_INVALID_VALUE;
	const double s = *(const float *)alpha, t = *(const float *)beta;
	enqueue(handle->stream, [=]() {
		for (int j = 0; j < n; j++)
			for (int i = 0; i < m; i++) {
				double sum = 0;
				for (int l = 0; l < k; l++)
					sum += get(a, kind_of(a_type), ta == CUBLAS_OP_N ? i + (int64_t)l * lda : l + (int64_t)i * lda) *
					       get(b, kind_of(b_type), tb == CUBLAS_OP_N ? l + (int64_t)j * ldb : j + (int64_t)l * ldb);
				int64_t at = i + (int64_t)j * ldc;
				put(c, kind_of(c_type), at, s * sum + (t != 0 ? t * get(c, kind_of(c_type), at) : 0));
			}
	});
	return CUBLAS_STATUS_SUCCESS;
}

}
