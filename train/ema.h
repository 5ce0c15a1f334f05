/* A moving average of the weights (and of batch norm's running statistics): shadow = d*shadow + (1-d)*live after each
 * step. It is what is validated, kept as the model and exported; training goes on with the live tensors. */
#ifndef PHIZ_TRAIN_EMA_H
#define PHIZ_TRAIN_EMA_H

#include <phiz/model.h>

#include "train/mirror.h"

struct phiz_ema_entry {
	char *name;
	struct phiz_tensor *live;   /* the model's: borrowed */
	struct phiz_tensor *shadow;
	float *live_at, *shadow_at; /* in the backend's memory */
};

struct phiz_ema {
	struct phiz_ctx *ctx;
	double decay;
	int64_t steps;
	bool swapped; /* the model's tensors hold the average just now */
	struct phiz_ema_entry *entry;
	size_t count, capacity;
	struct phiz_mirror shadows;
	struct phiz_average_pair *pair;
	size_t pair_capacity;
};

enum phiz_status phiz_ema_create(struct phiz_ctx *ctx, double decay, struct phiz_ema **out);
void phiz_ema_free(struct phiz_ema **ema);
/* Takes in a tensor of the model; the average begins as its value now. f32 only (ARG). A name that is there already is
 * left as it is. */
enum phiz_status phiz_ema_add(struct phiz_ema *ema, const char *name, struct phiz_tensor *live);
/* From now on the average is taken where the backend's memory is; the shadows are copied there. The caller then sets
 * each entry's live_at to where a plan of that backend has it (NULL: it rests, as it does not move). */
enum phiz_status phiz_ema_place(struct phiz_ema *ema, const struct phiz_backend *backend);
/* The shadows brought to the host, and back to the backend after they were changed. NULL is fine. */
enum phiz_status phiz_ema_pull(struct phiz_ema *ema);
enum phiz_status phiz_ema_push(struct phiz_ema *ema);
/* After a step of the optimiser. d is min(decay, (1 + n)/(10 + n)) at the n-th step, so that a short run is not stuck
 * in its beginning. Allocates nothing. */
enum phiz_status phiz_ema_update(struct phiz_ema *ema);
double phiz_ema_decay_at(double decay, int64_t step);
/* Exchanges the host's live tensors and average, in place; twice is nothing. NULL is fine. */
void phiz_ema_swap(struct phiz_ema *ema);

#endif
