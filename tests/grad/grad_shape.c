/* add, mul, concat, flatten, reshape, cast, affine, permute, slice, pad2d, resize_nearest. */
#include "grad/grad.h"

/* One value as both inputs: both gradients go to the same memory, the second adds. */
static void check_twice(const struct phiz_op *op, const double *want)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct op_case c;
	struct op_run r;

	op_case_init(&c, op);
	op_case_input(&c, 0, PHIZ_F32, phiz_shape_1d(2));
	op_case_input(&c, 1, PHIZ_F32, phiz_shape_1d(2));
	op_run_start(&r, ctx, &c, PHIZ_F32);
	r.call.in[1].data = r.call.in[0].data;
	r.call.din[1].data = r.call.din[0].data;
	r.call.accumulate = 2;
	for (int i = 0; i < 2; i++) {
		op_set(&r.call.in[0], i, 3 + i);
		op_set(&r.call.dout[0], i, 1);
	}
	op_run_forward(&r, &op->reference_f32);
	op_run_backward(&r, &op->reference_f32);
	for (int i = 0; i < 2; i++)
		assert_true(fabs(op_get(&r.call.din[0], i) - want[i]) < 1e-12);
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_add(void **state)
{
	static const double want[] = {2, 2};

	(void)state;
	grad_draws(&phiz_op_add, 10);
	grad_report(&phiz_op_add);
	check_twice(&phiz_op_add, want);
}

void grad_mul(void **state)
{
	static const double want[] = {6, 8};

	(void)state;
	grad_draws(&phiz_op_mul, 12);
	grad_report(&phiz_op_mul);
	check_twice(&phiz_op_mul, want);
}

void grad_concat(void **state)
{
	(void)state;
	grad_draws(&phiz_op_concat, 12);
	grad_report(&phiz_op_concat);
}

void grad_flatten(void **state)
{
	(void)state;
	grad_draws(&phiz_op_flatten, 8);
	grad_report(&phiz_op_flatten);
}

void grad_reshape(void **state)
{
	(void)state;
	grad_draws(&phiz_op_reshape, 6);
	grad_report(&phiz_op_reshape);
}

/* Through each pair of float dtypes: forward rounds to the output's, backward to the input's, adding or not. */
static void check_cast(enum phiz_dtype from, enum phiz_dtype to)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct op_case c;
	struct op_run r;
	struct phiz_tensor as[2];
	uint64_t memory[2];

	op_case_init(&c, &phiz_op_cast);
	op_case_input(&c, 0, from, phiz_shape_1d(5));
	op_case_attr(&c, "dtype", to);
	op_run_start(&r, ctx, &c, PHIZ_F32);
	op_run_fill(&r, 5);
	op_fill_normal(&r.call.din[0], &(struct phiz_rng){.used = 4});
	for (int add = 0; add < 2; add++) {
		double before = op_get(&r.call.din[0], 3);

		r.call.accumulate = (unsigned)add;
		op_run_forward(&r, &phiz_op_cast.reference_f32);
		op_run_backward(&r, &phiz_op_cast.reference_f32);
		phiz_tensor_view(&as[0], to, &(struct phiz_shape){0}, &memory[0]);
		phiz_tensor_view(&as[1], from, &(struct phiz_shape){0}, &memory[1]);
		op_set(&as[0], 0, op_get(&r.call.in[0], 3));
		op_set(&as[1], 0, op_get(&r.call.dout[0], 3) + (add ? before : 0));
		assert_true(fabs(op_get(&r.call.out[0], 3) - op_get(&as[0], 0)) <= 0);
		assert_true(fabs(op_get(&r.call.din[0], 3) - op_get(&as[1], 0)) <= 0);
	}
	op_run_guards(&r, "cast");
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_cast(void **state)
{
	static const enum phiz_dtype floats[] = {PHIZ_F32, PHIZ_F64, PHIZ_F16, PHIZ_BF16};

	(void)state;
	grad_draws(&phiz_op_cast, 6);
	grad_report(&phiz_op_cast);
	for (int i = 0; i < 16; i++)
		check_cast(floats[i / 4], floats[i % 4]);
}

void grad_affine(void **state)
{
	(void)state;
	grad_draws(&phiz_op_affine, 16);
	grad_report(&phiz_op_affine);
}

void grad_permute(void **state)
{
	(void)state;
	grad_draws(&phiz_op_permute, 10);
	grad_report(&phiz_op_permute);
}

void grad_slice(void **state)
{
	(void)state;
	grad_draws(&phiz_op_slice, 12);
	grad_report(&phiz_op_slice);
}

void grad_pad2d(void **state)
{
	(void)state;
	grad_draws(&phiz_op_pad2d, 10);
	grad_report(&phiz_op_pad2d);
}

void grad_resize_nearest(void **state)
{
	(void)state;
	grad_draws(&phiz_op_resize_nearest, 8);
	grad_report(&phiz_op_resize_nearest);
}
