#include "train/mirror.h"

#include <string.h>

#include "core/base/alloc.h"

void phiz_mirror_init(struct phiz_mirror *m, struct phiz_ctx *ctx, const struct phiz_backend *backend)
{
	memset(m, 0, sizeof *m);
	m->ctx = ctx;
	m->backend = backend;
}

void phiz_mirror_free(struct phiz_mirror *m)
{
	for (size_t i = 0; i < m->count && m->backend->device; i++)
		m->backend->free(m->ctx, m->backend, m->entry[i].there);
	phiz_free(m->ctx, m->entry);
	phiz_mirror_init(m, m->ctx, m->backend);
}

enum phiz_status phiz_mirror_add(struct phiz_mirror *m, struct phiz_tensor *here, float **there)
{
	const struct phiz_backend *b = m->backend;

	if (phiz_grow(m->ctx, &m->entry, &m->capacity, m->count + 1, sizeof *m->entry))
		return PHIZ_E_NOMEM;
	void *memory = b->device ? b->alloc(m->ctx, b, phiz_tensor_bytes(here)) : here->data;
	if (!memory)
		return PHIZ_E_NOMEM;
	m->entry[m->count++] = (struct phiz_mirror_entry){here, memory};
	*there = memory;
	return b->device ? b->device->upload(m->ctx, b, memory, here->data, phiz_tensor_bytes(here)) : PHIZ_OK;
}

static enum phiz_status move(struct phiz_mirror *m, bool push)
{
	const struct phiz_backend *b = m->backend;
	enum phiz_status status = PHIZ_OK;

	if (!b || !b->device)
		return PHIZ_OK;
	for (size_t i = 0; i < m->count && !status; i++) {
		struct phiz_tensor *here = m->entry[i].here;
		status = push ? b->device->upload(m->ctx, b, m->entry[i].there, here->data, phiz_tensor_bytes(here))
		              : b->device->download(m->ctx, b, here->data, m->entry[i].there, phiz_tensor_bytes(here));
	}
	return status ? status : b->device->sync(m->ctx, b);
}

enum phiz_status phiz_mirror_push(struct phiz_mirror *m)
{
	return move(m, true);
}

enum phiz_status phiz_mirror_pull(struct phiz_mirror *m)
{
	return move(m, false);
}
