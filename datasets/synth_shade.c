/* From what a pixel sees to its colour. */
#include "core/base/error.h"
#include "datasets/synth_internal.h"
#include "datasets/synth_skin.h"

#define EYEBALL_RADIUS 1.22f

/* A vertex between the four of a cell. */
static void between(const struct synth_mesh *m, const struct synth_hit *h, struct synth_vertex *out)
{
	const struct synth_vertex *v00 = &m->vertex[(h->cell >> 13 & 8191) * (uint32_t)m->columns + (h->cell & 8191)],
							  *v10 = v00 + 1;
	const struct synth_vertex *v01 = v00 + m->columns, *v11 = v01 + 1;
	float a = (float)h->a / 65535.0f, b = (float)h->b / 65535.0f;
	float w00 = (1 - a) * (1 - b), w10 = a * (1 - b), w01 = (1 - a) * b, w11 = a * b;
#define BLEND(field)                                                                                                   \
	out->field = v3_mad(v3_mad(v3_mad(v3_scale(v00->field, w00), v10->field, w10), v01->field, w01), v11->field, w11)
#define BLEND1(field) out->field = v00->field * w00 + v10->field * w10 + v01->field * w01 + v11->field * w11
	BLEND(rest);
	BLEND(pos);
	BLEND(normal);
	BLEND(light);
	BLEND1(occlusion);
	BLEND1(key);
	BLEND1(extra);
#undef BLEND
#undef BLEND1
	out->normal = v3_unit(out->normal);
}

static struct v3 to_eye(const struct synth_stage *s, struct v3 pos)
{
	return v3_unit(v3_sub(v3(0, 0, s->distance), pos));
}

/* The glint of the key light, broad and narrow, and the surroundings at grazing angles. */
static struct v3 glint(const struct synth_stage *s, const struct synth_vertex *v, float gloss, float sharp)
{
	struct v3 eye = to_eye(s, v->pos), half = v3_unit(v3_add(eye, s->light[0].dir)), c;
	float nh = synth_max(v3_dot(v->normal, half), 0.0f), nv = synth_clamp(v3_dot(v->normal, eye), 0.0f, 1.0f),
		  rim = 1.0f - nv;
	float broad = powf(nh, 14.0f * sharp) * 0.16f, narrow = powf(nh, 55.0f * sharp) * 0.24f;
	float nl = synth_step(-0.05f, 0.3f, v3_dot(v->normal, s->light[0].dir));
	c = v3_scale(s->light[0].colour, (broad + narrow) * gloss * v->key * nl);
	rim = rim * rim * rim;
	return v3_mad(c, s->photo->sky, 0.16f * rim * v->occlusion * (0.4f + gloss));
}

