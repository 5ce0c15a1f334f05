/* Kernels of a backend against the reference kernels, and how fast they are. */
#ifndef PHIZ_TESTS_KERN_H
#define PHIZ_TESTS_KERN_H

#include "support/op_check.h"

/* Holds one kernel to the reference kernel in double on one case, filled from the seed:
 * - outputs, saved values, state and gradients within the tolerance for the kernel's precision; backward also for some
 *   of the gradients, some of them added to what is there, with all that it need not read overwritten with NaN;
 * - the same bytes with 1 and with 3 threads, without memory for saved values, and over the input where it may be;
 * - a NaN is not lost, an infinity neither, and elements that they do not touch stay finite;
 * - nothing outside of tensors and workspace is written, nothing allocated, the workspace does not grow as the batch
 *   shrinks.
 * Directions that the kernel lacks, and cases that it does not support, are left out; returns whether any was
 * checked. */
bool kern_check(const struct phiz_kernel *kernel, const struct op_case *c, uint64_t seed, struct tolerance_use *use);

/* kern_kernels --bench [--threads N] [--batch N] [--seconds S] [--all] [--json] [GROUP | WORD | CASE]...: times the
 * cases of kern_cases.h of these groups, or whose text holds the word, or a case as op_case_parse reads it (N: the
 * batch); without any, all. Forward, data gradient (of input 0 alone), weight gradient (of the others alone), backward
 * (all); of each the kernel and the layout that a plan would take, with --all every one that the processor has and
 * PHIZ_CPU allows, and the reference. Held against the machine's peak, measured first. Returns an exit status. */
int kern_bench(int n_words, char **words);

/* Does this processor have what row i of the kernel table needs? */
bool kern_runs_here(const struct phiz_kernel *kernel);

enum precision kern_precision(const struct phiz_kernel *kernel);

#endif
