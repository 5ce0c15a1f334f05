/* Ears, neck, shoulders and what is worn upon them. */
#include "core/base/error.h"
#include "datasets/synth_internal.h"

#define NECK_ROWS 22
#define NECK_COLUMNS 41
#define TORSO_ROWS 26
#define TORSO_COLUMNS 61
#define COLLAR_ROWS 7
#define COLLAR_COLUMNS 49
#define EAR_ROWS 12
#define EAR_COLUMNS 29

/* Height of the ear's relief: rim, groove, ridge, hollow. rho 0 in the middle .. 1 at the rim. */
static float ear_relief(float rho, float phi)
{
	float lobe = synth_gauss(sinf(phi) + 1.0f, 0.35f), rim = 1.0f - 0.8f * lobe;
	float front = synth_gauss(cosf(phi) + 1.0f, 0.5f) * (1.0f - lobe);
	float h = 0.42f * rim * (1.0f - 0.7f * front) * synth_gauss(rho - 0.92f, 0.1f);
	h -= 0.18f * rim * synth_gauss(rho - 0.72f, 0.09f);
	h += 0.22f * rim * (1.0f - front) * synth_gauss(rho - 0.53f, 0.1f);
	h -= 0.75f * synth_gauss(rho, 0.3f) * (1.0f - lobe);
	return h + 0.25f * front * synth_gauss(rho - 0.62f, 0.14f);
}

static enum phiz_status ear_build(struct synth_stage *s, float side)
{
	const struct synth_person *p = s->person;
	struct synth_mesh *m = synth_mesh_add(s, SYNTH_EAR, EAR_ROWS, EAR_COLUMNS);
	struct v3 base, back, up, out;
	float size = p->ear_size, beta = p->ear_out;
	if (!m)
		return PHIZ_E_NOMEM;
	m->closed = true;
	m->two_sided = true;
	base = synth_skull(p, side * 1.53f, -1.0f, NULL);
	base = v3(base.x - side * 0.45f, -1.5f, base.z - 0.2f);
	back = v3(side * sinf(beta), 0.12f, -cosf(beta));
	up = v3_unit(v3(side * 0.10f, 1.0f, -0.16f));
	out = v3(side * cosf(beta), 0.0f, sinf(beta));
	for (int r = 0; r < EAR_ROWS; r++)
		for (int c = 0; c < EAR_COLUMNS; c++) {
			struct synth_vertex *v = &m->vertex[r * EAR_COLUMNS + c];
			float rho = (float)r / (EAR_ROWS - 1), phi = 2.0f * SYNTH_PI * (float)c / (EAR_COLUMNS - 1);
			float a = 1.55f * size * (1.0f + 0.22f * sinf(phi)) * rho, b = 3.05f * size * rho;
			float du = a * cosf(phi) + 1.35f * size, dv = b * sinf(phi), h = ear_relief(rho, phi);
			struct v3 pos = v3_mad(v3_mad(v3_mad(base, back, du), up, dv), out, h + 0.1f * du);
			v->rest = pos;
			v->extra = 1.0f - 0.45f * synth_gauss(rho, 0.28f);
			v->pos = synth_to_view(s, pos);
		}
	synth_mesh_finish(s, m, side);
	return PHIZ_OK;
}

enum phiz_status synth_ears_build(struct synth_stage *s)
{
	enum phiz_status status = ear_build(s, -1.0f);
	return status == PHIZ_OK ? ear_build(s, 1.0f) : status;
}

/* The neck's ring at height y: half breadth and the middle's depth. */
static void neck_ring(const struct synth_person *p, float y, float *rx, float *rz, float *middle)
{
	float t = synth_clamp((-6.0f - y) / 10.0f, 0.0f, 1.3f);
	*rx = p->neck_w * (5.35f + 0.55f * t * t);
	*rz = p->neck_w * (5.2f + 0.3f * t);
	*middle = -1.2f - 2.2f * t;
}

