/* Tensors of the host that have a copy where the plans' kernels work. On the CPU that is the tensor itself. */
#ifndef PHIZ_TRAIN_MIRROR_H
#define PHIZ_TRAIN_MIRROR_H

#include <phiz/plan.h>

struct phiz_mirror {
	struct phiz_ctx *ctx;
	const struct phiz_backend *backend;
	struct phiz_mirror_entry {
		struct phiz_tensor *here; /* borrowed */
		void *there;
	} *entry;
	size_t count, capacity;
};

void phiz_mirror_init(struct phiz_mirror *mirror, struct phiz_ctx *ctx, const struct phiz_backend *backend);
/* Gives up the copies. */
void phiz_mirror_free(struct phiz_mirror *mirror);
/* Takes a tensor in; *there: its data in the backend's memory, valid until the mirror is freed. */
enum phiz_status phiz_mirror_add(struct phiz_mirror *mirror, struct phiz_tensor *here, float **there);
/* All copies made as the tensors are, or all tensors as the copies. */
enum phiz_status phiz_mirror_push(struct phiz_mirror *mirror);
enum phiz_status phiz_mirror_pull(struct phiz_mirror *mirror);

#endif
