#include "train/features.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

enum phiz_status phiz_features_create(struct phiz_ctx *ctx, size_t samples, const uint32_t *index, size_t count,
                                      size_t views, size_t width, struct phiz_features **out)
{
	struct phiz_features *f = phiz_calloc(ctx, 1, sizeof *f);
	size_t i;

	*out = f;
	if (!f)
		return PHIZ_E_NOMEM;
	f->ctx = ctx;
	f->samples = samples;
	f->views = views;
	f->width = width;
	f->place = phiz_alloc(ctx, samples, sizeof *f->place);
	f->view = phiz_calloc(ctx, views, sizeof *f->view);
	f->have = phiz_calloc(ctx, views, sizeof *f->have);
	if (!f->place || !f->view || !f->have) {
		phiz_features_free(out);
		return PHIZ_E_NOMEM;
	}
	for (i = 0; i < samples; i++)
		f->place[i] = UINT32_MAX;
	for (i = 0; i < count; i++)
		if (index[i] < samples && f->place[index[i]] == UINT32_MAX)
			f->place[index[i]] = (uint32_t)f->rows++;
	return PHIZ_OK;
}

void phiz_features_free(struct phiz_features **features)
{
	struct phiz_features *f = features ? *features : NULL;
	size_t v;

	if (!f)
		return;
	for (v = 0; v < f->views; v++) {
		if (f->view)
			phiz_free(f->ctx, f->view[v]);
		if (f->have)
			phiz_free(f->ctx, f->have[v]);
	}
	phiz_free(f->ctx, f->view);
	phiz_free(f->ctx, f->have);
	phiz_free(f->ctx, f->place);
	phiz_free(f->ctx, f);
	*features = NULL;
}

size_t phiz_features_bytes(size_t count, size_t views, size_t width)
{
	size_t bytes;

	if (!phiz_size_mul(count, views, &bytes) || !phiz_size_mul(bytes, width, &bytes) ||
	    !phiz_size_mul(bytes, sizeof(float), &bytes))
		return SIZE_MAX;
	return bytes;
}

const float *phiz_features_get(const struct phiz_features *f, size_t view, uint32_t sample)
{
	uint32_t row;

	if (!f || view >= f->views || sample >= f->samples || !f->view[view])
		return NULL;
	row = f->place[sample];
	return row != UINT32_MAX && f->have[view][row] ? f->view[view] + row * f->width : NULL;
}

static bool make_view(struct phiz_features *f, size_t view)
{
	f->have[view] = phiz_calloc(f->ctx, f->rows, 1);
	f->view[view] = f->have[view] ? phiz_alloc(f->ctx, f->rows * f->width, sizeof(float)) : NULL;
	if (f->view[view])
		return true;
	phiz_free(f->ctx, f->have[view]);
	f->have[view] = NULL;
	phiz_ctx_clear(f->ctx);
	return false;
}

float *phiz_features_put(struct phiz_features *f, size_t view, uint32_t sample)
{
	uint32_t row;

	if (!f || view >= f->views || sample >= f->samples || f->place[sample] == UINT32_MAX)
		return NULL;
	if (!f->view[view] && !make_view(f, view))
		return NULL;
	row = f->place[sample];
	f->have[view][row] = 1;
	return f->view[view] + row * f->width;
}