/* A point that turns with the head above and stays with the body below. */
static struct v3 neck_to_view(const struct synth_stage *s, struct v3 p)
{
	float t = synth_step(-8.0f, -15.0f, p.y);
	return v3_mix(synth_to_view(s, p), synth_body_to_view(s, p), t);
}

static enum phiz_status neck_build(struct synth_stage *s)
{
	const struct synth_person *p = s->person;
	struct synth_mesh *m = synth_mesh_add(s, SYNTH_NECK, NECK_ROWS, NECK_COLUMNS);
	if (!m)
		return PHIZ_E_NOMEM;
	m->closed = true;
	for (int r = 0; r < NECK_ROWS; r++)
		for (int c = 0; c < NECK_COLUMNS; c++) {
			struct synth_vertex *v = &m->vertex[r * NECK_COLUMNS + c];
			float y = -19.0f + 15.0f * (float)r / (NECK_ROWS - 1),
				  a = SYNTH_PI * (2.0f * (float)c / (NECK_COLUMNS - 1) - 1.0f);
			float rx, rz, middle, cord, apple;
			struct v3 pos;
			neck_ring(p, y, &rx, &rz, &middle);
			/* The cords from behind the ears to the breastbone, and a man's larynx. */
			cord = 0.35f * synth_gauss(fabsf(a) - synth_mix(0.25f, 1.1f, synth_step(-17.0f, -7.0f, y)), 0.2f);
			apple = p->female ? 0.0f : 0.45f * synth_gauss(a, 0.13f) * synth_gauss(y + 12.6f, 1.0f);
			pos = v3((rx + cord) * sinf(a), y, middle + (rz + cord + apple) * cosf(a));
			v->rest = pos;
			v->pos = neck_to_view(s, pos);
		}
	synth_mesh_finish(s, m, 1.0f);
	return PHIZ_OK;
}

/* Rings of the trunk from the neck downwards. */
struct ring {
	float x, z, y, drop; /* half breadth, half depth, height, how much lower the front is */
};

static struct ring ring_at(float t)
{
	static const struct ring RING[] = {{4.9f, 4.6f, -14.2f, 1.2f},   {7.2f, 6.2f, -15.7f, 1.4f},
	                                   {11.5f, 7.4f, -17.4f, 1.5f},  {16.0f, 8.2f, -19.2f, 1.4f},
	                                   {19.2f, 8.8f, -21.6f, 1.0f},  {20.8f, 9.4f, -25.0f, 0.5f},
	                                   {21.5f, 10.4f, -31.0f, 0.0f}, {22.0f, 11.5f, -60.0f, 0.0f}};
	float at = synth_clamp(t, 0.0f, 0.9999f) * 7.0f, f = at - (float)synth_floor(at);
	const struct ring *a = &RING[(int)at], *b = a + 1;
	struct ring out;
	out.x = synth_mix(a->x, b->x, f);
	out.z = synth_mix(a->z, b->z, f);
	out.y = synth_mix(a->y, b->y, f);
	out.drop = synth_mix(a->drop, b->drop, f);
	return out;
}

