/* phiz doctor: is this machine fit to run models, and do they come out right here? */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <phiz/cuda.h>
#include <phiz/model.h>
#include <phiz/video.h>

#include "core/base/bytes.h"
#include "core/base/rng.h"
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
		phiz_bytes_text(&r->text, "}\n");
	} else {
		phiz_bytes_printf(&r->text, "%-8s %-16s %s%s%s\n", states[f->state], f->what, f->value, *f->cure ? ": " : "",
		                  f->cure);
	}
	if (!phiz_bytes_status(&r->text))
		printf("%s", r->text.data);
}

static void look_at_video(struct report *r)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "video", "", ""};

	snprintf(f.value, sizeof f.value, "%s", phiz_video_available() ? "with GStreamer" : "built without GStreamer");
	if (!phiz_video_available()) {
		f.state = PHIZ_FINDING_WARNING;
		snprintf(f.cure, sizeof f.cure, "for videos and cameras: install libgstreamer1.0-dev and "
		         "libgstreamer-plugins-base1.0-dev, and build again");
	}
	tell(r, &f);
}

static void look_at_gpu(struct report *r)
{
	struct phiz_finding f = {PHIZ_FINDING_OK, "GPU", "", ""};
	struct phiz_cuda_device d;
	const char *why;
	int count = phiz_cuda_count(&why);

	if (count == 0)
		snprintf(f.value, sizeof f.value, "none: %.200s", why);
	for (int i = 0; i < count; i++) {
		f = (struct phiz_finding){PHIZ_FINDING_OK, "GPU", "", ""};
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

/* --- The self-test: a made-up picture through the model, on what the machine has, against the reference kernels. ---
 * */

enum { MOST_OUTPUTS = 16 };

/* The output for that picture, into `out`, at most `most` numbers; *n: how many. */
static enum phiz_status run_model(struct phiz_ctx *ctx, const struct phiz_model *m, const struct phiz_backend *backend,
                                  enum phiz_dtype precision, struct phiz_bytes *out)
{
	const int size = m->preproc.size;
	struct phiz_plan_options o = {.backend = backend, .height = size, .width = size, .loss = PHIZ_NONE, .fixed = true,
	                              .precision = precision};
	struct phiz_plan *plan;
	struct phiz_rng rng;
	enum phiz_status status = phiz_plan_create(ctx, m->graph, &o, &plan);

	if (status)
		return status;
	struct phiz_tensor *x = phiz_plan_tensor(plan, phiz_graph_find_value(m->graph, "image"));
	phiz_rng_init(&rng, 1, 0, 0, PHIZ_STREAM_TEST);
	for (int64_t i = 0; x && i < phiz_tensor_count(x); i++)
		((float *)x->data)[i] = (float)phiz_rng_uniform(&rng, -2, 2);
	status = x ? phiz_plan_forward(plan) : PHIZ_E_UNSUPPORTED;
	for (int i = 0; i < phiz_graph_n_outputs(m->graph) && i < MOST_OUTPUTS && !status; i++) {
		const struct phiz_tensor *y = phiz_plan_tensor(plan, phiz_graph_output_at(m->graph, i));
		phiz_bytes_add(out, y->data, phiz_tensor_bytes(y));
	}
	phiz_plan_free(&plan);
	return status ? status : phiz_bytes_status(out);
}

/* ||got - want|| / ||want|| of floats. */
static double distance(const struct phiz_bytes *got, const struct phiz_bytes *want)
{
	double error = 0, norm = 0;

	for (size_t i = 0; i + sizeof(float) <= want->size && got->size == want->size; i += sizeof(float)) {
		float a, b;
		memcpy(&a, got->data + i, sizeof a);
		memcpy(&b, want->data + i, sizeof b);
		error += ((double)a - (double)b) * ((double)a - (double)b);
		norm += (double)b * (double)b;
	}
	return got->size == want->size ? sqrt(error / norm) : (double)NAN;
}

static void compare(struct report *r, const struct phiz_model *m, const struct phiz_bytes *want,
                    const struct phiz_backend *backend, enum phiz_dtype precision, const char *where)
{
	const double limit = precision == PHIZ_F32 ? 1e-4 : precision == PHIZ_F16 ? 2e-2 : 6e-2;
	struct phiz_finding f = {PHIZ_FINDING_OK, "self-test", "", ""};
	struct phiz_bytes got;

	phiz_bytes_init(&got, r->ctx);
	if (run_model(r->ctx, m, backend, precision, &got)) {
		f.state = PHIZ_FINDING_WARNING;
		snprintf(f.value, sizeof f.value, "%s, %s: does not run", where, phiz_dtype_name(precision));
		snprintf(f.cure, sizeof f.cure, "%.200s", phiz_ctx_message(r->ctx));
	} else {
		double d = distance(&got, want);
		snprintf(f.value, sizeof f.value, "%s, %s: %.2g from the reference kernels (at most %g)", where,
		         phiz_dtype_name(precision), d, limit);
		if (!(d <= limit)) {
			f.state = PHIZ_FINDING_FAILED;
			snprintf(f.cure, sizeof f.cure, "the numbers are wrong here: do not use it, and report it with this "
			         "output");
		}
	}
	tell(r, &f);
	phiz_bytes_free(&got);
}

static enum phiz_status test_model(struct report *r, const char *name)
{
	static const enum phiz_dtype on_gpu[] = {PHIZ_F32, PHIZ_F16};
	struct phiz_model *m = NULL;
	struct phiz_backend *gpu = NULL;
	struct phiz_bytes want;
	enum phiz_status status = phiz_open_model(r->ctx, name, 0, 0, &m);

	phiz_bytes_init(&want, r->ctx);
	if (!status)
		status = phiz_model_optimize(m);
	if (!status)
		status = run_model(r->ctx, m, phiz_backend_reference(), PHIZ_F32, &want);
	if (!status) {
		compare(r, m, &want, phiz_backend_cpu(), PHIZ_F32, "cpu");
		compare(r, m, &want, phiz_backend_cpu(), PHIZ_BF16, "cpu");
		if (phiz_cuda_count(NULL) && !phiz_backend_cuda_create(r->ctx, 0, &gpu))
			for (size_t i = 0; i < PHIZ_COUNT(on_gpu); i++)
				compare(r, m, &want, gpu, on_gpu[i], "cuda:0");
	}
	phiz_backend_cuda_free(r->ctx, &gpu);
	phiz_bytes_free(&want);
	phiz_model_free(&m);
	return status;
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	struct report r = {.ctx = ctx, .settings = settings};

	phiz_bytes_init(&r.text, ctx);
	enum phiz_status status = phiz_doctor_look(ctx, r.settings->root ? r.settings->root : "", tell, &r);
	if (!status) {
		look_at_video(&r);
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
	"memory, swap, disk, cameras, GStreamer and GPUs, and says of each what there is and,\n"
	"where something is amiss, what to do. With a MODEL a made-up picture goes through it on\n"
	"the processor and the GPU, in each precision, and is held against plain reference\n"
	"kernels, which may take a minute. The exit status is 1 where a check failed; warnings\n"
	"are none.",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 0, 1, run,
};
