/* Models on bytes: what the pass makes of a graph, what calibration measures, and that the result says the same. */
#include "support/fake_device.h"
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

#include <phiz/model.h>
#include <phiz/plan.h>

#include "core/base/rng.h"
#include "core/graph/graph.h"
#include "core/ops/ops.h"
#include "deploy/calibrate.h"
#include "deploy/export.h"

enum { PICTURES = 4 };

/* A built-in network in its inference form, with running statistics away from 0 and 1. */
static struct phiz_model *make_model(struct phiz_ctx *ctx, const char *net)
{
	struct phiz_model *m;
	struct phiz_rng rng;

	phiz_rng_init(&rng, 4, 0, 0, PHIZ_STREAM_TEST);
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin(net), net, 10, 0, 6, &m));
	for (size_t i = 0; i < m->n_entries; i++) {
		bool var = strstr(m->entry[i].name, "running_var") != NULL;
		float *x = m->entry[i].tensor->data;
		for (int64_t k = 0; var && k < phiz_tensor_count(m->entry[i].tensor); k++)
			x[k] = (float)phiz_rng_uniform(&rng, 0.5, 1.5);
	}
	return m;
}

static struct phiz_image make_picture(struct phiz_ctx *ctx, int size, uint64_t seed)
{
	struct phiz_image image;
	struct phiz_rng rng;

	phiz_rng_init(&rng, seed, 0, 0, PHIZ_STREAM_TEST);
	assert_ok(ctx, phiz_image_create(ctx, size, size, 3, &image));
	for (int i = 0; i < size * size * 3; i++)
		image.data[i] = (uint8_t)phiz_rng_below(&rng, 256);
	return image;
}

/* The exported form on bytes, calibrated on PICTURES pictures. */
static struct phiz_model *quantized(struct phiz_ctx *ctx, const struct phiz_model *trained, enum phiz_clipping clipping,
                                    const char *const *keep, size_t n_keep)
{
	struct phiz_calibrator *c;
	struct phiz_model *m;

	assert_ok(ctx, phiz_export_model(trained, PHIZ_PRECISION_INT8, &m));
	assert_ok(ctx, phiz_calibrator_begin(ctx, m, &c));
	for (int i = 0; i < PICTURES; i++) {
		struct phiz_image image = make_picture(ctx, trained->preproc.size, (uint64_t)i);
		assert_ok(ctx, phiz_calibrator_add(c, &image));
		phiz_image_free(ctx, &image);
	}
	assert_ok(ctx, phiz_calibrator_end(c, clipping, keep, n_keep));
	phiz_calibrator_free(&c);
	assert_ok(ctx, phiz_graph_verify(m->graph));
	return m;
}

static int count(const struct phiz_model *m, const struct phiz_op *op)
{
	int n = 0;

	for (int i = 0; i < phiz_graph_n_nodes(m->graph); i++)
		n += phiz_graph_node(m->graph, i)->op == op;
	return n;
}

/* The model's output for a picture that calibration has not seen. */
static int64_t run(struct phiz_ctx *ctx, const struct phiz_model *m, const struct phiz_backend *backend, float *out)
{
	struct phiz_plan_options o = {.backend = backend, .loss = PHIZ_NONE, .fixed = true};
	struct phiz_image image = make_picture(ctx, m->preproc.size, 99);
	struct phiz_plan *plan;
	struct phiz_tensor *t;
	int64_t n;

	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan));
	t = phiz_plan_tensor(plan, phiz_graph_find_value(m->graph, "image"));
	assert_ok(ctx, phiz_preproc_run(ctx, &m->preproc, &image, t->data));
	assert_ok(ctx, phiz_plan_forward(plan));
	t = phiz_plan_tensor(plan, phiz_graph_output_at(m->graph, 0));
	n = phiz_tensor_count(t);
	assert_true(n <= 512);
	memcpy(out, t->data, (size_t)n * sizeof *out);
	phiz_plan_free(&plan);
	phiz_image_free(ctx, &image);
	return n;
}

/* 1 - cosine of two outputs */
static double apart(const float *a, const float *b, int64_t n)
{
	double aa = 0, bb = 0, ab = 0;

	for (int64_t i = 0; i < n; i++) {
		aa += (double)a[i] * (double)a[i];
		bb += (double)b[i] * (double)b[i];
		ab += (double)a[i] * (double)b[i];
	}
	return 1 - ab / sqrt(aa * bb);
}

