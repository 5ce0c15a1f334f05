/* Runtime and session: a model that is read by many threads, and what each of them needs. */
#include <math.h>
#include <phiz/session.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/nn/score.h"

struct phiz_runtime {
	struct phiz_ctx *ctx;
	struct phiz_model *model;
};

struct phiz_session {
	struct phiz_ctx *ctx;
	const struct phiz_model *model;
	struct phiz_graph *graph;     /* what is planned: the model's own, or `changed` */
	struct phiz_graph *changed;   /* it without a classifier's last layer, or for bytes; owned; NULL: as it is */
	struct phiz_plan *plan;
	struct phiz_ctx *scratch; /* a recycling fork: preprocessing of equal frames asks for no new memory */
	int input, output; /* values of the graph */
	int batch;
	int planned;          /* pictures in a run of the plan: twice the batch with flip */
	int64_t input_numbers; /* of one picture */
	bool bytes;            /* they are bytes, which the plan normalises; else floats */
	struct phiz_result *result; /* batch of them; NULL with embed */
	struct phiz_scorer scorer;
	bool flip;
	int dim;                    /* of embeddings; 0: results are names */
	float *embedding;           /* [batch][dim] */
};

enum phiz_status phiz_runtime_adopt(struct phiz_ctx *ctx, struct phiz_model *model, struct phiz_runtime **out)
{
	*out = NULL;
	enum phiz_status status = phiz_model_optimize(model);
	struct phiz_runtime *r = status ? NULL : phiz_calloc(ctx, 1, sizeof *r);
	if (!r) {
		phiz_model_free(&model);
		return status ? status : PHIZ_E_NOMEM;
	}
	r->ctx = ctx;
	r->model = model;
	*out = r;
	return PHIZ_OK;
}

enum phiz_status phiz_runtime_open(struct phiz_ctx *ctx, const char *path, struct phiz_runtime **out)
{
	struct phiz_model *model;
	enum phiz_status status = phiz_model_read(ctx, path, &model);

	*out = NULL;
	if (status)
		return status;
	status = phiz_runtime_adopt(ctx, model, out);
	return status ? phiz_fail_in(ctx, "%s", path) : PHIZ_OK;
}

void phiz_runtime_close(struct phiz_runtime **runtime)
{
	if (!runtime || !*runtime)
		return;
	phiz_model_free(&(*runtime)->model);
	phiz_free((*runtime)->ctx, *runtime);
	*runtime = NULL;
}

const struct phiz_model *phiz_runtime_model(const struct phiz_runtime *runtime) { return runtime->model; }

/* A classifier's graph up to what its last linear layer reads. */
static enum phiz_status cut_head(struct phiz_session *s)
{
	struct phiz_graph *g = s->model->graph;
	int node = phiz_graph_n_outputs(g) ? phiz_graph_value(g, phiz_graph_output_at(g, 0))->node : PHIZ_NONE;

	if (node == PHIZ_NONE || strcmp(phiz_graph_node(g, node)->op->name, "linear"))
		return phiz_fail(s->ctx, PHIZ_E_UNSUPPORTED,
		                 "embeddings are what the last linear layer reads, and this model does not end in one");
	enum phiz_status status = phiz_graph_clone(g, &s->changed);
	if (status)
		return status;
	int value = phiz_graph_node(s->changed, node)->input[0];
	phiz_graph_clear_outputs(s->changed);
	status = phiz_graph_output(s->changed, value);
	if (!status)
		status = phiz_pass_prune(s->changed);
	s->graph = s->changed;
	return status;
}

/* A device is brought bytes, a quarter of the floats. Values stay where they are. */
static enum phiz_status take_bytes(struct phiz_session *s)
{
	const struct phiz_preproc *p = &s->model->preproc;
	enum phiz_status status = s->changed ? PHIZ_OK : phiz_graph_clone(s->model->graph, &s->changed);

	s->graph = s->changed;
	s->bytes = true;
	return status ? status : phiz_pass_bytes(s->graph, "image", p->mean, p->std, NULL);
}

static enum phiz_status choose_graph(struct phiz_session *s, bool embed)
{
	enum phiz_task task = phiz_model_task(s->model);

