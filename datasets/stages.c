#include "datasets/stages.h"

#include "core/base/thread.h"

void phiz_stages_begin(struct phiz_stages *stages)
{
	if (!stages)
		return;
	stages->photos++;
	stages->since = phiz_thread_time();
}

void phiz_stages_end(struct phiz_stages *stages, enum phiz_stage stage)
{
	if (!stages)
		return;
	double now = phiz_thread_time();
	stages->seconds[stage] += now - stages->since;
	stages->since = now;
}

void phiz_stages_add(struct phiz_stages *to, const struct phiz_stages *from)
{
	to->photos += from->photos;
	for (int i = 0; i < PHIZ_N_STAGES; i++)
		to->seconds[i] += from->seconds[i];
}

const char *phiz_stage_name(enum phiz_stage stage)
{
	static const char *const names[PHIZ_N_STAGES] = {"read", "geometry", "pixels", "floats"};

	return names[stage];
}
