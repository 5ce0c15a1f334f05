/* Weights into a model and out again: what does not fit is named, and changes nothing. */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <phiz/model.h>
#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/io/import.h"

static struct phiz_ctx *ctx;
static struct phiz_model *model; /* to import into */
static struct phiz_tensors t;    /* of another model, with other weights and 10 classes as well */
static struct phiz_import_report report;
static char folder[256], path[512];

static int begin(void **state)
{
	struct phiz_model *other;

	(void)state;
	ctx = test_ctx(1);
	test_folder(folder);
	snprintf(path, sizeof(path), "%s/x.safetensors", folder);
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", 10, 32, 1, &model));
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", 10, 32, 2, &other));
	assert_ok(ctx, phiz_export_state_dict(ctx, other, path));
	assert_ok(ctx, phiz_tensors_read(ctx, path, &t));
	phiz_model_free(&other);
	return 0;
}

static int done(void **state)
{
	(void)state;
	phiz_import_report_free(&report);
	phiz_tensors_free(ctx, &t);
	phiz_model_free(&model);
	test_folder_done(folder);
	test_ctx_done(&ctx);
	return 0;
}

static enum phiz_status import(bool new_head, bool partial)
{
	struct phiz_import_options options = {new_head, partial};
	char before[65], after[65];
	enum phiz_status status;

	phiz_import_report_free(&report);
	phiz_model_hash(model, before);
	status = phiz_import_weights(ctx, model, &t, "x.pth", &options, &report);
	phiz_model_hash(model, after);
	assert_true(status == PHIZ_OK || strcmp(before, after) == 0);
	return status;
}

static size_t index_of(const char *name)
{
	size_t i;

	for (i = 0; i < t.count && strcmp(t.entry[i].name, name) != 0; i++)
		;
	assert_true(i < t.count);
	return i;
}

static void rename_tensor(const char *name, const char *to)
{
	size_t i = index_of(name);

	phiz_free(ctx, t.entry[i].name);
	t.entry[i].name = phiz_strdup(ctx, to);
}

static void reshape(const char *name, struct phiz_shape shape, enum phiz_dtype dtype)
{
	size_t i = index_of(name);

	phiz_tensor_free(ctx, &t.entry[i].tensor);
	assert_ok(ctx, phiz_tensor_create(ctx, dtype, &shape, &t.entry[i].tensor));
}

static void all_fits(void **state)
{
	size_t i;

	(void)state;
	assert_ok(ctx, import(false, false));
	assert_int_equal(report.loaded, model->n_entries);
	assert_true(report.ignored > 3);
	assert_int_equal(report.text.size, 0);
	for (i = 0; i < model->n_entries; i++)
		assert_memory_equal(model->entry[i].tensor->data, phiz_tensors_find(&t, model->entry[i].name)->data,
		                    phiz_tensor_bytes(model->entry[i].tensor));
}

static void from_halves(void **state)
{
	struct phiz_tensor *half;
	size_t i = index_of("conv1.weight"), k;

	(void)state;
	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F16, &t.entry[i].tensor->shape, &half));
	assert_ok(ctx, phiz_tensor_convert(ctx, t.entry[i].tensor, half));
	phiz_tensor_free(ctx, &t.entry[i].tensor);
	t.entry[i].tensor = half;
	assert_ok(ctx, import(false, false));
	for (k = 0; k < (size_t)phiz_tensor_count(half); k++)
		assert_true(((float *)phiz_model_find(model, "conv1.weight")->tensor->data)[k] ==
		            phiz_f16_to_f32(((uint16_t *)half->data)[k]));
}

