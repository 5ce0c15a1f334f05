/* Any bytes as the graph of a model file, beside a fixed set of tensors: shape rules, planning, rewriting, running, and
 * ONNX of whatever graph a file may bring. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/io/json.h"
#include "core/io/model_file.h"
#include "core/io/onnx.h"
#include "tests/fuzz/run_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	const char *name;
	struct phiz_shape shape;
	bool trainable;
} tensors[] = {
	{"conv.weight", {4, {4, 3, 3, 3}}, true}, {"a.weight", {4, {4, 3, 1, 1}}, true},
	{"b.weight", {4, {4, 4, 3, 3}}, true},    {"g.weight", {4, {4, 2, 3, 3}}, true},
	{"b.bias", {1, {4}}, true},               {"bn.weight", {1, {4}}, true},
	{"bn.bias", {1, {4}}, true},              {"bn.running_mean", {1, {4}}, false},
	{"bn.running_var", {1, {4}}, false},      {"fc.weight", {2, {2, 4}}, true},
	{"fc.bias", {1, {2}}, true},              {"p.weight", {1, {3}}, true},
	{"one", {1, {1}}, true},                  {"scalar", {0, {0}}, true},
};

static struct phiz_model *make_model(struct phiz_ctx *ctx)
{
	struct phiz_model *m;
	size_t i, k;

	if (phiz_model_create(ctx, &m))
		abort();
	for (i = 0; i < sizeof(tensors) / sizeof(tensors[0]); i++) {
		struct phiz_tensor *t;
		float *f;

		if (phiz_tensor_create(ctx, PHIZ_F32, &tensors[i].shape, &t))
			abort();
		f = t->data;
		for (k = 0; k < (size_t)phiz_tensor_count(t); k++)
			f[k] = (float)(k % 7 + 1) / 8;
		if (phiz_model_add(m, tensors[i].name, t, tensors[i].trainable))
			abort();
	}
	return m;
}

/* The graph as JSON must give the same JSON again. */
static void print_again(struct phiz_ctx *ctx, struct phiz_model *m)
{
	struct phiz_model *second = make_model(ctx);
	struct phiz_bytes a, b;
	json_t *json;

	phiz_bytes_init(&a, ctx);
	phiz_bytes_init(&b, ctx);
	if (phiz_graph_to_json(m, &a) || phiz_json_parse(ctx, a.data, a.size, "again", &json) ||
	    phiz_graph_from_json(second, json, "again") || phiz_graph_to_json(second, &b))
		abort();
	if (a.size != b.size || memcmp(a.data, b.data, a.size) != 0)
		abort();
	json_decref(json);
	phiz_bytes_free(&a);
	phiz_bytes_free(&b);
	phiz_model_free(&second);
}

static void use(struct phiz_ctx *ctx, struct phiz_model *m)
{
	char path[64];

	if (phiz_graph_verify(m->graph))
		abort();
	print_again(ctx, m);
	fuzz_run(ctx, m);
	if (phiz_model_check(m, "fuzz", PHIZ_E_FORMAT))
		return;
	fuzz_file(path);
	(void)phiz_onnx_write(ctx, m, path);
	unlink(path);
	if (!phiz_model_optimize(m)) {
		if (phiz_graph_verify(m->graph))
			abort();
		fuzz_run(ctx, m);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct phiz_ctx_options options = {1, NULL, NULL, (size_t)256 << 20};
	struct phiz_memory_stats stats;
	struct phiz_model *m;
	struct phiz_ctx *ctx;
	json_t *json;

	if (phiz_ctx_create(&options, &ctx))
		abort();
	m = make_model(ctx);
	if (!phiz_json_parse(ctx, (const char *)data, size, "fuzz", &json)) {
		if (!phiz_graph_from_json(m, json, "fuzz"))
			use(ctx, m);
		else if (!*phiz_ctx_message(ctx) || strchr(phiz_ctx_message(ctx), '\n'))
			abort();
		json_decref(json);
	}
	phiz_model_free(&m);
	phiz_ctx_memory(ctx, &stats);
	if (stats.live_blocks)
		abort();
	phiz_ctx_free(&ctx);
	return 0;
}
