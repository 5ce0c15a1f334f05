/* Colour, eight pixels at a time in 32-bit lanes. Pillow computes in float and double; where float stands for double
 * here, the results are the same for all 2^24 colours (tests/kern/test_pixels.c tries them). */
#include "core/image/fast_kernels.h"

#include <immintrin.h>
#include <string.h>

/* Eight pixels are 24 bytes, read as two times 16: so many pixels must lie before the end. */
enum { PIXELS = 8, READ = 10 };

struct pixels {
	__m256i r, g, b;
};

static struct pixels load(const uint8_t *rgb)
{
	__m256i both = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)rgb));
	const __m256i first = _mm256_setr_epi8(0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1,
	                                       0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1);
	const __m256i one = _mm256_set1_epi32(1), two = _mm256_set1_epi32(2);

	both = _mm256_inserti128_si256(both, _mm_loadu_si128((const __m128i *)(rgb + 12)), 1);
	return (struct pixels){_mm256_shuffle_epi8(both, first), _mm256_shuffle_epi8(both, _mm256_add_epi32(first, one)),
	                       _mm256_shuffle_epi8(both, _mm256_add_epi32(first, two))};
}

/* Lanes are 0..255. Writes 24 bytes and no more. */
static void store(uint8_t *rgb, struct pixels p)
{
	const __m256i order = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
	                                       0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
	__m256i words = _mm256_or_si256(p.r, _mm256_or_si256(_mm256_slli_epi32(p.g, 8), _mm256_slli_epi32(p.b, 16)));
	__m256i packed = _mm256_shuffle_epi8(words, order);
	__m128i high = _mm256_extracti128_si256(packed, 1);

	_mm_storeu_si128((__m128i *)rgb, _mm256_castsi256_si128(packed));
	_mm_storel_epi64((__m128i *)(rgb + 12), high);
	int last = _mm_extract_epi32(high, 2);
	memcpy(rgb + 20, &last, 4);
}

static __m256i luma(struct pixels p)
{
	__m256i sum = _mm256_add_epi32(_mm256_mullo_epi32(p.r, _mm256_set1_epi32(19595)),
	                               _mm256_mullo_epi32(p.g, _mm256_set1_epi32(38470)));
	sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(p.b, _mm256_set1_epi32(7471)));
	return _mm256_srli_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(0x8000)), 16);
}

static __m256i blend(__m256i gray, __m256 from, __m256i v, __m256 factor)
{
	__m256 x = _mm256_cvtepi32_ps(_mm256_sub_epi32(v, gray));
	x = _mm256_add_ps(from, _mm256_mul_ps(factor, x));
	x = _mm256_min_ps(_mm256_max_ps(x, _mm256_setzero_ps()), _mm256_set1_ps(255.0f));
	return _mm256_cvttps_epi32(x);
}

size_t phiz_blend_avx2(uint8_t *bytes, size_t n, int gray, float factor)
{
	const __m256i from = _mm256_set1_epi32(gray), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
	const __m256 from_f = _mm256_cvtepi32_ps(from), f = _mm256_set1_ps(factor);
	size_t i = 0;

	for (; i + 32 <= n; i += 32) {
		__m256i v[4];
		for (int k = 0; k < 4; k++)
			v[k] = blend(from, from_f, _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(bytes + i + 8 * k))), f);
		__m256i words = _mm256_packus_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
		_mm256_storeu_si256((__m256i *)(bytes + i), _mm256_permutevar8x32_epi32(words, order));
	}
	return i;
}

size_t phiz_saturate_avx2(uint8_t *rgb, size_t pixels, float factor)
{
	const __m256 f = _mm256_set1_ps(factor);
	size_t i = 0;

	for (; i + READ <= pixels; i += PIXELS) {
		struct pixels p = load(rgb + 3 * i);
		__m256i gray = luma(p);
		__m256 from = _mm256_cvtepi32_ps(gray);
		store(rgb + 3 * i, (struct pixels){blend(gray, from, p.r, f), blend(gray, from, p.g, f),
		                                   blend(gray, from, p.b, f)});
	}
	return i;
}

size_t phiz_luma_sum_avx2(const uint8_t *rgb, size_t pixels, uint64_t *sum)
{
	__m256i total = _mm256_setzero_si256();
	uint64_t lane[4];
	size_t i = 0;

	for (; i + READ <= pixels; i += PIXELS)
		total = _mm256_add_epi64(total, _mm256_sad_epu8(luma(load(rgb + 3 * i)), _mm256_setzero_si256()));
	_mm256_storeu_si256((__m256i *)lane, total);
	*sum += lane[0] + lane[1] + lane[2] + lane[3];
	return i;
}

/* 255 s cut off to a whole number, by its exact value, for 0 <= s <= 1: where the product was rounded up to it, one
 * less. */
static __m256i times_255(__m256 s)
{
	__m256 t = _mm256_mul_ps(s, _mm256_set1_ps(256.0f));
	__m256i whole = _mm256_cvttps_epi32(_mm256_sub_ps(t, s));
	__m256 rest = _mm256_sub_ps(_mm256_sub_ps(t, _mm256_cvtepi32_ps(whole)), s);

	return _mm256_add_epi32(whole, _mm256_castps_si256(_mm256_cmp_ps(rest, _mm256_setzero_ps(), _CMP_LT_OQ)));
}

/* v (1 - x), rounded. */
static __m256i less(__m256 v, __m256 x)
{
	return _mm256_cvttps_epi32(_mm256_add_ps(_mm256_sub_ps(v, _mm256_mul_ps(v, x)), _mm256_set1_ps(0.5f)));
}

