/* Making the inference form of a model, and proving that it still says the same. */
#include "deploy/export.h"

#include <math.h>
#include <phiz/plan.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/nn/score.h"

static const struct {
	const char *name;
	enum phiz_dtype dtype;
	struct phiz_export_bounds bounds;
} precisions[] = {
	[PHIZ_PRECISION_FP32] = {"fp32", PHIZ_F32, {1e-4, 0, 1e-8}},
	[PHIZ_PRECISION_FP16] = {"fp16", PHIZ_F16, {1e-2, 0, 1e-4}},
	[PHIZ_PRECISION_BF16] = {"bf16", PHIZ_BF16, {8e-2, 0, 2e-3}},
	[PHIZ_PRECISION_INT8] = {"int8", PHIZ_F32, {2.5e-1, 0, 5e-2}},
};

bool phiz_precision_parse(const char *name, enum phiz_precision *out)
{
	for (size_t i = 0; i < sizeof(precisions) / sizeof(precisions[0]); i++)
		if (!strcmp(precisions[i].name, name)) {
			*out = (enum phiz_precision)i;
			return true;
		}
	return false;
}

const char *phiz_precision_name(enum phiz_precision precision) { return precisions[precision].name; }

bool phiz_precision_on_gpu(enum phiz_precision precision) { return precision != PHIZ_PRECISION_INT8; }

struct phiz_export_bounds phiz_export_bounds_for(enum phiz_precision precision) { return precisions[precision].bounds; }

/* Rounds matrices and filters to the dtype in which they will be stored, so that the model in memory is the one in the
 * file. Vectors (biases) stay f32. */
static enum phiz_status round_weights(struct phiz_model *m, enum phiz_dtype dtype)
{
	for (size_t i = 0; i < m->n_entries && dtype != PHIZ_F32; i++) {
		struct phiz_tensor *t = m->entry[i].tensor, *rounded;
		if (t->shape.ndim < 2)
			continue;
		enum phiz_status status = phiz_tensor_create(m->ctx, dtype, &t->shape, &rounded);
		if (!status)
			status = phiz_tensor_convert(m->ctx, t, rounded);
		if (!status)
			status = phiz_tensor_convert(m->ctx, rounded, t);
		phiz_tensor_free(m->ctx, &rounded);
		if (status)
			return status;
	}
	return PHIZ_OK;
}

static enum phiz_status export_as(const struct phiz_model *trained, enum phiz_precision precision, bool to_train_from,
                                  struct phiz_model **out)
{
	static const char *const only_training[] = {"train_state", "recipe", "data"};
	char hash[65];
	struct phiz_model *m;
	enum phiz_status status = phiz_model_clone(trained, &m);

	*out = NULL;
	if (status)
		return status;
	phiz_model_hash(trained, hash);
	if (!to_train_from)
		status = phiz_model_optimize(m);
	if (!status)
		status = round_weights(m, precisions[precision].dtype);
	for (int i = 0; i < 3 && !status; i++)
		status = phiz_model_set_meta(m, only_training[i], NULL);
	if (!status)
		status = phiz_model_set_meta(m, "precision", precisions[precision].name);
	if (!status)
		status = phiz_model_set_meta(m, "exported_from", hash);
	if (status)
		phiz_model_free(&m);
	*out = m;
	return status;
}

enum phiz_status phiz_export_model(const struct phiz_model *trained, enum phiz_precision precision,
                                   struct phiz_model **out)
{
	return export_as(trained, precision, false, out);
}

enum phiz_status phiz_export_trunk(const struct phiz_model *trained, enum phiz_precision precision,
                                   struct phiz_model **out)
{
	return export_as(trained, precision, true, out);
}

struct phiz_prover {
	struct phiz_ctx *ctx;
	const struct phiz_model *trained;
	struct phiz_plan *plan[2]; /* trained, exported */
	int input[2], output[2];
	struct phiz_scorer scorer[2];
	struct phiz_export_proof proof;
	int64_t unexplained;
};

enum phiz_status phiz_prover_begin(struct phiz_ctx *ctx, const struct phiz_model *trained,
                                   const struct phiz_model *exported, enum phiz_precision precision,
                                   struct phiz_prover **out)
{
	const struct phiz_model *model[2] = {trained, exported};
	struct phiz_prover *p = phiz_calloc(ctx, 1, sizeof *p);
	enum phiz_status status = p ? PHIZ_OK : PHIZ_E_NOMEM;

