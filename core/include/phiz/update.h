/* A step of an optimiser over all parameters at once, and of their moving average, as a backend's device does them.
 * train/optimizer.c has the formulas, and does the same on the CPU. */
#ifndef PHIZ_UPDATE_H
#define PHIZ_UPDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum phiz_update_rule { PHIZ_UPDATE_SGD, PHIZ_UPDATE_ADAM, PHIZ_UPDATE_ADAMW };

/* One parameter: `count` floats in the backend's memory in each array. */
struct phiz_update_param {
	float *w;       /* the parameter */
	float *m, *v;   /* SGD: m the momentum or NULL; Adam: means of the gradient and of its square */
	const float *g; /* its gradient */
	int64_t count;
	float lr;    /* SGD: the rate; Adam: lr / bias correction 1 */
	float decay; /* L2, added to the gradient; AdamW: 1 - lr * weight_decay, times the weight */
	float root2; /* Adam: sqrt(bias correction 2) */
	bool first;  /* SGD: m holds nothing yet */
};

struct phiz_update {
	enum phiz_update_rule rule;
	bool nesterov;
	float momentum, keep;                      /* keep: 1 - dampening */
	float beta1, grow1, beta2, grow2, eps;     /* grow: 1 - beta */
	size_t count;
	const struct phiz_update_param *param;
	/* For a device: gradients count times `scale`, and are then clipped to the common L2 norm max_norm (0: they are
	 * not). Nothing is changed where that norm is not finite. */
	double scale, max_norm;
	double *norm; /* out, once the device is waited for: the norm of scale * g; staging memory */
};

struct phiz_average_pair {
	float *shadow, *live; /* in the backend's memory */
	int64_t count;
};

/* shadow = keep * shadow + take * live. */
struct phiz_average {
	float keep, take;
	size_t count;
	const struct phiz_average_pair *pair;
};

#ifdef __cplusplus
}
#endif
#endif
