/* A model made ready for training: cut in two where the frozen part ends.
 *
 * The trunk is what needs no gradient and does the same for a photo whatever else is in its batch and whatever was
 * trained before: it runs as an optimised inference plan (batch norm folded, activations fused). What it hands on are
 * its features. The rest, the head, is a graph with the loss at its end; it runs as a training plan, and as an
 * inference plan for validation. Where nothing is frozen the trunk is empty and the features are the photos. */
#ifndef PHIZ_TRAIN_TRAINNET_H
#define PHIZ_TRAIN_TRAINNET_H

#include <phiz/model.h>
#include <phiz/plan.h>
#include <phiz/preproc.h>

#define PHIZ_MAX_FEATURES 16
#define PHIZ_LOSS_CENTER "loss.center" /* of the centre loss */
#define PHIZ_LOSS_WEIGHT "loss.weight" /* the classes of ArcFace and CosFace, which only training needs */

struct phiz_trainnet_options {
	int64_t batch, val_batch; /* val_batch 0: no validation plan */
	int size;                 /* of the square photos, pixels */
	enum phiz_dtype precision; /* of the plans (plan.h) */
	const struct phiz_backend *backend; /* of the plans; NULL: the CPU */
	const struct phiz_backend *fallback; /* of all of them where that one lacks a kernel; NULL: this is an error */
	double label_smoothing;
	bool mixup;               /* the loss has labels_b and lambda */
	/* An embedder's losses; enum phiz_loss_kind. The tensors are borrowed and trained. */
	int loss;
	double scale, margin;            /* the margin of triplets, or arcface's and cosface's when it is full */
	struct phiz_tensor *loss_weight; /* arcface, cosface: [people, D], parameter "loss.weight" */
	int mining;                      /* triplet: enum phiz_mining */
	struct phiz_tensor *loss_center; /* [people, D], state "loss.center"; NULL: no centre loss */
	double center, center_rate;      /* its weight, and how far centres move */
	double distill, similarity;      /* weight of distilling (distill alone: 1); 0: none */
	const float *class_weight; /* one for each class, copied; NULL: none */
	uint64_t seed;            /* dropout */
	const struct phiz_preproc *bytes; /* photos come as bytes, which the plans normalise in this way; copied. NULL: as
	                                     floats. For devices, to which a quarter is brought then */
	bool keep_whole;          /* no trunk, for tests */
};

struct phiz_trainnet {
	struct phiz_ctx *ctx;
	struct phiz_trainnet_options options;
	struct phiz_model *trunk; /* NULL: none */
	int trunk_nodes, trunk_params; /* how many of the model's; 0 without a trunk */
	struct phiz_plan *trunk_plan;
	struct phiz_graph *head;
	struct phiz_plan *train_plan, *val_plan;
	/* What goes into the head: the features, by the order of the trunk's outputs (without a trunk: the photos). */
	int n_features;
	int feature[PHIZ_MAX_FEATURES];        /* values of head */
	int trunk_output[PHIZ_MAX_FEATURES];   /* values of trunk->graph */
	size_t feature_count[PHIZ_MAX_FEATURES]; /* floats of a photo */
	size_t feature_total;
	bool batch_statistics; /* a batch norm of the head works on the batch's own */
	struct phiz_tensor *class_weight;
	struct phiz_graph *val_head;    /* the head without what only training needs */
	struct phiz_tensor *term_weight[3];
	int n_terms;
	/* Values of head; PHIZ_NONE where there is none. output: logits or embedding; logits: a class for each
	 * person. */
	int output, labels, labels_b, lambda, teacher, logits, loss, margin_share, erased;
	struct phiz_plan *filled; /* of the head: whose inputs phiz_trainnet_begin gave last */
	double share; /* of the margin */
};

/* Cuts the model's graph as its `trainable` and `frozen` marks say. The model's tensors are borrowed: it must outlive
 * the net. Errors of planning. */
enum phiz_status phiz_trainnet_create(struct phiz_model *model, const struct phiz_trainnet_options *options,
                                      struct phiz_trainnet **out);
void phiz_trainnet_free(struct phiz_trainnet **net);
/* The one that its plans are of: options.backend, or options.fallback. */
const struct phiz_backend *phiz_trainnet_backend(const struct phiz_trainnet *net);

/* Where the head's inputs of n photos are written, feature k: [n, feature_count[k]] (floats; photos as bytes where the
 * net takes them so). NULL if val and there is no such plan. Sets the plan's batch. */
enum phiz_status phiz_trainnet_begin(struct phiz_trainnet *net, bool val, int n, float *features[PHIZ_MAX_FEATURES]);
/* Computes the features of n photos [n, 3, size, size] (n up to the larger batch) into features[k]. */
enum phiz_status phiz_trainnet_features(struct phiz_trainnet *net, const float *images, int n, float *const *features);
/* The same for a net that takes bytes: [n, 3, size, size], and erased [n, 4], each photo's box (x, y, width, height)
 * that is 0 once they are normalised. To the last bit what phiz_trainnet_features makes of the normalised photos. */
enum phiz_status phiz_trainnet_bytes(struct phiz_trainnet *net, const uint8_t *bytes, const int32_t *erased, int n,
                                     float *const *features);

/* After the features were written by begin(net, false, ...): a device is sent them while it is at an earlier step. */
enum phiz_status phiz_trainnet_send(struct phiz_trainnet *net);

/* arcface, cosface: how much of the margin there is from the next pass on, 0 to 1. At first: 1. */
void phiz_trainnet_set_margin(struct phiz_trainnet *net, double share);
/* Where the teacher's embeddings of n photos [n, D] are written after begin(net, false, ...), or NULL: no teacher. */
float *phiz_trainnet_teacher(struct phiz_trainnet *net);
/* After begin(net, false, ...) and with the features written: one forward pass in training mode. labels_b and lambda
 * are read only with options.mixup. logits: [n, classes], until the next pass; NULL: the loss has no classes. */
enum phiz_status phiz_trainnet_forward(struct phiz_trainnet *net, int n, const int32_t *labels, const int32_t *labels_b,
                                       float lambda, uint64_t step, double *loss, const float **logits);
enum phiz_status phiz_trainnet_backward(struct phiz_trainnet *net, bool add, double scale);
/* After begin(net, true, ...): the model's output in inference mode: logits, or embeddings as they come. */
enum phiz_status phiz_trainnet_validate(struct phiz_trainnet *net, const float **output);

/* The model's parameter or buffer of this name where training moves it (phiz_plan_parameter), or NULL: it is no part of
 * what is trained. push and pull: all of them (plan.h). */
struct phiz_tensor *phiz_trainnet_parameter(struct phiz_trainnet *net, const char *name);
enum phiz_status phiz_trainnet_push(struct phiz_trainnet *net);
enum phiz_status phiz_trainnet_pull(struct phiz_trainnet *net);
/* The gradient of the model's parameter of this name, or NULL where it gets none. */
struct phiz_tensor *phiz_trainnet_gradient(struct phiz_trainnet *net, const char *name);

#endif
