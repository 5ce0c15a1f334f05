/* NVIDIA's GPUs as a backend: convolutions by cuDNN, linear layers by cuBLAS, the rest by kernels of our own. It runs
 * models that are trained (inference); plans of it must be `fixed`. In builds without CUDA all of this exists, and
 * finds no device. */
#ifndef PHIZ_CUDA_H
#define PHIZ_CUDA_H

#include <phiz/plan.h>

#ifdef __cplusplus
extern "C" {
#endif

struct phiz_cuda_device {
	char name[256];
	int major, minor;      /* compute capability */
	int multiprocessors;
	size_t memory, free_memory; /* bytes */
	int driver, runtime, cudnn; /* versions, as the libraries number them: 13000 is CUDA 13.0, 91200 is cuDNN 9.12 */
};

/* Was phiz built with CUDA? */
PHIZ_API bool phiz_cuda_built(void);
/* How many devices can be used; 0 where there are none, with *why (may be NULL) a text that lives as long as the
 * program. */
PHIZ_API int phiz_cuda_count(const char **why);
/* Errors: ARG (no such device), UNSUPPORTED (the driver or cuDNN does not answer). */
PHIZ_API enum phiz_status phiz_cuda_describe(struct phiz_ctx *ctx, int device, struct phiz_cuda_device *out);

/* A backend on the device, for one thread at a time. Outlives its plans. Errors: ARG, UNSUPPORTED, NOMEM. */
PHIZ_API enum phiz_status phiz_backend_cuda_create(struct phiz_ctx *ctx, int device, struct phiz_backend **out);
PHIZ_API void phiz_backend_cuda_free(struct phiz_ctx *ctx, struct phiz_backend **backend);

#ifdef __cplusplus
}
#endif
#endif