	*out = NULL;
	if (p)
		p->ctx = ctx;
	if (!status && phiz_model_task(trained) == PHIZ_TASK_DETECT)
		status = phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "the model finds faces: phiz import made it ready to run, there is "
		                   "nothing to export");
	for (int i = 0; i < 2 && !status; i++) {
		int size = model[i]->preproc.size;
		struct phiz_plan_options o = {.backend = phiz_backend_cpu(), .height = size, .width = size, .loss = PHIZ_NONE,
		                              .fixed = true};
		p->trained = trained;
		p->input[i] = phiz_graph_find_value(model[i]->graph, "image");
		p->output[i] = phiz_graph_output_at(model[i]->graph, 0);
		status = phiz_scorer_init(model[i], &p->scorer[i]);
		if (!status)
			status = phiz_plan_create(ctx, model[i]->graph, &o, &p->plan[i]);
	}
	if (!status && phiz_model_classes(trained) != phiz_model_classes(exported))
		status = phiz_fail(ctx, PHIZ_E_SHAPE, "the exported model has %lld outputs, its original %lld",
		                   (long long)phiz_model_classes(exported), (long long)phiz_model_classes(trained));
	if (status)
		phiz_prover_free(&p);
	else
		p->proof = (struct phiz_export_proof){.embeds = phiz_model_task(trained) == PHIZ_TASK_EMBED,
		                                      .bounds = precisions[precision].bounds};
	*out = p;
	return status;
}

void phiz_prover_free(struct phiz_prover **prover)
{
	if (!prover || !*prover)
		return;
	for (int i = 0; i < 2; i++) {
		phiz_plan_free(&(*prover)->plan[i]);
		phiz_scorer_free((*prover)->ctx, &(*prover)->scorer[i]);
	}
	phiz_free((*prover)->ctx, *prover);
	*prover = NULL;
}

/* What a classifier says: best class, its confidence and score, and how far the second best is behind (in logits). */
struct verdict {
	int best;
	double confidence, score, margin, scale;
};

static struct verdict judge(const struct phiz_scorer *scorer, const float *logits, int classes)
{
	struct verdict v = {.margin = INFINITY};
	double sum = 0;

	for (int c = 0; c < classes; c++) {
		if (logits[c] > logits[v.best])
			v.best = c;
		v.scale = fmax(v.scale, fabs((double)logits[c]));
	}
	for (int c = 0; c < classes; c++) {
		sum += exp((double)logits[c] - (double)logits[v.best]);
		if (c != v.best)
			v.margin = fmin(v.margin, (double)logits[v.best] - (double)logits[c]);
	}
	v.confidence = 1 / sum;
	v.score = phiz_scorer_score(scorer, v.best, (double)logits[v.best], v.confidence);
	return v;
}

static void compare_embeddings(struct phiz_prover *p, const float *a, const float *b, int dim)
{
	double aa = 0, bb = 0, ab = 0, apart;

	for (int k = 0; k < dim; k++) {
		aa += (double)a[k] * (double)a[k];
		bb += (double)b[k] * (double)b[k];
		ab += (double)a[k] * (double)b[k];
	}
	apart = aa > 0 && bb > 0 ? fmax(1 - ab / sqrt(aa) / sqrt(bb), 0) : aa > 0 || bb > 0 ? 1 : 0;
	if (!isfinite(aa) || !isfinite(bb))
		apart = INFINITY;
	p->proof.pictures++;
	p->proof.cosine = fmax(p->proof.cosine, apart);
}

static void compare_logits(struct phiz_prover *p, const float *a, const float *b, int classes)
{
	const struct phiz_threshold *threshold = &p->trained->threshold;
	struct verdict x = judge(&p->scorer[0], a, classes), y = judge(&p->scorer[1], b, classes);
	double worst = 0, allowed = p->proof.bounds.logits * x.scale;

	for (int c = 0; c < classes; c++)
		worst = fmax(worst, fabs((double)a[c] - (double)b[c]));
	if (!(worst <= INFINITY)) /* NaN */
		worst = INFINITY;
	bool other = x.best != y.best;
	bool decision = threshold->set && (x.score >= threshold->value) != (y.score >= threshold->value);
	/* Logits off by d move a margin by 2 d, a confidence by at most d/2 (its slope is at most 1/4 for each), and a
	 * cosine by d over the row's length. */
	double moved = p->scorer[0].length ? allowed / fmax(p->scorer[0].length[x.best], 1e-30) : allowed / 2;
	bool near_threshold = threshold->set && fabs(x.score - threshold->value) <= moved;
	p->proof.pictures++;
	p->proof.logits = fmax(p->proof.logits, worst / fmax(x.scale, 1e-6));
	p->proof.confidence = fmax(p->proof.confidence, fabs(x.confidence - y.confidence));
	p->proof.other_best += other;
	p->proof.other_decision += decision;
	p->unexplained += (other && x.margin > 2 * allowed) || (decision && !near_threshold);
}

