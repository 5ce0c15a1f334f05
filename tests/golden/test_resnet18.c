/* label: full
 * ResNet-18 against PyTorch: logits, loss, all gradients, batch statistics after a step, ten steps of SGD. Needs the
 * private test data. */
#include "support/support.h"

#include <stdio.h>

#include <phiz/model.h>
#include <phiz/plan.h>
#include <phiz/session.h>

#include "core/base/alloc.h"
#include "core/cpu/features.h"
#include "core/io/tensors.h"

struct fixture {
	struct phiz_ctx *ctx;
	struct phiz_tensors golden;
	struct phiz_model *model;
};

static void load(struct phiz_ctx *ctx, struct phiz_model *m, const char *path)
{
	struct phiz_tensors t = {0};

	assert_ok(ctx, phiz_tensors_read(ctx, path, &t));
	for (size_t i = 0; i < m->n_entries; i++) {
		struct phiz_tensor *from = phiz_tensors_find(&t, m->entry[i].name);
		if (!from)
			fail_msg("%s is not in %s", m->entry[i].name, path);
		assert_ok(ctx, phiz_tensor_convert(ctx, from, m->entry[i].tensor));
	}
	phiz_tensors_free(ctx, &t);
}

/* false: the data is not there. */
static bool setup(struct fixture *f)
{
	char weights[1024], golden[1024];

	if (!test_data("weights/resnet18_imagenet.pth", weights) ||
	    !test_data("weights/golden_resnet18.safetensors", golden))
		return false;
	memset(f, 0, sizeof *f);
	f->ctx = test_ctx(2);
	assert_ok(f->ctx, phiz_tensors_read(f->ctx, golden, &f->golden));
	assert_ok(f->ctx, phiz_model_from_cfg(f->ctx, phiz_net_builtin("resnet18"), "resnet18", 0, 0, 1, &f->model));
	load(f->ctx, f->model, weights);
	return true;
}

static void teardown(struct fixture *f)
{
	phiz_tensors_free(f->ctx, &f->golden);
	phiz_model_free(&f->model);
	test_ctx_done(&f->ctx);
}

static struct phiz_tensor *want(struct fixture *f, const char *name)
{
	struct phiz_tensor *t = phiz_tensors_find(&f->golden, name);
	if (!t)
		fail_msg("no golden tensor %s", name);
	return t;
}

/* The largest |got - want| over the largest |want|. */
static double relative(const float *got, const struct phiz_tensor *t)
{
	double worst = 0, scale = 0;
	int64_t n = phiz_tensor_count(t);

	for (int64_t i = 0; i < n; i++) {
		double w = t->dtype == PHIZ_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
		worst = fmax(worst, fabs((double)got[i] - w));
		scale = fmax(scale, fabs(w));
	}
	return worst / scale;
}

/* |got - want| over |want|, both as L2 norms: for gradients behind ReLU and max pooling, where a choice that falls the
 * other way by one rounding changes a few elements by much. */
static double relative_norm(const float *got, const struct phiz_tensor *t)
{
	double difference = 0, norm = 0;

	for (int64_t i = 0; i < phiz_tensor_count(t); i++) {
		double w = t->dtype == PHIZ_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
		difference += ((double)got[i] - w) * ((double)got[i] - w);
		norm += w * w;
	}
	return sqrt(difference / norm);
}

static void expect(const char *what, double got, double limit)
{
	printf("%48s %.2e of %.0e\n", what, got, limit);
	if (!(got <= limit))
		fail_msg("%s: relative difference %g, allowed %g", what, got, limit);
}

static void fill_input(struct fixture *f, struct phiz_plan *plan)
{
	struct phiz_tensor *x = phiz_plan_tensor(plan, phiz_graph_find_value(f->model->graph, "image"));
	assert_ok(f->ctx, phiz_tensor_convert(f->ctx, want(f, "input.normalized"), x));
}