/* Every convolution and the linear layer are on bytes, with what stands between them; the output is nearly that of the
 * float model, and to the bit the same on every set of kernels. */
static void check_network(struct phiz_ctx *ctx, const char *net)
{
	struct phiz_model *trained = make_model(ctx, net), *m = quantized(ctx, trained, PHIZ_CLIP_MSE, NULL, 0);
	float want[512], got[512], reference[512];
	int64_t n = run(ctx, trained, phiz_backend_cpu(), want);

	assert_int_equal(count(m, &phiz_op_quantized_conv2d), count(trained, &phiz_op_conv2d));
	assert_int_equal(count(m, &phiz_op_quantized_linear), count(trained, &phiz_op_linear));
	assert_true(count(m, &phiz_op_conv2d) + count(m, &phiz_op_linear) + count(m, &phiz_op_prelu) == 0);
	assert_true(count(m, &phiz_op_add) + count(m, &phiz_op_batch_norm) + count(m, &phiz_op_relu) == 0);
	assert_int_equal(run(ctx, m, phiz_backend_cpu(), got), n);
	run(ctx, m, phiz_backend_reference(), reference);
	print_message("           %s: 1 - cosine %.1e\n", net, apart(got, want, n));
	assert_true(apart(got, want, n) < 0.02);
	assert_memory_equal(got, reference, (size_t)n * sizeof *got);
	phiz_model_free(&m);
	phiz_model_free(&trained);
}

static void networks_on_bytes(void **state)
{
	struct phiz_ctx *ctx = test_ctx(2);

	(void)state;
	check_network(ctx, "tiny");
	check_network(ctx, "mobilefacenet"); /* depthwise, prelu, residuals without ReLU */
	test_ctx_done(&ctx);
}

/* Filter by filter times 4^0, 4^-1, ... 4^-3 (bits stay), as filters that were trained may differ. */
static void scale_filters(struct phiz_model *m, const char *name, const char *input, bool back)
{
	const struct phiz_node *node = phiz_graph_node(m->graph, phiz_graph_find_node(m->graph, name));
	struct phiz_tensor *t = phiz_graph_value(m->graph, phiz_node_input(node, input))->tensor;
	int64_t n = phiz_tensor_count(t) / t->shape.dim[0];

	for (int64_t i = 0; i < phiz_tensor_count(t); i++)
		((float *)t->data)[i] *= (float)ldexp(1, (int)(back ? 2 : -2) * (int)(i / n % 4));
}

static void add_pictures(struct phiz_calibrator *c, struct phiz_ctx *ctx, int size)
{
	for (int i = 0; i < PICTURES; i++) {
		struct phiz_image image = make_picture(ctx, size, (uint64_t)i);
		assert_ok(ctx, phiz_calibrator_add(c, &image));
		phiz_image_free(ctx, &image);
	}
}

/* A network whose channels before depthwise convolutions are of very different sizes says what it said, and is as exact
 * on bytes as if they were alike only where they are made alike. */
static void channels_are_equalized(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *trained = make_model(ctx, "mobilefacenet"), *m;
	struct phiz_calibrator *c;
	float want[512], got[512];
	double off[2];
	int64_t n = run(ctx, trained, phiz_backend_cpu(), want);

	(void)state;
	for (int equal = 0; equal < 2; equal++) {
		assert_ok(ctx, phiz_export_model(trained, PHIZ_PRECISION_INT8, &m));
		scale_filters(m, "conv_6_sep.conv", "weight", false);
		scale_filters(m, "conv_6_sep.conv", "bias", false);
		scale_filters(m, "conv_6_dw.conv", "weight", true);
		run(ctx, m, phiz_backend_cpu(), got);
		assert_true(apart(got, want, n) < 1e-9);
		assert_ok(ctx, phiz_calibrator_begin(ctx, m, &c));
		assert_fails(ctx, PHIZ_E_ARG, phiz_calibrator_equalize(c)); /* no picture */
		add_pictures(c, ctx, m->preproc.size);
		if (equal) {
			assert_ok(ctx, phiz_calibrator_equalize(c));
			run(ctx, m, phiz_backend_cpu(), got);
			assert_true(apart(got, want, n) < 1e-9);
			assert_fails(ctx, PHIZ_E_ARG, phiz_calibrator_end(c, PHIZ_CLIP_MAX, NULL, 0)); /* forgotten */
			add_pictures(c, ctx, m->preproc.size);
		}
		assert_ok(ctx, phiz_calibrator_end(c, PHIZ_CLIP_MAX, NULL, 0));
		phiz_calibrator_free(&c);
		run(ctx, m, phiz_backend_cpu(), got);
		off[equal] = apart(got, want, n);
		phiz_model_free(&m);
	}
	print_message("           1 - cosine %.1e, equalized %.1e\n", off[0], off[1]);
	assert_true(off[1] < off[0] / 2);
	phiz_model_free(&trained);
	test_ctx_done(&ctx);
}

