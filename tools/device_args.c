#include "tools/device_args.h"

#include <string.h>

#include <phiz/cuda.h>

#include "core/base/error.h"
#include "core/base/parse.h"

enum phiz_status phiz_device_open(struct phiz_ctx *ctx, const char *text, struct phiz_device_choice *out)
{
	int64_t number = 0;

	*out = (struct phiz_device_choice){phiz_backend_cpu(), NULL};
	if (!text || !strcmp(text, "cpu"))
		return PHIZ_OK;
	if (strncmp(text, "cuda", 4) || (text[4] && text[4] != ':'))
		return phiz_fail(ctx, PHIZ_E_ARG, "--device: want cpu, cuda or cuda:N, got '%s'", text);
	enum phiz_status status = text[4] ? phiz_parse_i64(ctx, text + 5, 0, 1023, &number) : PHIZ_OK;
	if (status)
		return phiz_fail_in(ctx, "--device %s", text);
	status = phiz_backend_cuda_create(ctx, (int)number, &out->made);
	if (!status)
		out->backend = out->made;
	return status;
}

enum phiz_status phiz_activations_parse(struct phiz_ctx *ctx, const char *text, enum phiz_dtype *out)
{
	*out = PHIZ_F32;
	if (!text || !strcmp(text, "fp32"))
		return PHIZ_OK;
	if (strcmp(text, "bf16"))
		return phiz_fail(ctx, PHIZ_E_ARG, "--precision: want fp32 or bf16, got '%s'%s", text,
		                 strcmp(text, "int8") ? "" : ": 'phiz export --precision int8' makes a model of bytes");
	*out = PHIZ_BF16;
	return PHIZ_OK;
}

void phiz_device_close(struct phiz_ctx *ctx, struct phiz_device_choice *choice)
{
	phiz_backend_cuda_free(ctx, &choice->made);
}