static void check_logits(struct fixture *f, const char *what)
{
	struct phiz_plan_options o = {.backend = phiz_backend_cpu(), .batch = 4, .loss = PHIZ_NONE};
	struct phiz_plan *plan;

	assert_ok(f->ctx, phiz_plan_create(f->ctx, f->model->graph, &o, &plan));
	fill_input(f, plan);
	assert_ok(f->ctx, phiz_plan_forward(plan));
	const float *logits = phiz_plan_tensor(plan, phiz_graph_output_at(f->model->graph, 0))->data;
	expect(what, relative(logits, want(f, "eval.logits.f64")), 1e-4);
	phiz_plan_free(&plan);
}

static void logits_agree(void **state)
{
	(void)state;
	struct fixture f;
	if (!setup(&f))
		skip();
	check_logits(&f, "eval logits");
	assert_ok(f.ctx, phiz_model_optimize(f.model));
	assert_int_equal(phiz_graph_n_nodes(f.model->graph), 24); /* 20 conv, max pool, average pool, flatten, linear */
	check_logits(&f, "eval logits, folded and fused");
	teardown(&f);
}

/* PyTorch 1.13 under torch.autocast("cpu", torch.bfloat16) is 8.0e-3 away from its float64, channels first or last. */
static void logits_agree_in_bf16(void **state)
{
	(void)state;
	struct fixture f;
	struct phiz_session_options o = {.batch = 4, .precision = PHIZ_BF16};
	struct phiz_runtime *runtime;
	struct phiz_session *session;

	if (!setup(&f))
		skip();
	struct phiz_model *m = f.model;
	f.model = NULL;
	assert_ok(f.ctx, phiz_runtime_adopt(f.ctx, m, &runtime));
	assert_ok(f.ctx, phiz_session_create(runtime, f.ctx, &o, &session));
	const struct phiz_tensor *input = want(&f, "input.normalized"), *logits = want(&f, "eval.logits.f64");
	memcpy(phiz_session_input(session, 0), input->data, phiz_tensor_bytes(input));
	assert_ok(f.ctx, phiz_session_run_input(session, 4));
	int classes = phiz_session_result_at(session, 0)->n_classes;
	float *got = phiz_calloc(f.ctx, (size_t)(4 * classes), sizeof *got);
	for (int i = 0; i < 4; i++)
		memcpy(got + i * classes, phiz_session_result_at(session, i)->logits, (size_t)classes * sizeof *got);
	double distance = relative_norm(got, logits);
	expect("eval logits, bf16", distance, 1.2e-2);
	assert_true(distance > 1e-5); /* it was bf16 that ran */
	phiz_free(f.ctx, got);
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	teardown(&f);
}

static struct phiz_plan *training_plan(struct fixture *f, enum phiz_dtype precision, int *loss)
{
	struct phiz_graph *g = f->model->graph;
	struct phiz_shape one = phiz_shape_1d(1);
	int in[2], labels;
	struct phiz_plan *plan;

	assert_ok(f->ctx, phiz_pass_fuse_activation(g, true));
	in[0] = phiz_graph_output_at(g, 0);
	assert_ok(f->ctx, phiz_graph_input(g, "labels", PHIZ_I32, &one, &labels));
	in[1] = labels;
	assert_ok(f->ctx, phiz_graph_add(g, phiz_op_find("softmax_cross_entropy"), "loss", in, 2, NULL, 0, loss));
	struct phiz_plan_options o = {.backend = phiz_backend_cpu(), .mode = PHIZ_PLAN_TRAIN, .batch = 4, .loss = *loss,
	                              .precision = precision};
	assert_ok(f->ctx, phiz_plan_create(f->ctx, g, &o, &plan));
	fill_input(f, plan);
	assert_ok(f->ctx, phiz_tensor_convert(f->ctx, want(f, "input.labels"), phiz_plan_tensor(plan, labels)));
	return plan;
}

static void check_gradient(struct fixture *f, struct phiz_plan *plan, const char *param)
{
	char name[128];
	struct phiz_tensor *g = phiz_plan_gradient(plan, phiz_graph_find_value(f->model->graph, param));
	double squares = 0;

	assert_non_null(g);
	for (int64_t i = 0; i < phiz_tensor_count(g); i++)
		squares += pow((double)((const float *)g->data)[i], 2);
	snprintf(name, sizeof name, "train.grad_norm.%s.f64", param);
	double norm = *(const double *)want(f, name)->data;
	expect(name, fabs(sqrt(squares) - norm) / norm, 1e-3);
}

