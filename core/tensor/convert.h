/* Conversions on the way to 16 bits, and many at once from them. */
#ifndef PHIZ_TENSOR_CONVERT_H
#define PHIZ_TENSOR_CONVERT_H

#include <phiz/tensor.h>

/* Rounded to odd: cut off towards zero, with the last bit set if anything was lost. Rounding the result once more, to
 * at least two bits fewer, gives what rounding the original would have given; two roundings to nearest would not. */
float phiz_f64_to_f32_odd(double d);
double phiz_i64_to_f64_odd(int64_t i);

/* phiz_f16_to_f32 and phiz_bf16_to_f32 of n numbers, several times as fast. */
void phiz_widen_f16(const uint16_t *from, float *to, int64_t n);
void phiz_widen_bf16(const uint16_t *from, float *to, int64_t n);

#endif
