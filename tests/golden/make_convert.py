#!/usr/bin/env python3
"""Writes convert_f64.csv and convert_i64.csv: numbers and what they become in other dtypes.

Roundings are made in exact rational arithmetic and checked against NumPy (f32, f16, integers) and PyTorch (bf16).
"""
import math
import os
import random
import struct
from fractions import Fraction

import numpy
import torch

HERE = os.path.dirname(os.path.abspath(__file__))


def round_to(value, exponent_bits, fraction_bits):
    """Bits of the Fraction value, rounded to nearest even."""
    sign = 1 << (exponent_bits + fraction_bits) if value < 0 else 0
    value = abs(value)
    bias = (1 << (exponent_bits - 1)) - 1
    smallest = 1 - bias
    if value == 0:
        return sign
    exponent = smallest
    while value >= Fraction(2) ** (exponent + 1):
        exponent += 1
    ulp = Fraction(2) ** (exponent - fraction_bits)
    count = round(value / ulp)  # Fraction rounds half to even
    bits = ((exponent - smallest) << fraction_bits) + count
    return sign | min(bits, ((1 << exponent_bits) - 1) << fraction_bits)


def special(value, exponent_bits, fraction_bits):
    sign = 1 << (exponent_bits + fraction_bits) if math.copysign(1, value) < 0 else 0
    top = ((1 << exponent_bits) - 1) << fraction_bits
    return sign | (top | 1 << (fraction_bits - 1) if math.isnan(value) else top)


def to_float(value, exponent_bits, fraction_bits):
    if isinstance(value, float) and not math.isfinite(value):
        return special(value, exponent_bits, fraction_bits)
    if value == 0 and isinstance(value, float) and math.copysign(1, value) < 0:
        return 1 << (exponent_bits + fraction_bits)
    return round_to(Fraction(value), exponent_bits, fraction_bits)


def saturate(value, low, high):
    if math.isnan(value):
        return 0
    if math.isinf(value):
        return high if value > 0 else low
    return max(low, min(high, math.trunc(value)))


def bits64(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def doubles():
    random.seed(1)
    yield from [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 0.1, 1 / 3, math.pi, math.inf, -math.inf, math.nan]
    for edge in [65504, 65519.996, 65520, 65535.5, 65536, 2.0**-14, 2.0**-24, 2.0**-25, 2.0**-25 * 1.5, 6.1e-5, 127.5,
                 128, -128.9, -129, 255.9, 256, 2.0**31, 2.0**31 - 0.5, -(2.0**31) - 1, 2.0**53, 2.0**63, -(2.0**63),
                 2.0**64, 3.4028234663852886e38, 3.4028235677973366e38, 3.38953139e38, 3.3961775292304957e38, 1e39,
                 1e300, 2.0**-126, 2.0**-133, 2.0**-134, 2.0**-149, 2.0**-150, 5e-324]:
        for value in (edge, math.nextafter(edge, math.inf), math.nextafter(edge, -math.inf)):
            yield value
            yield -value
    # Halfway in f16, bf16 and f32, and just beside it: one rounding and two differ here.
    for fraction_bits in (7, 10, 23):
        for _ in range(12):
            base = (1 << fraction_bits) + random.getrandbits(fraction_bits)
            half = math.ldexp(base + 0.5, random.randint(-20, 4) - fraction_bits)
            yield from (half, half * (1 + 2.0**-52), half * (1 - 2.0**-52), -half)
            yield half * (1 + 2.0**-30)
            yield half * (1 - 2.0**-30)
    for _ in range(60):
        yield random.choice((-1, 1)) * math.ldexp(random.random(), random.randint(-160, 130))
        yield random.uniform(-300, 300)


def integers():
    random.seed(2)
    for k in (0, 1, 7, 8, 9, 10, 11, 12, 15, 16, 23, 24, 25, 31, 32, 52, 53, 54, 62):
        for d in (-1, 0, 1):
            yield (1 << k) + d
            yield -(1 << k) + d
    yield from [2**63 - 1, -(2**63), 2049, 2051, 65519, 65520, 2**62 + 2**54, 2**62 + 2**54 + 1, 2**62 + 2**54 - 1,
                2**62 + 3 * 2**54, 2**62 + 2**38 + 1, 2**62 + 2**38, 2**62 + 2**38 - 1, 2**61 + 2**8 + 1]
    for _ in range(80):
        yield random.getrandbits(random.randint(1, 63)) * random.choice((-1, 1))


def main():
    with numpy.errstate(all="ignore"), open(os.path.join(HERE, "convert_f64.csv"), "w") as out:
        out.write("f64,f32,f16,bf16,bf16_of_f32,i8,u8,i32,i64\n")
        for v in doubles():
            f32, f16, bf16 = to_float(v, 8, 23), to_float(v, 5, 10), to_float(v, 8, 7)
            if not math.isnan(v):
                assert f32 == int(numpy.float64(v).astype(numpy.float32).view(numpy.uint32))
                assert f16 == int(numpy.float64(v).astype(numpy.float16).view(numpy.uint16))
            single = struct.unpack("<f", struct.pack("<I", f32))[0]
            twice = to_float(single, 8, 7)
            if not math.isnan(v):
                assert twice == int(torch.tensor([single]).to(torch.bfloat16).view(torch.int16)[0]) & 0xFFFF
            ints = [saturate(v, *r) for r in ((-128, 127), (0, 255), (-(2**31), 2**31 - 1), (-(2**63), 2**63 - 1))]
            if abs(v) < 2**31:
                assert ints[3] == int(numpy.float64(v).astype(numpy.int64))
            out.write("%016x,%08x,%04x,%04x,%04x,%d,%d,%d,%d\n" % (bits64(v), f32, f16, bf16, twice, *ints))
    with numpy.errstate(all="ignore"), open(os.path.join(HERE, "convert_i64.csv"), "w") as out:
        out.write("i64,f64,f32,f16,bf16,i8,u8,i32\n")
        for v in integers():
            f64, f32, f16, bf16 = to_float(v, 11, 52), to_float(v, 8, 23), to_float(v, 5, 10), to_float(v, 8, 7)
            assert f64 == int(numpy.int64(v).astype(numpy.float64).view(numpy.uint64))
            assert f32 == int(numpy.int64(v).astype(numpy.float32).view(numpy.uint32))
            ints = [saturate(v, *r) for r in ((-128, 127), (0, 255), (-(2**31), 2**31 - 1))]
            out.write("%d,%016x,%08x,%04x,%04x,%d,%d,%d\n" % (v, f64, f32, f16, bf16, *ints))


if __name__ == "__main__":
    main()
