/* Products of bf16 with AMX: 32 pixels times 32 filters are four tiles of sums; two tiles of pixels and two of filters
 * come in from the caches for each depth of 32. */
#include "core/cpu/x86/bf16_avx512bf16.h"

#include "core/cpu/features.h"

enum { B = PHIZ_BF16_BLOCK };

/* Eight tiles of 16 rows of 64 bytes. */
static void begin(void)
{
	static const struct {
		uint8_t palette, start_row, zero[14];
		uint16_t bytes[16];
		uint8_t rows[16];
	} shapes = {.palette = 1, .bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
	_tile_loadconfig(&shapes);
}

static void end(void)
{
	_tile_release();
}

static void product(const struct phiz_bf16_product *t)
{
	const int64_t a_row = t->a_row * (int64_t)sizeof(uint16_t), row = 2 * B * sizeof(uint16_t);
	const int64_t line = B * sizeof(float);
	const uint16_t *b = t->b;
	if (t->add) {
		_tile_loadd(0, t->c, line);
		_tile_loadd(1, t->c + 16, line);
		_tile_loadd(2, t->c + 16 * B, line);
		_tile_loadd(3, t->c + 16 * B + 16, line);
	} else {
		_tile_zero(0);
		_tile_zero(1);
		_tile_zero(2);
		_tile_zero(3);
	}
	if (t->rows > 16)
		for (int s = 0; s < t->steps; s++, b += PHIZ_BF16_TILE) {
			const uint16_t *a = t->a + t->a_at[s];
			_tile_loadd(6, b, row);
			_tile_loadd(4, a, a_row);
			_tile_loadd(7, b + B, row);
			_tile_loadd(5, a + 16 * t->a_row, a_row);
			_tile_dpbf16ps(0, 4, 6);
			_tile_dpbf16ps(1, 4, 7);
			_tile_dpbf16ps(2, 5, 6);
			_tile_dpbf16ps(3, 5, 7);
		}
	else
		for (int s = 0; s < t->steps; s++, b += PHIZ_BF16_TILE) {
			_tile_loadd(6, b, row);
			_tile_loadd(4, t->a + t->a_at[s], a_row);
			_tile_loadd(7, b + B, row);
			_tile_dpbf16ps(0, 4, 6);
			_tile_dpbf16ps(1, 4, 7);
		}
	_tile_stored(0, t->c, line);
	_tile_stored(1, t->c + 16, line);
	if (t->rows > 16) {
		_tile_stored(2, t->c + 16 * B, line);
		_tile_stored(3, t->c + 16 * B + 16, line);
	}
}

static const struct phiz_bf16_micro micro = {
	.begin = begin, .end = end, .product = product, .finish = phiz_bf16_finish_512, .pair = phiz_bf16_pair_512,
	.turn = phiz_bf16_turn_512,
};

#define PHIZ_BF16_ROW(op) phiz_cpu_##op##_bf16_amx
#define PHIZ_BF16_TEXT "bf16.amx"
#define PHIZ_BF16_FEATURES (PHIZ_CPU_AVX512 | PHIZ_CPU_AVX512_BF16 | PHIZ_CPU_AMX_BF16)
#include "core/cpu/bf16_rows.h"