static void misfits(void **state)
{
	(void)state;
	rename_tensor("bn1.bias", "bn1.offset");
	assert_fails(ctx, PHIZ_E_FORMAT, import(true, false));
	assert_message(ctx,
	               "x.pth: does not fit the network: 1 tensors missing, 1 unexpected, 0 misshapen: missing 'bn1.bias'; "
	               "unexpected 'bn1.offset'");
	assert_string_equal(report.text.data, "missing 'bn1.bias'\nunexpected 'bn1.offset'\n");
	assert_ok(ctx, import(true, true));
	assert_int_equal(report.loaded, model->n_entries - 1);
	reshape("conv1.weight", phiz_shape_4d(16, 1, 3, 3), PHIZ_F32);
	assert_fails(ctx, PHIZ_E_FORMAT, import(true, true));
	assert_message(ctx, "misshapen 'conv1.weight': want [16, 3, 3, 3], the file has [16, 1, 3, 3]");
	assert_int_equal(report.misshapen, 1);
}

static void nan_is_named(void **state)
{
	(void)state;
	((float *)phiz_tensors_find(&t, "layer3.0.conv2.weight")->data)[5] = NAN;
	assert_fails(ctx, PHIZ_E_NUMERIC, import(false, false));
	assert_message(ctx, "x.pth: tensor 'layer3.0.conv2.weight' has a NaN or Inf");
	reshape("layer3.0.conv2.weight", phiz_tensors_find(&t, "layer3.0.conv2.weight")->shape, PHIZ_F64);
	assert_ok(ctx, import(false, false));
	((double *)phiz_tensors_find(&t, "layer3.0.conv2.weight")->data)[5] = 1e40;
	assert_fails(ctx, PHIZ_E_NUMERIC, import(false, false));
}

static void other_head(void **state)
{
	float own = ((float *)phiz_model_find(model, "fc.weight")->tensor->data)[3];

	(void)state;
	reshape("fc.weight", phiz_shape_2d(7, 64), PHIZ_F32);
	reshape("fc.bias", phiz_shape_1d(7), PHIZ_F32);
	assert_fails(ctx, PHIZ_E_FORMAT, import(false, false));
	assert_message(ctx, "its head has 7 classes, the network 10");
	assert_ok(ctx, import(true, false));
	assert_true(report.head_kept && report.file_classes == 7);
	assert_int_equal(report.loaded, model->n_entries - 2);
	assert_string_equal(report.text.data,
	                    "new head: the file has 7 classes, the network 10: 'fc.weight' and its bias are not "
	                    "taken from the file\n");
	assert_true(own == ((float *)phiz_model_find(model, "fc.weight")->tensor->data)[3]);
	reshape("fc.bias", phiz_shape_1d(8), PHIZ_F32); /* damaged, not another number of classes */
	assert_fails(ctx, PHIZ_E_FORMAT, import(true, false));
	rename_tensor("fc.weight", "x.num_batches_tracked");
	rename_tensor("fc.bias", "y.num_batches_tracked");
	assert_ok(ctx, import(true, false));
	assert_true(report.head_kept && report.file_classes == 0);
	assert_fails(ctx, PHIZ_E_FORMAT, import(false, false));
	assert_message(ctx, "2 tensors missing");
}

/* A network whose first convolution is `kernel` wide with this stride. */
static struct phiz_model *make_net(int kernel, int stride, const char *size)
{
	struct phiz_model *m;
	char text[500];

	snprintf(text, sizeof text,
	         "[net]\nsize = %s\n[conv]\nname = conv1\nfilters = 5\nkernel = %d\nstride = %d\npad = %d\n", size, kernel,
	         stride, kernel / 2);
	assert_ok(ctx, phiz_model_from_cfg(ctx, text, "net", 10, 0, 4, &m));
	return m;
}

static const float *run_net(struct phiz_model *m, int side, const float *image, struct phiz_plan **plan)
{
	struct phiz_plan_options o = {.backend = phiz_backend_reference(), .batch = 1, .loss = PHIZ_NONE};
	struct phiz_tensor *in;

	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, plan));
	in = phiz_plan_tensor(*plan, phiz_graph_find_value(m->graph, "image"));
	assert_int_equal(phiz_tensor_count(in), 3 * side * side);
	memcpy(in->data, image, phiz_tensor_bytes(in));
	assert_ok(ctx, phiz_plan_forward(*plan));
	return phiz_plan_tensor(*plan, phiz_graph_output_at(m->graph, 0))->data;
}

