/* Backgrounds, painted small and out of focus, and what stands before the camera. */
#include "core/base/error.h"
#include "datasets/synth_internal.h"

#define SMALL 96

struct canvas {
	struct v3 *pixel; /* SMALL x SMALL */
	struct phiz_rng rng;
};

static float draw(struct canvas *c, float low, float high)
{
	return (float)phiz_rng_uniform(&c->rng, low, high);
}

static void rectangle(struct canvas *c, float x0, float y0, float x1, float y1, struct v3 colour, float opacity)
{
	int ax = (int)synth_clamp(x0 * SMALL, 0, SMALL), bx = (int)synth_clamp(x1 * SMALL, 0, SMALL);
	int ay = (int)synth_clamp(y0 * SMALL, 0, SMALL), by = (int)synth_clamp(y1 * SMALL, 0, SMALL);
	for (int y = ay; y < by; y++)
		for (int x = ax; x < bx; x++)
			c->pixel[y * SMALL + x] = v3_mix(c->pixel[y * SMALL + x], colour, opacity);
}

static void disc(struct canvas *c, float cx, float cy, float radius, struct v3 colour, float rim)
{
	int x0 = (int)synth_clamp((cx - radius) * SMALL, 0, SMALL),
		x1 = (int)synth_clamp((cx + radius) * SMALL + 1, 0, SMALL);
	int y0 = (int)synth_clamp((cy - radius) * SMALL, 0, SMALL),
		y1 = (int)synth_clamp((cy + radius) * SMALL + 1, 0, SMALL);
	for (int y = y0; y < y1; y++)
		for (int x = x0; x < x1; x++) {
			float dx = ((float)x + 0.5f) / SMALL - cx, dy = ((float)y + 0.5f) / SMALL - cy,
				  d = sqrtf(dx * dx + dy * dy) / radius;
			if (d < 1.0f)
				c->pixel[y * SMALL + x] = v3_mad(c->pixel[y * SMALL + x], colour,
				                                 synth_step(1.0f, 0.86f, d) * (1.0f - rim + rim * d));
		}
}

static void gradient(struct canvas *c, struct v3 top, struct v3 bottom)
{
	for (int y = 0; y < SMALL; y++)
		for (int x = 0; x < SMALL; x++)
			c->pixel[y * SMALL + x] = v3_mix(top, bottom, (float)y / (SMALL - 1));
}

static void paint_wall(struct canvas *c, const struct synth_photo *f)
{
	float x0 = draw(c, -0.3f, 1.3f), fall = draw(c, 0.2f, 0.8f);
	for (int y = 0; y < SMALL; y++)
		for (int x = 0; x < SMALL; x++) {
			float d = fabsf((float)x / SMALL - x0),
				  n = synth_fractal((float)x * 0.06f, (float)y * 0.06f, 3, f->noise + 50);
			c->pixel[y * SMALL + x] = v3_scale(f->scene_a, (1.0f - fall * 0.6f * d) * (1.0f + 0.10f * n));
		}
	if (draw(c, 0, 1) < 0.4f) { /* a picture on the wall */
		float px = draw(c, -0.1f, 0.75f), py = draw(c, 0.0f, 0.3f), w = draw(c, 0.15f, 0.35f),
			  h = draw(c, 0.15f, 0.35f);
		rectangle(c, px - 0.02f, py - 0.02f, px + w + 0.02f, py + h + 0.02f, v3_scale(f->scene_b, 0.3f), 1.0f);
		rectangle(c, px, py, px + w, py + h, f->scene_c, 1.0f);
		rectangle(c, px, py + 0.5f * h, px + w, py + h, f->scene_b, 0.7f);
	}
}

static void paint_studio(struct canvas *c, const struct synth_photo *f)
{
	float cx = draw(c, 0.3f, 0.7f), cy = draw(c, 0.3f, 0.6f), tight = draw(c, 0.6f, 1.6f);
	for (int y = 0; y < SMALL; y++)
		for (int x = 0; x < SMALL; x++) {
			float dx = (float)x / SMALL - cx, dy = (float)y / SMALL - cy;
			float n = synth_fractal((float)x * 0.05f, (float)y * 0.05f, 3, f->noise + 51);
			c->pixel[y * SMALL + x] = v3_scale(f->scene_b, (0.25f + 1.1f * expf(-3.0f * tight * (dx * dx + dy * dy))) *
			                                                   (1.0f + 0.2f * n));
		}
}

static void paint_bokeh(struct canvas *c, const struct synth_photo *f)
{
	gradient(c, v3_scale(f->scene_b, 0.22f), v3_scale(f->scene_a, 0.10f));
	for (int i = 0; i < 46; i++) {
		struct v3 colour = v3_mix(v3(1.0f, 0.72f, 0.38f), f->scene_c, draw(c, 0, 1) < 0.6f ? 0.15f : 1.0f);
		float x = draw(c, -0.05f, 1.05f), y = draw(c, -0.05f, 0.95f), radius = draw(c, 0.02f, 0.065f);
		disc(c, x, y, radius, v3_scale(colour, draw(c, 0.1f, 0.7f)), 0.35f);
	}
}

