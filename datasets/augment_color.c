/* Colour: Pillow's ImageEnhance and HSV arithmetic, in its types and its order, so that every pixel is the same. */
#include "datasets/augment.h"

#include <math.h>

#include "core/image/fast.h"
#include "core/image/pixel.h"

static size_t pixel_count(const struct phiz_image *image)
{
	return (size_t)image->width * (size_t)image->height;
}

/* From `a` (factor 0) to `b` (factor 1) and beyond. */
static uint8_t blend(int a, int b, float factor)
{
	float v = (float)a + factor * (float)(b - a);
	return v <= 0.0f ? 0 : v >= 255.0f ? 255 : (uint8_t)v;
}

/* Every byte away from one grey value. */
static void blend_from(struct phiz_image *image, int gray, double factor)
{
	uint8_t table[256];
	size_t bytes = pixel_count(image) * 3;
	for (int v = 0; v < 256; v++)
		table[v] = blend(gray, v, (float)factor);
	for (size_t i = phiz_fast_blend(image->data, bytes, gray, (float)factor); i < bytes; i++)
		image->data[i] = table[image->data[i]];
}

void phiz_apply_brightness(struct phiz_image *image, double factor)
{
	blend_from(image, 0, factor);
}

/* Away from the mean of the grey image, rounded. */
void phiz_apply_contrast(struct phiz_image *image, double factor)
{
	size_t pixels = pixel_count(image);
	uint64_t sum = 0;
	size_t done = phiz_fast_luma_sum(image->data, pixels, &sum);
	const uint8_t *p = image->data + 3 * done;
	for (size_t i = done; i < pixels; i++, p += 3)
		sum += phiz_luma(p[0], p[1], p[2]);
	blend_from(image, (int)((double)sum / (double)pixels + 0.5), factor);
}

/* Away from each pixel's own grey. */
void phiz_apply_saturation(struct phiz_image *image, double factor)
{
	size_t pixels = pixel_count(image);
	float f = (float)factor;
	size_t done = phiz_fast_saturate(image->data, pixels, f);
	uint8_t *p = image->data + 3 * done;
	for (size_t i = done; i < pixels; i++, p += 3) {
		int gray = phiz_luma(p[0], p[1], p[2]);
		p[0] = blend(gray, p[0], f);
		p[1] = blend(gray, p[1], f);
		p[2] = blend(gray, p[2], f);
	}
}

void phiz_apply_gray(struct phiz_image *image)
{
	size_t pixels = pixel_count(image);
	uint8_t *p = image->data;
	for (size_t i = 0; i < pixels; i++, p += 3)
		p[0] = p[1] = p[2] = phiz_luma(p[0], p[1], p[2]);
}

/* round(v) for 0 <= v, halves up; not (int)(v + 0.5), whose sum may round. */
static uint8_t round_up(double v)
{
	int whole = (int)v;
	return (uint8_t)(v - whole >= 0.5 ? whole + 1 : whole);
}

/* Hue and saturation of a pixel that is not grey, cut off to 0..255. */
static void to_hue(const uint8_t *p, uint8_t most, uint8_t least, uint8_t *hue, uint8_t *saturation)
{
	float range = (float)(most - least), s = range / (float)most, h;
	float r = (float)(most - p[0]) / range, g = (float)(most - p[1]) / range, b = (float)(most - p[2]) / range;
	if (p[0] == most)
		h = b - g;
	else if (p[1] == most)
		h = (float)(2.0 + (double)r - (double)b);
	else
		h = (float)(4.0 + (double)g - (double)r);
	double turn = (double)h / 6.0 + 1.0; /* in (0, 2): fmod(turn, 1) by one subtraction, which is exact */
	h = (float)(turn >= 1.0 ? turn - 1.0 : turn);
	int as_int = (int)((double)h * 255.0);
	*hue = (uint8_t)(as_int > 255 ? 255 : as_int);
	*saturation = (uint8_t)(int)((double)s * 255.0);
}

/* A hue's sector of the colour circle, and how far it is into that. */
struct hue {
	int sector;
	float fraction;
};

static void from_hue(uint8_t *p, const struct hue *hue, float saturation, uint8_t value)
{
	double v = value;
	uint8_t low = round_up(v * (1.0 - (double)saturation));
	/* The product of two floats is a float here, as it is in Pillow. */
	uint8_t fall = round_up(v * (1.0 - (double)(saturation * hue->fraction)));
	uint8_t rise = round_up(v * (1.0 - (double)saturation * (1.0 - (double)hue->fraction)));
	const uint8_t red[6] = { value, fall, low, low, rise, value };
	const uint8_t green[6] = { rise, value, value, fall, low, low };
	const uint8_t blue[6] = { low, low, rise, value, value, fall };
	p[0] = red[hue->sector];
	p[1] = green[hue->sector];
	p[2] = blue[hue->sector];
}

/* The circle after the shift: table[h] is where hue h comes to lie. */
static void shifted_circle(uint8_t shift, struct hue table[256])
{
	for (int h = 0; h < 256; h++) {
		double sixths = (double)(uint8_t)(h + shift) * 6.0 / 255.0;
		int sector = (int)floor(sixths);
		table[h].sector = sector % 6;
		table[h].fraction = (float)(sixths - sector);
	}
}

void phiz_apply_hue(struct phiz_image *image, double factor)
{
	struct hue circle[256];
	float saturations[256];
	uint8_t shift = (uint8_t)(int)(factor * 255);
	size_t pixels = pixel_count(image), done = phiz_fast_hue(image->data, pixels, shift);
	shifted_circle(shift, circle);
	for (int s = 0; s < 256; s++)
		saturations[s] = (float)((double)s / 255.0);
	uint8_t *p = image->data + 3 * done;
	for (size_t i = done; i < pixels; i++, p += 3) {
		uint8_t most = p[0] > p[1] ? p[0] : p[1], least = p[0] < p[1] ? p[0] : p[1], h, s;
		most = p[2] > most ? p[2] : most;
		least = p[2] < least ? p[2] : least;
		if (most == least)
			continue; /* grey has no hue and comes back as it is */
		to_hue(p, most, least, &h, &s);
		if (s == 0)
			p[0] = p[1] = p[2] = most;
		else
			from_hue(p, &circle[h], saturations[s], most);
	}
}
