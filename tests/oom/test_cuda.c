/* label: full
 * The CUDA backend on the test double, with the k-th call of CUDA, cuDNN or cuBLAS failing, for every k:
 * making the backend and plans, training steps, an average, inference. Each time it says so or gets along without,
 * crashes not, and gives back all that it has made. Skipped where the double was not built. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/cuda.h>
#include <phiz/model.h>

#ifdef CUDA_DOUBLE
#include <dlfcn.h>

#include "train/ema.h"
#include "train/optimizer.h"
#include "train/trainnet.h"

enum { BATCH = 3, SIZE = 8, STEPS = 3 };

static const char net_text[] =
	"[net]\nsize = 8\nclasses = 4\n"
	"[conv]\nname = conv1\nfilters = 8\nkernel = 3\nstride = 2\npad = 1\n[batch_norm]\nname = bn1\n[relu]\n"
	"[basic_block]\nname = layer1.0\nfilters = 16\nstride = 2\n"
	"[global_avg_pool]\n[flatten]\n[linear]\nname = fc\noutputs = classes\n";

static void (*fail_at)(long k);
static long (*calls)(void);
static long (*live)(void);

/* ISO C has no cast from data to functions. */
static void find(void *module, const char *name, void *to)
{
	void *symbol = dlsym(module, name);

	assert_non_null(symbol);
	memcpy(to, &symbol, sizeof symbol);
}

static enum phiz_status place(struct phiz_trainnet *net, struct phiz_model *model, const struct phiz_backend *backend,
                              struct phiz_optimizer *optimizer, struct phiz_ema *ema)
{
	enum phiz_status status = PHIZ_OK;

	for (size_t i = 0; i < model->n_entries && !status; i++) {
		struct phiz_entry *e = &model->entry[i];
		if (!e->trainable)
			continue;
		status = phiz_optimizer_add(optimizer, e->name, e->tensor, 1, 1e-4);
		if (!status)
			status = phiz_ema_add(ema, e->name, e->tensor);
	}
	if (!status)
		status = phiz_optimizer_place(optimizer, backend);
	if (!status)
		status = phiz_ema_place(ema, backend);
	for (size_t i = 0; i < optimizer->count && !status; i++) {
		struct phiz_optimizer_param *p = &optimizer->param[i];
		p->gradient = phiz_trainnet_gradient(net, p->name);
		p->at = phiz_trainnet_parameter(net, p->name)->data;
		p->lr = 0.1;
		ema->entry[i].live_at = p->at;
	}
	return status;
}

static const struct phiz_preproc preproc = {.size = SIZE, .mean = {0.5f, 0.5f, 0.5f}, .std = {0.25f, 0.5f, 0.25f}};

/* The double gets bytes, the CPU floats. */
static enum phiz_status load(struct phiz_trainnet *net, int n)
{
	static const int32_t erased[BATCH * 4] = {0};
	uint8_t bytes[BATCH * 3 * SIZE * SIZE];
	float images[BATCH * 3 * SIZE * SIZE], *features[PHIZ_MAX_FEATURES];
	enum phiz_status status = phiz_trainnet_begin(net, false, BATCH, features);

	for (int i = 0; i < BATCH * 3 * SIZE * SIZE; i++) {
		int c = i / (SIZE * SIZE) % 3;
		bytes[i] = (uint8_t)((i * 37 + n * 11) % 251);
		images[i] = ((float)bytes[i] / 255 - preproc.mean[c]) / preproc.std[c];
	}
	if (status)
		return status;
	return net->erased == PHIZ_NONE ? phiz_trainnet_features(net, images, BATCH, features)
	                                : phiz_trainnet_bytes(net, bytes, erased, BATCH, features);
}

static enum phiz_status step(struct phiz_trainnet *net, struct phiz_optimizer *optimizer, struct phiz_ema *ema, int n,
                             double *loss)
{
	static const int32_t labels[BATCH] = {0, 2, 3};
	const float *logits;
	double norm = 0;
	enum phiz_status status = load(net, n);

	if (!status && n > 0)
		status = phiz_trainnet_send(net);
	if (!status)
		status = phiz_trainnet_forward(net, BATCH, labels, NULL, 0, (uint64_t)n, loss, &logits);
	if (!status)
		status = phiz_trainnet_backward(net, false, 1);
	if (!status)
		status = phiz_optimizer_update(optimizer, 1, 1);
	if (!status)
		status = phiz_optimizer_wait(optimizer, &norm);
	return status ? status : phiz_ema_update(ema);
}

