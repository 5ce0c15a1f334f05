/* What targets that make models do with them. */
#ifndef PHIZ_TESTS_FUZZ_RUN_MODEL_H
#define PHIZ_TESTS_FUZZ_RUN_MODEL_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <phiz/model.h>
#include <phiz/plan.h>

/* A new file for a target to write over, in memory where there is such a folder: phiz syncs what it writes. */
static void fuzz_file(char path[64])
{
	int fd;

	strcpy(path, "/dev/shm/phiz_fuzz_XXXXXX");
	fd = mkstemp(path);
	if (fd < 0) {
		strcpy(path, "/tmp/phiz_fuzz_XXXXXX");
		fd = mkstemp(path);
	}
	if (fd < 0 || close(fd))
		abort();
}

/* Only what is small: a fuzzer finds large networks, which are fine, and would wait for them. */
static void fuzz_run(struct phiz_ctx *ctx, struct phiz_model *m)
{
	struct phiz_plan_options options = {0};
	struct phiz_plan_info info;
	struct phiz_plan *plan;
	int backend;

	for (backend = 0; backend < 2; backend++) {
		options.backend = backend ? phiz_backend_cpu() : phiz_backend_reference();
		options.loss = PHIZ_NONE;
		options.memory_limit = 16 << 20;
		if (phiz_plan_create(ctx, m->graph, &options, &plan))
			continue;
		phiz_plan_describe(plan, &info);
		if (info.forward_flops < 3e6)
			(void)phiz_plan_forward(plan);
		phiz_plan_free(&plan);
	}
}

#endif
