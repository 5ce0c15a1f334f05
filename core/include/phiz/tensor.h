/* Tensors: dtypes, shapes, strides, views. Dims are written N, C, H, W. */
#ifndef PHIZ_TENSOR_H
#define PHIZ_TENSOR_H

#include <stdbool.h>

#include <phiz/ctx.h>

#ifdef __cplusplus
extern "C" {
#endif

enum phiz_dtype {
	PHIZ_F32 = 0,
	PHIZ_F64,
	PHIZ_F16,  /* IEEE 754 binary16 */
	PHIZ_BF16, /* the upper half of a binary32 */
	PHIZ_I8,
	PHIZ_U8,
	PHIZ_I32,
	PHIZ_I64,
	PHIZ_DTYPES
};

#define PHIZ_MAX_DIMS 6

struct phiz_shape {
	int ndim;                   /* 0..PHIZ_MAX_DIMS; 0 is a scalar with one element */
	int64_t dim[PHIZ_MAX_DIMS]; /* each >= 0 */
};

/* A dtype and a shape: what a value is before it has memory. */
struct phiz_type {
	enum phiz_dtype dtype;
	struct phiz_shape shape;
};

/* How the elements lie in memory. Within a plan, pictures (four dims) may lie so that the channels of a pixel stand
 * side by side: blocked, [N, C / B, H, W, B], where a block of B channels is one cache line and C a multiple of B; or
 * with channels last, [N, H, W, C]. Where H = W = 1 all of them are the same bytes. */
enum phiz_layout {
	PHIZ_PLAIN = 0, /* in the order of the dims */
	PHIZ_BLOCKED,
	PHIZ_CHANNELS_LAST
};
#define PHIZ_BLOCK_BYTES 64
#define PHIZ_BLOCK 16 /* floats of a block */

/* Counted memory; the only counted thing in phiz. */
struct phiz_buffer;

/* A view of memory. A tensor made by phiz_tensor_create holds a count of its buffer; one that is filled in by hand
 * (buffer NULL) borrows. Strides are in elements, and are those of the plain layout. */
struct phiz_tensor {
	enum phiz_dtype dtype;
	enum phiz_layout layout;
	struct phiz_shape shape;
	int64_t stride[PHIZ_MAX_DIMS];
	void *data;
	struct phiz_buffer *buffer;
};

/* Bytes of one element; 0 for an unknown dtype. */
PHIZ_API size_t phiz_dtype_size(enum phiz_dtype dtype);
/* Elements of a block: 16 for f32, 32 for bf16 and f16, 64 for i8 and u8. */
PHIZ_API int64_t phiz_block(enum phiz_dtype dtype);
/* "f32", "bf16" ...; never NULL. */
PHIZ_API const char *phiz_dtype_name(enum phiz_dtype dtype);
/* false if no dtype has this name. */
PHIZ_API bool phiz_dtype_parse(const char *name, enum phiz_dtype *out);

PHIZ_API struct phiz_shape phiz_shape_make(int ndim, ...); /* dims as int64_t; ndim above the limit gives ndim -1 */
PHIZ_API struct phiz_shape phiz_shape_1d(int64_t a);
PHIZ_API struct phiz_shape phiz_shape_2d(int64_t a, int64_t b);
PHIZ_API struct phiz_shape phiz_shape_4d(int64_t n, int64_t c, int64_t h, int64_t w);
PHIZ_API bool phiz_shape_equal(const struct phiz_shape *a, const struct phiz_shape *b);
/* Number of elements. Only for shapes that were checked (phiz_shape_bytes) or come from a tensor. */
PHIZ_API int64_t phiz_shape_count(const struct phiz_shape *shape);
/* Bytes of a contiguous tensor. SHAPE for negative dims or a product that overflows int64_t or size_t. */
PHIZ_API enum phiz_status phiz_shape_bytes(struct phiz_ctx *ctx, enum phiz_dtype dtype, const struct phiz_shape *shape,
                                           size_t *out);
/* "[32, 64, 56, 56]" into text (at least 128 bytes); returns text. */
PHIZ_API char *phiz_shape_text(const struct phiz_shape *shape, char text[128]);

/* A contiguous zeroed tensor with its own buffer, 64-byte aligned. */
PHIZ_API enum phiz_status phiz_tensor_create(struct phiz_ctx *ctx, enum phiz_dtype dtype,
                                             const struct phiz_shape *shape, struct phiz_tensor **out);
/* Another view of the same memory (counts the buffer). */
PHIZ_API enum phiz_status phiz_tensor_share(struct phiz_ctx *ctx, const struct phiz_tensor *tensor,
                                            struct phiz_tensor **out);
PHIZ_API void phiz_tensor_free(struct phiz_ctx *ctx, struct phiz_tensor **tensor);
/* Gives the elements up (their memory goes back once no other view is left): data becomes NULL, the shape stays. */
PHIZ_API void phiz_tensor_release(struct phiz_ctx *ctx, struct phiz_tensor *tensor);
/* Fills *t as a contiguous borrowed view of data. */
PHIZ_API void phiz_tensor_view(struct phiz_tensor *t, enum phiz_dtype dtype, const struct phiz_shape *shape,
                               void *data);
PHIZ_API bool phiz_tensor_contiguous(const struct phiz_tensor *t);
PHIZ_API int64_t phiz_tensor_count(const struct phiz_tensor *t);
PHIZ_API size_t phiz_tensor_bytes(const struct phiz_tensor *t);
/* Copies elements with conversion between any two dtypes: to nearest even, rounded once, into floating point; cut
 * towards zero and saturated into integers, NaN becoming 0. Both contiguous, same shape, not overlapping. SHAPE
 * otherwise. */
PHIZ_API enum phiz_status phiz_tensor_convert(struct phiz_ctx *ctx, const struct phiz_tensor *from,
                                              struct phiz_tensor *to);

PHIZ_API float phiz_f16_to_f32(uint16_t h);
PHIZ_API uint16_t phiz_f32_to_f16(float f);
PHIZ_API float phiz_bf16_to_f32(uint16_t h);
PHIZ_API uint16_t phiz_f32_to_bf16(float f);

#ifdef __cplusplus
}
#endif
#endif
