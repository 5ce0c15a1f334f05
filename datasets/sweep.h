/* One pass over photos on the context's threads, with bad ones named. */
#ifndef PHIZ_DATASETS_SWEEP_H
#define PHIZ_DATASETS_SWEEP_H

#include "datasets/scan.h"

/* Does its work on the photo at `path`. worker picks scratch memory, 0..phiz_ctx_threads-1; ctx is the worker's own. */
typedef enum phiz_status (*phiz_sweep_fn)(struct phiz_ctx *ctx, void *arg, size_t i, const char *path, int worker);

/* Calls fn with i = 0..count-1 for the samples index[i] (NULL: sample i). Where fn fails, bad[i] becomes true (it
 * is false otherwise), and the message is logged as a warning, in order, the first 20 of them. Out of memory is not a
 * photo's fault: it fails the sweep. strict: the first bad photo does too. */
enum phiz_status phiz_sweep(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, const uint32_t *index,
                            size_t count, bool strict, phiz_sweep_fn fn, void *arg, bool *bad, size_t *n_bad);

#endif
