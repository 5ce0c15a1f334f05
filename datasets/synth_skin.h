/* Skin as the shader wants it. */
#ifndef PHIZ_DATASETS_SYNTH_SKIN_H
#define PHIZ_DATASETS_SYNTH_SKIN_H

#include "datasets/synth_internal.h"

struct synth_skin {
	struct v3 colour;
	float gloss; /* 0 matt .. 1 oily */
};

/* At a rest place of the face's mesh; angle is that of the skull's section. */
void synth_skin_face(const struct synth_stage *s, struct v3 rest, float angle, struct synth_skin *k);
float synth_beard_mask(const struct synth_person *p, enum synth_beard beard, float x, float y, float z);
float synth_scalp_mask(const struct synth_person *p, float angle, float y);

#endif