static struct v3 shade_eyeball(const struct synth_stage *s, const struct synth_vertex *v, int side, float upper_gap,
                               float lower_gap, float ex)
{
	const struct synth_person *p = s->person;
	const struct synth_photo *f = s->photo;
	struct v3 camera = v3_add(m3_undo(&s->head, v3_sub(v3_sub(v3(0, 0, s->distance), s->place), s->joint)), s->joint);
	struct v3 at = v3_add(m3_undo(&s->head, v3_sub(v3_sub(v->pos, s->place), s->joint)), s->joint);
	struct v3 centre = v3((float)side * p->eye_x, 0.0f, s->eye_z[0]), ray = v3_unit(v3_sub(at, camera));
	struct v3 off = v3_sub(camera, centre), n, gaze, colour, light, view_n, cornea, eye, mirror;
	float b = v3_dot(off, ray), c = v3_dot(off, off) - EYEBALL_RADIUS * EYEBALL_RADIUS, d = b * b - c, away, pupil,
		  shadow;
	float spark;
	n = v3_unit(v3_sub(v3_mad(camera, ray, -b - (d > 0.0f ? sqrtf(d) : 0.0f)), centre));
	gaze = v3_unit(v3(sinf(f->gaze_x) - 0.03f * (float)side, sinf(f->gaze_y), 1.0f));
	away = acosf(synth_clamp(v3_dot(n, gaze), -1.0f, 1.0f)) * EYEBALL_RADIUS / p->iris_r; /* 1 at the iris' edge */
	colour = v3_mix(v3(0.66f, 0.60f, 0.56f), v3(0.50f, 0.30f, 0.27f), synth_step(0.55f, 1.0f, fabsf(ex)) * 0.7f);
	if (away < 1.12f) {
		struct v3 offset = v3_sub(n, gaze);
		float turn = atan2f(offset.y, offset.x), rays = synth_noise(turn * 7.0f, away * 1.5f, p->noise + 31);
		struct v3 iris = v3_scale(p->iris,
		                          (0.85f + 0.45f * rays) * synth_mix(1.35f, 0.75f, synth_step(0.35f, 0.9f, away)));
		iris = v3_scale(iris, 1.0f - 0.6f * synth_step(0.78f, 1.02f, away));
		pupil = 0.42f - 0.1f * synth_clamp(synth_luma(f->key), 0.0f, 1.0f);
		iris = v3_mix(v3(0.004f, 0.004f, 0.004f), iris, synth_step(pupil - 0.05f, pupil + 0.05f, away));
		colour = v3_mix(iris, colour, synth_step(0.96f, 1.08f, away));
	}
	view_n = m3_apply(&s->head, n);
	light = synth_light_at(s, view_n, 0.35f + 0.65f * v->key, 0.75f);
	shadow = synth_mix(0.28f, 1.0f, synth_step(-0.02f, 0.42f, upper_gap)) *
	         synth_mix(0.75f, 1.0f, synth_step(0.0f, 0.16f, lower_gap));
	shadow *= 1.0f - 0.35f * synth_step(0.5f, 1.0f, fabsf(ex));
	colour = v3_scale(v3_mul(colour, light), shadow);
	/* The cornea stands out and mirrors the light. */
	cornea = v3_unit(v3_mad(n, v3_sub(n, gaze), away < 1.1f ? 0.55f : 0.0f));
	cornea = m3_apply(&s->head, cornea);
	eye = to_eye(s, v->pos);
	mirror = v3_sub(v3_scale(cornea, 2.0f * v3_dot(cornea, eye)), eye);
	spark = powf(synth_max(v3_dot(mirror, s->light[0].dir), 0.0f), 60.0f);
	spark += 0.35f * powf(synth_max(v3_dot(mirror, v3_unit(v3(-0.28f, 0.42f, 0.86f))), 0.0f), 90.0f);
	colour = v3_mad(colour, v3_add(s->light[0].colour, v3(0.12f, 0.12f, 0.12f)),
	                synth_clamp(1.6f * spark, 0.0f, 1.0f) * 0.85f * synth_step(0.0f, 0.1f, upper_gap));
	return v3_mad(colour, s->photo->sky, 0.05f * shadow);
}

/* Between the parted lips: teeth, tongue, dark. */
static struct v3 shade_mouth(const struct synth_stage *s, const struct synth_vertex *v, float depth)
{
	const struct synth_person *p = s->person;
	const struct synth_photo *f = s->photo;
	struct v3 at = v3_add(m3_undo(&s->head, v3_sub(v3_sub(v->pos, s->place), s->joint)), s->joint), colour, light;
	float t = at.x / p->mouth_w, edge, tooth, gap, ax = fabsf(at.x), from_lip, lit;
	edge = p->mouth_y - 0.5f + 0.55f * t * t * (0.4f + f->smile) + 0.1f * f->smile;
	light = v3_scale(v->light, 0.9f);
	colour = v3_scale(v3(0.10f, 0.022f, 0.018f), 0.5f + 0.5f * depth);
	if (f->open > 0.3f) { /* the tongue lies low */
		float tongue = synth_step(0.62f, 0.92f, depth) * synth_step(0.75f, 0.4f, fabsf(t));
		colour = v3_mix(colour, v3(0.36f, 0.10f, 0.09f), tongue);
	}
	if (at.y > edge - 0.04f) {
		from_lip = depth;
		tooth = ax < 0.86f ? ax / 0.86f : ax < 1.5f ? (ax - 0.86f) / 0.64f : ax < 2.2f ? (ax - 1.5f) / 0.7f : 0.5f;
		if (ax < 0.86f)
			tooth = synth_max(tooth, 0.0f);
		gap = 1.0f - 0.30f * (synth_gauss(1.0f - tooth, 0.06f) +
		                      (ax > 0.4f ? synth_gauss(tooth, 0.06f) : synth_gauss(ax, 0.03f)));
		lit = (1.0f - 0.62f * synth_step(0.45f, 1.0f, fabsf(t))) *
		      synth_mix(0.62f, 1.0f, synth_step(0.0f, 0.3f, from_lip));
		colour = v3_mix(colour, v3_scale(v3(0.74f, 0.70f, 0.61f), gap * lit),
		                synth_step(edge - 0.04f, edge + 0.05f, at.y));
	}
	return v3_mul(colour, light);
}