static void paint_foliage(struct canvas *c, const struct synth_photo *f)
{
	float hue = draw(c, 0.0f, 1.0f), light_x = draw(c, 0, 1);
	struct v3 green = v3_mix(v3(0.05f, 0.14f, 0.03f), v3(0.16f, 0.15f, 0.03f), hue), bright = v3(0.62f, 0.72f, 0.32f);
	for (int y = 0; y < SMALL; y++)
		for (int x = 0; x < SMALL; x++) {
			float n = synth_fractal((float)x * 0.09f, (float)y * 0.09f, 4, f->noise + 52), up = 1.0f - (float)y / SMALL;
			float glow = synth_gauss((float)x / SMALL - light_x, 0.4f) * up;
			struct v3 base = v3_scale(green, 1.0f + 1.1f * n);
			c->pixel[y * SMALL + x] = v3_mad(base, bright, synth_max(0.0f, 0.7f * n * up) + 0.22f * glow);
		}
	for (int i = 0; i < 34; i++) {
		float x = draw(c, 0, 1), y = draw(c, 0, 0.8f);
		disc(c, x, y, draw(c, 0.015f, 0.05f), v3_scale(bright, draw(c, 0.03f, 0.28f)), 0.2f);
	}
}

static void paint_shelves(struct canvas *c, const struct synth_photo *f)
{
	int boards = 3 + (int)phiz_rng_below(&c->rng, 3);
	struct v3 wood = v3_mix(v3(0.16f, 0.085f, 0.04f), f->scene_a, 0.25f);
	gradient(c, v3_scale(wood, 0.5f), v3_scale(wood, 0.35f));
	for (int b = 0; b < boards; b++) {
		float y1 = (float)(b + 1) / (float)boards, y0 = (float)b / (float)boards, x = -0.02f;
		while (x < 1.0f) {
			float w = draw(c, 0.015f, 0.055f), h = draw(c, 0.55f, 0.92f) * (y1 - y0), tone = draw(c, 0.25f, 0.9f);
			struct v3 cover = v3(draw(c, 0.1f, 0.8f), draw(c, 0.08f, 0.6f), draw(c, 0.06f, 0.6f));
			cover = v3_scale(v3_mix(cover, f->scene_c, 0.2f), tone * 0.7f);
			if (draw(c, 0, 1) < 0.9f)
				rectangle(c, x, y1 - h, x + w, y1, cover, 1.0f);
			x += w + 0.003f;
		}
		rectangle(c, 0, y1 - 0.025f, 1, y1, v3_scale(wood, 1.5f), 1.0f);
	}
}

static void paint_window(struct canvas *c, const struct synth_photo *f)
{
	float x0 = draw(c, -0.2f, 0.5f), w = draw(c, 0.4f, 0.8f), y1 = draw(c, 0.6f, 1.1f);
	struct v3 sky = v3_mix(v3(0.85f, 0.93f, 1.05f), f->scene_c, 0.15f);
	gradient(c, v3_scale(f->scene_a, 0.45f), v3_scale(f->scene_a, 0.3f));
	rectangle(c, x0, -0.1f, x0 + w, y1, sky, 1.0f);
	rectangle(c, x0, 0.6f * y1, x0 + w, y1, v3(0.30f, 0.42f, 0.22f), 0.65f);
	for (int i = 0; i < 3; i++) {
		float x = x0 + w * (float)i / 2.0f;
		rectangle(c, x - 0.018f, -0.1f, x + 0.018f, y1, v3(0.5f, 0.48f, 0.45f), 1.0f);
	}
	rectangle(c, x0, 0.42f * y1, x0 + w, 0.42f * y1 + 0.025f, v3(0.5f, 0.48f, 0.45f), 1.0f);
	rectangle(c, x0 - 0.16f, -0.1f, x0, 1.1f, f->scene_b, 0.9f); /* a curtain */
	rectangle(c, 0.0f, y1 + 0.02f, 1.0f, 1.1f, v3_scale(f->scene_b, 0.5f), 1.0f);
}

static void paint_street(struct canvas *c, const struct synth_photo *f)
{
	float x = -0.05f, horizon = draw(c, 0.5f, 0.75f);
	gradient(c, v3(0.62f, 0.74f, 0.92f), v3(0.85f, 0.85f, 0.84f));
	while (x < 1.0f) {
		float w = draw(c, 0.12f, 0.34f), top = draw(c, -0.1f, 0.4f), tone = draw(c, 0.2f, 0.8f);
		struct v3 house = v3_scale(
			v3_mix(v3_mix(f->scene_a, v3(0.5f, 0.42f, 0.34f), 0.6f), f->scene_b, draw(c, 0, 0.6f)), tone);
		rectangle(c, x, top, x + w, horizon + 0.05f, house, 1.0f);
		for (float wy = top + 0.05f; wy < horizon - 0.06f; wy += 0.11f)
			for (float wx = x + 0.025f; wx < x + w - 0.03f; wx += 0.075f)
				rectangle(c, wx, wy, wx + 0.035f, wy + 0.06f, v3_scale(v3(0.3f, 0.36f, 0.42f), draw(c, 0.2f, 1.4f)),
				          0.85f);
		x += w;
	}
	rectangle(c, 0, horizon, 1, 1.1f, v3(0.26f, 0.25f, 0.25f), 1.0f);
	for (int i = 0; i < 7; i++) {
		float px = draw(c, 0, 1), h = draw(c, 0.04f, 0.1f);
		rectangle(c, px, horizon - h, px + draw(c, 0.05f, 0.18f), horizon + 0.05f,
		          v3_scale(f->scene_c, draw(c, 0.1f, 0.8f)), 0.9f);
	}
}

