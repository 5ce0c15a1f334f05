/* The CUDA backend as phiz sees it: a module that is opened when it is asked for, since cuBLAS and cuDNN cost each
 * start 0.15 s and 200 MiB; or the other module, which does without them. They are two files, and not one that opens
 * the libraries by name, so that the linker checks each call and no table of functions and file names has to be kept.
 * They are found as any library is (phiz and libphiz.so carry their folder as their run path). Nothing is kept here:
 * opening what is open already gives it again, and it is never closed, as CUDA wants it. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <phiz/cuda.h>

#include "core/base/error.h"
#include "core/cuda/module.h"

bool phiz_cuda_built(void)
{
#ifdef PHIZ_HAVE_CUDA
	return true;
#else
	return false;
#endif
}

/* *why: the linker's own words, which name the module or what it misses. */
static void *open_named(const char *name, const char **why)
{
	void *file = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (!file)
		*why = dlerror();
	return file;
}

/* Is there a driver with a GPU? Programs are carried to machines that have the one without the other. */
static bool has_gpu(const char **why)
{
	void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
	void *symbol = driver ? dlsym(driver, "cuInit") : NULL;
	int (*init)(unsigned flags);

	*why = driver ? "NVIDIA's driver finds no GPU that it can use (cuInit)"
	              : "NVIDIA's driver is missing (libcuda.so.1)";
	memcpy(&init, &symbol, sizeof init); /* ISO C has no cast from data to functions */
	return symbol && init(0) == 0;
}

/* A named module is taken at its word; the usual one is left alone where it could not run, as it is large. */
static void *open_file(bool lean, const char **why)
{
	const char *named = getenv(lean ? "PHIZ_CUDA_LEAN_MODULE" : "PHIZ_CUDA_MODULE");

	if (named && *named)
		return open_named(named, why);
	return has_gpu(why) ? open_named(lean ? PHIZ_CUDA_LEAN_MODULE_FILE : PHIZ_CUDA_MODULE_FILE, why) : NULL;
}

static const struct phiz_cuda_module *open_module(bool lean, const char **why)
{
	void *file = open_file(lean, why);
	phiz_cuda_module_fn *entry = NULL;

	if (!file)
		return NULL;
	void *symbol = dlsym(file, PHIZ_CUDA_MODULE_ENTRY);
	memcpy(&entry, &symbol, sizeof entry);
	const struct phiz_cuda_module *module = entry ? entry() : NULL;
	if (!module)
		*why = "the CUDA module is none of phiz's";
	else if (strcmp(module->version, PHIZ_VERSION) != 0)
		*why = "the CUDA module is of another version of phiz (want " PHIZ_VERSION ")";
	else
		return module;
	dlclose(file);
	return NULL;
}

int phiz_cuda_count_for(const struct phiz_cuda_options *options, const char **why)
{
	const char *reason;
	const struct phiz_cuda_module *module = open_module(options->no_cudnn, &reason);
	int count = module ? module->count(&reason) : 0;

	if (why)
		*why = reason;
	return count;
}

int phiz_cuda_count(const char **why)
{
	const struct phiz_cuda_options options = {0};

	return phiz_cuda_count_for(&options, why);
}

enum phiz_status phiz_cuda_describe(struct phiz_ctx *ctx, int device, struct phiz_cuda_device *out)
{
	const char *why;
	const struct phiz_cuda_module *module = open_module(false, &why);

	if (module)
		return module->describe(ctx, device, out);
	memset(out, 0, sizeof *out);
	return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s", why);
}

enum phiz_status phiz_backend_cuda_open(struct phiz_ctx *ctx, const struct phiz_cuda_options *options,
                                        struct phiz_backend **out)
{
	const char *why;
	const struct phiz_cuda_module *module = open_module(options->no_cudnn, &why);

	*out = NULL;
	if (!module)
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: use the CPU (--device cpu)", why);
	enum phiz_status status = module->create(ctx, options->device, out);
	if (!status)
		(*out)->infers_only = options->no_cudnn;
	return status;
}

enum phiz_status phiz_backend_cuda_create(struct phiz_ctx *ctx, int device, struct phiz_backend **out)
{
	const struct phiz_cuda_options options = {.device = device};

	return phiz_backend_cuda_open(ctx, &options, out);
}

/* By the module that made it, which is open. */
void phiz_backend_cuda_free(struct phiz_ctx *ctx, struct phiz_backend **backend)
{
	const char *why;
	const struct phiz_cuda_module *module =
		backend && *backend ? open_module((*backend)->infers_only, &why) : NULL;

	if (module)
		module->free(ctx, backend);
}
