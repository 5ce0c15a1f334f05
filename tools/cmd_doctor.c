/* phiz doctor: is this machine fit to run models, and do they come out right here? */
#include <stdio.h>
#include <string.h>

#include <phiz/cuda.h>
#include <phiz/model.h>

#include "core/base/bytes.h"
#include "deploy/export.h"
#include "deploy/golden.h"
#include "tools/doctor.h"
#include "tools/models.h"
#include "tools/tools.h"

struct settings {
	const char *root;
	bool json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object a check on standard output"),
	PHIZ_OPTION(struct settings, "--root", TEXT, root, "DIR", 0, 0,
	            "look at the proc, sys, etc and dev of this folder instead (of another machine's, or for tests)"),
};

struct report {
	struct phiz_ctx *ctx;
	const struct settings *settings;
	struct phiz_bytes text;
	int warnings, failures;
};

static void tell(void *user, const struct phiz_finding *f)
{
	static const char *const states[] = {"ok", "warning", "failed"};
	struct report *r = user;

	r->warnings += f->state == PHIZ_FINDING_WARNING;
	r->failures += f->state == PHIZ_FINDING_FAILED;
	phiz_bytes_clear(&r->text);
	if (r->settings->json) {
		phiz_bytes_printf(&r->text, "{\"check\":\"%s\",\"state\":\"%s\",\"value\":", f->what, states[f->state]);
		phiz_bytes_json(&r->text, f->value);
		phiz_bytes_text(&r->text, ",\"cure\":");
		phiz_bytes_json(&r->text, f->cure);
		if (f->package)
			phiz_bytes_printf(&r->text, ",\"package\":\"%s\"", f->package);
		phiz_bytes_text(&r->text, "}\n");
	} else {
		phiz_bytes_printf(&r->text, "%-8s %-16s %s%s%s\n", states[f->state], f->what, f->value, *f->cure ? ": " : "",
		                  f->cure);
	}
	if (!phiz_bytes_status(&r->text))
		printf("%s", r->text.data);
}

static void look_at_gpu(struct report *r)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "GPU", "", "", NULL};
	struct phiz_cuda_device d;
	const char *why;
	int count = phiz_cuda_count(&why);

	if (count == 0)
		snprintf(f.value, sizeof f.value, "none: %.200s", why);
	for (int i = 0; i < count; i++) {
		f = (struct phiz_finding){PHIZ_FINDING_OK, "GPU", "", "", NULL};
		if (phiz_cuda_describe(r->ctx, i, &d)) {
			f.state = PHIZ_FINDING_WARNING;
			snprintf(f.value, sizeof f.value, "cuda:%d does not answer", i);
			snprintf(f.cure, sizeof f.cure, "%.200s", phiz_ctx_message(r->ctx));
		} else {
			snprintf(f.value, sizeof f.value,
			         "cuda:%d: %.100s, compute capability %d.%d, %.1f GiB, CUDA %d.%d, cuDNN %d", i, d.name, d.major,
			         d.minor, (double)d.memory / (1 << 30), d.runtime / 1000, d.runtime % 1000 / 10, d.cudnn);
		}
		if (i + 1 < count)
			tell(r, &f);
	}
	tell(r, &f);
}

/* --- The self-test: test pictures through the model, on what the machine has. --- */

static void compare(struct report *r, const struct phiz_model *m, const struct phiz_golden *golden, const char *source,
                    const struct phiz_backend *backend, enum phiz_dtype precision, const char *where)
{
	const double limit = phiz_golden_limit(golden, precision);
	struct phiz_finding f = {PHIZ_FINDING_OK, "self-test", "", "", NULL};
	double d;

	if (phiz_golden_compare(golden, m, backend, precision, &d)) {
		f.state = PHIZ_FINDING_WARNING;
		snprintf(f.value, sizeof f.value, "%s, %s: does not run", where, phiz_dtype_name(precision));
		snprintf(f.cure, sizeof f.cure, "%.200s", phiz_ctx_message(r->ctx));
	} else {
		snprintf(f.value, sizeof f.value, "%s, %s: %.2g from %s (at most %.2g)", where, phiz_dtype_name(precision), d,
		         source, limit);
		if (!(d <= limit)) {
			f.state = PHIZ_FINDING_FAILED;
			snprintf(f.cure, sizeof f.cure, "the numbers are wrong here: do not use it, and report it with this "
			         "output");
		}
	}
	tell(r, &f);
}