/* At the far end of the network a handful of ReLU and max-pool choices fall the other way by one rounding.
 * PyTorch 1.13's own float32 is 2.6e-4, 9.1e-4, 1.2e-3, 2.9e-3 and 3.3e-3 away from its float64, with oneDNN or
 * without, NCHW or NHWC, on one thread or two. */
#define CONV1_LIMIT 4e-3

static void training_step_agrees(void **state)
{
	(void)state;
	struct fixture f;
	int loss;
	if (!setup(&f))
		skip();
	struct phiz_plan *plan = training_plan(&f, PHIZ_F32, &loss);
	struct phiz_graph *g = f.model->graph;

	assert_ok(f.ctx, phiz_plan_forward(plan));
	expect("train logits",
	       relative(phiz_plan_tensor(plan, phiz_graph_output_at(g, 0))->data, want(&f, "train.logits.f64")), 1e-4);
	expect("train loss", relative(phiz_plan_tensor(plan, loss)->data, want(&f, "train.loss.f64")), 1e-5);
	assert_ok(f.ctx, phiz_plan_backward(plan, false, 1));
	int parameters = 0;
	for (size_t i = 0; i < f.model->n_entries; i++)
		if (f.model->entry[i].trainable) {
			check_gradient(&f, plan, f.model->entry[i].name);
			parameters++;
		}
	assert_int_equal(parameters, 62);
	expect("fc.weight gradient", relative(phiz_plan_gradient(plan, phiz_graph_find_value(g, "fc.weight"))->data,
	                                      want(&f, "train.grad.fc.weight.f32")), 1e-4);
	expect("conv1.weight gradient",
	       relative_norm(phiz_plan_gradient(plan, phiz_graph_find_value(g, "conv1.weight"))->data,
	                     want(&f, "train.grad.conv1.weight.f64")),
	       CONV1_LIMIT);
	expect("layer4.1.conv2.weight gradient",
	       relative(phiz_plan_gradient(plan, phiz_graph_find_value(g, "layer4.1.conv2.weight"))->data,
	                want(&f, "train.grad.layer4.1.conv2.weight.first8.f32")), 1e-4);
	static const char *const bn[] = {"bn1", "layer4.1.bn2"};
	for (int i = 0; i < 2; i++) {
		char name[128], golden[128];
		snprintf(name, sizeof name, "%s.running_mean", bn[i]);
		snprintf(golden, sizeof golden, "train.running_mean.%s.f64", bn[i]);
		expect(golden, relative(phiz_model_find(f.model, name)->tensor->data, want(&f, golden)), 1e-5);
		snprintf(name, sizeof name, "%s.running_var", bn[i]);
		snprintf(golden, sizeof golden, "train.running_var.%s.f64", bn[i]);
		expect(golden, relative(phiz_model_find(f.model, name)->tensor->data, want(&f, golden)), 1e-5);
	}
	phiz_plan_free(&plan);
	teardown(&f);
}

/* v = 0.9 v + (g + 1e-4 w); w -= 0.001 v, written out: the optimisers have tests of their own. first: how far off the
 * losses before steps 0 and 1 may be, others: those that follow. */
