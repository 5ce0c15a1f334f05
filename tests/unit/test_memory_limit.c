/* What a plan says that it takes is what it asks for, on the CPU and on a device, and a limit is held before any of it
 * is asked for: the plan's own, and the context's, which counts what is there already. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/model.h>

#include "core/base/alloc.h"
#include "core/base/parse.h"
#include "core/base/rng.h"
#include "support/fake_device.h"

/* Memory of a backend that the context does not count, but this test. */
static struct {
	size_t asked, live;
	int pieces;
} memory;

static void *take(size_t bytes)
{
	size_t *block = calloc(1, bytes + 64);

	assert_non_null(block);
	block[0] = bytes;
	memory.asked += bytes;
	memory.live += bytes;
	memory.pieces++;
	return (char *)block + 64;
}

static void give_back(void *block)
{
	size_t *base = (size_t *)(void *)((char *)block - 64);

	memory.live -= base[0];
	free(base);
}

static void *take_there(struct phiz_ctx *ctx, const struct phiz_backend *backend, size_t bytes)
{
	(void)ctx;
	(void)backend;
	return take(bytes);
}

static void give_there(struct phiz_ctx *ctx, const struct phiz_backend *backend, void *block)
{
	(void)ctx;
	(void)backend;
	give_back(block);
}

struct counted {
	struct fake_device device;
	struct phiz_device_calls calls;
	struct phiz_backend cpu;
};

static void init(struct counted *c)
{
	fake_device_init(&c->device);
	c->calls = *c->device.backend.device;
	c->calls.alloc_staging = take_there;
	c->calls.free_staging = give_there;
	c->device.backend.device = &c->calls;
	c->device.backend.alloc = take_there;
	c->device.backend.free = give_there;
	c->cpu = *phiz_backend_cpu();
	c->cpu.alloc = take_there;
	c->cpu.free = give_there;
	memset(&memory, 0, sizeof memory);
}

static struct phiz_model *open_model(struct phiz_ctx *ctx, const char *net)
{
	struct phiz_model *m;

	assert_ok(ctx, phiz_model_from_cfg(ctx, phiz_net_builtin(net), net, 10, 64, 5, &m));
	return m;
}

/* The model's graph with a loss that the fake device has no kernel for, so that the host has a part in training. */
static int add_loss(struct phiz_ctx *ctx, struct phiz_model *m)
{
	int input[2] = {phiz_graph_output_at(m->graph, 0)}, output[1];
	struct phiz_shape labels = phiz_shape_1d(1);

	assert_ok(ctx, phiz_graph_input(m->graph, "labels", PHIZ_I32, &labels, &input[1]));
	assert_ok(ctx, phiz_graph_add(m->graph, phiz_op_find("softmax_cross_entropy"), "loss", input, 2, NULL, 0, output));
	return output[0];
}

static void check_total(const char *net, bool on_device, bool trains, bool fixed, int64_t batch)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = open_model(ctx, net);
	struct phiz_memory_stats before, with, after;
	struct phiz_plan_info info;
	struct phiz_plan *plan;
	struct counted c;

	init(&c);
	c.device.lacks = "softmax_cross_entropy";
	struct phiz_plan_options o = {.backend = on_device ? &c.device.backend : &c.cpu, .batch = batch, .fixed = fixed,
	                              .mode = trains ? PHIZ_PLAN_TRAIN : PHIZ_PLAN_INFER,
	                              .loss = trains ? add_loss(ctx, m) : PHIZ_NONE};
	phiz_ctx_memory(ctx, &before);
	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan));
	phiz_plan_describe(plan, &info);
	phiz_ctx_memory(ctx, &with);
	assert_int_equal(info.total_bytes, memory.asked);
	assert_true(info.total_bytes > info.arena_bytes + info.workspace_bytes + info.constant_bytes);
	assert_int_equal(info.device_bytes > 0, on_device);
	if (on_device) /* the context counts what the device has */
		assert_true(with.live_bytes >= before.live_bytes + info.total_bytes);
	phiz_plan_free(&plan);
	phiz_ctx_memory(ctx, &after);
	assert_int_equal(memory.live, 0);
	assert_int_equal(after.live_bytes, before.live_bytes);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

static void a_plan_takes_what_it_says(void **state)
{
	(void)state;
	for (int device = 0; device < 2; device++) {
		check_total("tiny", device, false, false, 1);
		check_total("tiny", device, false, true, 7);
		check_total("resnet18", device, false, true, 2);
		check_total("tiny", device, true, false, 5);
	}
}

/* One byte below what there is to be: nothing is asked for, and the line says what it takes, what is left, what to do.
 */