static enum phiz_status torso_build(struct synth_stage *s)
{
	const struct synth_person *p = s->person;
	const struct synth_photo *f = s->photo;
	struct synth_mesh *m = synth_mesh_add(s, SYNTH_CLOTH, TORSO_ROWS, TORSO_COLUMNS);
	if (!m)
		return PHIZ_E_NOMEM;
	m->closed = true;
	for (int r = 0; r < TORSO_ROWS; r++)
		for (int c = 0; c < TORSO_COLUMNS; c++) {
			struct synth_vertex *v = &m->vertex[r * TORSO_COLUMNS + c];
			float t = 1.0f - (float)r / (TORSO_ROWS - 1), a = SYNTH_PI * (2.0f * (float)c / (TORSO_COLUMNS - 1) - 1.0f);
			struct ring g = ring_at(t);
			float wide = synth_mix(p->neck_w, p->shoulder_w, synth_step(0.1f, 0.55f, t)), fold;
			struct v3 pos = v3(g.x * wide * sinf(a), g.y - g.drop * cosf(a), -3.4f + g.z * cosf(a));
			v->rest = pos;
			v->extra = t;
			fold = synth_fractal(pos.x * 0.22f + 0.1f * pos.y, pos.y * 0.16f, 2, f->noise + 7);
			pos.z += 0.9f * fold * synth_step(0.12f, 0.4f, t);
			pos.y += 0.4f * fold * synth_step(0.12f, 0.4f, t);
			v->pos = synth_body_to_view(s, pos);
		}
	synth_mesh_finish(s, m, 1.0f);
	return PHIZ_OK;
}

/* A band around the neck: top and bottom heights, how far off the neck, gap at the front (radians), thickness. */
struct band {
	float top, bottom, off_top, off_bottom, gap, bulge, point;
};

static enum phiz_status collar_build(struct synth_stage *s)
{
	static const struct band BAND[SYNTH_CLOTHS] = {{0, 0, 0, 0, 0, 0, 0},
	                                               {0, 0, 0, 0, 0, 0, 0},
	                                               {-13.3f, -15.9f, 0.35f, 1.5f, 0.08f, 0.3f, 1.7f},
	                                               {-11.2f, -16.6f, 0.35f, 1.2f, -0.05f, 0.35f, 0.0f},
	                                               {-13.0f, -17.4f, 0.9f, 3.4f, -0.03f, 1.1f, 3.2f},
	                                               {-13.3f, -15.9f, 0.35f, 1.5f, 0.08f, 0.3f, 1.7f}};
	const struct band *b = &BAND[s->photo->cloth];
	struct synth_mesh *m;
	if (b->bulge == 0.0f)
		return PHIZ_OK;
	m = synth_mesh_add(s, SYNTH_CLOTH, COLLAR_ROWS, COLLAR_COLUMNS);
	if (!m)
		return PHIZ_E_NOMEM;
	m->two_sided = true;
	for (int r = 0; r < COLLAR_ROWS; r++)
		for (int c = 0; c < COLLAR_COLUMNS; c++) {
			struct synth_vertex *v = &m->vertex[r * COLLAR_COLUMNS + c];
			float t = (float)r / (COLLAR_ROWS - 1), w = 2.0f * (float)c / (COLLAR_COLUMNS - 1) - 1.0f, rx, rz, middle,
				  off, y;
			float a = SYNTH_PI + w * (SYNTH_PI - b->gap - 0.1f * b->point * (1.0f - t)), front = cosf(a);
			struct v3 pos;
			y = synth_mix(b->bottom, b->top, t) - 0.9f * front - b->point * (1.0f - t) * synth_step(0.55f, 1.0f, front);
			neck_ring(s->person, y, &rx, &rz, &middle);
			off = synth_mix(b->off_bottom, b->off_top, t) + b->bulge * sinf(SYNTH_PI * t);
			pos = v3((rx + off) * sinf(a), y, middle + (rz + off) * front);
			v->rest = pos;
			v->extra = 2.0f + t;
			v->pos = synth_body_to_view(s, pos);
		}
	synth_mesh_finish(s, m, 1.0f);
	return PHIZ_OK;
}

enum phiz_status synth_body_build(struct synth_stage *s)
{
	enum phiz_status status = neck_build(s);
	if (status == PHIZ_OK)
		status = torso_build(s);
	return status == PHIZ_OK ? collar_build(s) : status;
}

