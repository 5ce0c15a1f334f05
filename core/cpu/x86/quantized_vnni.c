/* Quantised convolution with AVX512-VNNI: tiles of 6 pixels times 64 filters, 24 sums, 4 filters and a pixel in 32
 * registers. Products of 4 bytes of a pixel (unsigned) and of a filter (signed) are added to 32 bits at a time. */
#include "core/cpu/features.h"
#include "core/cpu/kernels.h"
#include "core/cpu/unroll.h"
#include "core/cpu/x86/quantized_avx512.h"

enum { PIXELS = 6, GROUPS = 4 };

static void sum_tile(const struct phiz_quantized_tile *t)
{
	__m512i sum[PIXELS][GROUPS];

	UNROLL for (int p = 0; p < PIXELS; p++)
		UNROLL for (int g = 0; g < GROUPS; g++)
			sum[p][g] = _mm512_loadu_si512(t->shift + g * PHIZ_FILTER_GROUP);
	const uint8_t *pixels[PIXELS];
	UNROLL for (int p = 0; p < PIXELS; p++)
		pixels[p] = t->in + t->at[p];
	for (int s = 0; s < t->slabs; s++) {
		const int64_t at = t->offset[s];
		const int8_t *w = t->w + (int64_t)s * PHIZ_SLAB * PHIZ_FILTER_GROUP;
		for (int i = 0; i < PHIZ_SLAB; i += 4, w += 64) {
			__m512i filter[GROUPS];
			UNROLL for (int g = 0; g < GROUPS; g++)
				filter[g] = _mm512_loadu_si512(w + g * t->w_group);
			UNROLL for (int p = 0; p < PIXELS; p++) {
				int32_t four;
				__builtin_memcpy(&four, pixels[p] + at + i, 4);
				__m512i pixel = _mm512_set1_epi32(four);
				UNROLL for (int g = 0; g < GROUPS; g++)
					sum[p][g] = _mm512_dpbusd_epi32(sum[p][g], pixel, filter[g]);
			}
		}
	}
	UNROLL for (int g = 0; g < GROUPS; g++)
		UNROLL for (int p = 0; p < PIXELS; p++)
			_mm512_storeu_si512(t->sum + (g * PIXELS + p) * PHIZ_FILTER_GROUP, sum[p][g]);
}

static const struct phiz_quantized_micro micro = {
	.pixels = PIXELS, .groups = GROUPS, .sum = sum_tile, .finish = finish,
};

#define PHIZ_QUANTIZED_ROW(op) phiz_cpu_##op##_u8_vnni
#define PHIZ_QUANTIZED_TEXT "direct.vnni"
#define PHIZ_QUANTIZED_FEATURES (PHIZ_CPU_AVX512 | PHIZ_CPU_VNNI)
#include "core/cpu/quantized_rows.h"
