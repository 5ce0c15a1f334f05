#include "deploy/golden.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/io/json.h"

enum { GRID = 8, CELL = 24, SIDE = GRID * CELL, MOST_NUMBERS = 1 << 16 };

/* By place in phiz_golden.limit. What kernels may differ by in any model, as rounding of sums and of activations gives
 * it; a model on bytes, where a value may fall to the other side, differs by more. */
static const struct {
	enum phiz_dtype dtype;
	const char *name;
	double least, least_on_bytes;
} precisions[] = {
	{PHIZ_F32, "fp32", 1e-4, 5e-2},
	{PHIZ_F16, "fp16", 2e-2, 5e-2},
	{PHIZ_BF16, "bf16", 6e-2, 1e-1},
};
enum { FP32, FP16, BF16, N_PRECISIONS };

static int place_of(enum phiz_dtype precision)
{
	return precision == PHIZ_F16 ? FP16 : precision == PHIZ_BF16 ? BF16 : FP32;
}

double phiz_golden_limit(const struct phiz_golden *golden, enum phiz_dtype precision)
{
	return golden->limit[place_of(precision)];
}

/* --- Pictures --- */

/* Smooth colours: a coarse grid of random bytes and straight lines between them, in whole numbers, so that all machines
 * draw the same. */
static enum phiz_status draw(struct phiz_ctx *ctx, int number, struct phiz_image *out)
{
	uint8_t grid[GRID + 1][GRID + 1][3];
	struct phiz_rng rng;
	enum phiz_status status = phiz_image_create(ctx, SIDE, SIDE, 3, out);

	if (status)
		return status;
	phiz_rng_init(&rng, 1, 0, (uint64_t)number, PHIZ_STREAM_TEST);
	for (int i = 0; i < (GRID + 1) * (GRID + 1) * 3; i++)
		grid[i / 3 / (GRID + 1)][i / 3 % (GRID + 1)][i % 3] = (uint8_t)phiz_rng_below(&rng, 256);
	for (int i = 0; i < SIDE * SIDE * 3; i++) {
		int y = i / 3 / SIDE, x = i / 3 % SIDE, c = i % 3, gy = y / CELL, gx = x / CELL, fy = y % CELL, fx = x % CELL;
		int above = grid[gy][gx][c] * (CELL - fx) + grid[gy][gx + 1][c] * fx;
		int below = grid[gy + 1][gx][c] * (CELL - fx) + grid[gy + 1][gx + 1][c] * fx;
		out->data[i] = (uint8_t)((above * (CELL - fy) + below * fy) / (CELL * CELL));
	}
	return PHIZ_OK;
}

/* --- Running --- */

static enum phiz_status plan_model(const struct phiz_model *m, const struct phiz_backend *backend,
                                   enum phiz_dtype precision, struct phiz_plan **out)
{
	struct phiz_plan_options o = {.backend = backend, .height = m->preproc.size, .width = m->preproc.size,
	                              .loss = PHIZ_NONE, .fixed = true, .precision = precision};

	*out = NULL;
	if (phiz_model_task(m) == PHIZ_TASK_DETECT)
		return phiz_fail(m->ctx, PHIZ_E_UNSUPPORTED, "there is no self-test for models that find faces");
	return phiz_plan_create(m->ctx, m->graph, &o, out);
}

/* *y: the plan's. */
static enum phiz_status run_plan(const struct phiz_model *m, struct phiz_plan *plan, int number,
                                 const struct phiz_tensor **y)
{
	struct phiz_image image;
	struct phiz_tensor *x = phiz_plan_tensor(plan, phiz_graph_find_value(m->graph, "image"));
	enum phiz_status status = draw(m->ctx, number, &image);

	if (status)
		return status;
	status = phiz_preproc_run(m->ctx, &m->preproc, &image, x->data);
	phiz_image_free(m->ctx, &image);
	if (!status)
		status = phiz_plan_forward(plan);
	*y = phiz_plan_tensor(plan, phiz_graph_output_at(m->graph, 0));
	return status;
}

