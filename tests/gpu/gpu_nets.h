/* Whole networks on a device beside another backend. */
#ifndef PHIZ_TESTS_GPU_NETS_H
#define PHIZ_TESTS_GPU_NETS_H

#include <phiz/model.h>
#include <phiz/plan.h>

/* A built-in network as it runs, of this side (0: its own), with weights and running statistics that are drawn. */
struct phiz_model *gpu_net_make(struct phiz_ctx *ctx, const char *net, int size);
/* ||a - b|| / ||b||, of float tensors of one shape. */
double gpu_net_distance(const struct phiz_tensor *a, const struct phiz_tensor *b);

/* The recognisers and the networks of the detectors, in F32 and F16, with several batches, call by call and recorded:
 * ||got - want|| / ||want|| of each output. same: the other backend has the same precisions, else its F32 is the
 * measure. Prints what was found. */
void gpu_nets_compare(struct phiz_ctx *ctx, const struct phiz_backend *device, const struct phiz_backend *other,
                      bool same);

#endif