enum phiz_status phiz_prover_add(struct phiz_prover *prover, const struct phiz_image *image)
{
	struct phiz_prover *p = prover;
	struct phiz_tensor *in = phiz_plan_tensor(p->plan[0], p->input[0]);
	enum phiz_status status = phiz_preproc_run(p->ctx, &p->trained->preproc, image, in->data);

	if (!status) {
		memcpy(phiz_plan_tensor(p->plan[1], p->input[1])->data, in->data, phiz_tensor_bytes(in));
		status = phiz_plan_forward(p->plan[0]);
	}
	if (!status)
		status = phiz_plan_forward(p->plan[1]);
	if (!status)
		(p->proof.embeds ? compare_embeddings : compare_logits)(
			p, phiz_plan_tensor(p->plan[0], p->output[0])->data,
			phiz_plan_tensor(p->plan[1], p->output[1])->data, (int)phiz_model_classes(p->trained));
	return status;
}

enum phiz_status phiz_prover_end(struct phiz_prover *prover, struct phiz_export_proof *proof)
{
	struct phiz_prover *p = prover;

	*proof = p->proof;
	if (proof->pictures == 0)
		return phiz_fail(p->ctx, PHIZ_E_ARG, "an export is proved on pictures, and there was none that could be read");
	if (!(proof->cosine <= proof->bounds.cosine))
		return phiz_fail(p->ctx, PHIZ_E_NUMERIC,
		                 "the exported model is not the trained one: embeddings are apart by %.3g (1 - cosine), "
		                 "allowed are %.3g; nothing was written (a higher --precision may do)",
		                 proof->cosine, proof->bounds.cosine);
	if (!(proof->logits <= proof->bounds.logits))
		return phiz_fail(p->ctx, PHIZ_E_NUMERIC,
		                 "the exported model is not the trained one: logits differ by %.3g of the largest, "
		                 "allowed are %.3g; nothing was written (a higher --precision may do)",
		                 proof->logits, proof->bounds.logits);
	if ((double)p->unexplained > proof->bounds.disagreements * (double)proof->pictures)
		return phiz_fail(p->ctx, PHIZ_E_NUMERIC,
		                 "the exported model is not the trained one: it decides otherwise on %lld of %lld pictures; "
		                 "nothing was written", (long long)p->unexplained, (long long)proof->pictures);
	return PHIZ_OK;
}

void phiz_export_proof_json(const struct phiz_export_proof *proof, struct phiz_bytes *out)
{
	phiz_bytes_printf(out, "\"pictures\":%lld,", (long long)proof->pictures);
	if (proof->embeds)
		phiz_bytes_printf(out, "\"cosine_distance\":%.3e,\"cosine_distance_bound\":%.3e", proof->cosine,
		                  proof->bounds.cosine);
	else
		phiz_bytes_printf(out, "\"logits\":%.3e,\"logits_bound\":%.3e,\"other_best\":%lld,\"other_decision\":%lld,"
		                  "\"confidence\":%.3e", proof->logits, proof->bounds.logits, (long long)proof->other_best,
		                  (long long)proof->other_decision, proof->confidence);
}

enum phiz_status phiz_export_record(struct phiz_model *exported, const struct phiz_export_proof *proof)
{
	struct phiz_bytes b;

	phiz_bytes_init(&b, exported->ctx);
	phiz_bytes_text(&b, "{");
	phiz_export_proof_json(proof, &b);
	phiz_bytes_text(&b, "}");
	enum phiz_status status = phiz_bytes_status(&b);
	if (!status)
		status = phiz_model_set_meta(exported, "proof", b.data);
	phiz_bytes_free(&b);
	return status;
}