/* The error says which node, and what to do. */
static void devices_leave_bytes_to_the_cpu(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *trained = make_model(ctx, "tiny"), *m = quantized(ctx, trained, PHIZ_CLIP_MSE, NULL, 0);
	struct fake_device device;
	struct phiz_plan_options o = {.backend = &device.backend, .loss = PHIZ_NONE, .fixed = true};
	struct phiz_plan *plan;

	(void)state;
	fake_device_init(&device);
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_plan_create(ctx, m->graph, &o, &plan));
	assert_null(plan);
	assert_message(ctx, "the fake backend has no forward kernel");
	assert_message(ctx, "int8 models run on the CPU (--device cpu)");
	phiz_model_free(&m);
	phiz_model_free(&trained);
	test_ctx_done(&ctx);
}

static off_t file_size(const char *path)
{
	struct stat s;

	assert_int_equal(stat(path, &s), 0);
	return s.st_size;
}

/* The file holds bytes, and what is read is what was written. */
static void files_hold_bytes(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *trained = make_model(ctx, "mobilefacenet"), *back, *exported;
	struct phiz_model *m = quantized(ctx, trained, PHIZ_CLIP_MAX, NULL, 0);
	char dir[256], path[320], whole[320], hash[2][65];
	float want[512], got[512];

	(void)state;
	test_folder(dir);
	snprintf(path, sizeof path, "%s/int8.phiz", dir);
	snprintf(whole, sizeof whole, "%s/fp32.phiz", dir);
	assert_ok(ctx, phiz_export_model(trained, PHIZ_PRECISION_FP32, &exported));
	assert_ok(ctx, phiz_model_write(exported, whole));
	assert_ok(ctx, phiz_model_write(m, path));
	assert_true((double)file_size(path) < 0.4 * (double)file_size(whole));
	assert_ok(ctx, phiz_model_read(ctx, path, &back));
	phiz_model_hash(m, hash[0]);
	phiz_model_hash(back, hash[1]);
	assert_string_equal(hash[0], hash[1]);
	int64_t n = run(ctx, m, phiz_backend_cpu(), want);
	assert_ok(ctx, phiz_model_optimize(back)); /* as a session does */
	assert_int_equal(run(ctx, back, phiz_backend_cpu(), got), n);
	assert_memory_equal(got, want, (size_t)n * sizeof *got);
	test_folder_done(dir);
	phiz_model_free(&back);
	phiz_model_free(&exported);
	phiz_model_free(&m);
	phiz_model_free(&trained);
	test_ctx_done(&ctx);
}

static void keeps_layers(void **state)
{
	static const char *const keep[] = {"conv1", "fc"}, *const wrong[] = {"conv0"};
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *trained = make_model(ctx, "tiny"), *m = quantized(ctx, trained, PHIZ_CLIP_PERCENTILE, keep, 2);
	struct phiz_calibrator *c;
	struct phiz_image image = make_picture(ctx, 64, 1);

	(void)state;
	assert_ptr_equal(phiz_graph_node(m->graph, phiz_graph_find_node(m->graph, "conv1"))->op, &phiz_op_conv2d);
	assert_ptr_equal(phiz_graph_node(m->graph, phiz_graph_find_node(m->graph, "fc"))->op, &phiz_op_linear);
	assert_int_equal(count(m, &phiz_op_quantized_conv2d), count(trained, &phiz_op_conv2d) - 1);
	phiz_model_free(&m);
	assert_ok(ctx, phiz_export_model(trained, PHIZ_PRECISION_INT8, &m));
	assert_ok(ctx, phiz_calibrator_begin(ctx, m, &c));
	assert_fails(ctx, PHIZ_E_ARG, phiz_calibrator_end(c, PHIZ_CLIP_MSE, NULL, 0)); /* no picture */
	assert_ok(ctx, phiz_calibrator_add(c, &image));
	assert_fails(ctx, PHIZ_E_ARG, phiz_calibrator_end(c, PHIZ_CLIP_MSE, wrong, 1));
	assert_message(ctx, "conv0");
	phiz_calibrator_free(&c);
	phiz_image_free(ctx, &image);
	phiz_model_free(&m);
	phiz_model_free(&trained);
	test_ctx_done(&ctx);
}

