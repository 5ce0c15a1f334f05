/* The device that a test works on, so that tests of training run on a GPU too. */
#ifndef PHIZ_TESTS_DEVICE_H
#define PHIZ_TESTS_DEVICE_H

#include <phiz/plan.h>

/* The CPU, or where PHIZ_TEST_DEVICE is "cuda" the first CUDA device; where there is none the program ends with 77,
 * skipped. PHIZ_TEST_ONLY names the tests that run then (a pattern of cmocka's), for slow devices. */
const struct phiz_backend *test_backend(void);
/* The first CUDA device, whatever PHIZ_TEST_DEVICE says; skipped where there is none. What either gave is closed when
 * the program ends, which fails if memory of it is left over. */
struct phiz_backend *test_cuda(void);

#endif
