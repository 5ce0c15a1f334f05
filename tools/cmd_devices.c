/* phiz devices: what networks can run on here. */
#define _DEFAULT_SOURCE /* _SC_PHYS_PAGES */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <phiz/cuda.h>

#include "core/base/bytes.h"
#include "core/base/thread.h"
#include "core/cpu/features.h"
#include "tools/tools.h"

struct settings {
	bool json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object a device on standard output"),
};

/* "a b c" as "a","b","c" */
static void add_words(struct phiz_bytes *b, const char *words)
{
	for (const char *at = words; *at; at += strspn(at, " ")) {
		int length = (int)strcspn(at, " ");
		phiz_bytes_printf(b, "%s\"%.*s\"", at == words ? "" : ",", length, at);
		at += length;
	}
}

static double memory_of_machine(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
	return pages > 0 && page > 0 ? (double)pages * (double)page : 0;
}

static enum phiz_status tell_cpu(struct phiz_ctx *ctx, bool json, struct phiz_bytes *b)
{
	struct phiz_cpu_choice choice;
	char name[PHIZ_CPU_NAME], features[64];
	enum phiz_status status = phiz_cpu_choose(ctx, &choice);

	if (status)
		return status;
	phiz_cpu_name(name);
	phiz_cpu_features_text(choice.features, features);
	if (json) {
		phiz_bytes_text(b, "{\"device\":\"cpu\",\"name\":");
		phiz_bytes_json(b, name);
		phiz_bytes_text(b, ",\"instructions\":[");
		add_words(b, choice.features ? features : "");
		phiz_bytes_printf(b, "],\"threads\":%d,\"memory\":%.0f,\"precisions\":[\"fp32\",\"bf16\",\"int8\"]}\n",
		                  phiz_ctx_threads(ctx), memory_of_machine());
	} else {
		phiz_bytes_printf(b, "cpu     %s, %d %s, %.1f GiB; instructions: %s; fp32, bf16, int8\n", name,
		                  phiz_ctx_threads(ctx), phiz_ctx_threads(ctx) == 1 ? "thread" : "threads",
		                  memory_of_machine() / (1 << 30), features);
	}
	return PHIZ_OK;
}

static enum phiz_status tell_gpu(struct phiz_ctx *ctx, int number, bool json, struct phiz_bytes *b)
{
	struct phiz_cuda_device d;
	enum phiz_status status = phiz_cuda_describe(ctx, number, &d);

	if (status)
		return status;
	const char *precisions = d.major >= 8 ? "fp32 fp16 bf16" : "fp32 fp16";
	if (json) {
		phiz_bytes_printf(b, "{\"device\":\"cuda:%d\",\"name\":", number);
		phiz_bytes_json(b, d.name);
		phiz_bytes_printf(b, ",\"capability\":\"%d.%d\",\"multiprocessors\":%d,\"memory\":%zu,\"free_memory\":%zu,"
		                  "\"driver\":%d,\"runtime\":%d,\"cudnn\":%d,\"precisions\":[", d.major, d.minor,
		                  d.multiprocessors, d.memory, d.free_memory, d.driver, d.runtime, d.cudnn);
		add_words(b, precisions);
		phiz_bytes_text(b, "]}\n");
	} else {
		phiz_bytes_printf(b, "cuda:%d  %s, compute capability %d.%d, %d multiprocessors, %.1f GiB (%.1f free); "
		                  "CUDA %d.%d, cuDNN %d; %s\n", number, d.name, d.major, d.minor, d.multiprocessors,
		                  (double)d.memory / (1 << 30), (double)d.free_memory / (1 << 30), d.runtime / 1000,
		                  d.runtime % 1000 / 10, d.cudnn, precisions);
	}
	return PHIZ_OK;
}

/* Why there is no GPU, so that nobody has to guess. */
static void tell_none(const char *why, bool json, struct phiz_bytes *b)
{
	if (json) {
		phiz_bytes_text(b, "{\"device\":null,\"backend\":\"cuda\",\"reason\":");
		phiz_bytes_json(b, why);
		phiz_bytes_text(b, "}\n");
	} else {
		phiz_bytes_printf(b, "cuda    none: %s\n", why);
	}
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct settings *s = settings;
	struct phiz_bytes text;
	const char *why;

	(void)n_args;
	(void)args;
	phiz_bytes_init(&text, ctx);
	enum phiz_status status = tell_cpu(ctx, s->json, &text);
	int gpus = status ? 0 : phiz_cuda_count(&why);
	if (!status && gpus == 0)
		tell_none(why, s->json, &text);
	for (int i = 0; i < gpus && !status; i++)
		status = tell_gpu(ctx, i, s->json, &text);
	if (!status)
		status = phiz_bytes_status(&text);
	if (!status)
		printf("%s", text.data);
	else
		phiz_report(ctx);
	phiz_bytes_free(&text);
	return status ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

static const struct settings defaults;

const struct phiz_verb phiz_verb_devices = {
	"devices", "what networks can run on here", "[--json]",
	"The processor, with the instructions that phiz has kernels for (PHIZ_CPU narrows them),\n"
	"and the GPUs that it can use, with memory, versions and the precisions of each; where\n"
	"there is no GPU, why. --device of other verbs takes the names in the first column.\n"
	"PHIZ_CUDA_MODULE names another libphiz_cuda.so than the one that phiz was installed with.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 0, 0, run,
};