static void check_limit(bool on_device, bool of_context)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = open_model(ctx, "tiny");
	struct phiz_plan_info info;
	struct phiz_memory_stats stats;
	struct phiz_plan *plan;
	struct counted c;
	char words[2][64];

	init(&c);
	struct phiz_plan_options o = {.backend = on_device ? &c.device.backend : &c.cpu, .batch = 4, .fixed = true,
	                              .loss = PHIZ_NONE};
	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan));
	phiz_plan_describe(plan, &info);
	phiz_plan_free(&plan);
	phiz_ctx_memory(ctx, &stats);
	/* The context's: the plan's own tables are there by then, less than 1 MiB, as they are when it is judged. */
	size_t little = stats.live_bytes + info.total_bytes - 1;
	memory.pieces = 0;
	if (of_context)
		phiz_ctx_limit_memory(ctx, little);
	else
		o.memory_limit = info.total_bytes - 1;
	assert_fails(ctx, PHIZ_E_LIMIT, phiz_plan_create(ctx, m->graph, &o, &plan));
	assert_int_equal(memory.pieces, 0);
	snprintf(words[0], sizeof words[0], "the plan takes %.1f MiB (activations", (double)info.total_bytes / 1048576);
	snprintf(words[1], sizeof words[1], "left of a limit of %.1f MiB: use", (double)little / 1048576);
	assert_message(ctx, words[0]);
	assert_message(ctx, of_context ? words[1] : "are allowed: use");
	assert_message(ctx, on_device ? "a smaller batch or picture size, --precision fp16, or --no-cudnn"
	                              : "use a smaller batch or picture size");
	o.batch = 1; /* what it says to do */
	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan));
	phiz_plan_free(&plan);
	o.batch = 4;
	o.memory_limit = of_context ? 0 : info.total_bytes;
	phiz_ctx_limit_memory(ctx, of_context ? little + 1 + (1 << 20) : 0);
	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan));
	phiz_plan_free(&plan);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

static void limits_are_held(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		check_limit(i & 1, i >> 1);
}

/* Two plans of a device, of which each has room alone. */
static void plans_together_hold_it(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_model *m = open_model(ctx, "tiny");
	struct phiz_memory_stats stats;
	struct phiz_plan_info info;
	struct phiz_plan *plan[2];
	struct counted c;

	(void)state;
	init(&c);
	struct phiz_plan_options o = {.backend = &c.device.backend, .batch = 4, .fixed = true, .loss = PHIZ_NONE};
	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan[0]));
	phiz_plan_describe(plan[0], &info);
	phiz_ctx_memory(ctx, &stats);
	phiz_ctx_limit_memory(ctx, stats.live_bytes + info.total_bytes / 2);
	assert_fails(ctx, PHIZ_E_LIMIT, phiz_plan_create(ctx, m->graph, &o, &plan[1]));
	phiz_plan_free(&plan[0]);
	assert_ok(ctx, phiz_plan_create(ctx, m->graph, &o, &plan[1]));
	phiz_plan_free(&plan[1]);
	phiz_model_free(&m);
	test_ctx_done(&ctx);
}

static void counting_and_giving_back(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	size_t limit;

	(void)state;
	assert_int_equal(phiz_memory_room(ctx, &limit), SIZE_MAX);
	assert_int_equal(limit, 0);
	phiz_ctx_limit_memory(ctx, 1000);
	assert_int_equal(phiz_memory_room(ctx, NULL), 1000);
	assert_true(phiz_memory_count(ctx, 600));
	assert_int_equal(phiz_memory_room(ctx, &limit), 400);
	assert_int_equal(limit, 1000);
	assert_false(phiz_memory_count(ctx, 401));
	assert_int_equal(phiz_ctx_status(ctx), PHIZ_E_NOMEM);
	assert_null(phiz_alloc(ctx, 401, 1));
	phiz_ctx_limit_memory(ctx, 500); /* what is there stays */
	assert_int_equal(phiz_memory_room(ctx, NULL), 0);
	phiz_memory_uncount(ctx, 600);
	assert_int_equal(phiz_memory_room(ctx, NULL), 500);
	test_ctx_done(&ctx);
}

static void sizes_are_parsed(void **state)
{
	static const struct {
		const char *text;
		size_t bytes;
	} good[] = {{"1", 1}, {"512M", (size_t)512 << 20}, {"512m", (size_t)512 << 20}, {"1.5G", (size_t)3 << 29},
	            {"2K", 2048}, {"0.5k", 512}, {"8192G", (size_t)1 << 43}, {"123456789", 123456789}, {"0001M", 1 << 20}};
	static const char *const bad[] = {"", "M", "0", "-1M", "+1M", " 1M", "1 M", "1MB", "1T", "1e3M", "1e9", "nan",
	                                  "inf", "0x10M", "0.0001K", "8193G", "99999999999999999999", "1,5G", "1M ", ".5.G",
	                                  "11111111111111111111111111111111111111111111111111111111111111111111111111111M"};
	struct phiz_ctx *ctx = test_ctx(1);
	size_t bytes;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_ok(ctx, phiz_parse_bytes(ctx, good[i].text, &bytes));
		assert_int_equal(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (!phiz_parse_bytes(ctx, bad[i], &bytes))
			fail_msg("'%s' is taken for %zu bytes", bad[i], bytes);
		assert_message(ctx, "want a size such as 512M or 1.5G (1 byte to 8192G), got '");
	}
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_takes_what_it_says), cmocka_unit_test(limits_are_held),
		cmocka_unit_test(plans_together_hold_it), cmocka_unit_test(counting_and_giving_back),
		cmocka_unit_test(sizes_are_parsed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
