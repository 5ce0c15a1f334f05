/* What a hostile ONNX file may cost: nodes, outputs, tensors and the copies that nodes make of them have limits, and as
 * many names as there may be take little time. */
#include "support/support.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/file.h"
#include "core/io/onnx.h"
#include "core/io/protobuf.h"

static struct phiz_ctx *ctx;
static struct phiz_bytes graph, message, inner, deep;

static int begin(void **state)
{
	(void)state;
	ctx = test_ctx(1);
	phiz_bytes_init(&graph, ctx);
	phiz_bytes_init(&message, ctx);
	phiz_bytes_init(&inner, ctx);
	phiz_bytes_init(&deep, ctx);
	return 0;
}

static int done(void **state)
{
	(void)state;
	phiz_bytes_free(&graph);
	phiz_bytes_free(&message);
	phiz_bytes_free(&inner);
	phiz_bytes_free(&deep);
	test_ctx_done(&ctx);
	return 0;
}

/* ---- onnx.proto, as far as it is needed here ---- */

static void info(int field, const char *name, int64_t channels, int64_t side)
{
	const int64_t dims[] = {1, channels, side, side};

	for (int i = 0; i < 4; i++) {
		phiz_pb_int(&deep, 1, dims[i]);
		phiz_pb_message(&inner, 1, &deep);
	}
	phiz_pb_int(&deep, 1, 1);
	phiz_pb_message(&deep, 2, &inner);
	phiz_pb_message(&inner, 1, &deep);
	phiz_pb_text(&message, 1, name);
	phiz_pb_message(&message, 2, &inner);
	phiz_pb_message(&graph, field, &message);
}

static void node(const char *op, const char *a, const char *b, const char *out)
{
	phiz_pb_text(&message, 1, a);
	if (b)
		phiz_pb_text(&message, 1, b);
	phiz_pb_text(&message, 2, out);
	phiz_pb_text(&message, 4, op);
	phiz_pb_message(&graph, 1, &message);
}

/* beside: its numbers lie in the file "numbers" beside the model. */
static void tensor(const char *name, int64_t rows, int64_t columns, bool beside)
{
	phiz_pb_int(&message, 1, rows);
	phiz_pb_int(&message, 1, columns);
	phiz_pb_int(&message, 2, 1);
	phiz_pb_text(&message, 8, name);
	if (beside) {
		phiz_pb_text(&inner, 1, "location");
		phiz_pb_text(&inner, 2, "numbers");
		phiz_pb_message(&message, 13, &inner);
		phiz_pb_int(&message, 14, 1);
	} else {
		phiz_pb_begin(&message, 9, (uint64_t)(rows * columns) * 4);
		for (int64_t i = 0; i < rows * columns; i++)
			phiz_bytes_u32le(&message, 0x3f800000u);
	}
	phiz_pb_message(&graph, 5, &message);
}

/* Reads the graph that was made, from memory or through a file in the folder. */
static enum phiz_status read_model(const char *folder, struct phiz_model **out)
{
	struct phiz_bytes file;
	char path[512];
	enum phiz_status status;

	phiz_bytes_init(&file, ctx);
	phiz_pb_message(&file, 7, &graph);
	phiz_pb_int(&message, 2, 13);
	phiz_pb_message(&file, 8, &message);
	assert_ok(ctx, phiz_bytes_status(&file));
	snprintf(path, sizeof path, "%s/m.onnx", folder ? folder : "");
	if (folder)
		assert_ok(ctx, phiz_file_write(ctx, path, file.data, file.size));
	status = folder ? phiz_onnx_read(ctx, path, 0, out) : phiz_onnx_parse(ctx, file.data, file.size, "m.onnx", 0, out);
	phiz_bytes_free(&file);
	return status;
}

static void refused(const char *folder, const char *why)
{
	struct phiz_memory_stats stats;
	struct phiz_model *m;

	assert_int_equal(read_model(folder, &m), PHIZ_E_LIMIT);
	assert_message(ctx, why);
	phiz_ctx_memory(ctx, &stats);
	assert_in_range(stats.peak_bytes, 0, (size_t)256 << 20);
}

/* ---- Tests ---- */

