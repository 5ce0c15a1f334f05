/* The colours of skin: melanin and blood, lips, beard shadow, freckles, moles, lines of age. */
#include "datasets/synth_internal.h"
#include "datasets/synth_skin.h"

/* Skin as a fair ground under two filters, each taking its share of red, green and blue. */
struct v3 synth_skin_colour(float melanin, float blood)
{
	struct v3 c;
	c.x = 0.74f * expf(-2.00f * melanin - 0.10f * blood);
	c.y = 0.56f * expf(-2.50f * melanin - 0.62f * blood);
	c.z = 0.455f * expf(-2.90f * melanin - 0.52f * blood);
	return c;
}

/* Where a beard grows, 0..1. */
float synth_beard_mask(const struct synth_person *p, enum synth_beard beard, float x, float y, float z)
{
	float ax = fabsf(x), lips = synth_lip_line(p, synth_clamp(x, -p->mouth_w, p->mouth_w)), cheek, edge, upper, chin;
	float keep;
	if (y > -3.0f || z < 0.0f || y < -13.0f)
		return 0.0f;
	/* The lips stay free. */
	keep = y > lips ? synth_step(0.0f, 0.16f, y - lips - synth_lip_upper(p, x))
	                : synth_step(0.02f, 0.22f, lips - synth_lip_lower(p, x) - y);
	if (ax > p->mouth_w)
		keep = synth_step(0.05f, 0.35f, ax - p->mouth_w + fabsf(y - lips));
	edge = -5.2f + 0.30f * (ax - 2.2f) + 0.06f * (ax - 2.2f) * (ax - 2.2f); /* the upper edge on the cheeks */
	cheek = synth_step(edge + 0.5f, edge - 0.6f, y);
	upper = synth_step(-p->nose_len - 0.75f, -p->nose_len - 1.15f, y) *
	        synth_step(p->mouth_w + 0.55f, p->mouth_w - 0.1f, ax) * synth_step(lips - 0.4f, lips, y);
	chin = synth_step(2.7f, 1.9f, ax) * synth_step(lips - 0.5f, lips - 1.2f, y);
	switch (beard) {
	case SYNTH_MOUSTACHE: return keep * upper;
	case SYNTH_GOATEE: {
		float sides = synth_bump(ax, y, p->mouth_w + 0.25f, p->mouth_y - 0.6f, 0.75f, 2.2f);
		return keep * synth_max(synth_max(upper, chin), synth_clamp(2.0f * sides, 0.0f, 1.0f));
	}
	default: {
		float bare = synth_bump(ax, y, p->mouth_w - 0.4f, p->mouth_y - 1.2f, 1.2f, 0.7f) * 0.5f;
		return keep *
		       synth_max(synth_max(cheek * synth_step(1.9f, 3.0f, ax + synth_max(0.0f, -7.0f - y)), upper), chin) *
		       (1.0f - bare);
	}
	}
}

/* Share of the skin that hair covers at the scalp, 0..1, with a ragged edge. */
float synth_scalp_mask(const struct synth_person *p, float angle, float y)
{
	float line = synth_hairline(p, angle);
	line += 0.16f * synth_noise(angle * 14.0f, y * 1.2f, p->noise + 5);
	return synth_step(line - 0.12f, line + 0.4f, y);
}

static float freckle(float x, float y, uint32_t seed)
{
	float best = 0.0f, cell = 0.42f;
	int cx = synth_floor(x / cell), cy = synth_floor(y / cell);
	for (int j = -1; j <= 1; j++)
		for (int i = -1; i <= 1; i++) {
			uint32_t h = synth_hash((uint32_t)(cx + i), (uint32_t)(cy + j), seed);
			float px = ((float)(cx + i) + (float)(h & 255) / 255.0f) * cell, d2;
			float py = ((float)(cy + j) + (float)(h >> 8 & 255) / 255.0f) * cell;
			float radius = 0.05f + 0.10f * (float)(h >> 16 & 255) / 255.0f;
			d2 = ((x - px) * (x - px) + (y - py) * (y - py)) / (radius * radius);
			best = synth_max(best, synth_hill(d2) * (float)(h >> 24) / 255.0f);
		}
	return best;
}

