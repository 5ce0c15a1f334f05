/* relu, leaky_relu, prelu, sigmoid, softmax, dropout. */
#include "grad/grad.h"

void grad_relu(void **state)
{
	(void)state;
	grad_draws(&phiz_op_relu, 8);
	grad_report(&phiz_op_relu);
}

void grad_leaky_relu(void **state)
{
	(void)state;
	grad_draws(&phiz_op_leaky_relu, 8);
	grad_report(&phiz_op_leaky_relu);
}

void grad_prelu(void **state)
{
	(void)state;
	grad_draws(&phiz_op_prelu, 12);
	grad_report(&phiz_op_prelu);
}

void grad_sigmoid(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct op_case c;
	struct op_run r;

	(void)state;
	grad_draws(&phiz_op_sigmoid, 8);
	grad_report(&phiz_op_sigmoid);

	/* Far out it is 0 and 1, never NaN. */
	op_case_init(&c, &phiz_op_sigmoid);
	op_case_input(&c, 0, PHIZ_F32, phiz_shape_1d(2));
	op_run_start(&r, ctx, &c, PHIZ_F32);
	op_set(&r.call.in[0], 0, -1e30);
	op_set(&r.call.in[0], 1, 1e30);
	op_run_forward(&r, &phiz_op_sigmoid.reference_f32);
	assert_true(op_get(&r.call.out[0], 0) == 0 && op_get(&r.call.out[0], 1) == 1);
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_softmax(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct op_case c;
	struct op_run r;

	(void)state;
	grad_draws(&phiz_op_softmax, 10);
	grad_report(&phiz_op_softmax);

	/* Large logits do not overflow. */
	op_case_init(&c, &phiz_op_softmax);
	op_case_input(&c, 0, PHIZ_F32, phiz_shape_2d(1, 2));
	op_run_start(&r, ctx, &c, PHIZ_F32);
	op_set(&r.call.in[0], 0, 3e38);
	op_set(&r.call.in[0], 1, -3e38);
	op_run_forward(&r, &phiz_op_softmax.reference_f32);
	assert_true(op_get(&r.call.out[0], 0) == 1 && op_get(&r.call.out[0], 1) == 0);
	op_run_done(&r);
	test_ctx_done(&ctx);
}

/* The part of ones that is dropped, after checking that the others are scaled. */
static double dropped(struct op_run *r)
{
	int64_t n = phiz_tensor_count(&r->call.out[0]), zeros = 0;

	for (int64_t i = 0; i < n; i++) {
		double v = op_get(&r->call.out[0], i);

		zeros += v == 0;
		assert_true(v == 0 || fabs(v - 1 / 0.75) < 1e-6);
	}
	return (double)zeros / (double)n;
}

void grad_dropout(void **state)
{
	enum { N = 40001 };
	struct phiz_ctx *ctx = test_ctx(1);
	struct op_case c;
	struct op_run r;
	int differ[3] = {0};

	(void)state;
	grad_draws(&phiz_op_dropout, 10);
	grad_report(&phiz_op_dropout);

	/* A quarter is dropped; another seed, step or node drops others; the same draws the same. */
	op_case_init(&c, &phiz_op_dropout);
	op_case_input(&c, 0, PHIZ_F32, phiz_shape_1d(N));
	op_case_attr(&c, "p", 0.25);
	c.training = true;
	op_run_start(&r, ctx, &c, PHIZ_F32);
	for (int64_t i = 0; i < N; i++)
		op_set(&r.call.in[0], i, 1);
	op_run_forward(&r, &phiz_op_dropout.reference_f32);
	assert_true(fabs(dropped(&r) - 0.25) < 0.01); /* over 4 deviations */
	for (int change = 0; change < 3; change++) {
		struct phiz_tensor first = r.call.out[0];

		r.call.seed += change == 0;
		r.call.step += change == 1;
		r.call.rng_stream += change == 2;
		r.call.out[0].data = op_run_memory(&r, N * sizeof(float));
		op_run_forward(&r, &phiz_op_dropout.reference_f32);
		for (int64_t i = 0; i < N; i++)
			differ[change] += op_get(&first, i) < op_get(&r.call.out[0], i);
		assert_true(fabs(differ[change] / (double)N - 0.25 * 0.75) < 0.01);
	}
	op_run_guards(&r, "dropout");
	op_run_done(&r);
	test_ctx_done(&ctx);
}

void grad_exp(void **state)
{
	(void)state;
	grad_draws(&phiz_op_exp, 6);
	grad_report(&phiz_op_exp);
}

void grad_clamp(void **state)
{
	(void)state;
	grad_draws(&phiz_op_clamp, 8);
	grad_report(&phiz_op_clamp);
}
