#include <stdatomic.h>
#include <string.h>

#include <phiz/tensor.h>

#include "core/base/alloc.h"

/* The elements follow in the same block, DATA_OFFSET bytes on: aligned as the block is. */
struct phiz_buffer {
	atomic_int count;
};
#define DATA_OFFSET 64
_Static_assert(sizeof(struct phiz_buffer) <= DATA_OFFSET, "the elements would lie over the count");

static void drop_buffer(struct phiz_ctx *ctx, struct phiz_buffer *buffer)
{
	if (buffer && atomic_fetch_sub_explicit(&buffer->count, 1, memory_order_acq_rel) == 1)
		phiz_free(ctx, buffer);
}

static enum phiz_status create_buffer(struct phiz_ctx *ctx, size_t bytes, struct phiz_buffer **out)
{
	size_t whole = SIZE_MAX;
	struct phiz_buffer *buffer;
	if (!phiz_size_add(bytes, DATA_OFFSET, &whole))
		whole = SIZE_MAX; /* which no system has: the allocator says it */
	*out = buffer = phiz_calloc(ctx, 1, whole);
	if (!buffer)
		return PHIZ_E_NOMEM;
	atomic_init(&buffer->count, 1);
	return PHIZ_OK;
}

enum phiz_status phiz_tensor_create(struct phiz_ctx *ctx, enum phiz_dtype dtype, const struct phiz_shape *shape,
                                    struct phiz_tensor **out)
{
	size_t bytes;
	struct phiz_buffer *buffer;
	struct phiz_tensor *tensor;
	enum phiz_status status;
	*out = NULL;
	if ((status = phiz_shape_bytes(ctx, dtype, shape, &bytes)))
		return status;
	if ((status = create_buffer(ctx, bytes, &buffer)))
		return status;
	tensor = phiz_alloc(ctx, 1, sizeof(*tensor));
	if (!tensor) {
		drop_buffer(ctx, buffer);
		return PHIZ_E_NOMEM;
	}
	phiz_tensor_view(tensor, dtype, shape, (unsigned char *)buffer + DATA_OFFSET);
	tensor->buffer = buffer;
	*out = tensor;
	return PHIZ_OK;
}

enum phiz_status phiz_tensor_share(struct phiz_ctx *ctx, const struct phiz_tensor *tensor, struct phiz_tensor **out)
{
	struct phiz_tensor *copy = phiz_alloc(ctx, 1, sizeof(*copy));
	*out = copy;
	if (!copy)
		return PHIZ_E_NOMEM;
	*copy = *tensor;
	if (copy->buffer)
		atomic_fetch_add_explicit(&copy->buffer->count, 1, memory_order_relaxed);
	return PHIZ_OK;
}

void phiz_tensor_free(struct phiz_ctx *ctx, struct phiz_tensor **tensor)
{
	if (!tensor || !*tensor)
		return;
	drop_buffer(ctx, (*tensor)->buffer);
	phiz_free(ctx, *tensor);
	*tensor = NULL;
}

void phiz_tensor_release(struct phiz_ctx *ctx, struct phiz_tensor *tensor)
{
	drop_buffer(ctx, tensor->buffer);
	tensor->buffer = NULL;
	tensor->data = NULL;
}

void phiz_tensor_view(struct phiz_tensor *t, enum phiz_dtype dtype, const struct phiz_shape *shape, void *data)
{
	uint64_t stride = 1;
	memset(t, 0, sizeof(*t));
	t->dtype = dtype;
	t->shape = *shape;
	t->data = data;
	for (int i = shape->ndim - 1; i >= 0; i--) {
		t->stride[i] = (int64_t)stride;
		stride *= (uint64_t)shape->dim[i];
	}
}

bool phiz_tensor_contiguous(const struct phiz_tensor *t)
{
	int64_t stride = 1;
	if (phiz_tensor_count(t) == 0)
		return true;
	for (int i = t->shape.ndim - 1; i >= 0; i--) {
		if (t->shape.dim[i] != 1 && t->stride[i] != stride)
			return false;
		stride *= t->shape.dim[i];
	}
	return true;
}

int64_t phiz_tensor_count(const struct phiz_tensor *t)
{
	return phiz_shape_count(&t->shape);
}

size_t phiz_tensor_bytes(const struct phiz_tensor *t)
{
	return (size_t)phiz_tensor_count(t) * phiz_dtype_size(t->dtype);
}
