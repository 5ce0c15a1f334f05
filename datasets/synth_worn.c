/* Glasses, hat and mask. */
#include "core/base/error.h"
#include "datasets/synth_internal.h"

#define RIM 36
#define ROUND 7

/* A pair of glasses: half breadth and half height of a lens, its squareness, and the thickness of the rim. */
struct frame {
	float rx, ry, power, thick, lift;
};

static const struct frame FRAME[] = {{2.25f, 2.10f, 1.0f, 0.11f, 0.0f},
                                     {2.5f, 1.65f, 0.55f, 0.13f, 0.0f},
                                     {2.6f, 1.85f, 0.65f, 0.22f, 0.15f},
                                     {2.45f, 1.75f, 0.85f, 0.10f, 0.0f}};

static bool worn(const struct synth_stage *s)
{
	return (s->photo->wear & (PHIZ_SYNTH_GLASSES | PHIZ_SYNTH_SUNGLASSES)) != 0;
}

/* A tube along points in head space. */
static enum phiz_status tube(struct synth_stage *s, const struct v3 *point, int n, float radius, bool casts)
{
	struct synth_mesh *m = synth_mesh_add(s, SYNTH_FRAME, n, ROUND);
	if (!m)
		return PHIZ_E_NOMEM;
	m->closed = true;
	m->two_sided = true;
	m->casts = casts;
	for (int i = 0; i < n; i++) {
		struct v3 along = v3_unit(v3_sub(point[i + 1 < n ? i + 1 : i], point[i > 0 ? i - 1 : i]));
		struct v3 side = v3_unit(v3_cross(along, fabsf(along.z) < 0.8f ? v3(0, 0, 1) : v3(0, 1, 0)));
		struct v3 over = v3_cross(along, side);
		for (int k = 0; k < ROUND; k++) {
			float a = 2.0f * SYNTH_PI * (float)k / (ROUND - 1);
			struct synth_vertex *v = &m->vertex[i * ROUND + k];
			v->rest = v3_mad(v3_mad(point[i], side, radius * cosf(a)), over, radius * sinf(a));
			v->pos = synth_to_view(s, v->rest);
		}
	}
	synth_mesh_finish(s, m, 1.0f);
	return PHIZ_OK;
}

static float corner(float x, float e)
{
	float a = powf(fabsf(x), e);
	return x < 0.0f ? -a : a;
}

/* A point of the rim; k runs 0..1 around. */
static struct v3 rim_point(const struct synth_stage *s, int side, float k)
{
	const struct synth_person *p = s->person;
	const struct frame *fr = &FRAME[s->photo->frame];
	float a = 2.0f * SYNTH_PI * k, cx = synth_max(p->eye_x, fr->rx + 0.75f), scale = 0.5f + 0.5f * p->head_w;
	float x = cx + scale * fr->rx * corner(cosf(a), fr->power), y = -0.2f + scale * fr->ry * corner(sinf(a), fr->power);
	y += fr->lift * (x - cx) * 0.35f;
	return v3((float)side * x, y, s->eye_z[0] + 2.95f - 0.035f * x * x + 0.06f * y);
}

enum phiz_status synth_glasses_build(struct synth_stage *s)
{
	struct v3 point[RIM + 1];
	float thick = worn(s) ? FRAME[s->photo->frame].thick : 0.0f;
	if (!worn(s))
		return PHIZ_OK;
	for (int side = -1; side <= 1; side += 2) {
		struct v3 hinge, ear;
		for (int i = 0; i <= RIM; i++)
			point[i] = rim_point(s, side, (float)i / RIM);
		if (tube(s, point, RIM + 1, thick, true) != PHIZ_OK)
			return PHIZ_E_NOMEM;
		hinge = rim_point(s, side, 0.05f);
		ear = synth_skull(s->person, (float)side * 1.5f, 0.4f, NULL);
		for (int i = 0; i < 6; i++) {
			float t = (float)i / 5.0f;
			point[i] = v3_mix(hinge, v3(ear.x + (float)side * 0.35f, 0.6f, -0.6f), t);
			point[i].x += (float)side * 0.5f * sinf(SYNTH_PI * t * 0.8f);
		}
		if (tube(s, point, 6, thick * 1.1f, true) != PHIZ_OK)
			return PHIZ_E_NOMEM;
	}
	for (int i = 0; i < 7; i++) {
		struct v3 l = rim_point(s, -1, 0.42f), r = rim_point(s, 1, 0.42f);
		float t = (float)i / 6.0f;
		point[i] = v3_mix(l, r, t);
		point[i].y += 0.3f * sinf(SYNTH_PI * t);
		point[i].z += 0.25f * sinf(SYNTH_PI * t);
	}
	return tube(s, point, 7, thick * 1.1f, false);
}

static bool within(const float *x, const float *y, int n, float px, float py)
{
	bool in = false;
	for (int i = 0, j = n - 1; i < n; j = i++)
		if ((y[i] > py) != (y[j] > py) && px < (x[j] - x[i]) * (py - y[i]) / (y[j] - y[i]) + x[i])
			in = !in;
	return in;
}