/* The 7x7 filters over the picture at twice the size give what the 3x3 of them give over the picture, where the row and
 * column of taps that are left out are zeros. */
static void stem_fits_small_pictures(void **state)
{
	enum { SIDE = 8, WIDE = 2 * SIDE, FILTERS = 5 };
	struct phiz_import_options options = {false, false};
	struct phiz_model *wide = make_net(7, 2, "16"), *small = make_net(3, 1, "8"), *strided = make_net(3, 2, "8");
	struct phiz_plan *plan[2];
	float *w = phiz_model_find(wide, "conv1.weight")->tensor->data, image[3 * SIDE * SIDE], twice[3 * WIDE * WIDE];
	const float *a, *b;
	int i;

	(void)state;
	for (i = 0; i < 3 * FILTERS * 49; i++)
		if (i % 7 == 0 || i / 7 % 7 == 0)
			w[i] = 0;
	for (i = 0; i < 3 * SIDE * SIDE; i++)
		image[i] = (float)(i * 37 % 101) / 50 - 1;
	for (i = 0; i < 3 * WIDE * WIDE; i++)
		twice[i] = image[(i / (WIDE * WIDE) * SIDE + i / WIDE % WIDE / 2) * SIDE + i % WIDE / 2];
	phiz_tensors_free(ctx, &t);
	assert_ok(ctx, phiz_export_state_dict(ctx, wide, path));
	assert_ok(ctx, phiz_tensors_read(ctx, path, &t));
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_import_weights(ctx, strided, &t, "x.pth", &options, &report));
	phiz_import_report_free(&report);
	assert_ok(ctx, phiz_import_weights(ctx, small, &t, "x.pth", &options, &report));
	assert_string_equal(report.text.data,
	                    "'conv1.weight': 7x7 in the file becomes 3x3, as of a picture at twice the size\n");
	a = run_net(wide, WIDE, twice, &plan[0]);
	b = run_net(small, SIDE, image, &plan[1]);
	for (i = 0; i < FILTERS * SIDE * SIDE; i++)
		assert_true(fabsf(a[i] - b[i]) < 1e-5f);
	phiz_plan_free(&plan[0]);
	phiz_plan_free(&plan[1]);
	phiz_model_free(&wide);
	phiz_model_free(&small);
	phiz_model_free(&strided);
}

static void many_findings(void **state)
{
	struct phiz_shape shape = phiz_shape_1d(1);
	size_t i, lines = 0;

	(void)state;
	for (i = 0; i < 1000; i++) {
		struct phiz_tensor *tensor;
		char name[64];

		snprintf(name, sizeof(name), "\xc3\xa4\xc3\xa4\xc3\xa4\x1b[31m%d", (int)i);
		assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F32, &shape, &tensor));
		assert_ok(ctx, phiz_tensors_add(ctx, &t, name, tensor));
	}
	assert_fails(ctx, PHIZ_E_FORMAT, import(false, false));
	assert_null(strchr(phiz_ctx_message(ctx), '\x1b'));
	for (i = 0; i < report.text.size; i++)
		lines += report.text.data[i] == '\n';
	assert_int_equal(lines, 201);
	assert_non_null(strstr(report.text.data, "and 800 more\n"));
}

static void export_of_folded(void **state)
{
	(void)state;
	assert_ok(ctx, phiz_model_optimize(model));
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_export_state_dict(ctx, model, path));
	assert_message(ctx, "folded");
}

static void add(struct phiz_tensors *to, const char *name, struct phiz_shape shape)
{
	struct phiz_tensor *tensor;

	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F32, &shape, &tensor));
	assert_ok(ctx, phiz_tensors_add(ctx, to, name, tensor));
}

