/* A device in the host's own memory: plans copy to it and back as to a GPU, and its kernels are the reference ones. It
 * has none on bytes, and none of an operator that is named. */
#ifndef PHIZ_TESTS_FAKE_DEVICE_H
#define PHIZ_TESTS_FAKE_DEVICE_H

#include <phiz/plan.h>

struct fake_device {
	struct phiz_backend backend;
	const char *lacks; /* an operator; NULL: it has all */
	int runs;          /* segments of plans that it was given */
};

void fake_device_init(struct fake_device *device);

#endif
