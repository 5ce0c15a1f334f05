/* The model file: what is written is read again, whatever is damaged is found. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/model.h>
#include <phiz/plan.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/file.h"
#include "core/io/model_file.h"
#include "core/io/tensors.h"

static struct phiz_ctx *ctx;
static char folder[256], path[512];

static int begin(void **state)
{
	(void)state;
	ctx = test_ctx(2);
	test_folder(folder);
	snprintf(path, sizeof(path), "%s/model.phiz", folder);
	return 0;
}

static int done(void **state)
{
	(void)state;
	test_folder_done(folder);
	test_ctx_done(&ctx);
	return 0;
}

/* tiny with all there is in a model file; running statistics are not what they begin as. */
static struct phiz_model *make_model(void)
{
	static const char *const labels[] = {"ann", "b\xc3\xb6rge \"bo\"", "c\nd"};
	struct phiz_model *m;
	size_t i, k;

	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin("tiny"), "tiny", 3, 32, 7, &m));
	assert_ok(ctx, phiz_model_set_labels(m, labels, 3));
	assert_ok(ctx, phiz_model_set_meta(m, "licence", "MIT"));
	assert_ok(ctx, phiz_model_set_meta(m, "z first", "order is kept \xe2\x82\xac"));
	m->threshold.set = true;
	m->threshold.score = PHIZ_SCORE_COSINE;
	m->threshold.value = 0.1 + 0.2;
	m->threshold.far = 0.01;
	m->threshold.measured_far = 1.0 / 3;
	m->threshold.tar = 0.9;
	m->threshold.strangers = 200;
	m->preproc.crop = 0.6;
	m->preproc.mode = PHIZ_RESIZE_STRETCH;
	m->preproc.size = 32;
	for (i = 0; i < m->n_entries; i++) {
		float *f = m->entry[i].tensor->data;

		if (!m->entry[i].trainable)
			for (k = 0; k < (size_t)phiz_tensor_count(m->entry[i].tensor); k++)
				f[k] = 0.5f + (float)k / 64;
	}
	return m;
}

static void check_graph(struct phiz_graph *a, struct phiz_graph *b)
{
	int n, i;

	assert_int_equal(phiz_graph_n_nodes(a), phiz_graph_n_nodes(b));
	assert_int_equal(phiz_graph_n_values(a), phiz_graph_n_values(b));
	assert_int_equal(phiz_graph_n_outputs(a), phiz_graph_n_outputs(b));
	for (n = 0; n < phiz_graph_n_nodes(a); n++) {
		const struct phiz_node *x = phiz_graph_node(a, n), *y = phiz_graph_node(b, n);

		assert_string_equal(x->name, y->name);
		assert_ptr_equal(x->op, y->op);
		assert_int_equal(x->n_inputs, y->n_inputs);
		for (i = 0; i < x->n_inputs; i++) {
			assert_int_equal(x->input[i] == PHIZ_NONE, y->input[i] == PHIZ_NONE);
			if (x->input[i] != PHIZ_NONE)
				assert_string_equal(phiz_graph_value(a, x->input[i])->name, phiz_graph_value(b, y->input[i])->name);
		}
		for (i = 0; i < x->op->n_attrs; i++)
			assert_int_equal(x->attr[i].i, y->attr[i].i);
	}
}

