#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <phiz/tensor.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

struct phiz_shape phiz_shape_make(int ndim, ...)
{
	struct phiz_shape shape = {0};
	va_list args;
	if (ndim < 0 || ndim > PHIZ_MAX_DIMS) {
		shape.ndim = -1;
		return shape;
	}
	shape.ndim = ndim;
	va_start(args, ndim);
	for (int i = 0; i < ndim; i++)
		shape.dim[i] = va_arg(args, int64_t);
	va_end(args);
	return shape;
}

struct phiz_shape phiz_shape_1d(int64_t a)
{
	struct phiz_shape shape = {1, {a}};
	return shape;
}

struct phiz_shape phiz_shape_2d(int64_t a, int64_t b)
{
	struct phiz_shape shape = {2, {a, b}};
	return shape;
}

struct phiz_shape phiz_shape_4d(int64_t n, int64_t c, int64_t h, int64_t w)
{
	struct phiz_shape shape = {4, {n, c, h, w}};
	return shape;
}

bool phiz_shape_equal(const struct phiz_shape *a, const struct phiz_shape *b)
{
	if (a->ndim != b->ndim)
		return false;
	for (int i = 0; i < a->ndim; i++)
		if (a->dim[i] != b->dim[i])
			return false;
	return true;
}

/* Unsigned, so that a shape that nobody checked gives a wrong number and not undefined behaviour. */
int64_t phiz_shape_count(const struct phiz_shape *shape)
{
	uint64_t count = shape->ndim < 0 ? 0 : 1;
	for (int i = 0; i < shape->ndim; i++)
		count *= (uint64_t)shape->dim[i];
	return (int64_t)count;
}

/* Dims of 0 count as 1 in the product, so that strides do not overflow either. */
enum phiz_status phiz_shape_bytes(struct phiz_ctx *ctx, enum phiz_dtype dtype, const struct phiz_shape *shape,
                                  size_t *out)
{
	char text[128];
	size_t bytes = phiz_dtype_size(dtype);
	bool empty = false;
	if (!bytes)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "unknown dtype %d", (int)dtype);
	if (shape->ndim < 0 || shape->ndim > PHIZ_MAX_DIMS)
		return phiz_fail(ctx, PHIZ_E_SHAPE, "a shape has %d dims, want 0 to %d", shape->ndim, PHIZ_MAX_DIMS);
	for (int i = 0; i < shape->ndim; i++) {
		int64_t dim = shape->dim[i];
		if (dim < 0)
			return phiz_fail(ctx, PHIZ_E_SHAPE, "shape %s has a negative dim", phiz_shape_text(shape, text));
		empty |= dim == 0;
		if ((uint64_t)dim > SIZE_MAX || (dim && !phiz_size_mul(bytes, (size_t)dim, &bytes)) || bytes > INT64_MAX)
			return phiz_fail(ctx, PHIZ_E_SHAPE, "shape %s is larger than can be addressed",
			                 phiz_shape_text(shape, text));
	}
	*out = empty ? 0 : bytes;
	return PHIZ_OK;
}

char *phiz_shape_text(const struct phiz_shape *shape, char text[128])
{
	size_t used = 1;
	text[0] = '[';
	/* Six dims of at most 20 characters do not fit in the worst case; "..." then says so. */
	for (int i = 0; i < shape->ndim && i < PHIZ_MAX_DIMS; i++) {
		int n = snprintf(text + used, 128 - used, "%s%lld", i ? ", " : "", (long long)shape->dim[i]);
		if (n < 0 || used + (size_t)n > 128 - 8) {
			memcpy(text + used, "...", 3);
			used += 3;
			break;
		}
		used += (size_t)n;
	}
	memcpy(text + used, "]", 2);
	return text;
}