static enum phiz_status keep_tensor(void *user, const char *name, struct phiz_tensor *tensor)
{
	return phiz_model_add(user, name, tensor, false);
}

/* One 1x1 convolution, by hand: steps of 0.01 in and out, filters (1, -0.5) and (0, 0.25). */
static void pass_by_hand(void **state)
{
	static const struct phiz_attr_arg relu = {"act", PHIZ_ACT_RELU};
	static const int8_t want[] = {127, -64, 0, 127}; /* 63.5 rounds to even */
	static const float steps[] = {1.0f / 127, 0.25f / 127}, bias[] = {50, -100};
	struct phiz_range range[4] = {
		{-1.28f, 1.27f, NULL, NULL}, {1, 0, NULL, NULL}, {1, 0, NULL, NULL}, {0.1f, 2.55f, NULL, NULL}};
	const int64_t one = 1, two = 2;
	struct phiz_shape x = phiz_shape_4d(one, two, one, one), b = phiz_shape_1d(two);
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m;
	struct phiz_tensor *w, *v;
	struct phiz_graph *g;
	int input[3], out;

	(void)state;
	assert_ok(ctx, phiz_model_create(ctx, &m));
	assert_ok(ctx, phiz_graph_input(m->graph, "image", PHIZ_F32, &x, &input[0]));
	x.dim[0] = 2;
	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F32, &x, &w));
	memcpy(w->data, (float[]){1, -0.5f, 0, 0.25f}, 4 * sizeof(float));
	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F32, &b, &v));
	memcpy(v->data, (float[]){0.5f, -1}, 2 * sizeof(float));
	assert_ok(ctx, phiz_model_add(m, "w", w, true));
	assert_ok(ctx, phiz_model_add(m, "b", v, true));
	assert_ok(ctx, phiz_graph_param(m->graph, "w", w, &input[1]));
	assert_ok(ctx, phiz_graph_param(m->graph, "b", v, &input[2]));
	assert_ok(ctx, phiz_graph_add(m->graph, &phiz_op_conv2d, "conv", input, 3, &relu, 1, &out));
	assert_ok(ctx, phiz_graph_output(m->graph, out));

	struct phiz_quantize_options o = {.range = range, .terms = PHIZ_QUANTIZED_TERMS, .adopt = keep_tensor, .user = m};
	assert_ok(ctx, phiz_pass_quantize(m->graph, &o, &g));
	assert_int_equal(phiz_graph_n_nodes(g), 3);
	const struct phiz_node *q = phiz_graph_node(g, 0), *conv = phiz_graph_node(g, 1), *d = phiz_graph_node(g, 2);
	assert_ptr_equal(q->op, &phiz_op_quantize);
	assert_true(fabs(q->attr[PHIZ_QUANTIZE_SCALE].f - 0.01) < 1e-8 && q->attr[PHIZ_QUANTIZE_ZERO].i == 128);
	assert_ptr_equal(conv->op, &phiz_op_quantized_conv2d);
	assert_int_equal(conv->attr[PHIZ_QUANTIZED_CONV2D_INPUT_ZERO].i, 128);
	assert_int_equal(conv->attr[PHIZ_QUANTIZED_CONV2D_OUTPUT_ZERO].i, 0);
	assert_int_equal(conv->attr[PHIZ_QUANTIZED_CONV2D_RELU].i, 1);
	assert_memory_equal(phiz_model_find(m, "conv.quantized_weight")->tensor->data, want, 4);
	for (int k = 0; k < 2; k++) {
		assert_true(fabsf(((float *)phiz_model_find(m, "conv.quantized_scale")->tensor->data)[k] - steps[k]) < 1e-8f);
		assert_true(fabsf(((float *)phiz_model_find(m, "conv.quantized_bias")->tensor->data)[k] - bias[k]) < 1e-4f);
	}
	assert_ptr_equal(d->op, &phiz_op_dequantize);
	assert_true(fabs(d->attr[PHIZ_QUANTIZE_SCALE].f - 0.01) < 1e-8 && d->attr[PHIZ_QUANTIZE_ZERO].i == 0);
	phiz_graph_free(&g);
	phiz_model_free(&m);

	test_ctx_done(&ctx);
}

