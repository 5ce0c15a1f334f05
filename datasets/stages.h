/* What a photo costs on its way into a batch, stage by stage, in processor time of the thread that works on it. */
#ifndef PHIZ_DATASETS_STAGES_H
#define PHIZ_DATASETS_STAGES_H

#include <stdint.h>

enum phiz_stage {
	PHIZ_STAGE_READ,     /* the file read and decoded, or for a photo that is not augmented all up to its size */
	PHIZ_STAGE_GEOMETRY, /* crop, resize, flip, rotation, shift and zoom; cutting a face out */
	PHIZ_STAGE_PIXELS,   /* colour, blur, low resolution, JPEG artefacts */
	PHIZ_STAGE_FLOATS,   /* normalised planes, erasing */
	PHIZ_N_STAGES
};

struct phiz_stages {
	uint64_t photos;
	double seconds[PHIZ_N_STAGES];
	double since; /* the thread's time at the end of the last stage */
};

/* A photo begins on this thread. stages NULL, here and below: nothing is measured. */
void phiz_stages_begin(struct phiz_stages *stages);
/* What passed since the last call was this stage. */
void phiz_stages_end(struct phiz_stages *stages, enum phiz_stage stage);
/* to += from */
void phiz_stages_add(struct phiz_stages *to, const struct phiz_stages *from);
/* "read", "geometry", "pixels", "floats" */
const char *phiz_stage_name(enum phiz_stage stage);

#endif