/* How much darker the lines of age make the place, 0..1. */
static float lines(const struct synth_stage *s, float x, float y)
{
	const struct synth_person *p = s->person;
	float ax = fabsf(x), deep = 0.0f, raised = 0.35f + 0.65f * synth_max(s->photo->brow, 0.0f);
	if (y > 2.6f && y < p->hairline && ax < 5.0f) {
		float wave = y + 0.12f * sinf(x * 0.9f) + 0.15f * synth_noise(x * 0.7f, 3.0f, p->noise + 9) - 0.02f * x * x;
		float phase = (wave - 3.2f) / 0.85f, d = (phase - (float)synth_floor(phase + 0.5f)) * 0.85f;
		deep = 0.8f * raised * synth_gauss(d, 0.07f) * synth_step(5.0f, 3.0f, ax) * synth_step(2.7f, 3.1f, y) *
		       synth_step(p->hairline - 0.3f, p->hairline - 1.3f, y);
	}
	if (ax > p->eye_x + 1.3f && ax < p->eye_x + 3.2f && fabsf(y) < 1.6f) {
		float dx = ax - p->eye_x - 0.8f, fan = (y + 0.1f) / dx, phase = fan / 0.36f;
		float d = (phase - (float)synth_floor(phase + 0.5f)) * 0.36f * dx;
		deep += (0.35f + 0.65f * s->photo->smile) * synth_gauss(d, 0.06f) *
		        synth_step(p->eye_x + 1.3f, p->eye_x + 1.7f, ax) * synth_step(p->eye_x + 3.2f, p->eye_x + 2.2f, ax);
	}
	if (ax < 1.0f && y > 1.0f && y < 3.0f) /* between the brows */
		deep += (0.3f + 0.7f * s->photo->frown) * synth_gauss(ax - 0.38f, 0.07f) * synth_bump(0, y, 0, 2.0f, 1, 1.0f);
	return deep * synth_clamp(p->wear * 1.25f - 0.12f + 0.3f * s->photo->frown, 0.0f, 1.0f);
}

static void paint_lips(const struct synth_stage *s, float x, float y, struct synth_skin *k)
{
	const struct synth_person *p = s->person;
	float line, in, t;
	if (fabsf(x) > p->mouth_w || y < p->mouth_y - 2.0f || y > p->mouth_y + 2.0f)
		return;
	line = synth_lip_line(p, x);
	in = y > line ? synth_lip_upper(p, x) - (y - line) : synth_lip_lower(p, x) - (line - y);
	in = synth_step(-0.06f, 0.08f, in);
	if (in <= 0.0f)
		return;
	t = synth_mix(0.95f, 1.0f, synth_step(line, line - 0.2f, y));
	k->colour = v3_mix(k->colour,
	                   v3_scale(synth_skin_colour(p->melanin * 0.85f + 0.05f, p->blood + 0.35f + p->lip_red), t), in);
	/* Fine grooves. */
	k->colour = v3_scale(k->colour, 1.0f - 0.10f * in * (0.5f + 0.5f * synth_noise(x * 9.0f, y * 1.2f, p->noise + 3)));
	k->colour = v3_mix(k->colour, v3_scale(s->photo->lip_colour, synth_mix(0.9f, 0.55f, p->melanin)),
	                   in * s->photo->lipstick);
	k->gloss = synth_mix(k->gloss, 0.9f + 0.8f * s->photo->lipstick, in);
	/* The line between the lips. */
	k->colour = v3_scale(k->colour, 1.0f - 0.72f * in * synth_gauss(y - line, 0.055f));
}

static void paint_eye_region(const struct synth_stage *s, float x, float y, struct synth_skin *k)
{
	const struct synth_person *p = s->person;
	const struct synth_photo *f = s->photo;
	float ax = fabsf(x), ex, upper, lower, in, v, lash, crease, lid, rim;
	int side = x < 0.0f ? -1 : 1;
	if (fabsf(ax - p->eye_x) > 2.6f || fabsf(y) > 2.0f)
		return;
	k->colour = v3_scale(k->colour,
	                     1.0f - 0.20f * p->shadow_eyes * synth_bump(ax, y, p->eye_x - 0.35f, -0.85f, 1.7f, 0.7f));
	in = synth_eye_open(p, f, x, y, side, &ex, &upper, &lower);
	v = y - p->eye_tilt * (ax - p->eye_x);
	if (fabsf(ex) > 1.18f)
		return;
	lid = synth_bump(ax, y, p->eye_x, 0.75f, 1.9f, 1.0f);
	k->colour = v3_scale(k->colour, 1.0f - (0.10f + 0.2f * f->make_up) * lid);
	/* Lashes: a dark line along the upper lid, thicker outwards, and a faint one below. */
	rim = synth_step(1.16f, 0.92f, fabsf(ex));
	lash = synth_gauss(v - upper - 0.03f, 0.065f + 0.03f * (ex + 1.0f) * (p->female ? 1.0f : 0.5f));
	k->colour = v3_scale(k->colour, 1.0f - rim * (0.62f + 0.3f * (p->female ? 1.0f : 0.2f)) * lash);
	k->colour = v3_scale(k->colour, 1.0f - rim * (0.22f + 0.25f * f->make_up) * synth_gauss(v - lower + 0.05f, 0.05f));
	crease = v - (p->eye_h * powf(synth_max(1.0f - ex * ex / 1.32f, 0.0f), 0.6f) + 0.3f + 0.1f * p->eye_deep);
	k->colour = v3_scale(k->colour, 1.0f - 0.42f * p->lid_fold * rim * synth_gauss(crease, 0.07f));
	(void)in;
}

