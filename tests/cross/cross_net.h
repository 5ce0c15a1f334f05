/* A whole network made ready to run one way or another: precision, backend, rewritten or not. */
#ifndef PHIZ_TESTS_CROSS_NET_H
#define PHIZ_TESTS_CROSS_NET_H

#include "support/support.h"

#include <phiz/model.h>
#include <phiz/plan.h>

struct cross_net {
	struct phiz_ctx *ctx;
	struct phiz_model *model;
	struct phiz_graph *graph; /* the model's, or a wider copy of it */
	struct phiz_tensor **wide; /* the copy's tensors, NULL at the end */
	struct phiz_plan *plan;
};

struct cross_options {
	const char *net; /* a built-in one */
	int size, classes;
	int64_t batch;
	enum phiz_dtype real; /* f32, or f64: the same numbers in double, not rewritten */
	bool training;        /* with labels, a loss "loss", and backward */
	bool rewritten;       /* training: fused activations; inference: everything that phiz_model_optimize does */
	const struct phiz_backend *backend;
	uint64_t seed; /* of the images */
};

/* Builds and plans it, in a context with so many threads. Weights, running statistics and labels depend on the
 * net's name and sizes alone, images on the seed. */
void cross_start(struct cross_net *n, const struct cross_options *options, int threads);
/* Forward, and backward when training. */
void cross_run(struct cross_net *n);
void cross_done(struct cross_net *n);

/* The network's result; a parameter or a buffer of this name; the gradient of a parameter (NULL: it has none). */
const struct phiz_tensor *cross_output(const struct cross_net *n);
const struct phiz_tensor *cross_parameter(const struct cross_net *n, const char *name);
const struct phiz_tensor *cross_gradient(const struct cross_net *n, const char *name);

#endif
