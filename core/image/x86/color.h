/* Colour, some pixels at a time in 32-bit lanes; color_avx2.c and color_avx512.c define the lanes and include this.
 * Pillow computes in float and double; where float stands for double here, the results are the same for all 2^24
 * colours (tests/kern/test_pixels.c tries them).
 *
 * LANES; ints, floats, mask: the types; load: LANES pixels that lie READ pixels before the end or more; store: no more
 * than LANES pixels, whose lanes are 0..255. */

static inline ints luma(struct pixels p)
{
	ints sum = add(add(mul(p.r, each(19595)), mul(p.g, each(38470))), mul(p.b, each(7471)));

	return shift_right(add(sum, each(0x8000)), 16);
}

static inline ints blend(ints gray, floats from, ints v, floats factor)
{
	return whole(limit(add_f(from, mul_f(factor, to_float(sub(v, gray))))));
}

static size_t saturate(uint8_t *rgb, size_t pixels, float factor)
{
	const floats f = each_f(factor);
	size_t i = 0;

	for (; i + READ <= pixels; i += LANES) {
		struct pixels p = load(rgb + 3 * i);
		ints gray = luma(p);
		floats from = to_float(gray);
		struct pixels q = {blend(gray, from, p.r, f), blend(gray, from, p.g, f), blend(gray, from, p.b, f)};
		store(rgb + 3 * i, q);
	}
	return i;
}

/* 255 s cut off to a whole number, by its exact value, for 0 <= s <= 1: where the product was rounded up to it, one
 * less. */
static inline ints times_255(floats s)
{
	floats t = mul_f(s, each_f(256.0f));
	ints v = whole(sub_f(t, s));
	floats rest = sub_f(sub_f(t, to_float(v)), s);

	return choose(below(rest, each_f(0)), sub(v, each(1)), v);
}

/* v (1 - x), rounded. */
static inline ints less(floats v, floats x)
{
	return whole(add_f(sub_f(v, mul_f(v, x)), each_f(0.5f)));
}

/* Value, saturation and hue, the last two 0..255, the hue moved. With m = (most - middle) / (most - least), the other
 * two fractions being 0 and 1, Pillow's hue is a whole number of sixths and m more or less. Grey gets saturation 0. */
static inline void to_hue(struct pixels p, ints shift, ints *value, ints *saturation, ints *hue)
{
	ints most = larger(p.r, larger(p.g, p.b)), least = smaller(p.r, smaller(p.g, p.b)), range = sub(most, least);
	ints middle = sub(add(p.r, add(p.g, p.b)), add(most, least));
	floats s = div_f(to_float(range), to_float(larger(most, each(1))));
	floats m = div_f(to_float(sub(most, middle)), to_float(larger(range, each(1))));
	mask is_red = equal(p.r, most), is_green = equal(p.g, most);
	/* The channel before the largest in the circle: where it is the least, the hue is past the largest's own. */
	mask falls = equal(choose(is_red, p.b, choose(is_green, p.r, p.g)), least);
	ints from = choose(is_red, each(-1), choose(is_green, each(1), each(3)));
	floats up = add_f(to_float(from), m), down = sub_f(to_float(add(from, each(2))), m);
	floats h = choose_f(falls, down, up);
	floats turn = div_f(h, each_f(6.0f));

	*value = most;
	*saturation = times_255(s);
	turn = choose_f(below(h, each_f(0)), add_f(turn, each_f(1.0f)), turn);
	*hue = both(add(times_255(turn), shift), each(255));
}

/* One channel by the sector of the circle: the value in two of them, `low` in two, falling and rising in one each. */
static inline ints channel(ints low, ints value, mask at_value, ints fall, mask at_fall, ints rise, mask at_rise)
{
	return choose(at_value, value, choose(at_fall, fall, choose(at_rise, rise, low)));
}

static inline struct pixels from_hue(ints value, ints saturation, ints hue)
{
	/* The hue in sixths of the circle is 2 hue / 85: whole and rest. The seventh sector is the first. */
	ints twice = add(hue, hue), sector = shift_right(mul(twice, each(772)), 16);
	ints rest = sub(twice, mul(sector, each(85)));
	floats f = div_f(to_float(rest), each_f(85.0f)), s = div_f(to_float(saturation), each_f(255.0f));
	floats v = to_float(value);
	ints low = less(v, s), fall = less(v, mul_f(s, f)), rise = less(v, mul_f(s, sub_f(each_f(1.0f), f)));
	sector = choose(equal(sector, each(6)), each(0), sector);
	mask at0 = equal(sector, each(0)), at1 = equal(sector, each(1)), at2 = equal(sector, each(2));
	mask at3 = equal(sector, each(3)), at4 = equal(sector, each(4)), at5 = equal(sector, each(5));

	return (struct pixels){channel(low, value, either(at0, at5), fall, at1, rise, at4),
	                       channel(low, value, either(at1, at2), fall, at3, rise, at0),
	                       channel(low, value, either(at3, at4), fall, at5, rise, at2)};
}

static size_t move_hue(uint8_t *rgb, size_t pixels, int shift)
{
	const ints by = each(shift);
	size_t i = 0;

	for (; i + READ <= pixels; i += LANES) {
		ints value, saturation, hue;
		to_hue(load(rgb + 3 * i), by, &value, &saturation, &hue);
		store(rgb + 3 * i, from_hue(value, saturation, hue));
	}
	return i;
}
