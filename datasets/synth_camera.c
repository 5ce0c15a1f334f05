/* The camera: from linear light to an 8-bit picture, with the faults a camera has. */
#include <string.h>

#include "core/base/error.h"
#include "datasets/synth_internal.h"

static void shrink(const struct synth_stage *s, struct v3 *out, int size)
{
	for (int y = 0; y < size; y++)
		for (int x = 0; x < size; x++) {
			const struct v3 *p = s->colour + (size_t)(2 * y) * (size_t)s->size + (size_t)(2 * x);
			/* Very bright points count less, or their edges would stay jagged. */
			struct v3 sum = v3(0, 0, 0);
			float weight = 0.0f;
			for (int k = 0; k < 4; k++) {
				struct v3 c = p[(k & 1) + (k >> 1) * s->size];
				float w = 1.0f / (1.0f + synth_luma(c));
				sum = v3_mad(sum, c, w);
				weight += w;
			}
			out[y * size + x] = v3_scale(sum, 1.0f / weight);
		}
}

static struct v3 sample(const struct v3 *p, int size, float x, float y)
{
	float fx = synth_clamp(x, 0.0f, (float)size - 1.001f), fy = synth_clamp(y, 0.0f, (float)size - 1.001f);
	int ix = (int)fx, iy = (int)fy;
	const struct v3 *q = p + iy * size + ix;
	return v3_mix(v3_mix(q[0], q[1], fx - (float)ix), v3_mix(q[size], q[size + 1], fx - (float)ix), fy - (float)iy);
}

/* Something near the lens, far out of focus. */
static void occlude(const struct synth_photo *f, struct v3 *p, int size)
{
	if (!(f->wear & PHIZ_SYNTH_OCCLUDED))
		return;
	for (int y = 0; y < size; y++)
		for (int x = 0; x < size; x++) {
			float u = ((float)x + 0.5f) / (float)size - f->occluder.x,
				  v = ((float)y + 0.5f) / (float)size - f->occluder.y;
			float wobble = 0.04f * synth_noise(u * 6.0f, v * 6.0f, f->noise + 70), d = sqrtf(u * u + v * v) + wobble,
				  cover;
			cover = synth_step(f->occluder.z + 0.035f, f->occluder.z - 0.035f, d);
			if (cover > 0.0f)
				p[y * size + x] = v3_mix(p[y * size + x],
				                         v3_mul(v3_scale(f->occluder_colour, 0.7f + 0.5f * (0.3f - v)),
				                                v3_add(f->sky, v3_scale(f->key, 0.5f))),
				                         cover * 0.97f);
		}
}

/* Box blur, three times each way: close to a Gaussian. The box's ends weigh less than one, so that its variance is a
 * third of what is asked for. */
static void defocus(struct v3 *p, struct v3 *line, int size, float deviation)
{
	float variance = deviation * deviation / 3.0f, part, norm;
	int whole = 0;
	if (deviation < 0.05f)
		return;
	while ((float)((whole + 1) * (whole + 2)) / 3.0f <= variance)
		whole++;
	part = (float)(2 * whole + 1) * (variance - (float)(whole * (whole + 1)) / 3.0f) /
	       (2.0f * ((float)((whole + 1) * (whole + 1)) - variance));
	norm = 1.0f / ((float)(2 * whole + 1) + 2.0f * part);
	for (int pass = 0; pass < 6; pass++)
		for (int i = 0; i < size; i++) {
			int stride = pass & 1 ? size : 1;
			struct v3 *at = p + (pass & 1 ? i : i * size);
			for (int k = 0; k < size; k++)
				line[k] = at[k * stride];
			for (int k = 0; k < size; k++) {
				struct v3 sum = v3(0, 0, 0);
				for (int d = -whole; d <= whole; d++)
					sum = v3_add(sum, line[k + d < 0 ? 0 : k + d >= size ? size - 1 : k + d]);
				sum = v3_mad(sum, line[k - whole - 1 < 0 ? 0 : k - whole - 1], part);
				sum = v3_mad(sum, line[k + whole + 1 >= size ? size - 1 : k + whole + 1], part);
				at[k * stride] = v3_scale(sum, norm);
			}
		}
}

static void shake(const struct synth_photo *f, const struct v3 *in, struct v3 *out, int size, float length)
{
	float dx = cosf(f->motion_angle) * length / 6.0f, dy = sinf(f->motion_angle) * length / 6.0f;
	for (int y = 0; y < size; y++)
		for (int x = 0; x < size; x++) {
			struct v3 sum = v3(0, 0, 0);
			for (int k = -3; k <= 3; k++)
				sum = v3_add(sum, sample(in, size, (float)x + (float)k * dx, (float)y + (float)k * dy));
			out[y * size + x] = v3_scale(sum, 1.0f / 7.0f);
		}
}

