/* `--device auto|cpu|cuda[:N]` and `--precision fp32|fp16|bf16` of the verbs that run networks. */
#ifndef PHIZ_TOOLS_DEVICE_ARGS_H
#define PHIZ_TOOLS_DEVICE_ARGS_H

#include <phiz/plan.h>

struct phiz_device_choice {
	const struct phiz_backend *backend;
	const struct phiz_backend *fallback; /* the CPU, for models that the GPU which auto found cannot run; else NULL */
	struct phiz_backend *made;           /* NULL: it is the CPU */
	enum phiz_dtype precision;
	char name[16]; /* "cpu" or "cuda:N" */
};

#define PHIZ_DEVICE_OPTION(settings, field) \
	PHIZ_OPTION(settings, "--device", TEXT, field, "D", 0, 0, \
	            "cpu, cuda or cuda:N; auto (default): a GPU if there is one, else the CPU")
#define PHIZ_PRECISION_OPTION(settings) \
	PHIZ_OPTION(settings, "--precision", TEXT, precision, "P", 0, 0, \
	            "fp32 (default), or bf16: activations of 16 bits, faster where the processor knows them; fp16: the " \
	            "same on a GPU")

/* Opens what the text names, in fp32; the log of --verbose says what it is. auto is a GPU if one can be used, and loads
 * nothing where there is no driver. Errors: ARG (no such device, or not a device), UNSUPPORTED (none can be used). */
enum phiz_status phiz_device_open(struct phiz_ctx *ctx, const char *text, struct phiz_device_choice *out);
/* The same with a precision; text NULL: auto, precision NULL: fp32. Errors: also ARG (none of the three, fp16 on the
 * CPU). */
enum phiz_status phiz_device_open_in(struct phiz_ctx *ctx, const char *text, const char *precision,
                                     struct phiz_device_choice *out);
void phiz_device_close(struct phiz_ctx *ctx, struct phiz_device_choice *choice);

#endif
