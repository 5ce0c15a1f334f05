/* label: gpu
 * The CUDA backend against the CPU: whole networks in each precision, batches that shrink, recorded runs, pictures as
 * bytes. Skipped where no device can be used. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>

#include <phiz/cuda.h>
#include <phiz/model.h>

#include "core/base/rng.h"
#include "gpu/gpu_nets.h"
#include "support/device.h"

static struct phiz_backend *device;
static bool bf16;      /* the device has it */
static bool is_double; /* the test double of CUDA, whose plain loops are for small pictures */

static struct phiz_model *make_model(struct phiz_ctx *ctx, const char *net)
{
	return gpu_net_make(ctx, net, is_double ? 32 : 0);
}

static struct phiz_plan *make_plan(struct phiz_ctx *ctx, struct phiz_model *m, const struct phiz_backend *backend,
                                   enum phiz_dtype precision, int64_t batch)
{
	struct phiz_plan_options o = {.backend = backend, .batch = batch, .loss = PHIZ_NONE, .fixed = true,
	                              .precision = precision};
	struct phiz_plan *plan;
	struct phiz_rng rng;

	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan));
	struct phiz_tensor *x = phiz_plan_tensor(plan, phiz_graph_find_value(m->graph, "image"));
	phiz_rng_init(&rng, 6, 0, 0, PHIZ_STREAM_TEST);
	for (int64_t i = 0; i < phiz_tensor_count(x); i++)
		((float *)x->data)[i] = (float)phiz_rng_uniform(&rng, -2, 2);
	return plan;
}

/* Of the first output. */
static double distance(struct phiz_model *m, struct phiz_plan *got, struct phiz_plan *want)
{
	int value = phiz_graph_output_at(m->graph, 0);

	return gpu_net_distance(phiz_plan_tensor(got, value), phiz_plan_tensor(want, value));
}

static void networks_agree(void **state)
{
	static const struct {
		const char *net;
		enum phiz_dtype precision;
		double limit;
	} cases[] = {
		{"tiny", PHIZ_F32, 1e-5}, {"resnet18", PHIZ_F32, 1e-5}, {"mobilefacenet", PHIZ_F32, 1e-5},
		{"resnet50", PHIZ_F32, 1e-5}, {"tiny", PHIZ_F16, 5e-3}, {"resnet18", PHIZ_F16, 5e-3},
		{"mobilefacenet", PHIZ_F16, 1e-2}, {"resnet18", PHIZ_BF16, 4e-2}, {"resnet50", PHIZ_BF16, 4e-2},
	};
	(void)state;
	struct phiz_ctx *ctx = test_ctx(2);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		bool large = strcmp(cases[i].net, "tiny") && strcmp(cases[i].net, "resnet18");
		if ((cases[i].precision == PHIZ_BF16 && !bf16) || (is_double && large))
			continue;
		struct phiz_model *m = make_model(ctx, cases[i].net);
		const int64_t most = is_double ? 2 : 5;
		struct phiz_plan *cpu = make_plan(ctx, m, phiz_backend_cpu(), PHIZ_F32, most);
		struct phiz_plan *gpu = make_plan(ctx, m, device, cases[i].precision, most);
		for (int64_t batch = most; batch >= 1; batch -= most / 2) {
			assert_ok(ctx, phiz_plan_set_batch(cpu, batch));
			assert_ok(ctx, phiz_plan_set_batch(gpu, batch));
			assert_ok(ctx, phiz_plan_forward(cpu));
			for (int run = 0; run < 4; run++) { /* call by call, recorded, replayed */
				assert_ok(ctx, phiz_plan_forward(gpu));
				double d = distance(m, gpu, cpu);
				if (run == 3 && batch == most)
					printf("           %s %s: %.3g of %g\n", cases[i].net, phiz_dtype_name(cases[i].precision), d,
					       cases[i].limit);
				if (!(d <= cases[i].limit))
					fail_msg("%s %s, batch %d, run %d: %g away", cases[i].net, phiz_dtype_name(cases[i].precision),
					         (int)batch, run, d);
			}
		}
		phiz_plan_free(&cpu);
		phiz_plan_free(&gpu);
		phiz_model_free(&m);
	}
	test_ctx_done(&ctx);
}

