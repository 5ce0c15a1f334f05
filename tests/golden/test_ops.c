/* Operators against PyTorch: the cases of ops.safetensors and quantized.safetensors (made by make_ops.py) through the
 * reference kernels in double and in float and through the CPU's. */
#include "support/op_case.h"

#include <stdio.h>

#include <phiz/plan.h>

#include "core/io/tensors.h"
#include "core/ops/rule.h"
#include "support/tolerance.h"

static struct phiz_tensor *find(const struct phiz_tensors *file, const char *name, const char *part, int i)
{
	char key[128];

	snprintf(key, sizeof(key), i < 0 ? "%s.%s" : "%s.%s%d", name, part, i);
	return phiz_tensors_find(file, key);
}

/* "conv2d training=1 stride_h=2" and the shapes of the file's inputs as a case. */
static void parse(struct op_case *c, const struct phiz_tensors *file, const char *name, const char *text)
{
	op_case_parse(c, text);
	for (int i = 0; i < c->node.op->max_inputs; i++) {
		const struct phiz_tensor *t = find(file, name, "in", i);

		if (t)
			op_case_input(c, i, t->dtype, t->shape);
	}
	snprintf(c->text, sizeof(c->text), "%s (%s)", name, text);
}

/* The file's values in the dtype of the call. */
static void load(const struct phiz_tensor *from, const struct phiz_tensor *to)
{
	assert_non_null(from);
	assert_true(phiz_shape_equal(&from->shape, &to->shape));
	for (int64_t i = 0; i < phiz_tensor_count(to); i++)
		op_set(to, i, op_get(from, i));
}

struct golden {
	const struct phiz_tensors *file;
	const char *name;
	const struct op_case *c;
	struct tolerance_use *use;
	enum precision precision;
};

static void compare(const struct golden *g, const char *part, int i, const struct phiz_tensor *got)
{
	const struct phiz_tensor *want = find(g->file, g->name, part, i);
	char what[500];

	assert_non_null(want);
	snprintf(what, sizeof(what), "%s: %s %d", g->c->text, part, i);
	tolerance_check(g->use, g->c->node.op, g->precision, what, got, want);
}

static void run(struct phiz_ctx *ctx, const struct golden *g, const struct phiz_backend *backend, enum phiz_dtype real)
{
	const struct phiz_op *op = g->c->node.op;
	const struct phiz_tensor *dout = find(g->file, g->name, "dout", -1);
	const struct phiz_kernel *kernel;
	struct op_run r;

	op_run_start(&r, ctx, g->c, real);
	for (int i = 0; i < r.call.n_in; i++)
		if (r.call.in[i].data)
			load(find(g->file, g->name, "in", i), &r.call.in[i]);
	kernel = backend->find(ctx, &r.call, r.call.in[0].dtype, false);
	assert_non_null(kernel);
	op_run_workspace(&r, kernel, false);
	op_run_forward(&r, kernel);
	compare(g, "out", -1, &r.call.out[0]);
	for (int i = 0; i < r.call.n_in; i++)
		if (op->state_mask >> i & 1u)
			compare(g, "after", i, &r.call.in[i]);
	if (dout) {
		load(dout, &r.call.dout[0]);
		kernel = backend->find(ctx, &r.call, real, true);
		assert_non_null(kernel);
		op_run_workspace(&r, kernel, true);
		op_run_backward(&r, kernel);
		for (int i = 0; i < r.call.n_in; i++)
			if (r.call.din[i].data)
				compare(g, "din", i, &r.call.din[i]);
	}
	op_run_guards(&r, g->c->text);
	op_run_done(&r);
}

static void check_op(struct phiz_ctx *ctx, const struct phiz_tensors files[2], const struct phiz_op *op)
{
	const struct phiz_tensors *file = &files[phiz_op_reference(op, PHIZ_F64) ? 0 : 1];
	struct tolerance_use use[PRECISIONS] = {{0}};
	int cases = 0;

	for (size_t m = 0; m < file->n_meta; m++) {
		struct op_case c;
		struct golden g = {file, file->meta[m].key, &c, NULL, PRECISION_F64};

		parse(&c, file, g.name, file->meta[m].text);
		if (c.node.op != op)
			continue;
		g.use = &use[g.precision];
		cases++;
		if (!phiz_op_reference(op, PHIZ_F64)) { /* quantised values: one answer */
			g.precision = PRECISION_U8;
			g.use = &use[g.precision];
			run(ctx, &g, phiz_backend_reference(), PHIZ_F32);
			run(ctx, &g, phiz_backend_cpu(), PHIZ_F32);
			continue;
		}
		run(ctx, &g, phiz_backend_reference(), PHIZ_F64);
		g.precision = PRECISION_REFERENCE;
		g.use = &use[g.precision];
		run(ctx, &g, phiz_backend_reference(), PHIZ_F32);
		g.precision = PRECISION_F32;
		g.use = &use[g.precision];
		run(ctx, &g, phiz_backend_cpu(), PHIZ_F32);
	}
	if (!cases)
		fail_msg("no case of %s: add one to make_ops.py", op->name);
	if (!phiz_op_reference(op, PHIZ_F64)) {
		tolerance_print(&use[PRECISION_U8], op, PRECISION_U8);
		return;
	}
	tolerance_print(&use[PRECISION_F64], op, PRECISION_F64);
	tolerance_print(&use[PRECISION_REFERENCE], op, PRECISION_REFERENCE);
	tolerance_print(&use[PRECISION_F32], op, PRECISION_F32);
}

static void pytorch(void **state)
{
	struct phiz_ctx *ctx = test_ctx(2);
	struct phiz_tensors file[2];
	char path[1024];

	(void)state;
	assert_ok(ctx, phiz_safetensors_read(ctx, test_golden("ops.safetensors", path), &file[0]));
	assert_ok(ctx, phiz_safetensors_read(ctx, test_golden("quantized.safetensors", path), &file[1]));
	for (int i = 0; i < phiz_op_count(); i++)
		check_op(ctx, file, phiz_op_at(i));
	phiz_tensors_free(ctx, &file[0]);
	phiz_tensors_free(ctx, &file[1]);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(pytorch)};

	return cmocka_run_group_tests_name("golden ops", tests, NULL, NULL);
}