static struct v3 shade_face(const struct synth_stage *s, struct synth_vertex *v)
{
	const struct synth_person *p = s->person;
	const struct synth_photo *f = s->photo;
	struct synth_skin k;
	float x = v->rest.x, y = v->rest.y;
	if (v->rest.z > 3.0f && fabsf(y) < 1.4f && fabsf(fabsf(x) - p->eye_x) < p->eye_w) {
		float ex, upper, lower, in, vv;
		int side = x < 0.0f ? -1 : 1;
		in = synth_eye_open(p, f, x, y, side, &ex, &upper, &lower);
		vv = y - p->eye_tilt * (fabsf(x) - p->eye_x);
		if (in > 0.0f && vv < upper && vv > lower)
			return shade_eyeball(s, v, side, upper - vv, vv - lower, ex);
	}
	if ((f->open > 0.0f || f->teeth > 0.0f) && v->rest.z > 4.0f && fabsf(x) < p->mouth_w * 0.97f) {
		float depth = (synth_lip_line(p, x) + 0.5f * SYNTH_LIP_GAP - y) / SYNTH_LIP_GAP;
		if (depth > 0.04f && depth < 0.96f)
			return shade_mouth(s, v, depth);
	}
	synth_skin_face(s, v->rest, v->extra, &k);
	if (s->detail > 0.7f && v->rest.z > 0.0f) { /* pores */
		float grain = synth_noise(x * 7.0f, y * 7.0f, p->noise + 11),
			  grain2 = synth_noise(x * 13.0f, y * 13.0f, p->noise + 12);
		float rough = 0.018f + 0.03f * p->wear;
		k.colour = v3_scale(k.colour, 1.0f + rough * (grain + grain2));
		k.gloss *= 1.0f + 0.3f * grain2;
	}
	return v3_add(v3_mul(k.colour, v->light), glint(s, v, k.gloss, 1.0f));
}

static struct v3 shade_plain_skin(const struct synth_stage *s, const struct synth_vertex *v, float blood)
{
	const struct synth_person *p = s->person;
	float n = synth_fractal(v->rest.x * 0.5f, v->rest.y * 0.5f + v->rest.z, 2, p->noise + 2);
	struct v3 c = synth_skin_colour(p->melanin * 0.98f + 0.03f * n, p->blood + blood);
	return v3_add(v3_mul(c, v->light), glint(s, v, 0.2f + 0.2f * p->oily, 1.0f));
}

static struct v3 shade_hair_shell(const struct synth_stage *s, const struct synth_vertex *v)
{
	float n = synth_noise(v->rest.x * 3.0f + v->rest.z * 2.0f, v->rest.y * 0.8f, s->person->noise + 41);
	return v3_mul(v3_scale(s->person->hair_mean, 0.42f + 0.16f * n), v->light);
}

static struct v3 shade(const struct synth_stage *s, const struct synth_hit *h)
{
	const struct synth_mesh *m = &s->mesh[h->cell >> 26];
	struct synth_vertex v;
	between(m, h, &v);
	switch (m->material) {
	case SYNTH_SKIN: return shade_face(s, &v);
	case SYNTH_EAR: return v3_scale(shade_plain_skin(s, &v, 0.22f), v.extra);
	case SYNTH_NECK: return shade_plain_skin(s, &v, 0.05f);
	case SYNTH_SCALP:
	case SYNTH_CURTAIN: return shade_hair_shell(s, &v);
	case SYNTH_CLOTH: return v3_mul(synth_cloth_colour(s, &v), v.light);
	case SYNTH_FRAME: return v3_add(v3_mul(s->photo->frame_colour, v.light), glint(s, &v, 1.6f, 2.0f));
	case SYNTH_HAT: {
		float rib = 0.85f + 0.15f * sinf(v.rest.x * 9.0f) * sinf(v.rest.y * 7.0f + 2.0f * sinf(v.rest.x * 9.0f));
		return v3_mul(v3_scale(s->photo->hat, rib), v.light);
	}
	default: return v3_mul(v3_scale(v3(0.62f, 0.70f, 0.74f), 0.92f + 0.08f * cosf(v.rest.y * 4.5f)), v.light);
	}
}

enum phiz_status synth_shade(struct synth_stage *s)
{
	for (int i = 0; i < s->size * s->size; i++)
		if (s->hit[i].z > 0.0f)
			s->colour[i] = shade(s, &s->hit[i]);
	return PHIZ_OK;
}
