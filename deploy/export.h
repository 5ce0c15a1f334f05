/* Export: the inference form of a trained model, proved against the model that it came from. */
#ifndef PHIZ_DEPLOY_EXPORT_H
#define PHIZ_DEPLOY_EXPORT_H

#include <phiz/model.h>

#include "core/base/bytes.h"

enum phiz_precision { PHIZ_PRECISION_FP32, PHIZ_PRECISION_FP16, PHIZ_PRECISION_BF16, PHIZ_PRECISION_INT8 };

/* How far an exported model may be from its original, and how far it was. */
struct phiz_export_bounds {
	double logits;        /* of a classifier: largest |difference| over the largest |logit| of the same picture */
	double disagreements; /* share of pictures whose best class or threshold decision differs although the original's
	                         margin was larger than the logits' bound explains */
	double cosine;        /* of an embedder: largest 1 - cosine of the two embeddings of a picture. Below d, the cosine
	                         of two faces moves by at most 2 sqrt(2 d) (two angles), and mostly by far less */
};

struct phiz_export_proof {
	bool embeds;                   /* it is an embedder: the cosine counts; false: the figures after it */
	int64_t pictures;
	double cosine;                 /* as in the bounds, the worst picture */
	double logits;                 /* as in the bounds, the worst picture */
	int64_t other_best;            /* pictures with another best class */
	int64_t other_decision;        /* pictures with another threshold decision (0 without a threshold) */
	double confidence;             /* largest change of the best class's confidence */
	struct phiz_export_bounds bounds;
};

/* false if no precision has this name ("fp32", "fp16", "bf16", "int8"). */
bool phiz_precision_parse(const char *name, enum phiz_precision *out);
const char *phiz_precision_name(enum phiz_precision precision);
/* Do GPUs run models of it too? If not, they run on the CPU where there is a GPU as well. */
bool phiz_precision_on_gpu(enum phiz_precision precision);
struct phiz_export_bounds phiz_export_bounds_for(enum phiz_precision precision);

/* The exported form of `trained` (a checkpoint or a model): batch norm folded in double, activation and residual fused,
 * whatever only training needs dropped, weights rounded to `precision` (they stay f32 in memory and are stored as
 * `precision`). A new model; `trained` stays. INT8: still in f32, a phiz_calibrator puts it on bytes. */
enum phiz_status phiz_export_model(const struct phiz_model *trained, enum phiz_precision precision,
                                   struct phiz_model **out);

/* A model for others to train from: as phiz_export_model, but batch norm and all layers stay as they are. Whatever runs
 * it folds and fuses when it opens the file. Not INT8. */
enum phiz_status phiz_export_trunk(const struct phiz_model *trained, enum phiz_precision precision,
                                   struct phiz_model **out);

/* Runs both on pictures, one at a time, classifiers and embedders (UNSUPPORTED for a detector): begin, add for each RGB
 * picture, end. end fails with NUMERIC if a bound is broken (the message says which and by how much) and with ARG if no
 * picture was added; *proof is filled either way. */
struct phiz_prover;
enum phiz_status phiz_prover_begin(struct phiz_ctx *ctx, const struct phiz_model *trained,
                                   const struct phiz_model *exported, enum phiz_precision precision,
                                   struct phiz_prover **out);
enum phiz_status phiz_prover_add(struct phiz_prover *prover, const struct phiz_image *image);
enum phiz_status phiz_prover_end(struct phiz_prover *prover, struct phiz_export_proof *proof);
void phiz_prover_free(struct phiz_prover **prover);

/* The figures as a JSON object without its braces: "pictures":200,"logits":... */
void phiz_export_proof_json(const struct phiz_export_proof *proof, struct phiz_bytes *out);
/* Keeps the figures in the model: meta "proof", that object. */
enum phiz_status phiz_export_record(struct phiz_model *exported, const struct phiz_export_proof *proof);

#endif
