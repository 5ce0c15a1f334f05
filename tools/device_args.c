#include "tools/device_args.h"

#include <stdio.h>
#include <string.h>

#include <phiz/cuda.h>

#include "core/base/error.h"
#include "core/base/parse.h"

static enum phiz_status open_gpu(struct phiz_ctx *ctx, const struct phiz_cuda_options *options,
                                 struct phiz_device_choice *out)
{
	enum phiz_status status = phiz_backend_cuda_open(ctx, options, &out->made);

	if (status)
		return status;
	out->backend = out->made;
	snprintf(out->name, sizeof out->name, "cuda:%d", options->device);
	return PHIZ_OK;
}

/* A GPU that is there and does not open is worth a line; that there is none is not. */
static enum phiz_status open_best(struct phiz_ctx *ctx, const struct phiz_cuda_options *options,
                                  struct phiz_device_choice *out)
{
	const char *why;

	if (phiz_cuda_count_for(options, &why) == 0) {
		phiz_log(ctx, PHIZ_LOG_DEBUG, "no GPU: %s", why);
		return PHIZ_OK;
	}
	enum phiz_status status = open_gpu(ctx, options, out);
	if (!status) {
		out->fallback = phiz_backend_cpu();
		return PHIZ_OK;
	}
	phiz_log(ctx, PHIZ_LOG_WARN, "%s; the CPU is taken", phiz_ctx_message(ctx));
	phiz_ctx_clear(ctx);
	return PHIZ_OK;
}

static enum phiz_status open_device(struct phiz_ctx *ctx, const struct phiz_device_args *args,
                                    struct phiz_device_choice *out)
{
	struct phiz_cuda_options options = {.no_cudnn = args->no_cudnn};
	const char *text = args->name ? args->name : "auto";
	int64_t number = 0;
	enum phiz_status status = PHIZ_OK;

	if (!strcmp(text, "auto")) {
		status = open_best(ctx, &options, out);
	} else if (!strcmp(text, "cuda") || !strncmp(text, "cuda:", 5)) {
		status = text[4] ? phiz_parse_i64(ctx, text + 5, 0, 1023, &number) : PHIZ_OK;
		options.device = (int)number;
		if (!status)
			status = open_gpu(ctx, &options, out);
		if (status)
			return phiz_fail_in(ctx, "--device %s", text);
	} else if (strcmp(text, "cpu") != 0) {
		return phiz_fail(ctx, PHIZ_E_ARG, "--device: want auto, cpu, cuda or cuda:N, got '%s'", text);
	}
	if (!status)
		phiz_log(ctx, PHIZ_LOG_DEBUG, "device: %s%s", out->name, out->made && args->no_cudnn ? ", without cuDNN" : "");
	return status;
}

static enum phiz_status choose_precision(struct phiz_ctx *ctx, const struct phiz_device_args *args,
                                         struct phiz_device_choice *out)
{
	const char *text = args->precision ? args->precision : "fp32";

	if (!strcmp(text, "fp32"))
		return PHIZ_OK;
	if (!strcmp(text, "bf16")) {
		if (out->made && args->no_cudnn)
			return phiz_fail(ctx, PHIZ_E_ARG, "--precision bf16: without cuDNN there are fp32 and fp16");
		out->precision = PHIZ_BF16;
		return PHIZ_OK;
	}
	if (strcmp(text, "fp16") != 0)
		return phiz_fail(ctx, PHIZ_E_ARG, "--precision: want fp32, fp16 or bf16, got '%s'%s", text,
		                 strcmp(text, "int8") ? "" : ": 'phiz export --precision int8' makes a model of bytes");
	if (!out->made)
		return phiz_fail(ctx, PHIZ_E_ARG, "--precision fp16: the CPU has no kernels for it; bf16 is near");
	out->precision = PHIZ_F16;
	out->fallback = NULL;
	return PHIZ_OK;
}

static enum phiz_status limit_memory(struct phiz_ctx *ctx, const char *text)
{
	size_t bytes;

	if (!text)
		return PHIZ_OK;
	if (phiz_parse_bytes(ctx, text, &bytes))
		return phiz_fail_in(ctx, "--memory-limit");
	phiz_ctx_limit_memory(ctx, bytes);
	return PHIZ_OK;
}

enum phiz_status phiz_device_open(struct phiz_ctx *ctx, const struct phiz_device_args *args,
                                  struct phiz_device_choice *out)
{
	*out = (struct phiz_device_choice){.backend = phiz_backend_cpu(), .name = "cpu"};
	enum phiz_status status = limit_memory(ctx, args->memory_limit);
	if (!status)
		status = open_device(ctx, args, out);
	if (!status)
		status = choose_precision(ctx, args, out);
	if (status)
		phiz_device_close(ctx, out);
	return status;
}

void phiz_device_close(struct phiz_ctx *ctx, struct phiz_device_choice *choice)
{
	phiz_backend_cuda_free(ctx, &choice->made);
}
