/* `--device auto|cpu|cuda[:N]`, `--no-cudnn`, `--memory-limit` and `--precision fp32|fp16|bf16` of the verbs that run
 * networks. */
#ifndef PHIZ_TOOLS_DEVICE_ARGS_H
#define PHIZ_TOOLS_DEVICE_ARGS_H

#include <phiz/plan.h>

struct phiz_device_args {
	const char *name, *precision; /* NULL: auto, and fp32 */
	bool no_cudnn;
	const char *memory_limit; /* NULL: none */
};

struct phiz_device_choice {
	const struct phiz_backend *backend;
	const struct phiz_backend *fallback; /* the CPU, for models that the GPU which auto found cannot run; else NULL */
	struct phiz_backend *made;           /* NULL: it is the CPU */
	enum phiz_dtype precision;
	char name[16]; /* "cpu" or "cuda:N" */
};

#define PHIZ_DEVICE_OPTION(settings, text) \
	PHIZ_OPTION(settings, "--device", TEXT, text, "D", 0, 0, \
	            "cpu, cuda or cuda:N; auto (default): a GPU if there is one, else the CPU")
/* The same and what goes with it, into a struct phiz_device_args of the settings. */
#define PHIZ_DEVICE_OPTIONS(settings, field) \
	PHIZ_DEVICE_OPTION(settings, field.name), \
	PHIZ_MEMORY_OPTIONS(settings, field)
#define PHIZ_MEMORY_OPTIONS(settings, field) \
	PHIZ_OPTION(settings, "--memory-limit", TEXT, field.memory_limit, "SIZE", 0, 0, \
	            "such as 512M or 1.5G: what takes more, here and on the device, is refused before it is asked for"), \
	PHIZ_OPTION(settings, "--no-cudnn", FLAG, field.no_cudnn, NULL, 0, 0, \
	            "on a GPU: by phiz's own kernels, without the memory that cuDNN and cuBLAS take (a Jetson of 2 GB)")
#define PHIZ_PRECISION_OPTION(settings, field) \
	PHIZ_OPTION(settings, "--precision", TEXT, field.precision, "P", 0, 0, \
	            "fp32 (default), or bf16: activations of 16 bits, faster where the processor knows them; fp16: the " \
	            "same on a GPU")

/* Opens what the arguments name, and limits the context's memory, if they say so; the log of --verbose says what it is.
 * auto is a GPU if one can be used, and loads nothing where there is no driver. Errors: ARG (no such device or
 * precision, fp16 on the CPU, bf16 without cuDNN, no size), UNSUPPORTED (none can be used). */
enum phiz_status phiz_device_open(struct phiz_ctx *ctx, const struct phiz_device_args *args,
                                  struct phiz_device_choice *out);
void phiz_device_close(struct phiz_ctx *ctx, struct phiz_device_choice *choice);

#endif