	s->graph = s->model->graph;
	if (task == PHIZ_TASK_DETECT)
		return phiz_fail(s->ctx, PHIZ_E_UNSUPPORTED, "the model finds faces, it does not recognise them: "
		                 "'phiz data detect' is for it, and --detector of the other verbs");
	if (task == PHIZ_TASK_EMBED && !embed)
		return phiz_fail(s->ctx, PHIZ_E_UNSUPPORTED,
		                 "the model gives embeddings, no names: 'phiz embed' and the gallery are for it");
	return embed && task == PHIZ_TASK_CLASSIFY ? cut_head(s) : PHIZ_OK;
}

static enum phiz_status check_signature(struct phiz_session *s, bool embed)
{
	struct phiz_graph *g = s->graph;

	s->input = phiz_graph_find_value(g, "image");
	if (s->input == PHIZ_NONE || phiz_graph_n_outputs(g) < 1)
		return phiz_fail(s->ctx, PHIZ_E_UNSUPPORTED, "the model has no input 'image' or no output");
	s->output = phiz_graph_output_at(g, 0);
	const struct phiz_type *in = &phiz_graph_value(g, s->input)->type;
	const struct phiz_type *out = &phiz_graph_value(g, s->output)->type;
	if (in->dtype != PHIZ_F32 || in->shape.ndim != 4 || in->shape.dim[1] != 3)
		return phiz_fail(s->ctx, PHIZ_E_SHAPE, "the model's input is not f32 [N, 3, H, W]");
	if (out->dtype != PHIZ_F32 || out->shape.ndim != 2 || out->shape.dim[1] < 1)
		return phiz_fail(s->ctx, PHIZ_E_SHAPE, "the model's output is not f32 [N, classes]");
	s->dim = embed ? (int)out->shape.dim[1] : 0;
	if (!embed && s->model->n_labels != (size_t)out->shape.dim[1])
		return phiz_fail(s->ctx, PHIZ_E_FORMAT, "the model has %zu labels for %lld classes", s->model->n_labels,
		                 (long long)out->shape.dim[1]);
	return PHIZ_OK;
}

static enum phiz_status make_plan(struct phiz_session *s, const struct phiz_session_options *options)
{
	int size = s->model->preproc.size;
	const struct phiz_backend *cpu = phiz_backend_cpu();
	struct phiz_plan_options plan = {
		.backend = options && options->backend ? options->backend : cpu,
		.fallback = options ? options->fallback : NULL, .mode = PHIZ_PLAN_INFER, .batch = s->planned,
		.height = size, .width = size,
		.loss = PHIZ_NONE, .memory_limit = options ? options->memory_limit : 0, .fixed = true,
		.consume = options && options->sole, .tuning = s->model->tuning,
		.precision = options ? options->precision : PHIZ_F32,
	};

	if (plan.precision == PHIZ_F16 && (plan.backend == cpu || plan.fallback == cpu))
		return phiz_fail(s->ctx, PHIZ_E_UNSUPPORTED, "the CPU has no kernels for f16: bf16 is near it");
	s->input_numbers = (int64_t)3 * size * size;
	return phiz_plan_create(s->ctx, s->graph, &plan, &s->plan);
}