/* Taken small and enlarged. */
static void coarsen(struct v3 *p, struct v3 *spare, int size, float factor)
{
	int small = (int)((float)size / factor);
	float step = (float)size / (float)small;
	for (int y = 0; y < small; y++)
		for (int x = 0; x < small; x++)
			spare[y * small + x] = sample(p, size, ((float)x + 0.5f) * step - 0.5f, ((float)y + 0.5f) * step - 0.5f);
	for (int y = 0; y < size; y++)
		for (int x = 0; x < size; x++)
			p[y * size + x] = sample(spare, small, ((float)x + 0.5f) / step - 0.5f, ((float)y + 0.5f) / step - 0.5f);
}

/* Light to display: a film's shoulder above, then the sRGB curve. */
#define CURVE 1024
#define CURVE_TOP 4.0f

static void curve_make(float curve[CURVE + 1])
{
	for (int i = 0; i <= CURVE; i++) {
		float v = (float)i / CURVE;
		v = v * v * CURVE_TOP; /* finer where it is dark */
		if (v > 0.55f)
			v = 0.55f + 0.45f * (1.0f - expf(-(v - 0.55f) / 0.5f));
		v = v <= 0.0031308f ? 12.92f * v : 1.055f * powf(v, 1.0f / 2.4f) - 0.055f;
		curve[i] = v;
	}
}

static float curve_at(const float curve[CURVE + 1], float v)
{
	float t = sqrtf(synth_clamp(v, 0.0f, CURVE_TOP * 0.999f) / CURVE_TOP) * CURVE;
	int i = (int)t;
	return synth_mix(curve[i], curve[i + 1], t - (float)i);
}

static uint8_t to_byte(float v, float contrast, float noise)
{
	v = 0.45f + (v - 0.45f) * contrast + noise;
	return (uint8_t)(synth_clamp(v, 0.0f, 1.0f) * 255.0f + 0.5f);
}

/* Cameras meter: what is dark they lighten, by halves. */
static float metered(const struct synth_stage *s)
{
	float skin = synth_luma(synth_skin_colour(s->person->melanin, s->person->blood));
	float light = 0.6f * synth_luma(s->photo->key) + synth_luma(s->photo->sky);
	return powf(0.24f / synth_max(skin * light, 0.01f), 0.42f);
}

static void expose(const struct synth_stage *s, const struct v3 *p, int size, struct phiz_image *out)
{
	const struct synth_photo *f = s->photo;
	float curve[CURVE + 1], gain = exp2f(f->exposure) * metered(s);
	struct v3 white = v3(gain * (1.0f + f->warmth), gain * (1.0f - f->tint), gain * (1.0f - f->warmth));
	curve_make(curve);
	for (int y = 0; y < size; y++)
		for (int x = 0; x < size; x++) {
			float u = (float)x / (float)size - 0.5f, v = (float)y / (float)size - 0.5f, grey, n, chroma;
			uint8_t *to = out->data + 3 * ((size_t)y * (size_t)size + (size_t)x);
			struct v3 c = v3_mul(v3_scale(p[y * size + x], 1.0f - 2.0f * f->vignette * (u * u + v * v)), white);
			uint32_t h = synth_hash((uint32_t)x, (uint32_t)y, f->grain);
			grey = synth_luma(c);
			c = v3_add(v3(grey, grey, grey), v3_scale(v3_sub(c, v3(grey, grey, grey)), f->saturation));
			/* Sums of bytes: near enough to normal. */
			n = ((float)(h & 255) + (float)(h >> 8 & 255) - 255.0f) / 104.0f * f->noise_amount;
			chroma = ((float)(h >> 16 & 255) + (float)(h >> 24) - 255.0f) / 104.0f * f->noise_amount * 0.6f;
			to[0] = to_byte(curve_at(curve, c.x), f->contrast, n + chroma);
			to[1] = to_byte(curve_at(curve, c.y), f->contrast, n - 0.3f * chroma);
			to[2] = to_byte(curve_at(curve, c.z), f->contrast, n - chroma);
		}
}

enum phiz_status synth_camera_develop(struct synth_stage *s, struct phiz_image *out)
{
	const struct synth_photo *f = s->photo;
	int size = out->width;
	struct v3 *p = synth_pool_get(&s->pool, (size_t)size * (size_t)size, sizeof(*p));
	struct v3 *spare = synth_pool_get(&s->pool, (size_t)size * (size_t)size, sizeof(*spare));
	float unit = (float)size / 160.0f;
	if (!p || !spare)
		return PHIZ_E_NOMEM;
	shrink(s, p, size);
	occlude(f, p, size);
	defocus(p, spare, size, f->blur * unit);
	if (f->motion > 0.0f) {
		struct v3 *t = p;
		shake(f, p, spare, size, f->motion * unit);
		p = spare;
		spare = t;
	}
	if (f->lowres > 1.0f)
		coarsen(p, spare, size, f->lowres);
	expose(s, p, size, out);
	return PHIZ_OK;
}