static void lens(struct synth_stage *s, int side)
{
	float x[RIM], y[RIM], near = 0.0f, low_x = 1e9f, high_x = -1e9f, low_y = 1e9f, high_y = -1e9f,
						  last = (float)s->size - 1.0f;
	bool dark = (s->photo->wear & PHIZ_SYNTH_SUNGLASSES) != 0;
	struct v3 shine = v3_mad(v3_scale(s->photo->sky, 0.5f), s->photo->window, 0.5f);
	for (int i = 0; i < RIM; i++) {
		float w;
		synth_project(s, synth_to_view(s, rim_point(s, side, (float)i / RIM)), &x[i], &y[i], &w);
		near += w / RIM;
		low_x = synth_min(low_x, x[i]);
		high_x = synth_max(high_x, x[i]);
		low_y = synth_min(low_y, y[i]);
		high_y = synth_max(high_y, y[i]);
	}
	for (int py = (int)synth_clamp(low_y, 0, last); py <= (int)synth_clamp(high_y, -1, last); py++)
		for (int px = (int)synth_clamp(low_x, 0, last); px <= (int)synth_clamp(high_x, -1, last); px++) {
			size_t at = (size_t)py * (size_t)s->size + (size_t)px;
			float v = ((float)py - low_y) / (high_y - low_y), u = ((float)px - low_x) / (high_x - low_x), gleam;
			if (s->hit[at].z > near * 1.004f || !within(x, y, RIM, (float)px + 0.5f, (float)py + 0.5f))
				continue;
			/* A slanting band of sky. */
			gleam = 0.015f + 0.08f * synth_gauss(u + 0.6f * v - 0.62f, 0.13f) +
			        0.06f * synth_gauss(u + 0.6f * v - 0.95f, 0.05f);
			if (dark)
				s->colour[at] = v3_mul(s->colour[at], v3_scale(v3(0.09f, 0.08f, 0.075f), 0.6f + 1.2f * v));
			s->colour[at] = v3_mad(v3_scale(s->colour[at], dark ? 1.0f : 0.94f), shine, gleam);
		}
}

void synth_glasses_lens(struct synth_stage *s)
{
	if (!worn(s))
		return;
	lens(s, -1);
	lens(s, 1);
}

static enum phiz_status beanie(struct synth_stage *s)
{
	const int rows = 30, columns = 61;
	struct synth_mesh *m = synth_mesh_add(s, SYNTH_HAT, rows, columns);
	const struct synth_person *p = s->person;
	if (!m)
		return PHIZ_E_NOMEM;
	m->closed = true;
	m->two_sided = true;
	for (int r = 0; r < rows; r++)
		for (int c = 0; c < columns; c++) {
			struct synth_vertex *v = &m->vertex[r * columns + c];
			float t = (float)r / (float)(rows - 1), a = SYNTH_PI * (2.0f * (float)c / (float)(columns - 1) - 1.0f), off;
			float low = synth_mix(1.2f, p->hairline - 1.2f, 0.5f + 0.5f * cosf(a));
			struct v3 n, pos = synth_skull(p, a, synth_mix(low, SYNTH_U_HIGH, t), &n);
			off = 1.0f + 0.55f * synth_step(0.33f, 0.26f, t) * synth_step(0.0f, 0.03f, t) + 1.1f * t * t;
			pos = v3_mad(pos, n, off);
			v->rest = v3(a * 7.0f, t * 16.0f, 0.0f);
			v->pos = synth_to_view(s, pos);
		}
	synth_mesh_finish(s, m, 1.0f);
	return PHIZ_OK;
}

static enum phiz_status mask(struct synth_stage *s)
{
	const int rows = 24, columns = 37;
	struct synth_mesh *m = synth_mesh_add(s, SYNTH_MASKED, rows, columns);
	const struct synth_person *p = s->person;
	float top = -0.42f * p->nose_len, low = SYNTH_U_CHIN - 0.4f;
	if (!m)
		return PHIZ_E_NOMEM;
	m->two_sided = true;
	for (int r = 0; r < rows; r++)
		for (int c = 0; c < columns; c++) {
			struct synth_vertex *v = &m->vertex[r * columns + c];
			float t = (float)r / (float)(rows - 1), w = 2.0f * (float)c / (float)(columns - 1) - 1.0f, tent;
			float u = synth_mix(low, top, t) * (1.0f - 0.22f * w * w) - 1.0f * w * w;
			struct v3 n, pos = synth_skull(p, w * 1.22f, u, &n);
			pos = v3_mad(pos, n, 0.75f + 0.1f * cosf(pos.y * 4.5f));
			tent = synth_mix(0.8f, p->nose_out * 0.75f, t) + 0.5f * synth_bump(0, t, 0, 0.55f, 1, 0.5f);
			pos.z += tent * synth_gauss(pos.x, synth_mix(3.2f, 2.1f, t));
			pos.y -= 1.4f * s->photo->open * (1.0f - t);
			v->rest = pos;
			v->pos = synth_to_view(s, pos);
		}
	synth_mesh_finish(s, m, 1.0f);
	return PHIZ_OK;
}

enum phiz_status synth_hat_build(struct synth_stage *s)
{
	enum phiz_status status = PHIZ_OK;
	if (s->photo->wear & PHIZ_SYNTH_HAT)
		status = beanie(s);
	if (status == PHIZ_OK && (s->photo->wear & PHIZ_SYNTH_MASK))
		status = mask(s);
	return status;
}