static void check_model(struct phiz_model *a, struct phiz_model *b, bool same_bits)
{
	char x[65], y[65];
	size_t i;

	check_graph(a->graph, b->graph);
	assert_int_equal(a->n_entries, b->n_entries);
	for (i = 0; i < a->n_entries; i++) {
		assert_string_equal(a->entry[i].name, b->entry[i].name);
		assert_int_equal(a->entry[i].trainable, b->entry[i].trainable);
		assert_int_equal(b->entry[i].tensor->dtype, PHIZ_F32);
	}
	phiz_model_hash(a, x);
	phiz_model_hash(b, y);
	if (same_bits)
		assert_string_equal(x, y);
	assert_int_equal(a->n_labels, b->n_labels);
	for (i = 0; i < a->n_labels; i++)
		assert_string_equal(a->label[i], b->label[i]);
	assert_int_equal(a->n_meta, b->n_meta);
	for (i = 0; i < a->n_meta; i++) {
		assert_string_equal(a->meta[i].key, b->meta[i].key);
		assert_string_equal(a->meta[i].text, b->meta[i].text);
	}
	assert_int_equal(a->threshold.set, b->threshold.set);
	assert_true(a->threshold.value == b->threshold.value && a->threshold.far == b->threshold.far);
	assert_true(a->threshold.measured_far == b->threshold.measured_far && a->threshold.tar == b->threshold.tar);
	assert_int_equal(a->threshold.strangers, b->threshold.strangers);
	assert_int_equal(a->threshold.score, b->threshold.score);
	assert_true(a->preproc.crop == b->preproc.crop && a->preproc.mode == b->preproc.mode);
	assert_true(a->preproc.size == b->preproc.size && a->preproc.resize == b->preproc.resize);
	assert_memory_equal(a->preproc.mean, b->preproc.mean, sizeof(a->preproc.mean));
	assert_memory_equal(a->preproc.std, b->preproc.std, sizeof(a->preproc.std));
}

static void round_trip(void **state)
{
	struct phiz_model *m = make_model(), *again;

	(void)state;
	assert_ok(ctx, phiz_model_write(m, path));
	assert_ok(ctx, phiz_model_read(ctx, path, &again));
	check_model(m, again, true);
	assert_ok(ctx, phiz_model_verify(ctx, path));
	phiz_model_free(&again);
	m->threshold.set = false;
	memset(&m->threshold, 0, sizeof(m->threshold));
	assert_ok(ctx, phiz_model_set_labels(m, NULL, 0));
	assert_ok(ctx, phiz_model_write(m, path));
	assert_ok(ctx, phiz_model_read(ctx, path, &again));
	check_model(m, again, true);
	phiz_model_free(&again);
	/* What inference runs: folded and fused, with absent inputs before present ones. */
	assert_ok(ctx, phiz_model_optimize(m));
	assert_ok(ctx, phiz_model_write(m, path));
	assert_ok(ctx, phiz_model_read(ctx, path, &again));
	check_model(m, again, true);
	phiz_model_free(&again);
	phiz_model_free(&m);
}

static void half_precision(void **state)
{
	static const char *const names[] = {"fp16", "bf16"};
	static const double relative[] = {1.0 / 2048, 1.0 / 256};
	struct phiz_model *m = make_model(), *again;
	size_t p, i, k;

	(void)state;
	for (p = 0; p < 2; p++) {
		struct phiz_tensors t;
		bool halves = false;

		assert_ok(ctx, phiz_model_set_meta(m, "precision", names[p]));
		assert_ok(ctx, phiz_model_write(m, path));
		assert_ok(ctx, phiz_model_read(ctx, path, &again));
		check_model(m, again, false);
		for (i = 0; i < m->n_entries; i++) {
			const float *a = m->entry[i].tensor->data, *b = again->entry[i].tensor->data;
			size_t n = (size_t)phiz_tensor_count(m->entry[i].tensor);

			if (m->entry[i].tensor->shape.ndim < 2)
				assert_memory_equal(a, b, n * sizeof(*a));
			for (k = 0; k < n; k++)
				assert_true(fabsf(a[k] - b[k]) <= relative[p] * fabsf(a[k]) + 1e-7);
		}
		assert_ok(ctx, phiz_model_write(again, path)); /* once rounded, rounding changes nothing */
		assert_ok(ctx, phiz_safetensors_read(ctx, path, &t));
		for (i = 0; i < t.count; i++)
			halves = halves || t.entry[i].tensor->dtype == (p ? PHIZ_BF16 : PHIZ_F16);
		assert_true(halves);
		phiz_tensors_free(ctx, &t);
		phiz_model_free(&again);
	}
	assert_ok(ctx, phiz_model_set_meta(m, "precision", "fp8"));
	assert_fails(ctx, PHIZ_E_ARG, phiz_model_write(m, path));
	assert_ok(ctx, phiz_model_set_meta(m, "precision", "fp16"));
	((float *)phiz_model_find(m, "fc.weight")->tensor->data)[3] = 70000;
	assert_fails(ctx, PHIZ_E_NUMERIC, phiz_model_write(m, path));
	assert_message(ctx, "'fc.weight'");
	phiz_model_free(&m);
}

