/* What libphiz_cuda.so and libphiz_cuda_lean.so give to phiz, which opens the one that is asked for (loader.c). */
#ifndef PHIZ_CUDA_MODULE_H
#define PHIZ_CUDA_MODULE_H

#include <phiz/cuda.h>

#define PHIZ_CUDA_MODULE_FILE "libphiz_cuda.so"
#define PHIZ_CUDA_LEAN_MODULE_FILE "libphiz_cuda_lean.so"
#define PHIZ_CUDA_MODULE_ENTRY "phiz_cuda_module"

/* As the functions of <phiz/cuda.h>; the version comes first, and is all that may be read of another version. */
struct phiz_cuda_module {
	const char *version;
	int (*count)(const char **why);
	enum phiz_status (*describe)(struct phiz_ctx *ctx, int device, struct phiz_cuda_device *out);
	enum phiz_status (*create)(struct phiz_ctx *ctx, int device, struct phiz_backend **out);
	void (*free)(struct phiz_ctx *ctx, struct phiz_backend **backend);
};

typedef const struct phiz_cuda_module *phiz_cuda_module_fn(void);

#endif