static void paint_seaside(struct canvas *c, const struct synth_photo *f)
{
	float horizon = draw(c, 0.35f, 0.65f), evening = draw(c, 0, 1);
	struct v3 sky = v3_mix(v3(0.34f, 0.58f, 0.92f), v3(0.62f, 0.42f, 0.40f), evening * 0.8f);
	gradient(c, sky, v3_mix(v3(0.85f, 0.9f, 0.95f), v3(1.0f, 0.66f, 0.36f), evening));
	for (int y = 0; y < SMALL; y++)
		for (int x = 0; x < SMALL; x++) {
			float n = synth_fractal((float)x * 0.04f, (float)y * 0.1f, 3, f->noise + 53), v = (float)y / SMALL;
			struct v3 *p = &c->pixel[y * SMALL + x];
			if (v < horizon)
				*p = v3_mix(*p, v3(0.95f, 0.93f, 0.92f), synth_max(0.0f, n) * 0.9f);
			else
				*p = v3_scale(v3_mix(v3(0.08f, 0.22f, 0.30f), sky, 0.3f), 1.0f + 0.5f * n);
		}
	rectangle(c, 0, draw(c, 0.75f, 1.0f), 1, 1.1f, v3(0.62f, 0.50f, 0.34f), 1.0f);
}

static void blur(struct v3 *pixel, struct v3 *line, int reach)
{
	for (int pass = 0; pass < 4; pass++)
		for (int i = 0; i < SMALL; i++) {
			int stride = pass & 1 ? SMALL : 1;
			struct v3 *at = pixel + (pass & 1 ? i : i * SMALL), sum = v3(0, 0, 0);
			for (int k = 0; k < SMALL; k++)
				line[k] = at[k * stride];
			for (int k = -reach; k <= reach; k++)
				sum = v3_add(sum, line[k < 0 ? 0 : k]);
			for (int k = 0; k < SMALL; k++) {
				int leave = k - reach < 0 ? 0 : k - reach, enter = k + reach + 1 >= SMALL ? SMALL - 1 : k + reach + 1;
				at[k * stride] = v3_scale(sum, 1.0f / (float)(2 * reach + 1));
				sum = v3_add(sum, v3_sub(line[enter], line[leave]));
			}
		}
}

enum phiz_status synth_scene_paint(struct synth_stage *s)
{
	static void (*const PAINT[SYNTH_SCENES])(struct canvas *, const struct synth_photo *) = {
		paint_wall, paint_studio, paint_bokeh, paint_foliage, paint_shelves, paint_window, paint_street, paint_seaside};
	const struct synth_photo *f = s->photo;
	struct v3 line[SMALL], tone;
	struct canvas c;
	int reach;
	float bright = synth_max(synth_luma(f->key) * 0.6f + synth_luma(f->sky), 0.2f);
	c.pixel = synth_pool_get(&s->pool, (size_t)SMALL * SMALL, sizeof(*c.pixel));
	if (!c.pixel)
		return PHIZ_E_NOMEM;
	phiz_rng_init(&c.rng, f->noise, 1, 0, PHIZ_STREAM_SYNTH);
	PAINT[f->scene](&c, f);
	reach = f->scene == SYNTH_BOKEH ? 0 : 1 + (int)(draw(&c, 0.0f, 1.0f) * (f->scene == SYNTH_FOLIAGE ? 1.6f : 3.2f));
	if (reach > 0)
		blur(c.pixel, line, reach);
	tone = v3_scale(v3_mix(v3(1, 1, 1), v3_scale(f->key, 1.0f / synth_max(synth_luma(f->key), 0.05f)), 0.5f),
	                synth_mix(1.0f, bright, 0.55f) * 0.9f);
	for (int y = 0; y < s->size; y++)
		for (int x = 0; x < s->size; x++) {
			float fx = synth_clamp(((float)x + 0.5f) * SMALL / (float)s->size - 0.5f, 0, SMALL - 1.001f);
			float fy = synth_clamp(((float)y + 0.5f) * SMALL / (float)s->size - 0.5f, 0, SMALL - 1.001f);
			int ix = (int)fx, iy = (int)fy;
			const struct v3 *p = c.pixel + iy * SMALL + ix;
			struct v3 top = v3_mix(p[0], p[1], fx - (float)ix), low = v3_mix(p[SMALL], p[SMALL + 1], fx - (float)ix);
			s->colour[(size_t)y * (size_t)s->size + (size_t)x] = v3_mul(v3_mix(top, low, fy - (float)iy), tone);
		}
	return PHIZ_OK;
}