static void extra_tensors(void **state)
{
	struct phiz_model *m = make_model(), *again;
	struct phiz_extra extra = {0}, back;
	struct phiz_shape shape = phiz_shape_1d(3), scalar = {0};
	struct phiz_tensor *t;

	(void)state;
	assert_ok(ctx, phiz_model_set_meta(m, "precision", "fp16")); /* extra tensors stay as they are */
	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F64, &shape, &t));
	((double *)t->data)[1] = 1.0 / 3;
	assert_ok(ctx, phiz_extra_add(ctx, &extra, "optimizer/fc.bias/m", t));
	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_I64, &scalar, &t));
	((int64_t *)t->data)[0] = (int64_t)1 << 60;
	assert_ok(ctx, phiz_extra_add(ctx, &extra, "step", t));
	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_U8, &shape, &t));
	assert_ok(ctx, phiz_extra_add(ctx, &extra, "bytes", t));
	assert_ok(ctx, phiz_model_write_with(m, &extra, path));
	assert_ok(ctx, phiz_model_read_with(ctx, path, &again, &back));
	assert_int_equal(back.count, 3);
	assert_int_equal(again->n_entries, m->n_entries);
	t = phiz_extra_find(&back, "optimizer/fc.bias/m");
	assert_true(t && t->dtype == PHIZ_F64 && ((double *)t->data)[1] == 1.0 / 3);
	t = phiz_extra_find(&back, "step");
	assert_true(t && t->dtype == PHIZ_I64 && ((int64_t *)t->data)[0] == (int64_t)1 << 60);
	assert_null(phiz_extra_find(&back, "nothing"));
	phiz_extra_free(ctx, &back);
	phiz_model_free(&again);
	assert_ok(ctx, phiz_model_read(ctx, path, &again));
	phiz_model_free(&again);
	assert_ok(ctx, phiz_model_verify(ctx, path));
	assert_ok(ctx, phiz_tensor_create(ctx, PHIZ_F32, &shape, &t));
	assert_ok(ctx, phiz_extra_add(ctx, &extra, "fc.bias", t));
	assert_fails(ctx, PHIZ_E_ARG, phiz_model_write_with(m, &extra, path));
	assert_message(ctx, "two tensors are named 'fc.bias'");
	phiz_extra_free(ctx, &extra);
	phiz_model_free(&m);
}

/* Any single flipped bit anywhere, and any cut, must be found. */
static void damage(void **state)
{
	struct phiz_model *m = make_model(), *again;
	struct phiz_bytes file;
	size_t i, step;

	(void)state;
	assert_ok(ctx, phiz_model_write(m, path));
	phiz_bytes_init(&file, ctx);
	assert_ok(ctx, phiz_file_read(ctx, path, (size_t)1 << 24, &file));
	step = file.size / 700;
	for (i = 0; i < file.size; i += i < 300 ? 1 : step) {
		char *at = &file.data[i];
		enum phiz_status status;

		*at = (char)(*at ^ (1 << (i % 8)));
		status = phiz_model_parse(ctx, file.data, file.size, "x.phiz", PHIZ_MODEL_CHECK_FAST, &again, NULL);
		if (status == PHIZ_OK)
			fail_msg("byte %zu was changed, and nobody noticed", i);
		assert_null(again);
		assert_non_null(strstr(phiz_ctx_message(ctx), "x.phiz"));
		*at = (char)(*at ^ (1 << (i % 8)));
		status = phiz_model_parse(ctx, file.data, i, "x.phiz", PHIZ_MODEL_CHECK_NONE, &again, NULL);
		assert_int_not_equal(status, PHIZ_OK);
	}
	assert_ok(ctx, phiz_model_parse(ctx, file.data, file.size, "x.phiz", PHIZ_MODEL_CHECK_ALL, &again, NULL));
	phiz_model_free(&again);
	phiz_bytes_free(&file);
	phiz_model_free(&m);
}

