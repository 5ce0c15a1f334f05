/* The inner loops of convolution in bf16 (bf16.h) for processors that know floats only: a pair of bf16 numbers is 32
 * bits, of which the upper half is a float as it stands, and the lower one shifted up. */
#include "core/cpu/bf16.h"
#include "core/cpu/vector/vector.h"

typedef uint32_t vec_bits_memory __attribute__((vector_size(VEC * 4), aligned(2), may_alias));

enum { BF_PARTS = PHIZ_BF16_BLOCK / VEC, BF_ROWS = VEC == 16 ? 8 : 2 };

INLINE void bf_rows(const struct phiz_bf16_product *t, int from, int first)
{
	vec sum[BF_ROWS][2];
	float *c = t->c + from * PHIZ_BF16_BLOCK + first * VEC;
	UNROLL
	for (int r = 0; r < BF_ROWS; r++)
		UNROLL
		for (int v = 0; v < 2; v++)
			sum[r][v] = t->add ? vec_load(c + r * PHIZ_BF16_BLOCK + v * VEC) : (vec){0};
	for (int s = 0; s < t->steps; s++) {
		const uint16_t *a = t->a + t->a_at[s] + from * t->a_row;
		const uint16_t *b = t->b + (int64_t)s * PHIZ_BF16_TILE + first * 2 * VEC;
		for (int d = 0; d < PHIZ_BF16_BLOCK; d += 2, b += 2 * PHIZ_BF16_BLOCK) {
			vec low[2], high[2];
			UNROLL
			for (int v = 0; v < 2; v++) {
				vec_bits bits = *(const vec_bits_memory *)(b + v * 2 * VEC);
				low[v] = (vec)(bits << 16);
				high[v] = (vec)(bits & 0xffff0000u);
			}
			UNROLL
			for (int r = 0; r < BF_ROWS; r++) {
				float x = phiz_bf16_float(a[r * t->a_row + d]), y = phiz_bf16_float(a[r * t->a_row + d + 1]);
				UNROLL
				for (int v = 0; v < 2; v++)
					sum[r][v] = sum[r][v] + x * low[v] + y * high[v];
			}
		}
	}
	UNROLL
	for (int r = 0; r < BF_ROWS; r++)
		UNROLL
		for (int v = 0; v < 2; v++)
			vec_store(c + r * PHIZ_BF16_BLOCK + v * VEC, sum[r][v]);
}

static void bf_product(const struct phiz_bf16_product *t)
{
	for (int first = 0; first < BF_PARTS; first += 2)
		for (int from = 0; from < t->rows; from += BF_ROWS)
			bf_rows(t, from, first);
}

static void bf_finish(const struct phiz_bf16_finish *t)
{
	for (int i = 0; i < t->rows; i++) {
		if (t->to[i] < 0)
			continue;
		uint16_t *out = t->out + t->to[i];
		for (int v = 0; v < PHIZ_BF16_BLOCK; v += VEC) {
			vec sum = vec_load(t->c + i * PHIZ_BF16_BLOCK + v);
			if (t->bias)
				sum += vec_load(t->bias + v);
			if (t->add)
				sum += vec_load_bf16(out + v);
			if (t->residual)
				sum += vec_load_bf16(t->residual + t->to[i] + v);
			vec_store_bf16(out + v, vec_act(t->act, t->slope, sum));
		}
	}
}

static void bf_pair(uint16_t *to, const uint16_t *a, const uint16_t *b, int64_t step, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		for (int j = 0; j < PHIZ_BF16_BLOCK; j++) {
			to[(i * PHIZ_BF16_BLOCK + j) * 2] = a[i * step + j];
			to[(i * PHIZ_BF16_BLOCK + j) * 2 + 1] = b[i * step + j];
		}
}

static void bf_turn(uint16_t *to, const uint16_t *from)
{
	for (int j = 0; j < PHIZ_BF16_BLOCK; j++)
		for (int i = 0; i < PHIZ_BF16_BLOCK; i++)
			to[j * PHIZ_BF16_BLOCK + i] = from[i * PHIZ_BF16_BLOCK + j];
}

static const struct phiz_bf16_micro micro = {
	.product = bf_product, .finish = bf_finish, .pair = bf_pair, .turn = bf_turn,
};

#define PHIZ_BF16_ROW(op) PHIZ_VECTOR_ROW(op)
#define PHIZ_BF16_TEXT PHIZ_VECTOR_TEXT
#define PHIZ_BF16_FEATURES PHIZ_VECTOR_FEATURES
#include "core/cpu/bf16_rows.h"
