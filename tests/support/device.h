/* The device that a test works on, so that tests of training run on a GPU too. */
#ifndef PHIZ_TESTS_DEVICE_H
#define PHIZ_TESTS_DEVICE_H

#include <phiz/plan.h>

/* The CPU, or where PHIZ_TEST_DEVICE is "cuda" the first CUDA device; where there is none the program ends with 77,
 * skipped. */
const struct phiz_backend *test_backend(void);

#endif