static void not_models(void **state)
{
	struct phiz_model *m = NULL;
	char name[1024];

	(void)state;
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_model_read(ctx, path, &m));
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_model_read(ctx, test_golden("tensors.safetensors", name), &m));
	assert_message(ctx, "not a phiz model; 'phiz import'");
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_model_read(ctx, test_golden("tensors_zip.pth", name), &m));
	assert_message(ctx, "'phiz import'");
	assert_fails(ctx, PHIZ_E_FORMAT, phiz_model_read(ctx, test_golden("make_tensors_io.py", name), &m));
	assert_null(m);
}

/* Writes m's file with one metadata text replaced, and reads it without sums. */
static enum phiz_status parse_with(struct phiz_model *m, const char *key, const char *text)
{
	struct phiz_model *again;
	struct phiz_tensors t;
	struct phiz_bytes file;
	enum phiz_status status;
	size_t i;

	assert_ok(ctx, phiz_model_write(m, path));
	assert_ok(ctx, phiz_safetensors_read(ctx, path, &t));
	for (i = 0; i < t.n_meta; i++) {
		if (strcmp(t.meta[i].key, key) == 0) {
			phiz_free(ctx, t.meta[i].text);
			t.meta[i].text = phiz_strdup(ctx, text);
		}
	}
	assert_ok(ctx, phiz_safetensors_write(ctx, path, &t));
	phiz_bytes_init(&file, ctx);
	assert_ok(ctx, phiz_file_read(ctx, path, (size_t)1 << 24, &file));
	assert_fails(ctx, strcmp(key, "phiz") == 0 ? PHIZ_E_UNSUPPORTED : PHIZ_E_FORMAT,
	             phiz_model_read(ctx, path, &again));
	status = phiz_model_parse(ctx, file.data, file.size, "x.phiz", PHIZ_MODEL_CHECK_NONE, &again, NULL);
	phiz_model_free(&again);
	phiz_bytes_free(&file);
	phiz_tensors_free(ctx, &t);
	return status;
}

