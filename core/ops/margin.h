/* What the kernels of margin_linear share: which class of a sample gets the margin, and what the margin does to its
 * cosine. See margin_linear.c for the formulas. */
#ifndef PHIZ_OPS_MARGIN_H
#define PHIZ_OPS_MARGIN_H

#include <math.h>

#include "core/base/error.h"
#include "core/ops/ops.h"

enum { PHIZ_MARGIN_SAVED_COS, PHIZ_MARGIN_SAVED_XNORM, PHIZ_MARGIN_SAVED_WNORM, PHIZ_MARGIN_SAVED };

#define PHIZ_MARGIN_PI 3.14159265358979323846
/* Rows shorter than this count as this long; sines smaller than this count as this large in phi'. */
#define PHIZ_MARGIN_EPS 1e-12
#define PHIZ_MARGIN_MIN_SINE 1e-6

static inline const int32_t *phiz_margin_labels(const struct phiz_call *call)
{
	return PHIZ_MARGIN_LABELS < call->n_in ? call->in[PHIZ_MARGIN_LABELS].data : NULL;
}

static inline enum phiz_status phiz_margin_check_labels(const struct phiz_call *call)
{
	const int32_t *label = phiz_margin_labels(call);
	int64_t n = call->in[PHIZ_MARGIN_INPUT].shape.dim[0], c = call->in[PHIZ_MARGIN_WEIGHT].shape.dim[0];

	for (int64_t i = 0; label && i < n; i++)
		if (label[i] < -1 || label[i] >= c)
			return phiz_fail(call->ctx, PHIZ_E_ARG,
			                 "margin_linear %s: sample %lld: want a label from 0 to %lld (or -1), got %d",
			                 call->node->name, (long long)i, (long long)(c - 1), (int)label[i]);
	return PHIZ_OK;
}

/* The label of sample n whose logit gets the margin, or -1. */
static inline int64_t phiz_margin_class(const struct phiz_call *call, int64_t n)
{
	const int32_t *label = phiz_margin_labels(call);

	return call->training && label ? label[n] : -1;
}

/* phi(c) - m2, with this share of both margins. */
static inline double phiz_margin_apply(const struct phiz_call *call, double share, double c)
{
	double angle = share * call->node->attr[PHIZ_MARGIN_ANGLE].f, square = 1 - c * c;
	double phi = c;

	if (c > cos(PHIZ_MARGIN_PI - angle))
		phi = c * cos(angle) - sqrt(square > 0 ? square : 0) * sin(angle);
	else
		phi = c - angle * sin(PHIZ_MARGIN_PI - angle);
	return phi - share * call->node->attr[PHIZ_MARGIN_COSINE].f;
}

/* phi'(c) */
static inline double phiz_margin_slope(const struct phiz_call *call, double share, double c)
{
	double angle = share * call->node->attr[PHIZ_MARGIN_ANGLE].f, square = 1 - c * c;
	double sine = sqrt(square > 0 ? square : 0);

	return c > cos(PHIZ_MARGIN_PI - angle)
	               ? cos(angle) + c * sin(angle) / (sine < PHIZ_MARGIN_MIN_SINE ? PHIZ_MARGIN_MIN_SINE : sine)
	               : 1;
}

#endif