/* The tensors that tell one ResNet from another. */
static void make_resnet(struct phiz_tensors *to, bool bottleneck, const int blocks[4], int64_t classes)
{
	char name[64];
	int l, b;

	memset(to, 0, sizeof(*to));
	add(to, "conv1.weight", phiz_shape_4d(64, 3, 7, 7));
	for (l = 0; l < 4; l++)
		for (b = 0; b < blocks[l]; b++) {
			snprintf(name, sizeof(name), "layer%d.%d.conv1.weight", l + 1, b);
			add(to, name, phiz_shape_4d(64, 64, bottleneck ? 1 : 3, bottleneck ? 1 : 3));
		}
	add(to, "layer1.0.conv2.weight", phiz_shape_4d(64, 64, 3, 3));
	if (bottleneck)
		add(to, "layer1.0.conv3.weight", phiz_shape_4d(256, 64, 1, 1));
	if (classes)
		add(to, "fc.weight", phiz_shape_2d(classes, bottleneck ? 2048 : 512));
}

static void guesses(void **state)
{
	static const int b18[4] = {2, 2, 2, 2}, b34[4] = {3, 4, 6, 3}, b101[4] = {3, 4, 23, 3};
	struct phiz_tensors r;
	struct phiz_net_guess g;

	(void)state;
	make_resnet(&r, false, b18, 1000);
	assert_ok(ctx, phiz_import_guess_net(ctx, &r, "x", &g));
	assert_string_equal(g.net, "resnet18");
	assert_int_equal(g.classes, 1000);
	phiz_tensors_free(ctx, &r);
	make_resnet(&r, false, b34, 0);
	assert_ok(ctx, phiz_import_guess_net(ctx, &r, "x", &g));
	assert_string_equal(g.net, "resnet34");
	assert_int_equal(g.classes, 0);
	phiz_tensors_free(ctx, &r);
	make_resnet(&r, true, b34, 7);
	assert_ok(ctx, phiz_import_guess_net(ctx, &r, "x", &g));
	assert_string_equal(g.net, "resnet50");
	assert_int_equal(g.classes, 7);
	phiz_tensors_free(ctx, &r);
	make_resnet(&r, true, b101, 7);
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_import_guess_net(ctx, &r, "x", &g));
	assert_message(ctx, "3, 4, 23 and 3 bottleneck blocks");
	phiz_tensors_free(ctx, &r);
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, phiz_import_guess_net(ctx, &t, "x", &g));
	assert_message(ctx, "not a resnet18, resnet34 or resnet50");
}

/* The real one: all of it fits, and the head is the file's. */
static void real_resnet18(void **state)
{
	struct phiz_import_options options = {false, false};
	struct phiz_import_report r;
	struct phiz_tensors real;
	struct phiz_net_guess g;
	struct phiz_model *m;
	char name[1024];

	(void)state;
	if (!test_data("weights/resnet18_imagenet.pth", name))
		skip();
	assert_ok(ctx, phiz_tensors_read(ctx, name, &real));
	assert_ok(ctx, phiz_import_guess_net(ctx, &real, name, &g));
	assert_string_equal(g.net, "resnet18");
	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin(g.net), g.net, g.classes, 224, 1, &m));
	assert_ok(ctx, phiz_import_weights(ctx, m, &real, name, &options, &r));
	assert_int_equal(r.loaded, 102);
	assert_int_equal(r.ignored, 20);
	phiz_import_report_free(&r);
	phiz_model_free(&m);
	phiz_tensors_free(ctx, &real);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_fits, begin, done),
		cmocka_unit_test_setup_teardown(from_halves, begin, done),
		cmocka_unit_test_setup_teardown(misfits, begin, done),
		cmocka_unit_test_setup_teardown(nan_is_named, begin, done),
		cmocka_unit_test_setup_teardown(other_head, begin, done),
		cmocka_unit_test_setup_teardown(stem_fits_small_pictures, begin, done),
		cmocka_unit_test_setup_teardown(many_findings, begin, done),
		cmocka_unit_test_setup_teardown(export_of_folded, begin, done),
		cmocka_unit_test_setup_teardown(guesses, begin, done),
		cmocka_unit_test_setup_teardown(real_resnet18, begin, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