enum phiz_status phiz_session_create(const struct phiz_runtime *runtime, struct phiz_ctx *ctx,
                                     const struct phiz_session_options *options, struct phiz_session **out)
{
	*out = NULL;
	int batch = options && options->batch ? options->batch : 1;
	if (batch < 1 || batch > 1024)
		return phiz_fail(ctx, PHIZ_E_ARG, "a session's batch: want 1 to 1024, got %d", batch);
	struct phiz_session *s = phiz_calloc(ctx, 1, sizeof *s);
	if (!s)
		return PHIZ_E_NOMEM;
	s->ctx = ctx;
	s->model = runtime->model;
	bool embed = options && options->embed;
	s->batch = batch;
	s->flip = embed && options->flip;
	s->planned = s->flip ? 2 * batch : batch;
	enum phiz_status status = choose_graph(s, embed);
	if (!status)
		status = check_signature(s, embed);
	if (!status && options && options->backend && options->backend->device)
		status = take_bytes(s);
	if (!status && !embed)
		status = phiz_scorer_init(s->model, &s->scorer);
	if (!status)
		status = make_plan(s, options);
	if (!status)
		status = phiz_ctx_fork(ctx, &s->scratch);
	if (!status) {
		phiz_ctx_recycle(s->scratch);
		if (embed)
			s->embedding = phiz_calloc(ctx, (size_t)batch * (size_t)s->dim, sizeof *s->embedding);
		else
			s->result = phiz_calloc(ctx, (size_t)batch, sizeof *s->result);
		status = s->result || s->embedding ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (status)
		phiz_session_free(&s);
	*out = s;
	return status;
}

void phiz_session_free(struct phiz_session **session)
{
	if (!session || !*session)
		return;
	struct phiz_session *s = *session;
	struct phiz_ctx *ctx = s->ctx;
	phiz_plan_free(&s->plan);
	phiz_graph_free(&s->changed);
	phiz_ctx_free(&s->scratch);
	phiz_scorer_free(s->model->ctx, &s->scorer);
	phiz_free(ctx, s->result);
	phiz_free(ctx, s->embedding);
	phiz_free(ctx, s);
	*session = NULL;
}

const struct phiz_backend *phiz_session_backend(const struct phiz_session *session)
{
	return phiz_plan_backend(session->plan);
}

size_t phiz_session_input_bytes(const struct phiz_session *session)
{
	return (size_t)session->input_numbers * (session->bytes ? 1 : sizeof(float));
}

void *phiz_session_input(struct phiz_session *session, int i)
{
	char *first = phiz_plan_tensor(session->plan, session->input)->data;
	return first + (size_t)i * phiz_session_input_bytes(session);
}

enum phiz_status phiz_session_prepare(const struct phiz_session *session, struct phiz_ctx *ctx,
                                      const struct phiz_image *image, void *out)
{
	const struct phiz_preproc *p = &session->model->preproc;
	struct phiz_image ready;
	enum phiz_status status = phiz_preproc_geometry(ctx, p, image, &ready);

	if (status)
		return status;
	if (session->bytes)
		phiz_preproc_planes(&ready, out);
	else
		phiz_preproc_normalize(p, &ready, out);
	phiz_image_free(ctx, &ready);
	return PHIZ_OK;
}

/* Puts a class into the result's candidates if it is among the best so far. */
static void offer(struct phiz_result *r, int limit, int index, double confidence)
{
	int at = r->n_candidates;

	while (at > 0 && confidence > r->candidate[at - 1].confidence)
		at--;
	if (at >= limit)
		return;
	if (r->n_candidates < limit)
		r->n_candidates++;
	memmove(&r->candidate[at + 1], &r->candidate[at], (size_t)(r->n_candidates - 1 - at) * sizeof r->candidate[0]);
	r->candidate[at] = (struct phiz_candidate){index, NULL, confidence};
}

/* Softmax of the logits in double, the best classes, and the decision. */
static enum phiz_status decide(struct phiz_session *s, const float *logits, int classes, struct phiz_result *r)
{
	const struct phiz_model *m = s->model;
	double top = -INFINITY, sum = 0;

	for (int c = 0; c < classes; c++) {
		if (!isfinite(logits[c]))
			return phiz_fail(s->ctx, PHIZ_E_NUMERIC, "the network's output for class %s is not finite", m->label[c]);
		top = fmax(top, (double)logits[c]);
	}
	for (int c = 0; c < classes; c++)
		sum += exp((double)logits[c] - top);
	r->n_candidates = 0;
	for (int c = 0; c < classes; c++)
		offer(r, classes < PHIZ_MAX_CANDIDATES ? classes : PHIZ_MAX_CANDIDATES, c, exp((double)logits[c] - top) / sum);
	for (int i = 0; i < r->n_candidates; i++)
		r->candidate[i].name = m->label[r->candidate[i].index];
	r->confidence = r->candidate[0].confidence;
	int best = r->candidate[0].index;
	r->score = phiz_scorer_score(&s->scorer, best, (double)logits[best], r->confidence);
	r->score_kind = s->scorer.kind;
	r->known = !m->threshold.set || r->score >= m->threshold.value;
	r->name = r->known ? r->candidate[0].name : "unknown";
	r->logits = logits;
	r->n_classes = classes;
	return PHIZ_OK;
}

/* The mirror images of n pictures, behind them. */
static void add_mirrored(struct phiz_session *s, int n)
{
	const int64_t size = s->model->preproc.size, numbers = s->input_numbers * n;
	const void *from = phiz_session_input(s, 0);
	void *to = phiz_session_input(s, n);

	for (int64_t row = 0; row < numbers; row += size)
		for (int64_t x = 0; x < size; x++) {
			if (s->bytes)
				((uint8_t *)to)[row + x] = ((const uint8_t *)from)[row + size - 1 - x];
			else
				((float *)to)[row + x] = ((const float *)from)[row + size - 1 - x];
		}
}

/* out = e / |e|, or (e + mirrored) / |e + mirrored|; mirrored may be NULL. In double. */
static enum phiz_status normalise(struct phiz_session *s, const float *e, const float *mirrored, float *out)
{
	double sum = 0;

	for (int k = 0; k < s->dim; k++) {
		double v = (double)e[k] + (mirrored ? (double)mirrored[k] : 0);
		sum += v * v;
	}
	if (!isfinite(sum))
		return phiz_fail(s->ctx, PHIZ_E_NUMERIC, "the network's embedding is not finite");
	for (int k = 0; k < s->dim; k++) {
		double v = (double)e[k] + (mirrored ? (double)mirrored[k] : 0);
		out[k] = sum > 0 ? (float)(v / sqrt(sum)) : 0;
	}
	return PHIZ_OK;
}

enum phiz_status phiz_session_run_input(struct phiz_session *session, int n)
{
	struct phiz_session *s = session;

	if (n < 1 || n > s->batch)
		return phiz_fail(s->ctx, PHIZ_E_ARG, "want 1 to %d pictures, got %d", s->batch, n);
	if (s->flip)
		add_mirrored(s, n);
	enum phiz_status status = phiz_plan_set_batch(s->plan, s->flip ? 2 * n : n);
	if (!status)
		status = phiz_plan_forward(s->plan);
	if (status)
		return status;
	const struct phiz_tensor *out = phiz_plan_tensor(s->plan, s->output);
	const float *data = out->data;
	int classes = (int)out->shape.dim[1];
	if (s->embedding) {
		for (int i = 0; i < n && !status; i++)
			status = normalise(s, data + (int64_t)i * s->dim, s->flip ? data + (int64_t)(n + i) * s->dim : NULL,
			                   s->embedding + (int64_t)i * s->dim);
		return status;
	}
	for (int i = 0; i < n && !status; i++)
		status = decide(s, data + (int64_t)i * classes, classes, &s->result[i]);
	return status;
}

enum phiz_status phiz_session_run_images(struct phiz_session *session, const struct phiz_image *image, int n)
{
	if (n < 1 || n > session->batch)
		return phiz_fail(session->ctx, PHIZ_E_ARG, "want 1 to %d pictures, got %d", session->batch, n);
	for (int i = 0; i < n; i++) {
		enum phiz_status status = phiz_session_prepare(session, session->scratch, &image[i],
		                                               phiz_session_input(session, i));
		if (status)
			return phiz_fail_copy(session->ctx, session->scratch);
	}
	return phiz_session_run_input(session, n);
}

/* The rows without their padding. */
static enum phiz_status pack(struct phiz_session *s, const uint8_t *rgb, size_t stride, struct phiz_image *image)
{
	size_t row = (size_t)image->width * 3;

	image->data = phiz_alloc(s->scratch, (size_t)image->height, row);
	if (!image->data)
		return phiz_fail_copy(s->ctx, s->scratch);
	for (size_t y = 0; y < (size_t)image->height; y++)
		memcpy(image->data + y * row, rgb + y * stride, row);
	return PHIZ_OK;
}

enum phiz_status phiz_session_run(struct phiz_session *session, const uint8_t *rgb, int width, int height,
                                  size_t stride)
{
	struct phiz_image image = {width, height, 3, NULL};

	if (width < 1 || height < 1 || stride < (size_t)width * 3)
		return phiz_fail(session->ctx, PHIZ_E_ARG, "a picture of %dx%d pixels with rows of %zu bytes", width, height,
		                 stride);
	enum phiz_status status = pack(session, rgb, stride, &image);
	if (!status)
		status = phiz_session_run_images(session, &image, 1);
	phiz_free(session->scratch, image.data);
	return status;
}

const struct phiz_result *phiz_session_result_at(const struct phiz_session *session, int i)
{
	return session->result && i >= 0 && i < session->batch ? &session->result[i] : NULL;
}

const struct phiz_result *phiz_session_result(const struct phiz_session *session)
{
	return phiz_session_result_at(session, 0);
}

int phiz_session_dim(const struct phiz_session *session) { return session->dim; }

const float *phiz_session_embedding_at(const struct phiz_session *session, int i)
{
	return session->embedding && i >= 0 && i < session->batch ? session->embedding + (int64_t)i * session->dim : NULL;
}
