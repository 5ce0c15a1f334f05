#include "gpu/gpu_nets.h"

#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <phiz/cuda.h>
#include <phiz/model.h>

#include "core/base/rng.h"
#include "core/io/onnx.h"

/* Built-in networks, and detectors of the private data, which are left out where it is missing. small, batch: on the
 * test double, whose plain loops take long; 0: the network's own side. */
static const struct {
	const char *net;
	int small, batch;
	double f32, f16;
} nets[] = {
	{"tiny", 32, 3, 1e-5, 5e-3},
	{"resnet18", 40, 2, 1e-5, 5e-3},
	{"mobilefacenet", 0, 1, 1e-5, 1e-2},
	{"mtcnn_pnet", 0, 2, 1e-5, 5e-3},
	{"mtcnn_rnet", 0, 3, 1e-5, 5e-3},
	{"mtcnn_onet", 0, 2, 1e-5, 5e-3},
	{"weights/yunet/yunet_n_dynamic.onnx", 64, 1, 1e-5, 2e-2},
	{"weights/ultralight/version-RFB-320.onnx", 0, 1, 1e-5, 2e-2},
};

struct phiz_model *gpu_net_make(struct phiz_ctx *ctx, const char *net, int size)
{
	struct phiz_model *m;
	struct phiz_rng rng;

	phiz_rng_init(&rng, 3, 0, 0, PHIZ_STREAM_TEST);
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin(net), net, 10, size, 5, &m));
	for (size_t i = 0; i < m->n_entries; i++) {
		bool var = strstr(m->entry[i].name, "running_var") != NULL, mean = strstr(m->entry[i].name, "running_mean");
		float *x = m->entry[i].tensor->data;
		for (int64_t k = 0; (var || mean) && k < phiz_tensor_count(m->entry[i].tensor); k++)
			x[k] = (float)phiz_rng_uniform(&rng, var ? 0.8 : -0.1, var ? 1.2 : 0.1);
	}
	assert_ok(ctx, phiz_model_optimize(m));
	return m;
}

/* NULL: the private data is missing. */
static struct phiz_model *make_model(struct phiz_ctx *ctx, const char *net, int size)
{
	struct phiz_model *m;
	char path[1024];

	if (!strchr(net, '/'))
		return gpu_net_make(ctx, net, size);
	if (!test_data(net, path))
		return NULL;
	assert_ok(ctx, phiz_onnx_read(ctx, path, size, &m));
	assert_ok(ctx, phiz_model_optimize(m));
	return m;
}

static struct phiz_plan *make_plan(struct phiz_ctx *ctx, struct phiz_model *m, const struct phiz_backend *backend,
                                   enum phiz_dtype precision, int64_t batch)
{
	struct phiz_plan_options o = {.backend = backend, .batch = batch, .loss = PHIZ_NONE, .fixed = true,
	                              .precision = precision};
	struct phiz_plan *plan;

	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan));
	return plan;
}

static void fill(struct phiz_model *m, struct phiz_plan *plan)
{
	struct phiz_tensor *x = phiz_plan_tensor(plan, phiz_graph_find_value(m->graph, "image"));
	struct phiz_rng rng;

	phiz_rng_init(&rng, 6, 0, 0, PHIZ_STREAM_TEST);
	for (int64_t i = 0; i < phiz_tensor_count(x); i++)
		((float *)x->data)[i] = (float)phiz_rng_uniform(&rng, -2, 2);
}

double gpu_net_distance(const struct phiz_tensor *a, const struct phiz_tensor *b)
{
	double error = 0, norm = 0;

	assert_true(phiz_shape_equal(&a->shape, &b->shape));
	for (int64_t i = 0; i < phiz_tensor_count(b); i++) {
		double x = (double)((const float *)a->data)[i], y = (double)((const float *)b->data)[i];
		error += (x - y) * (x - y);
		norm += y * y;
	}
	return sqrt(error / norm);
}

static double largest(struct phiz_model *m, struct phiz_plan *got, struct phiz_plan *want)
{
	double worst = 0;

	for (int i = 0; i < phiz_graph_n_outputs(m->graph); i++) {
		int value = phiz_graph_output_at(m->graph, i);
		double d = gpu_net_distance(phiz_plan_tensor(got, value), phiz_plan_tensor(want, value));
		if (!(d <= worst))
			worst = d;
	}
	return worst;
}

static void compare(struct phiz_ctx *ctx, size_t i, const struct phiz_backend *device,
                    const struct phiz_backend *other, enum phiz_dtype precision, bool same, bool on_double)
{
	struct phiz_model *m = make_model(ctx, nets[i].net, on_double ? nets[i].small : 0);
	if (!m)
		return;
	const bool one = strchr(nets[i].net, '/') != NULL; /* a detector's outputs are of one picture */
	const int64_t most = on_double ? nets[i].batch : one ? 1 : 5;
	struct phiz_plan *want = make_plan(ctx, m, other, same ? precision : PHIZ_F32, most);
	struct phiz_plan *got = make_plan(ctx, m, device, precision, most);
	double limit = precision == PHIZ_F16 ? nets[i].f16 : nets[i].f32, worst = 0;

	for (int64_t batch = most; batch >= 1; batch -= most > 1 ? most - 1 : 1) {
		assert_ok(ctx, phiz_plan_set_batch(want, batch));
		assert_ok(ctx, phiz_plan_set_batch(got, batch));
		fill(m, want);
		fill(m, got);
		assert_ok(ctx, phiz_plan_forward(want));
		for (int run = 0; run < (on_double && i > 0 ? 1 : 3); run++) { /* call by call, recorded, replayed */
			assert_ok(ctx, phiz_plan_forward(got));
			double d = largest(m, got, want);
			worst = d > worst ? d : worst;
			if (!(d <= limit))
				fail_msg("%s %s, batch %d, run %d: %g away (of %g)", nets[i].net, phiz_dtype_name(precision),
				         (int)batch, run, d, limit);
		}
	}
	printf("           %s %s against %s: %.3g of %g\n", nets[i].net, phiz_dtype_name(precision), other->name, worst,
	       limit);
	phiz_plan_free(&want);
	phiz_plan_free(&got);
	phiz_model_free(&m);
}

void gpu_nets_compare(struct phiz_ctx *ctx, const struct phiz_backend *device, const struct phiz_backend *other,
                      bool same)
{
	const char *module = getenv("PHIZ_CUDA_LEAN_MODULE");
	const bool on_double = module && strstr(module, "double");

	for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
		if (same && on_double && i > 1) /* the double of cuDNN takes longer still */
			continue;
		compare(ctx, i, device, other, PHIZ_F32, same, on_double);
		compare(ctx, i, device, other, PHIZ_F16, same, on_double);
	}
}
