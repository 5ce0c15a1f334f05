/* Tuned choices, with every allocation failing once. */
#include "support/support.h"

#include <phiz/op.h>

#include "core/graph/tuning.h"

static enum phiz_status parse(struct phiz_ctx *ctx, void *user)
{
	static const char text[] = "phiz tuning 1\nmachine: m\na = k\nb = k\n";
	struct phiz_tuning *t;
	enum phiz_status status = phiz_tuning_parse(ctx, text, sizeof text - 1, "x", &t);

	(void)user;
	if (!status)
		status = phiz_tuning_set(t, "a", "l");
	phiz_tuning_free(&t);
	return status;
}

/* A first look, and another beside what is there, which must stand where that fails. */
static enum phiz_status measure(struct phiz_ctx *ctx, void *user)
{
	struct phiz_plan_options o = {.backend = phiz_backend_cpu(), .loss = PHIZ_NONE};
	struct phiz_tuning *t = NULL;
	struct phiz_tune_result result;
	enum phiz_status status = phiz_tuning_measure(ctx, user, &o, 0, &t, &result);

	if (!status) {
		const struct phiz_tuning *before = t;
		status = phiz_tuning_measure(ctx, user, &o, 0, &t, &result);
		assert_true(t && (!status || t == before));
	}
	phiz_tuning_free(&t);
	return status;
}

static void all(void **state)
{
	struct phiz_shape shape = phiz_shape_4d(1, 2, 3, 5);
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_graph *g;
	int value;

	(void)state;
	assert_ok(ctx, phiz_graph_create(ctx, &g));
	assert_ok(ctx, phiz_graph_input(g, "image", PHIZ_F32, &shape, &value));
	assert_ok(ctx, phiz_graph_add(g, phiz_op_find("relu"), "relu", &value, 1, NULL, 0, &value));
	assert_ok(ctx, phiz_graph_output(g, value));
	test_every_oom(ctx, parse, NULL);
	test_every_oom(ctx, measure, g);
	phiz_graph_free(&g);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all)};
	return cmocka_run_group_tests_name("oom.tune", tests, NULL, NULL);
}