static void nodes(void **state)
{
	char a[32], b[32];

	(void)state;
	info(11, "x", 3, 8);
	for (int i = 0; i < 5000; i++) {
		snprintf(a, sizeof a, i ? "n%d" : "x", i);
		snprintf(b, sizeof b, "n%d", i + 1);
		node("Relu", a, NULL, b);
	}
	info(12, "n5000", 3, 8);
	refused(NULL, "more than 4096 nodes");
	info(11, "x", 3, 8); /* those that disappear count too */
	for (int i = 0; i < 17000; i++) {
		snprintf(b, sizeof b, "n%d", i + 1);
		node("Shape", "x", NULL, b);
	}
	refused(NULL, "more than 16384 nodes");
}

static void outputs(void **state)
{
	(void)state;
	info(11, "x", 3, 8);
	node("Relu", "x", NULL, "y");
	for (int i = 0; i < 100; i++)
		info(12, "y", 3, 8);
	refused(NULL, "");
	info(11, "x", 3, 8);
	for (int i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof name, "y%d", i);
		node("Relu", "x", NULL, name);
		info(12, name, 3, 8);
	}
	refused(NULL, "more than 64 outputs");
}

/* A megabyte that a thousand nodes copy would be a gigabyte. */
static void copies(void **state)
{
	static const char *const ops[] = {"Identity", "Transpose"};
	char name[32];

	(void)state;
	for (int k = 0; k < 2; k++) {
		info(11, "x", 3, 8);
		tensor("w", 512, 512, false);
		for (int i = 0; i < 1000; i++) {
			snprintf(name, sizeof name, "w%d", i);
			node(ops[k], "w", NULL, name);
		}
		refused(NULL, "copies that its nodes make of them");
	}
	info(11, "x", 512, 1); /* and a weight that is turned for each layer that uses it */
	tensor("w", 512, 512, false);
	node("Flatten", "x", NULL, "n0");
	for (int i = 0; i < 1000; i++) {
		char before[32];

		snprintf(before, sizeof before, "n%d", i);
		snprintf(name, sizeof name, "n%d", i + 1);
		node("MatMul", before, "w", name);
	}
	refused(NULL, "copies that its nodes make of them");
}

/* Many tensors may name the same bytes of one file, and that file may be a hole. */
static void beside(void **state)
{
	char folder[256], path[512];
	struct phiz_model *m;
	FILE *f;

	(void)state;
	test_folder(folder);
	snprintf(path, sizeof path, "%s/numbers", folder);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), (off_t)3 << 30), 0);
	assert_int_equal(fclose(f), 0);
	info(11, "x", 3, 8);
	tensor("small", 16, 16, true);
	node("Relu", "x", NULL, "y");
	info(12, "y", 3, 8);
	assert_ok(ctx, read_model(folder, &m));
	phiz_model_free(&m);
	info(11, "x", 3, 8);
	tensor("small", 16, 16, true);
	tensor("large", 32768, 16384, true); /* with the small one more than 2 GiB */
	refused(folder, "tensor 'large': too much data in files beside the model");
	test_folder_done(folder);
}

/* Names with a long beginning in common, each tensor used in two shapes: every one of them must be renamed. */
static void names(void **state)
{
	char begin_[700], a[800], b[800];
	struct phiz_model *m;
	struct timespec from, to;

	(void)state;
	memset(begin_, 'a', sizeof begin_);
	begin_[sizeof begin_ - 1] = 0;
	info(11, "x", 3, 8);
	tensor("w", 1, 1, false);
	for (int i = 0; i < 4000; i++) {
		snprintf(a, sizeof a, i ? "%s%d" : "x", begin_, i);
		snprintf(b, sizeof b, "%s%d", begin_, i + 1);
		node("Sub", i % 2 ? "w" : a, i % 2 ? a : "w", b);
	}
	info(12, b, 3, 8);
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_ok(ctx, read_model(NULL, &m));
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("           4000 nodes, %zu tensors: %.2f s\n", m->n_entries,
	       (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9);
	phiz_model_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nodes, begin, done),
		cmocka_unit_test_setup_teardown(outputs, begin, done),
		cmocka_unit_test_setup_teardown(copies, begin, done),
		cmocka_unit_test_setup_teardown(beside, begin, done),
		cmocka_unit_test_setup_teardown(names, begin, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