static void ten_steps(enum phiz_dtype precision, double first, double others)
{
	struct fixture f;
	int loss;
	if (!setup(&f))
		skip();
	struct phiz_plan *plan = training_plan(&f, precision, &loss);
	const double *losses = want(&f, "train.sgd10_loss.f64")->data;
	size_t total = 0, at;

	for (size_t i = 0; i < f.model->n_entries; i++)
		total += (size_t)phiz_tensor_count(f.model->entry[i].tensor);
	struct phiz_shape shape = phiz_shape_1d((int64_t)total);
	struct phiz_tensor *velocity;
	assert_ok(f.ctx, phiz_tensor_create(f.ctx, PHIZ_F32, &shape, &velocity));
	for (int step = 0; step < 10; step++) {
		assert_ok(f.ctx, phiz_plan_forward(plan));
		double got = (double)*(const float *)phiz_plan_tensor(plan, loss)->data;
		printf("%20s %d: %.7f, PyTorch in double %.7f\n", "loss before step", step, got, losses[step]);
		if (fabs(got - losses[step]) > (step < 2 ? first : others) * losses[step])
			fail_msg("step %d: loss %.9g, want %.9g", step, got, losses[step]);
		assert_ok(f.ctx, phiz_plan_backward(plan, false, 1));
		at = 0;
		for (size_t i = 0; i < f.model->n_entries; i++) {
			struct phiz_tensor *t = f.model->entry[i].tensor;
			if (!f.model->entry[i].trainable)
				continue;
			const float *g =
				phiz_plan_gradient(plan, phiz_graph_find_value(f.model->graph, f.model->entry[i].name))->data;
			float *w = t->data, *v = (float *)velocity->data + at;
			for (int64_t k = 0; k < phiz_tensor_count(t); k++) {
				v[k] = 0.9f * v[k] + (g[k] + 1e-4f * w[k]);
				w[k] -= 0.001f * v[k];
			}
			at += (size_t)phiz_tensor_count(t);
		}
	}
	phiz_tensor_free(f.ctx, &velocity);
	phiz_plan_free(&plan);
	teardown(&f);
}

/* PyTorch's own float32 drifts from its float64 too: by 1e-4 at step 4 and 9e-4 at step 10. */
static void ten_steps_agree(void **state)
{
	(void)state;
	ten_steps(PHIZ_F32, 1e-5, 5e-3);
}

/* PyTorch's autocast: 2e-4 and 3e-3 off before steps 0 and 1, 3.2e-2 at the worst of the others (step 4); here, by the
 * kernels, up to 9.5e-3 and 3.8e-2. */
static void ten_steps_agree_in_bf16(void **state)
{
	(void)state;
	/* AMX sums in another order than the others, and is off by 6.7e-2 in the fifth step. */
	ten_steps(PHIZ_BF16, 1.2e-2, phiz_cpu_features() & PHIZ_CPU_AMX_BF16 ? 7.5e-2 : 6.4e-2);
}

/* A classifier's embedding is what its last layer reads: torchvision's features, made of length 1. */
static void embeddings_are_features(void **state)
{
	(void)state;
	enum { PHOTOS = 4, DIM = 512 };
	struct fixture f;
	struct phiz_session_options o = {.batch = PHOTOS, .embed = true};
	struct phiz_runtime *runtime;
	struct phiz_session *session;
	double got[DIM], features[DIM];

	if (!setup(&f))
		skip();
	struct phiz_model *m = f.model;
	f.model = NULL;
	assert_ok(f.ctx, phiz_runtime_adopt(f.ctx, m, &runtime));
	assert_ok(f.ctx, phiz_session_create(runtime, f.ctx, &o, &session));
	assert_int_equal(phiz_session_dim(session), DIM);
	const struct phiz_tensor *input = want(&f, "input.normalized");
	memcpy(phiz_session_input(session, 0), input->data, phiz_tensor_bytes(input));
	assert_ok(f.ctx, phiz_session_run_input(session, PHOTOS));
	const double *feature = want(&f, "eval.features.f64")->data;
	for (int i = 0; i < PHOTOS; i++, feature += DIM) {
		double norm = 0;
		for (int d = 0; d < DIM; d++)
			norm += feature[d] * feature[d];
		for (int d = 0; d < DIM; d++) {
			features[d] = feature[d] / sqrt(norm);
			got[d] = (double)phiz_session_embedding_at(session, i)[d];
		}
		test_close_f64("embedding", got, features, DIM, 1e-6, 0);
	}
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logits_agree),
		cmocka_unit_test(logits_agree_in_bf16),
		cmocka_unit_test(embeddings_are_features),
		cmocka_unit_test(training_step_agrees),
		cmocka_unit_test(ten_steps_agree),
		cmocka_unit_test(ten_steps_agree_in_bf16),
	};
	char path[1024];
	if (!test_data("weights/golden_resnet18.safetensors", path))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