static void hostile_metadata(void **state)
{
	static const struct {
		const char *key, *text, *message;
	} bad[] = {
		{"labels", "[\"a\"]", "number of labels"},
		{"labels", "{}", "labels"},
		{"labels", "[1,2,3]", "labels"},
		{"preprocessing",
		 "{\"crop\":2,\"mode\":\"short\",\"resize\":256,\"size\":224,\"mean\":[0,0,0],\"std\":[1,1,1]}", "crop"},
		{"preprocessing",
		 "{\"crop\":1,\"mode\":\"short\",\"resize\":256,\"size\":224,\"mean\":[0,0,0],\"std\":[1,0,1]}", "std"},
		{"preprocessing",
		 "{\"crop\":1,\"mode\":\"short\",\"resize\":256,\"size\":1e5,\"mean\":[0,0,0],\"std\":[1,1,1]}", "size"},
		{"preprocessing", "[]", "mode"},
		{"threshold", "{\"value\":\"0.5\"}", "'value' is no number"},
		{"threshold", "{\"value\":0.5,\"score\":\"softmax\"}", "'score' is neither confidence nor cosine"},
		{"meta", "{\"a\":1}", "meta"},
		{"graph", "{", "not valid JSON"},
		{"graph", "{\"tensors\":[]}", "graph"},
		{"graph", "{\"tensors\":[{\"name\":\"nobody\",\"kind\":\"buffer\"}]}", "tensor 'nobody' is missing"},
		{"graph",
		 "{\"tensors\":[{\"name\":\"fc.bias\",\"kind\":\"buffer\"},{\"name\":\"fc.bias\",\"kind\":\"buffer\"}]}",
		 "'fc.bias' is listed twice"},
		{"graph",
		 "{\"tensors\":[],\"inputs\":[],\"nodes\":[{\"name\":\"r\",\"op\":\"relu\",\"inputs\":[\"x\"],"
		 "\"attributes\":{},\"outputs\":[\"r\"]}],\"outputs\":[]}", "'r' reads 'x', which nothing before it makes"},
		{"graph",
		 "{\"tensors\":[],\"inputs\":[],\"nodes\":[{\"name\":\"r\",\"op\":\"relu\",\"inputs\":[\"r\"],"
		 "\"attributes\":{},\"outputs\":[\"r\"]}],\"outputs\":[]}", "'r' reads 'r'"},
		{"graph",
		 "{\"tensors\":[],\"inputs\":[{\"name\":\"image\",\"dtype\":\"f32\",\"shape\":[1,3,8,9]}],\"nodes\":[],"
		 "\"outputs\":[\"image\"]}", "[1, 3, S, S]"},
		{"graph",
		 "{\"tensors\":[],\"inputs\":[{\"name\":\"image\",\"dtype\":\"f32\",\"shape\":[1,3,0,0]}],\"nodes\":[],"
		 "\"outputs\":[\"image\"]}", "from 1 to 16384"},
		{"graph", "{\"tensors\":[],\"inputs\":[],\"nodes\":[],\"outputs\":[]}", "one input 'image'"},
	};
	struct phiz_model *m = make_model();
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_fails(ctx, PHIZ_E_FORMAT, parse_with(m, bad[i].key, bad[i].text));
		assert_message(ctx, "x.phiz: ");
		assert_message(ctx, bad[i].message);
	}
	assert_fails(ctx, PHIZ_E_UNSUPPORTED, parse_with(m, "phiz", "2"));
	assert_message(ctx, "get a newer phiz");
	assert_fails(ctx, PHIZ_E_UNSUPPORTED,
	             parse_with(m, "graph",
	                        "{\"tensors\":[],\"inputs\":[],\"nodes\":[{\"name\":\"r\",\"op\":\"warp\",\"inputs\":[],"
	                        "\"attributes\":{},\"outputs\":[\"r\"]}],\"outputs\":[]}"));
	assert_message(ctx, "'r' is a warp");
	phiz_model_free(&m);
}

/* Files that a script made from the format's description (tests/fuzz/make_corpus.py). */
static void made_by_others(void **state)
{
	static const char *const names[] = {"trained", "checkpoint", "optimized_fp16", "operators"};
	char name[128], file[1024];
	struct phiz_model *m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "tests/fuzz/corpus/model/%s.phiz", names[i]);
		assert_ok(ctx, phiz_model_verify(ctx, test_source(name, file)));
		assert_ok(ctx, phiz_model_read(ctx, file, &m));
		assert_true(phiz_graph_n_nodes(m->graph) > 3);
		phiz_model_free(&m);
	}
}

/* A comma for a point must not get into files, nor be asked for by readers. */
static void numbers_as_text(void **state)
{
	static const struct phiz_preproc preproc = {{PHIZ_ALIGN_NONE, 0, 0}, 0.6, PHIZ_RESIZE_SHORT, 256, 224,
	                                            {0.485f, 0.456f, 0.406f}, {1, 1e-3f, 2}};
	struct phiz_bytes b;

	(void)state;
	phiz_bytes_init(&b, ctx);
	phiz_preproc_to_json(&preproc, &b);
	assert_string_equal(b.data,
	                    "{\"crop\":0.6,\"mode\":\"short\",\"resize\":256,\"size\":224,\"mean\":[0.485,0.456,0.406],"
	                    "\"std\":[1,0.001,2]}");
	phiz_bytes_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, begin, done),
		cmocka_unit_test_setup_teardown(half_precision, begin, done),
		cmocka_unit_test_setup_teardown(extra_tensors, begin, done),
		cmocka_unit_test_setup_teardown(damage, begin, done),
		cmocka_unit_test_setup_teardown(not_models, begin, done),
		cmocka_unit_test_setup_teardown(hostile_metadata, begin, done),
		cmocka_unit_test_setup_teardown(made_by_others, begin, done),
		cmocka_unit_test_setup_teardown(numbers_as_text, begin, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