static enum phiz_status validate(struct phiz_trainnet *net, struct phiz_ema *ema)
{
	float *features[PHIZ_MAX_FEATURES];
	const float *output;
	enum phiz_status status = phiz_trainnet_pull(net);

	if (!status)
		status = phiz_ema_pull(ema);
	if (!status)
		status = phiz_trainnet_begin(net, true, 2, features);
	return status ? status : phiz_trainnet_validate(net, &output);
}

/* The losses of a few steps on the CPU or the double, in whatever state it leaves things. */
static enum phiz_status train(struct phiz_ctx *ctx, bool on_double, double loss[STEPS])
{
	struct phiz_optimizer_options o = {.kind = PHIZ_SGD, .momentum = 0.9};
	struct phiz_backend *backend = NULL;
	struct phiz_model *model = NULL;
	struct phiz_trainnet *net = NULL;
	struct phiz_optimizer *optimizer = NULL;
	struct phiz_ema *ema = NULL;
	enum phiz_status status = phiz_model_from_cfg(ctx, net_text, "net", 0, 0, 1, &model);

	if (!status && on_double)
		status = phiz_backend_cuda_create(ctx, 0, &backend);
	const struct phiz_backend *used = on_double ? backend : phiz_backend_cpu();
	struct phiz_trainnet_options options = {.batch = BATCH, .val_batch = 2, .size = SIZE, .backend = used,
	                                        .bytes = on_double ? &preproc : NULL};
	if (!status)
		status = phiz_trainnet_create(model, &options, &net);
	if (!status)
		status = phiz_optimizer_create(ctx, &o, &optimizer);
	if (!status)
		status = phiz_ema_create(ctx, 0.9, &ema);
	if (!status)
		status = place(net, model, used, optimizer, ema);
	for (int n = 0; n < STEPS && !status; n++)
		status = step(net, optimizer, ema, n, &loss[n]);
	if (!status)
		status = validate(net, ema);
	phiz_ema_free(&ema);
	phiz_optimizer_free(&optimizer);
	phiz_trainnet_free(&net);
	phiz_model_free(&model);
	phiz_backend_cuda_free(ctx, &backend);
	return status;
}

static void every_call_may_fail(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	double want[STEPS], loss[STEPS];
	long all, failures = 0;

	(void)state;
	assert_ok(ctx, train(ctx, false, want));
	fail_at(0);
	assert_ok(ctx, train(ctx, true, loss));
	all = calls();
	assert_int_equal(live(), 0);
	printf("           %ld calls\n", all);
	fflush(stdout);
	for (long k = 1; k <= all; k++) {
		fail_at(k);
		enum phiz_status status = train(ctx, true, loss);
		if (live())
			fail_msg("call %ld of %ld failed: %ld things are left", k, all, live());
		if (status) {
			failures++;
			if (!*phiz_ctx_message(ctx) || strchr(phiz_ctx_message(ctx), '\n'))
				fail_msg("call %ld failed: the message is '%s'", k, phiz_ctx_message(ctx));
			continue;
		}
		for (int n = 0; n < STEPS; n++)
			if (!(fabs(loss[n] - want[n]) < 1e-4))
				fail_msg("call %ld failed unnoticed: loss %d is %g, want %g", k, n, loss[n], want[n]);
	}
	fail_at(0);
	printf("           %ld calls, %ld of them fail the training, the others are done without\n", all, failures);
	assert_true(failures > all / 4);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_call_may_fail)};

	setenv("PHIZ_CUDA_MODULE", CUDA_DOUBLE, 1);
	void *module = dlopen(CUDA_DOUBLE, RTLD_NOW | RTLD_LOCAL);
	if (!module) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	find(module, "cuda_double_fail_at", &fail_at);
	find(module, "cuda_double_calls", &calls);
	find(module, "cuda_double_live", &live);
	return cmocka_run_group_tests_name("oom.cuda", tests, NULL, NULL);
}
#else
#include "train/recipe.h"

int main(void)
{
	printf("skipped: the test double of CUDA is not built\n");
	return 77;
}
#endif