/* A new picture gives a new answer, and the old one the old answer, also once runs are recorded. */
static void recorded_runs_read_their_input(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = make_model(ctx, "tiny");
	struct phiz_plan *gpu = make_plan(ctx, m, device, PHIZ_F32, 1);
	struct phiz_tensor *x = phiz_plan_tensor(gpu, phiz_graph_find_value(m->graph, "image"));
	const float *y = phiz_plan_tensor(gpu, phiz_graph_output_at(m->graph, 0))->data;
	float first[10], second[10];

	for (int run = 0; run < 6; run++) {
		for (int64_t i = 0; i < phiz_tensor_count(x); i++)
			((float *)x->data)[i] = run % 2 ? 1 : (float)(i % 7) - 3;
		assert_ok(ctx, phiz_plan_forward(gpu));
		float *mine = run % 2 ? second : first;
		if (run < 2)
			memcpy(mine, y, 10 * sizeof *mine);
		else
			assert_memory_equal(y, mine, 10 * sizeof *mine);
	}
	assert_memory_not_equal(first, second, sizeof first);
	phiz_plan_free(&gpu);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

/* Pictures given as bytes, with a box that is erased, and the same normalised and erased on this side. */
static void fill_both(struct phiz_ctx *ctx, const struct phiz_preproc *p, struct phiz_plan *bytes,
                      const struct phiz_graph *bytes_graph, struct phiz_plan *floats, const struct phiz_graph *graph,
                      int n, int size)
{
	struct phiz_tensor *x = phiz_plan_tensor(floats, phiz_graph_find_value(graph, "image"));
	uint8_t *to = phiz_plan_tensor(bytes, phiz_graph_find_value(bytes_graph, "image"))->data;
	int32_t *erased = phiz_plan_tensor(bytes, phiz_graph_find_value(bytes_graph, "erased"))->data;
	const size_t photo = (size_t)3 * (size_t)size * (size_t)size;

	for (int i = 0; i < n; i++) {
		float *planes = (float *)x->data + (size_t)i * photo;
		struct phiz_image image;
		assert_ok(ctx, phiz_image_create(ctx, size, size, 3, &image));
		for (size_t k = 0; k < photo; k++)
			image.data[k] = (uint8_t)(k * (size_t)(i + 37) + k / 256);
		phiz_preproc_planes(&image, to + (size_t)i * photo);
		phiz_preproc_normalize(p, &image, planes);
		const int32_t box[4] = {3 * i, 5 * i, i ? 7 : 0, 2 * i};
		memcpy(erased + 4 * i, box, sizeof box);
		for (int c = 0; c < 3; c++)
			for (int h = box[1]; h < box[1] + box[3]; h++)
				for (int w = box[0]; w < box[0] + box[2]; w++)
					planes[(c * size + h) * size + w] = 0;
		phiz_image_free(ctx, &image);
	}
}

/* To the last bit what the same network says of normalised pictures, in each precision and on batches that shrink; and
 * without a network the bits of preprocessing itself. */
static void bytes_are_as_good_as_floats(void **state)
{
	static const enum phiz_dtype precisions[] = {PHIZ_F32, PHIZ_F16, PHIZ_BF16};
	const int most = 3;
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	for (int k = 0; k < 4; k++) {
		enum phiz_dtype precision = precisions[k % 3];
		struct phiz_model *m = make_model(ctx, "tiny");
		struct phiz_preproc *p = &m->preproc;
		struct phiz_graph *bytes_graph;
		struct phiz_plan_options o = {.backend = device, .batch = most, .loss = PHIZ_NONE, .precision = precision};
		struct phiz_plan *bytes, *floats;

		if (precision == PHIZ_BF16 && !bf16) {
			phiz_model_free(&m);
			continue;
		}
		if (k == 3) {
			phiz_graph_clear_outputs(m->graph);
			assert_ok(ctx, phiz_graph_output(m->graph, phiz_graph_find_value(m->graph, "image")));
			assert_ok(ctx, phiz_pass_prune(m->graph));
		}
		phiz_preproc_torchvision(p);
		int size = (int)phiz_graph_value(m->graph, phiz_graph_find_value(m->graph, "image"))->type.shape.dim[2];
		assert_ok(ctx, phiz_graph_clone(m->graph, &bytes_graph));
		assert_ok(ctx, phiz_pass_bytes(bytes_graph, "image", p->mean, p->std, "erased"));
		assert_ok(ctx, phiz_plan_create(ctx, bytes_graph, &o, &bytes));
		if (k == 3)
			o.backend = phiz_backend_cpu();
		assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &floats));
		for (int run = 0; run < 5; run++) { /* call by call, recorded, replayed, and again of another batch */
			int n = run < 3 ? most : most - 1;
			assert_ok(ctx, phiz_plan_set_batch(bytes, n));
			assert_ok(ctx, phiz_plan_set_batch(floats, n));
			fill_both(ctx, p, bytes, bytes_graph, floats, m->graph, n, size);
			assert_ok(ctx, phiz_plan_forward(bytes));
			assert_ok(ctx, phiz_plan_forward(floats));
			const struct phiz_tensor *want = phiz_plan_tensor(floats, phiz_graph_output_at(m->graph, 0));
			assert_memory_equal(phiz_plan_tensor(bytes, phiz_graph_output_at(bytes_graph, 0))->data, want->data,
			                    phiz_tensor_bytes(want));
		}
		phiz_plan_free(&bytes);
		phiz_plan_free(&floats);
		phiz_graph_free(&bytes_graph);
		phiz_model_free(&m);
	}
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_agree),
		cmocka_unit_test(recorded_runs_read_their_input),
		cmocka_unit_test(bytes_are_as_good_as_floats),
	};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_cuda_device about;

	device = test_cuda();
	is_double = !phiz_cuda_describe(ctx, 0, &about) && !strcmp(about.name, "test double");
	bf16 = about.major >= 8;
	test_ctx_done(&ctx);
	return cmocka_run_group_tests_name("gpu.backend", tests, NULL, NULL);
}