static void paint_brow(const struct synth_stage *s, float x, float y, struct synth_skin *k)
{
	const struct synth_person *p = s->person;
	float t = (fabsf(x) - p->brow_gap) / (4.1f * p->brow_len), d, thick;
	struct v3 c = v3_scale(p->hair, synth_mix(0.75f, 0.55f, synth_step(0.0f, 0.25f, synth_luma(p->hair))));
	if (t < -0.1f || t > 1.1f || y < 0.5f || y > 4.5f)
		return;
	thick = p->brow_thick * 0.85f * synth_mix(1.0f, 0.35f, synth_clamp(t * t, 0, 1));
	d = (y - synth_brow_line(p, x)) / thick;
	k->colour = v3_mix(k->colour, c,
	                   0.5f * p->brow_dense * synth_gauss(d, 0.55f) * synth_step(-0.06f, 0.1f, t) *
	                       synth_step(1.08f, 0.7f, t));
}

void synth_skin_face(const struct synth_stage *s, struct v3 rest, float angle, struct synth_skin *k)
{
	const struct synth_person *p = s->person;
	const struct synth_photo *f = s->photo;
	float x = rest.x, y = rest.y, ax = fabsf(x), melanin = p->melanin, blood = p->blood + f->flush, n, shadow, t;
	float fair = 1.0f - 0.7f * p->melanin; /* on dark skin blood shows less */
	float across = x + (x < 0.0f ? 0.5f : -0.5f) * (rest.z - 7.0f);
	n = synth_fractal(across * 0.45f, y * 0.45f, 2, p->noise);
	melanin += 0.03f * p->blotch * n;
	blood += 0.12f * p->blotch * synth_noise(across * 0.8f, y * 0.8f, p->noise + 1) * (1.0f - 0.6f * p->melanin);
	blood += (0.24f + 0.16f * f->make_up) * fair * synth_bump(ax, y, 4.0f, -3.0f, 3.9f, 3.4f);
	blood += 0.26f * fair * synth_bump(ax, y, 0.0f, -p->nose_len, 2.2f, 1.9f);
	blood += 0.12f * synth_bump(ax, y, 0.0f, -10.0f, 2.2f, 1.6f);
	blood -= 0.16f * synth_bump(ax, y, 0.0f, 4.4f, 5.0f, 2.2f);
	if (p->freckles > 0.0f) {
		t = p->freckles * (synth_bump(ax, y, 2.6f, -2.6f, 4.0f, 3.0f) + 0.35f * synth_bump(ax, y, 0, 4, 6, 3));
		if (t > 0.02f)
			melanin += 0.22f * t * freckle(across, y, p->noise + 21);
	}
	for (int i = 0; i < SYNTH_MOLES; i++)
		if (p->mole[i].z > 0.0f)
			melanin += 0.45f * synth_clamp(2.0f * synth_bump(x, y, p->mole[i].x, p->mole[i].y, p->mole[i].z * 1.4f,
			                                                 p->mole[i].z * 1.4f),
			                               0.0f, 1.0f);
	melanin = synth_max(melanin, 0.0f);
	k->colour = synth_skin_colour(melanin, synth_clamp(blood, 0.0f, 1.4f));
	k->gloss = (0.25f + 0.55f * p->oily) * (0.55f + 0.6f * synth_bump(ax, y, 0.0f, -1.0f, 2.4f, 6.0f) +
	                                        0.5f * synth_bump(ax, y, 0.0f, 4.4f, 4.5f, 2.4f));
	if (!p->female) {
		shadow = synth_beard_mask(p, SYNTH_STUBBLE, x, y, rest.z);
		t = p->beard == SYNTH_SHAVEN ? 0.10f + 0.12f * f->stubble : 0.28f + 0.3f * f->stubble;
		if (p->beard == SYNTH_MOUSTACHE || p->beard == SYNTH_GOATEE)
			t = 0.2f;
		t *= 1.0f - 0.6f * p->grey;
		t *= 0.8f + 0.35f * synth_noise(across * 6.0f, y * 6.0f, p->noise + 4);
		k->colour = v3_mix(k->colour, v3_scale(p->hair_mean, 0.7f), synth_clamp(t * shadow, 0.0f, 0.8f));
		if (p->beard >= SYNTH_MOUSTACHE)
			k->colour = v3_mix(k->colour, v3_scale(p->hair_mean, 0.55f),
			                   0.8f * synth_beard_mask(p, p->beard, x, y, rest.z));
	}
	k->colour = v3_scale(k->colour, 1.0f - 0.20f * lines(s, x, y));
	paint_brow(s, x, y, k);
	paint_eye_region(s, x, y, k);
	paint_lips(s, x, y, k);
	/* Nostrils. */
	t = synth_bump(ax, y, 0.56f * p->nose_alar, -p->nose_len - 0.60f + 0.2f * p->nose_up, 0.40f, 0.26f);
	k->colour = v3_scale(k->colour, 1.0f - 0.88f * synth_clamp(1.6f * t, 0.0f, 1.0f));
	if (p->style != SYNTH_BALD) {
		float cover = synth_scalp_mask(p, angle, y) * (p->style == SYNTH_BUZZ ? 0.85f : 0.94f);
		k->colour = v3_mix(k->colour, v3_scale(p->hair_mean, 0.5f), cover);
		k->gloss *= 1.0f - cover;
	} else {
		k->colour = v3_mix(k->colour, v3_scale(p->hair_mean, 0.8f),
		                   0.28f * synth_scalp_mask(p, angle, y + 1.5f) * synth_step(4.5f, 2.0f, y));
	}
}
