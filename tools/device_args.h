/* `--device cpu|cuda[:N]` and `--precision fp32|bf16` of the verbs that run networks. */
#ifndef PHIZ_TOOLS_DEVICE_ARGS_H
#define PHIZ_TOOLS_DEVICE_ARGS_H

#include <phiz/plan.h>

struct phiz_device_choice {
	const struct phiz_backend *backend;
	struct phiz_backend *made; /* NULL: nothing to free */
};

/* text NULL: cpu. Errors: ARG (no such device, or not a device), UNSUPPORTED (none can be used here). */
enum phiz_status phiz_device_open(struct phiz_ctx *ctx, const char *text, struct phiz_device_choice *out);
/* text NULL: fp32. Errors: ARG (neither fp32 nor bf16). */
enum phiz_status phiz_activations_parse(struct phiz_ctx *ctx, const char *text, enum phiz_dtype *out);

void phiz_device_close(struct phiz_ctx *ctx, struct phiz_device_choice *choice);

#endif