static double distance_of(const float *got, const float *want, int64_t count)
{
	double error = 0, norm = 0;

	for (int64_t i = 0; i < count; i++) {
		double d = (double)got[i] - (double)want[i];
		error += d * d;
		norm += (double)want[i] * (double)want[i];
	}
	return error == 0 ? 0 : sqrt(error / norm);
}

enum phiz_status phiz_golden_compare(const struct phiz_golden *golden, const struct phiz_model *model,
                                     const struct phiz_backend *backend, enum phiz_dtype precision, double *distance)
{
	struct phiz_plan *plan;
	enum phiz_status status = plan_model(model, backend, precision, &plan);

	*distance = 0;
	for (int i = 0; i < PHIZ_GOLDEN_PICTURES && !status; i++) {
		const struct phiz_tensor *y;
		status = run_plan(model, plan, i, &y);
		if (!status && phiz_tensor_count(y) != golden->count)
			status = phiz_fail(model->ctx, PHIZ_E_FORMAT, "the golden outputs have %lld numbers, the model's %lld",
			                   (long long)golden->count, (long long)phiz_tensor_count(y));
		if (!status) {
			double d = distance_of(y->data, golden->output[i], golden->count);
			*distance = d <= *distance ? *distance : d; /* NaN stays */
		}
	}
	phiz_plan_free(&plan);
	return status;
}

/* --- Making --- */

static enum phiz_status create(struct phiz_ctx *ctx, int64_t count, struct phiz_golden **out)
{
	struct phiz_golden *g = count > MOST_NUMBERS ? NULL : phiz_calloc(ctx, 1, sizeof *g);

	*out = g;
	if (count > MOST_NUMBERS)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "the model has more than %d outputs", MOST_NUMBERS);
	if (!g)
		return PHIZ_E_NOMEM;
	g->ctx = ctx;
	g->count = count;
	for (int i = 0; i < PHIZ_GOLDEN_PICTURES; i++) {
		g->output[i] = phiz_calloc(ctx, (size_t)count, sizeof(float));
		if (!g->output[i]) {
			phiz_golden_free(out);
			return PHIZ_E_NOMEM;
		}
	}
	return PHIZ_OK;
}

void phiz_golden_free(struct phiz_golden **golden)
{
	if (!*golden)
		return;
	for (int i = 0; i < PHIZ_GOLDEN_PICTURES; i++)
		phiz_free((*golden)->ctx, (*golden)->output[i]);
	phiz_free((*golden)->ctx, *golden);
	*golden = NULL;
}

static enum phiz_status run_reference(const struct phiz_model *model, struct phiz_golden **out)
{
	struct phiz_plan *plan;
	enum phiz_status status = plan_model(model, phiz_backend_reference(), PHIZ_F32, &plan);

	for (int i = 0; i < PHIZ_GOLDEN_PICTURES && !status; i++) {
		const struct phiz_tensor *y;
		status = run_plan(model, plan, i, &y);
		if (!status && i == 0)
			status = create(model->ctx, phiz_tensor_count(y), out);
		if (!status)
			memcpy((*out)->output[i], y->data, phiz_tensor_bytes(y));
	}
	phiz_plan_free(&plan);
	return status;
}

/* The least, or three times what it is here, where that is more. bf16 has 8 bits where fp16 has 11. */
static enum phiz_status set_limits(struct phiz_golden *g, const struct phiz_model *model)
{
	const char *stored = phiz_model_meta(model, "precision");
	bool on_bytes = stored && !strcmp(stored, "int8");
	double fp32 = 0, bf16 = 0;
	enum phiz_status status = phiz_golden_compare(g, model, phiz_backend_cpu(), PHIZ_F32, &fp32);

	if (!status)
		status = phiz_golden_compare(g, model, phiz_backend_cpu(), PHIZ_BF16, &bf16);
	const double here[N_PRECISIONS] = {fp32, bf16 / 8, bf16};
	for (int i = 0; i < N_PRECISIONS && !status; i++)
		g->limit[i] = fmax(on_bytes ? precisions[i].least_on_bytes : precisions[i].least, 3 * here[i]);
	if (!status && !(isfinite(fp32) && isfinite(bf16)))
		status = phiz_fail(g->ctx, PHIZ_E_NUMERIC, "the model's outputs for a test picture are not finite");
	return status;
}