static void compare_all(struct report *r, const struct phiz_model *m, const struct phiz_golden *golden,
                        const char *source)
{
	static const enum phiz_dtype on_gpu[] = {PHIZ_F32, PHIZ_F16};
	struct phiz_backend *gpu = NULL;
	const char *stored = phiz_model_meta(m, "precision");
	enum phiz_precision p = PHIZ_PRECISION_FP32;
	bool runs_there = !stored || !phiz_precision_parse(stored, &p) || phiz_precision_on_gpu(p);

	compare(r, m, golden, source, phiz_backend_cpu(), PHIZ_F32, "cpu");
	compare(r, m, golden, source, phiz_backend_cpu(), PHIZ_BF16, "cpu");
	if (runs_there && phiz_cuda_count(NULL) && !phiz_backend_cuda_create(r->ctx, 0, &gpu))
		for (size_t i = 0; i < PHIZ_COUNT(on_gpu); i++)
			compare(r, m, golden, source, gpu, on_gpu[i], "cuda:0");
	phiz_backend_cuda_free(r->ctx, &gpu);
}

static void tell_no_test(struct report *r)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "self-test", "none: the model finds faces", "", NULL};
	tell(r, &f);
}

/* Against what its exporter computed, where the file says it; else against the reference kernels of this machine. */
static enum phiz_status test_model(struct report *r, const char *name)
{
	struct phiz_model *m = NULL;
	struct phiz_golden *golden = NULL;
	enum phiz_status status = phiz_open_model(r->ctx, name, 0, 0, &m);

	if (!status && phiz_model_task(m) == PHIZ_TASK_DETECT) {
		tell_no_test(r);
		phiz_model_free(&m);
		return PHIZ_OK;
	}
	if (!status)
		status = phiz_golden_read(m, &golden);
	const char *source = golden ? "the file's golden outputs" : "the reference kernels";
	if (!status)
		status = phiz_model_optimize(m);
	if (!status && !golden)
		status = phiz_golden_make(m, &golden);
	if (!status)
		compare_all(r, m, golden, source);
	phiz_golden_free(&golden);
	phiz_model_free(&m);
	return status;
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	struct report r = {.ctx = ctx, .settings = settings};

	phiz_bytes_init(&r.text, ctx);
	enum phiz_status status = phiz_doctor_look(ctx, r.settings->root ? r.settings->root : "", tell, &r);
	if (!status) {
		look_at_gpu(&r);
		if (n_args > 0)
			status = test_model(&r, args[0]);
	}
	if (status)
		phiz_report(ctx);
	else if (!r.settings->json)
		printf("%d %s, %d failed\n", r.warnings, r.warnings == 1 ? "warning" : "warnings", r.failures);
	phiz_bytes_free(&r.text);
	return status || r.failures ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

static const struct settings defaults;

const struct phiz_verb phiz_verb_doctor = {
	"doctor", "is this machine fit to run models?", "[MODEL] [--json]",
	"Looks at the board, its release (JetPack), processor, clocks, power mode, temperature,\n"
	"memory, swap, disk, cameras, GStreamer's elements for videos and cameras (with the\n"
	"Debian package that brings each) and GPUs, and says of each what there is and, where\n"
	"something is amiss, what to do. With a MODEL test pictures go through it on the\n"
	"processor and the GPU, in each precision, and what comes out is held against the golden\n"
	"outputs that phiz export left in the file or, where there are none, against plain\n"
	"reference kernels, which may take a minute. The exit status is 1 where a check failed;\n"
	"warnings are none.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 0, 1, run,
};
