/* Products of bf16 with AVX512-BF16: tiles of 8 pixels times 32 filters, 16 sums, 2 filters and a pixel in 32
 * registers. */
#include "core/cpu/x86/bf16_avx512bf16.h"

#include "core/cpu/features.h"

enum { B = PHIZ_BF16_BLOCK, ROWS = 8 };

static inline __attribute__((always_inline)) void rows(const struct phiz_bf16_product *t, int from)
{
	__m512 sum[ROWS][2];
	float *c = t->c + from * B;
	const uint16_t *row[ROWS];
	UNROLL
	for (int r = 0; r < ROWS; r++)
		row[r] = t->a + (t->a_from ? t->a_from[from + r] : (from + r) * t->a_row);
	UNROLL
	for (int r = 0; r < ROWS; r++)
		UNROLL
		for (int v = 0; v < 2; v++)
			sum[r][v] = t->add ? _mm512_loadu_ps(c + r * B + v * 16) : _mm512_setzero_ps();
	for (int s = 0; s < t->steps; s++) {
		const uint16_t *b = t->b + (int64_t)s * PHIZ_BF16_TILE;
		const int64_t at = t->a_at[s];
		for (int d = 0; d < B / 2; d++) {
			__m512bh low = (__m512bh)_mm512_loadu_si512(b + d * 2 * B);
			__m512bh high = (__m512bh)_mm512_loadu_si512(b + d * 2 * B + B);
			UNROLL
			for (int r = 0; r < ROWS; r++) {
				int32_t pair;
				__builtin_memcpy(&pair, row[r] + at + 2 * d, sizeof pair);
				__m512bh pixel = (__m512bh)_mm512_set1_epi32(pair);
				sum[r][0] = _mm512_dpbf16_ps(sum[r][0], pixel, low);
				sum[r][1] = _mm512_dpbf16_ps(sum[r][1], pixel, high);
			}
		}
	}
	UNROLL
	for (int r = 0; r < ROWS; r++)
		UNROLL
		for (int v = 0; v < 2; v++)
			_mm512_storeu_ps(c + r * B + v * 16, sum[r][v]);
}

static void product(const struct phiz_bf16_product *t)
{
	for (int from = 0; from < t->rows; from += ROWS)
		rows(t, from);
}

static const struct phiz_bf16_micro micro = {
	.product = product, .scattered = true, .finish = phiz_bf16_finish_512, .pair = phiz_bf16_pair_512,
	.turn = phiz_bf16_turn_512,
};

#define PHIZ_BF16_ROW(op) phiz_cpu_##op##_bf16_avx512bf16
#define PHIZ_BF16_TEXT "bf16.avx512bf16"
#define PHIZ_BF16_FEATURES (PHIZ_CPU_AVX512 | PHIZ_CPU_AVX512_BF16)
#include "core/cpu/bf16_rows.h"
