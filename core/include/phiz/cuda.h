/* NVIDIA's GPUs as a backend: convolutions by cuDNN, linear layers by cuBLAS, the rest by kernels of our own; or, where
 * memory is short, all of it by kernels of our own, which run models and train none (`no_cudnn`). All of this exists in
 * every build, and finds no device where there is none. The backend itself is a module, libphiz_cuda.so or
 * libphiz_cuda_lean.so, which the first call that needs it opens: the one that the environment variable
 * PHIZ_CUDA_MODULE (PHIZ_CUDA_LEAN_MODULE) names, else the one in the run path of phiz or libphiz.so. It stays open. A
 * module of another version of phiz is refused. */
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

struct phiz_cuda_options {
	int device;    /* from 0 */
	bool no_cudnn; /* neither cuDNN nor cuBLAS is loaded into the process, which saves the hundreds of MiB that they
	                  take. Plans must be `fixed`, in F32 or F16, and are of inference (UNSUPPORTED) */
};

/* Was the module built with phiz? It may be missing all the same. */
PHIZ_API bool phiz_cuda_built(void);
/* How many devices can be used; 0 where there are none, with *why (may be NULL) a text that lives until the
 * thread's next call of a function of this header. */
PHIZ_API int phiz_cuda_count(const char **why);
/* The same by the module that these options ask for; `device` does not matter. */
PHIZ_API int phiz_cuda_count_for(const struct phiz_cuda_options *options, const char **why);
/* Errors: ARG (no such device), UNSUPPORTED (no module, or the driver or cuDNN does not
 * answer). */
PHIZ_API enum phiz_status phiz_cuda_describe(struct phiz_ctx *ctx, int device, struct phiz_cuda_device *out);

/* A backend on the device, for one thread at a time. Outlives its plans. Errors: ARG, UNSUPPORTED, NOMEM. */
PHIZ_API enum phiz_status phiz_backend_cuda_open(struct phiz_ctx *ctx, const struct phiz_cuda_options *options,
                                                 struct phiz_backend **out);
/* The same with cuDNN. */
PHIZ_API enum phiz_status phiz_backend_cuda_create(struct phiz_ctx *ctx, int device, struct phiz_backend **out);
PHIZ_API void phiz_backend_cuda_free(struct phiz_ctx *ctx, struct phiz_backend **backend);

#ifdef __cplusplus
}
#endif
#endif
