/* Quantised convolution with AMX: 32 pixels times 32 filters in four tiles of 16 x 16 sums; a slab of 16 pixels and a
 * slab of 16 filters are a tile each. */
#include "core/cpu/features.h"
#include "core/cpu/kernels.h"
#include "core/cpu/x86/quantized_avx512.h"

enum { ROWS = 16, PIXELS = 2 * ROWS, GROUPS = 2, TILE_BYTES = ROWS * 64, TILE_SUMS = ROWS * 16 };

struct tile_config {
	uint8_t palette, start_row, reserved[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
};

/* In memory for good: gcc takes the intrinsic for a read of 8 bytes, and would drop stores into the rest. */
static const struct tile_config config = {
	.palette = 1,
	.row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
	.rows = {ROWS, ROWS, ROWS, ROWS, ROWS, ROWS, ROWS, ROWS},
};

static void begin(void)
{
	_tile_loadconfig(&config);
}

static void end(void)
{
	_tile_release();
}

/* Tiles 0 to 3: sums of pixels 0.. and filters 0.., 0.. and 16.., 16.. and 0.., 16.. and 16..; 4 and 5: pixels; 6 and
 * 7: filters. */
static void sum_tile(const struct phiz_quantized_tile *t)
{
	const size_t step = (size_t)t->step;
	const uint8_t *second = t->in + ROWS * t->step;
	const int8_t *w = t->w;

	_tile_loadd(0, t->shift, 0); /* the same row 16 times */
	_tile_loadd(1, t->shift + PHIZ_FILTER_GROUP, 0);
	_tile_loadd(2, t->shift, 0);
	_tile_loadd(3, t->shift + PHIZ_FILTER_GROUP, 0);
	for (int s = 0; s < t->slabs; s++, w += TILE_BYTES) {
		const int32_t at = t->offset[s];
		_tile_loadd(4, t->in + at, step);
		_tile_loadd(6, w, 64);
		_tile_dpbusd(0, 4, 6);
		_tile_loadd(7, w + t->w_group, 64);
		_tile_dpbusd(1, 4, 7);
		_tile_loadd(5, second + at, step);
		_tile_dpbusd(2, 5, 6);
		_tile_dpbusd(3, 5, 7);
	}
	_tile_stored(0, t->sum, 64);
	_tile_stored(2, t->sum + TILE_SUMS, 64);
	_tile_stored(1, t->sum + 2 * TILE_SUMS, 64);
	_tile_stored(3, t->sum + 3 * TILE_SUMS, 64);
}

static const struct phiz_quantized_micro micro = {
	.pixels = PIXELS, .groups = GROUPS, .steps = true, .begin = begin, .end = end, .sum = sum_tile, .finish = finish,
};

#define PHIZ_QUANTIZED_ROW(op) phiz_cpu_##op##_u8_amx
#define PHIZ_QUANTIZED_TEXT "direct.amx"
#define PHIZ_QUANTIZED_FEATURES (PHIZ_CPU_AVX512 | PHIZ_CPU_AMX_INT8)
#include "core/cpu/quantized_rows.h"