enum phiz_status phiz_golden_make(const struct phiz_model *model, struct phiz_golden **out)
{
	*out = NULL;
	enum phiz_status status = run_reference(model, out);

	if (!status)
		status = set_limits(*out, model);
	if (status)
		phiz_golden_free(out);
	return status;
}

/* --- In the file --- */

enum phiz_status phiz_golden_store(const struct phiz_golden *golden, struct phiz_model *model)
{
	char hash[65];
	struct phiz_bytes b;

	phiz_model_hash(model, hash);
	phiz_bytes_init(&b, model->ctx);
	phiz_bytes_printf(&b, "{\"weights\":\"%s\",\"limits\":{", hash);
	for (int i = 0; i < N_PRECISIONS; i++)
		phiz_bytes_printf(&b, "%s\"%s\":%.3g", i ? "," : "", precisions[i].name, golden->limit[i]);
	phiz_bytes_text(&b, "},\"outputs\":[");
	for (int i = 0; i < PHIZ_GOLDEN_PICTURES; i++) {
		phiz_bytes_text(&b, i ? ",[" : "[");
		for (int64_t k = 0; k < golden->count; k++) {
			phiz_bytes_text(&b, k ? "," : "");
			phiz_json_add_float(&b, golden->output[i][k]);
		}
		phiz_bytes_text(&b, "]");
	}
	phiz_bytes_text(&b, "]}");
	enum phiz_status status = phiz_bytes_status(&b);
	if (!status)
		status = phiz_model_set_meta(model, "golden", b.data);
	phiz_bytes_free(&b);
	return status;
}

/* NULL, or what is wrong. */
static const char *take_outputs(const json_t *outputs, struct phiz_golden *g)
{
	for (size_t i = 0; i < PHIZ_GOLDEN_PICTURES; i++) {
		const json_t *list = json_array_get(outputs, i);
		if (!json_is_array(list) || (int64_t)json_array_size(list) != g->count)
			return "its outputs are not all there";
		for (int64_t k = 0; k < g->count; k++) {
			double v;
			if (!phiz_json_real(json_array_get(list, (size_t)k), &v))
				return "an output is not a number";
			g->output[i][k] = (float)v;
		}
	}
	return NULL;
}

static const char *take_limits(const json_t *limits, struct phiz_golden *g)
{
	for (int i = 0; i < N_PRECISIONS; i++)
		if (!phiz_json_real(json_object_get(limits, precisions[i].name), &g->limit[i]) || !(g->limit[i] > 0))
			return "its limits are not all there";
	return NULL;
}

static enum phiz_status take(struct phiz_ctx *ctx, const json_t *root, struct phiz_golden **out)
{
	const json_t *outputs = json_object_get(root, "outputs");
	size_t count = json_array_size(json_array_get(outputs, 0));

	if (json_array_size(outputs) != PHIZ_GOLDEN_PICTURES || count == 0)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "golden outputs: want %d lists", PHIZ_GOLDEN_PICTURES);
	enum phiz_status status = create(ctx, (int64_t)count, out);
	if (status)
		return status;
	const char *fault = take_outputs(outputs, *out);
	if (!fault)
		fault = take_limits(json_object_get(root, "limits"), *out);
	if (fault)
		phiz_golden_free(out);
	return fault ? phiz_fail(ctx, PHIZ_E_FORMAT, "golden outputs: %s", fault) : PHIZ_OK;
}

enum phiz_status phiz_golden_read(const struct phiz_model *model, struct phiz_golden **out)
{
	const char *text = phiz_model_meta(model, "golden");
	json_t *root = NULL;
	char hash[65];

	*out = NULL;
	if (!text)
		return PHIZ_OK;
	enum phiz_status status = phiz_json_parse(model->ctx, text, strlen(text), "golden outputs", &root);
	if (status)
		return status;
	const char *of = json_string_value(json_object_get(root, "weights"));
	phiz_model_hash(model, hash);
	if (of && !strcmp(of, hash))
		status = take(model->ctx, root, out);
	json_decref(root);
	return status;
}
