/* Every bad ONNX file of the corpus gets the answer that its README asks for: one message that names the file and the
 * node or tensor, no leak, no file outside the folder opened. */
#include "support/support.h"

#include <stdio.h>

#include "core/base/file.h"
#include "core/io/onnx.h"

static const struct {
	const char *file, *message;
} wanted[] = {
	{"conv_group_0.onnx", "Conv 'c': conv2d c: groups"},
	{"conv_group_2.onnx", "Conv 'c': conv2d c: want input channels in multiples of 2 groups, got 3"},
	{"conv_kernel_mismatch.onnx", "Conv 'c': kernel_shape [5, 5] beside a weight [4, 3, 3, 3]"},
	{"conv_pads_huge.onnx", "Conv 'c': conv2d c: pad_top"},
	{"conv_pads_negative.onnx", "Conv 'c': conv2d c: pad_top: want 0 to 65536, got -9"},
	{"conv_stride_0.onnx", "Conv 'c': conv2d c: stride_h: want 1 to 65536, got 0"},
	{"cut_after_graph.onnx", "no opset"},
	{"cycle.onnx", "Conv 'c': reads 'r', which nothing before it makes"},
	{"dims_huge.onnx", "tensor 'w': 0 numbers for shape [100000, 100000, 3, 3]"},
	{"dims_negative.onnx", "tensor 'w': a negative dim"},
	{"dims_overflow.onnx", "tensor 'w'"},
	{"duplicate_output.onnx", "Relu 'c': makes 'c', which is there already"},
	{"empty.onnx", "no graph"},
	{"external_data_escape.onnx", "tensor 'w': its data lies in another file that is not right beside the model"},
	{"input_channels_mismatch.onnx", "Conv 'c': conv2d c: want 3 input channels, got 4"},
	{"length_beyond_file.onnx", "truncated"},
	{"nested_2000.onnx", NULL},
	{"raw_data_short.onnx", "tensor 'w': 25 numbers for shape [4, 3, 3, 3]"},
	{"truncated_16_bytes.onnx", "truncated"},
	{"truncated_1_byte.onnx", "truncated"},
	{"truncated_25_percent.onnx", "truncated"},
	{"truncated_50_percent.onnx", "truncated"},
	{"truncated_75_percent.onnx", "truncated"},
	{"truncated_all_but_1_byte.onnx", "truncated"},
	{"truncated_in_weights.onnx", "truncated"},
	{"undefined_input.onnx", "Relu 'r': reads 'nowhere', which nothing before it makes"},
	{"unknown_op.onnx", "NoSuchOp 'r': phiz has no operator NoSuchOp"},
	{"varint_overlong.onnx", "damaged"},
};

static void check_file(struct phiz_ctx *ctx, const char *folder, const char *name)
{
	struct phiz_model *m = NULL;
	char path[1200];
	size_t i;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	enum phiz_status status = phiz_onnx_read(ctx, path, 0, &m);
	if (!strncmp(name, "ok_", 3)) {
		test_status(ctx, PHIZ_OK, status, name, __FILE__, __LINE__);
		assert_int_equal(phiz_model_classes(m), 5);
	} else {
		if (!status)
			fail_msg("%s was read", name);
		assert_null(m);
		assert_message(ctx, name);
		assert_null(strchr(phiz_ctx_message(ctx), '\n'));
		for (i = 0; i < sizeof wanted / sizeof wanted[0] && strcmp(wanted[i].file, name); i++)
			;
		if (i == sizeof wanted / sizeof wanted[0])
			fail_msg("%s is not in the list of this test", name);
		if (wanted[i].message)
			assert_message(ctx, wanted[i].message);
	}
	phiz_model_free(&m);
}

static void corpus(void **state)
{
	(void)state;
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_names names = {0};
	char folder[1024];

	if (!test_data("bad/onnx", folder))
		skip();
	assert_ok(ctx, phiz_dir_list(ctx, folder, &names));
	assert_int_equal(names.count, sizeof wanted / sizeof wanted[0] + 1);
	for (size_t i = 0; i < names.count; i++)
		check_file(ctx, folder, names.name[i]);
	phiz_names_free(ctx, &names);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corpus),
	};
	char path[1024];

	if (!test_data("bad/onnx", path))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