static float pattern_at(const struct synth_photo *f, float x, float y)
{
	switch (f->pattern) {
	case SYNTH_STRIPES: return sinf(y * 2.4f) > 0.1f ? 1.0f : 0.0f;
	case SYNTH_CHECKS:
		return 0.5f * (sinf(x * 1.7f) > 0.3f ? 1.0f : 0.0f) + 0.5f * (sinf(y * 1.7f) > 0.3f ? 1.0f : 0.0f);
	case SYNTH_DOTS: {
		float dx = x / 1.6f - (float)synth_floor(x / 1.6f) - 0.5f, dy = y / 1.6f - (float)synth_floor(y / 1.6f) - 0.5f;
		return dx * dx + dy * dy < 0.05f ? 1.0f : 0.0f;
	}
	default: return 0.0f;
	}
}

struct v3 synth_cloth_colour(const struct synth_stage *s, const struct synth_vertex *v)
{
	const struct synth_photo *f = s->photo;
	const struct synth_person *p = s->person;
	float x = v->rest.x, y = v->rest.y, t = v->extra, weave, neck = 0.0f;
	struct v3 skin = synth_skin_colour(p->melanin, p->blood + 0.02f), cloth, shirt = v3(0.70f, 0.71f, 0.72f);
	bool front = v->rest.z > -3.4f;
	cloth = v3_mix(f->cloth_a, f->cloth_b, 0.85f * pattern_at(f, x + 0.3f * v->rest.z, y));
	weave = 1.0f + 0.05f * synth_noise(x * 5.0f, y * 5.0f, f->noise + 8);
	if (t >= 2.0f) { /* the collar itself */
		if (f->cloth == SYNTH_JACKET)
			return v3_scale(shirt, weave);
		if (f->cloth == SYNTH_ROLLNECK)
			return v3_scale(f->cloth_a, weave * (0.9f + 0.1f * sinf(atan2f(x, v->rest.z + 3.0f) * 40.0f)));
		return v3_scale(cloth, weave * (t < 2.08f ? 0.8f : 1.0f));
	}
	switch (f->cloth) {
	case SYNTH_CREW:
		neck = synth_step(0.155f, 0.145f, t - (front ? 0.02f : 0.0f));
		cloth = v3_mix(cloth, v3_scale(f->cloth_a, 0.8f), synth_step(0.225f, 0.22f, t) * (1.0f - neck));
		break;
	case SYNTH_VNECK:
		neck = front ? synth_step(-0.1f, 0.1f, y - (-23.5f + 1.5f * fabsf(x))) : synth_step(0.16f, 0.15f, t);
		neck = synth_max(neck, synth_step(0.15f, 0.14f, t));
		break;
	case SYNTH_SHIRT:
		if (front && fabsf(x) < 1.25f) {
			float seam = fabsf(fabsf(x) - 1.2f), by = y / 5.0f - (float)synth_floor(y / 5.0f) - 0.5f;
			cloth = v3_scale(cloth, seam < 0.14f ? 0.75f : 1.0f);
			if (x * x + by * by * 25.0f < 0.16f)
				cloth = v3(0.6f, 0.58f, 0.52f);
		}
		neck = front ? synth_step(-0.1f, 0.1f, y - (-18.6f + 1.2f * fabsf(x))) : 0.0f;
		break;
	case SYNTH_JACKET:
		if (front) {
			float lapel = y - (-33.0f + 2.4f * fabsf(x));
			if (lapel > 0.0f)
				cloth = fabsf(x) < 1.3f && f->noise % 3 == 0 ? f->cloth_b : shirt;
			else if (lapel > -6.5f)
				cloth = v3_scale(f->cloth_a, lapel > -0.5f || lapel < -6.0f ? 0.6f : 1.12f);
			else
				cloth = f->cloth_a;
			if (f->noise % 3 != 0)
				neck = synth_step(-0.1f, 0.1f, y - (-19.0f + 1.2f * fabsf(x)));
		}
		break;
	default: neck = synth_step(0.1f, 0.09f, t); break;
	}
	return v3_mix(v3_scale(cloth, weave), skin, neck);
}