/* Value, saturation and hue, the last two 0..255, the hue moved. With m = (most - middle) / (most - least), the other
 * two fractions being 0 and 1, Pillow's hue is a whole number of sixths and m more or less. Grey gets saturation 0. */
static void to_hue(struct pixels p, __m256i shift, __m256i *value, __m256i *saturation, __m256i *hue)
{
	const __m256i one = _mm256_set1_epi32(1), two = _mm256_set1_epi32(2);
	__m256i most = _mm256_max_epi32(p.r, _mm256_max_epi32(p.g, p.b));
	__m256i least = _mm256_min_epi32(p.r, _mm256_min_epi32(p.g, p.b));
	__m256i sum = _mm256_add_epi32(p.r, _mm256_add_epi32(p.g, p.b));
	__m256i range = _mm256_sub_epi32(most, least);
	/* most - middle = most - (sum - most - least) */
	__m256i gap = _mm256_sub_epi32(_mm256_add_epi32(most, most), _mm256_sub_epi32(sum, least));
	__m256 width = _mm256_cvtepi32_ps(_mm256_max_epi32(range, one));
	__m256 high = _mm256_cvtepi32_ps(_mm256_max_epi32(most, one));
	__m256 s = _mm256_div_ps(_mm256_cvtepi32_ps(range), high), m = _mm256_div_ps(_mm256_cvtepi32_ps(gap), width);
	__m256i is_red = _mm256_cmpeq_epi32(p.r, most);
	__m256i is_green = _mm256_andnot_si256(is_red, _mm256_cmpeq_epi32(p.g, most));
	/* The channel before the largest in the circle: where it is the least, the hue is past the largest's own. */
	__m256i before = _mm256_blendv_epi8(p.g, p.r, is_green);
	before = _mm256_blendv_epi8(before, p.b, is_red);
	__m256i falls = _mm256_cmpeq_epi32(before, least);
	/* 3 for blue, 1 for green, -1 for red, and 2 more where it falls; masks are -1 */
	__m256i from = _mm256_add_epi32(_mm256_set1_epi32(3), _mm256_add_epi32(_mm256_slli_epi32(is_red, 2),
	                                                                      _mm256_slli_epi32(is_green, 1)));
	from = _mm256_add_epi32(from, _mm256_and_si256(falls, two));
	__m256 sign = _mm256_and_ps(_mm256_castsi256_ps(falls), _mm256_set1_ps(-0.0f));
	__m256 h = _mm256_add_ps(_mm256_cvtepi32_ps(from), _mm256_xor_ps(m, sign));
	__m256 turn = _mm256_div_ps(h, _mm256_set1_ps(6.0f));
	__m256 under = _mm256_cmp_ps(h, _mm256_setzero_ps(), _CMP_LT_OQ);
	turn = _mm256_add_ps(turn, _mm256_and_ps(under, _mm256_set1_ps(1.0f)));

	*value = most;
	*saturation = times_255(s);
	*hue = _mm256_and_si256(_mm256_add_epi32(times_255(turn), shift), _mm256_set1_epi32(255));
}

static __m256i in_sector(__m256i sector, int i)
{
	return _mm256_cmpeq_epi32(sector, _mm256_set1_epi32(i));
}

/* One channel: the value in two sectors, `low` in two others, rising and falling in one each. */
static __m256i channel(__m256i low, __m256i value, __m256i at_value, __m256i fall, __m256i at_fall, __m256i rise,
                       __m256i at_rise)
{
	low = _mm256_blendv_epi8(low, value, at_value);
	low = _mm256_blendv_epi8(low, fall, at_fall);
	return _mm256_blendv_epi8(low, rise, at_rise);
}

static struct pixels from_hue(__m256i value, __m256i saturation, __m256i hue)
{
	/* The hue in sixths of the circle is 2 hue / 85: whole and rest. */
	__m256i twice = _mm256_add_epi32(hue, hue);
	__m256i sector = _mm256_srli_epi32(_mm256_mullo_epi32(twice, _mm256_set1_epi32(772)), 16);
	__m256i rest = _mm256_sub_epi32(twice, _mm256_mullo_epi32(sector, _mm256_set1_epi32(85)));
	__m256 f = _mm256_div_ps(_mm256_cvtepi32_ps(rest), _mm256_set1_ps(85.0f));
	__m256 s = _mm256_div_ps(_mm256_cvtepi32_ps(saturation), _mm256_set1_ps(255.0f));
	__m256 v = _mm256_cvtepi32_ps(value), f_left = _mm256_sub_ps(_mm256_set1_ps(1.0f), f);
	__m256i low = less(v, s), fall = less(v, _mm256_mul_ps(s, f)), rise = less(v, _mm256_mul_ps(s, f_left));
	__m256i at[6];

	for (int i = 0; i < 6; i++)
		at[i] = in_sector(sector, i);
	at[0] = _mm256_or_si256(at[0], in_sector(sector, 6));
	return (struct pixels){channel(low, value, _mm256_or_si256(at[0], at[5]), fall, at[1], rise, at[4]),
	                       channel(low, value, _mm256_or_si256(at[1], at[2]), fall, at[3], rise, at[0]),
	                       channel(low, value, _mm256_or_si256(at[3], at[4]), fall, at[5], rise, at[2])};
}

size_t phiz_hue_avx2(uint8_t *rgb, size_t pixels, int shift)
{
	const __m256i by = _mm256_set1_epi32(shift);
	size_t i = 0;

	for (; i + READ <= pixels; i += PIXELS) {
		__m256i value, saturation, hue;
		to_hue(load(rgb + 3 * i), by, &value, &saturation, &hue);
		store(rgb + 3 * i, from_hue(value, saturation, hue));
	}
	return i;
}