/* The steps of the network's input. */
static double input_step(struct phiz_ctx *ctx, const struct phiz_model *trained, const struct phiz_image *image,
                         enum phiz_clipping clipping)
{
	struct phiz_calibrator *c;
	struct phiz_model *m;
	double step = 0;

	assert_ok(ctx, phiz_export_model(trained, PHIZ_PRECISION_INT8, &m));
	assert_ok(ctx, phiz_calibrator_begin(ctx, m, &c));
	assert_ok(ctx, phiz_calibrator_add(c, image));
	assert_ok(ctx, phiz_calibrator_end(c, clipping, NULL, 0));
	step = phiz_graph_node(m->graph, phiz_graph_find_node(m->graph, "image.quantize"))->attr[PHIZ_QUANTIZE_SCALE].f;
	phiz_calibrator_free(&c);
	phiz_model_free(&m);
	return step;
}

/* The squared error that steps of this size from 0 on leave. */
static double error_of(const float *x, int64_t n, double step)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++) {
		double q = fmin(fmax(rint((double)x[i] / step), 0), 255);
		sum += (q * step - (double)x[i]) * (q * step - (double)x[i]);
	}
	return sum;
}

/* Small numbers, and a large one among 12,288: max holds it, percentile lets it go, mse leaves the least error. */
static void clipping(void **state)
{
	enum { SIZE = 64, N = 3 * SIZE * SIZE };
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *trained = make_model(ctx, "tiny");
	struct phiz_image image = make_picture(ctx, SIZE, 5);
	float x[N], high = 0, second = 0;
	enum phiz_clipping how;

	(void)state;
	trained->preproc.size = SIZE;
	trained->preproc.mode = PHIZ_RESIZE_STRETCH;
	for (int i = 0; i < 3; i++) {
		trained->preproc.mean[i] = 0;
		trained->preproc.std[i] = (float[]){1, 0.737f, 1.313f}[i];
	}
	for (int i = 0; i < N; i++)
		image.data[i] /= 8;
	image.data[3 * 777] = 237; /* whose steps are not those of the pixels */
	assert_ok(ctx, phiz_preproc_run(ctx, &trained->preproc, &image, x));
	for (int i = 0; i < N; i++) {
		second = x[i] > high ? high : x[i] > second && x[i] < high ? x[i] : second;
		high = x[i] > high ? x[i] : high;
	}
	assert_true(high > 5 * second && second > 0);
	double max = input_step(ctx, trained, &image, PHIZ_CLIP_MAX);
	double percentile = input_step(ctx, trained, &image, PHIZ_CLIP_PERCENTILE);
	double mse = input_step(ctx, trained, &image, PHIZ_CLIP_MSE);
	print_message("           steps %.5f %.5f %.5f, squared errors %.4g %.4g %.4g\n", max, percentile, mse,
	              error_of(x, N, max), error_of(x, N, percentile), error_of(x, N, mse));
	assert_true(fabs(255 * max - (double)high) < 1e-6 * (double)high);
	assert_true(255 * percentile >= (double)second && 255 * percentile < 1.1 * (double)second + 0.001 * (double)high);
	/* Rounding is taken to be uniform, which 96 different numbers are not quite. */
	assert_true(mse <= max && error_of(x, N, mse) <= 1.05 * error_of(x, N, max));
	assert_true(error_of(x, N, mse) <= 1.05 * error_of(x, N, percentile));
	assert_true(phiz_clipping_parse("max", &how) && how == PHIZ_CLIP_MAX && !phiz_clipping_parse("most", &how));
	phiz_image_free(ctx, &image);
	phiz_model_free(&trained);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pass_by_hand),
		cmocka_unit_test(networks_on_bytes),
		cmocka_unit_test(channels_are_equalized),
		cmocka_unit_test(devices_leave_bytes_to_the_cpu),
		cmocka_unit_test(files_hold_bytes),
		cmocka_unit_test(keeps_layers),
		cmocka_unit_test(clipping),
	};

	return cmocka_run_group_tests_name("quantize", tests, NULL, NULL);
}
