/* NVIDIA's GPUs as a backend: convolutions by cuDNN, linear layers by cuBLAS, the rest by kernels of our own. It runs
 * models that are trained (inference); plans of it must be `fixed`. All of this exists in every build,
 * and finds no device where there is none. The backend itself is a module, libphiz_cuda.so, which the first call that
 * needs it opens: the one that the environment variable PHIZ_CUDA_MODULE names, else the one in the run path of phiz or
 * libphiz.so. It stays open. A module of another version of phiz is refused. */
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

/* Was the module built with phiz? It may be missing all the same. */
PHIZ_API bool phiz_cuda_built(void);
/* How many devices can be used; 0 where there are none, with *why (may be NULL) a text that lives until the
 * thread's next call of a function of this header. */
PHIZ_API int phiz_cuda_count(const char **why);
/* Errors: ARG (no such device), UNSUPPORTED (no module, or the driver or cuDNN does not
 * answer). */
PHIZ_API enum phiz_status phiz_cuda_describe(struct phiz_ctx *ctx, int device, struct phiz_cuda_device *out);

/* A backend on the device, for one thread at a time. Outlives its plans. Errors: ARG, UNSUPPORTED, NOMEM. */
PHIZ_API enum phiz_status phiz_backend_cuda_create(struct phiz_ctx *ctx, int device, struct phiz_backend **out);
PHIZ_API void phiz_backend_cuda_free(struct phiz_ctx *ctx, struct phiz_backend **backend);

#ifdef __cplusplus
}
#endif
#endif
