/* Hair styles: the cap under the hair, the guides, and the strands along them. */
#include <string.h>

#include "core/base/error.h"
#include "datasets/synth_hair.h"
#include "datasets/synth_skin.h"

/* clang-format off */
static const struct synth_cut CUT[SYNTH_STYLES] = {
	[SYNTH_BALD] = {.top = 0.0f},
		[SYNTH_BUZZ] = {.top = 0.6f,
                        .front = 0.6f,
                        .side = 0.4f,
                        .back = 0.4f,
                        .cover_top = 0.14f,
                        .cover_side = 0.05f,
                        .lift = 0.8f,
                        .forward = 0.3f,
                        .clump = 0.5f,
                        .fuzz = 0.4f,
                        .strands = 2.6f},
		[SYNTH_CROP] = {.top = 3.4f,
                        .front = 3.2f,
                        .side = 1.2f,
                        .back = 1.2f,
                        .cover_top = 0.8f,
                        .cover_side = 0.25f,
                        .lift = 0.4f,
                        .forward = 0.8f,
                        .sideways = 0.3f,
                        .fringe = 0.5f,
                        .weight = 0.5f,
                        .clump = 0.5f,
                        .fuzz = 0.4f,
                        .strands = 1.5f,
                        .start = 0.2f},
		[SYNTH_SIDE_PART] = {.top = 6.0f,
                             .front = 5.6f,
                             .side = 1.6f,
                             .back = 1.5f,
                             .cover_top = 1.0f,
                             .cover_side = 0.3f,
                             .lift = 0.4f,
                             .forward = 0.15f,
                             .sideways = 1.0f,
                             .backward = 0.2f,
                             .fringe = -0.3f,
                             .weight = 0.6f,
                             .clump = 0.45f,
                             .fuzz = 0.2f,
                             .strands = 1.5f,
                             .start = 0.2f},
		[SYNTH_SWEPT] = {.top = 7.5f,
                         .front = 7.5f,
                         .side = 2.0f,
                         .back = 2.4f,
                         .cover_top = 1.5f,
                         .cover_side = 0.35f,
                         .lift = 0.26f,
                         .sideways = 0.15f,
                         .backward = 1.0f,
                         .fringe = -1.0f,
                         .weight = 0.3f,
                         .curl = 0.03f,
                         .turns = 1.0f,
                         .clump = 0.5f,
                         .fuzz = 0.18f,
                         .strands = 1.5f,
                         .start = 0.2f},
		[SYNTH_CURLS] = {.top = 5.0f,
                         .front = 4.8f,
                         .side = 3.0f,
                         .back = 3.2f,
                         .cover_top = 2.0f,
                         .cover_side = 0.8f,
                         .lift = 0.5f,
                         .forward = 0.25f,
                         .sideways = 0.3f,
                         .fringe = 0.35f,
                         .weight = 0.5f,
                         .curl = 0.6f,
                         .turns = 1.9f,
                         .clump = 0.5f,
                         .fuzz = 1.0f,
                         .strands = 1.7f,
                         .start = 0.55f},
		[SYNTH_AFRO] = {.top = 2.4f,
                        .front = 2.4f,
                        .side = 2.0f,
                        .back = 2.0f,
                        .cover_top = 4.2f,
                        .cover_side = 3.4f,
                        .lift = 0.7f,
                        .curl = 0.5f,
                        .turns = 1.6f,
                        .clump = 0.7f,
                        .fuzz = 1.6f,
                        .strands = 2.2f,
                        .start = 0.9f},
		[SYNTH_PIXIE] = {.top = 7.5f,
                         .front = 6.5f,
                         .side = 4.4f,
                         .back = 4.2f,
                         .cover_top = 0.9f,
                         .cover_side = 0.5f,
                         .lift = 0.3f,
                         .forward = 0.35f,
                         .sideways = 0.8f,
                         .fringe = 0.6f,
                         .weight = 0.8f,
                         .clump = 0.55f,
                         .fuzz = 0.24f,
                         .strands = 1.5f,
                         .start = 0.2f},
		[SYNTH_BOB] = {.top = 18.0f,
                       .front = 18.0f,
                       .side = 14.0f,
                       .back = 12.0f,
                       .cover_top = 0.9f,
                       .cover_side = 0.8f,
                       .lift = 0.25f,
                       .sideways = 1.0f,
                       .backward = 0.1f,
                       .fringe = -0.15f,
                       .weight = 1.0f,
                       .curl = 0.05f,
                       .turns = 0.7f,
                       .clump = 0.55f,
                       .fuzz = 0.13f,
                       .strands = 1.3f,
                       .start = 0.2f,
                       .curtain = true},
		[SYNTH_FRINGE] = {.top = 18.0f,
                          .front = 6.8f,
                          .side = 15.0f,
                          .back = 13.0f,
                          .cover_top = 0.9f,
                          .cover_side = 0.8f,
                          .lift = 0.2f,
                          .forward = 0.2f,
                          .sideways = 0.9f,
                          .fringe = 1.0f,
                          .weight = 1.0f,
                          .curl = 0.03f,
                          .turns = 0.7f,
                          .clump = 0.5f,
                          .fuzz = 0.10f,
                          .strands = 1.3f,
                          .start = 0.2f,
                          .curtain = true},
		[SYNTH_LONG] = {.top = 34.0f,
                        .front = 34.0f,
                        .side = 29.0f,
                        .back = 28.0f,
                        .cover_top = 0.7f,
                        .cover_side = 0.7f,
                        .lift = 0.2f,
                        .sideways = 1.0f,
                        .backward = 0.15f,
                        .fringe = -0.15f,
                        .weight = 1.1f,
                        .curl = 0.05f,
                        .turns = 0.8f,
                        .clump = 0.55f,
                        .fuzz = 0.10f,
                        .strands = 1.3f,
                        .start = 0.2f,
                        .curtain = true},
		[SYNTH_WAVES] = {.top = 32.0f,
                         .front = 31.0f,
                         .side = 27.0f,
                         .back = 26.0f,
                         .cover_top = 1.3f,
                         .cover_side = 1.1f,
                         .lift = 0.35f,
                         .sideways = 1.0f,
                         .backward = 0.1f,
                         .fringe = -0.1f,
                         .weight = 1.0f,
                         .curl = 0.8f,
                         .turns = 3.0f,
                         .clump = 0.6f,
                         .fuzz = 0.18f,
                         .strands = 1.3f,
                         .start = 0.2f,
                         .curtain = true},
		[SYNTH_BUN] = {.top = 13.0f,
                       .front = 13.0f,
                       .side = 11.0f,
                       .back = 10.0f,
                       .cover_top = 0.35f,
                       .cover_side = 0.3f,
                       .lift = 0.1f,
                       .backward = 1.0f,
                       .fringe = -1.0f,
                       .clump = 0.5f,
                       .fuzz = 0.08f,
                       .strands = 1.5f,
                       .start = 0.2f,
                       .knot = true},
	};
/* clang-format on */

void synth_cut_make(const struct synth_person *p, const struct synth_photo *f, struct synth_cut *cut)
{
	enum synth_style style = p->style;
	float longer = 0.82f + 0.4f * p->hair_len, fuller = 0.7f + 0.65f * p->hair_volume;
	if (f->tied && CUT[style].curtain && style != SYNTH_BOB)
		style = SYNTH_BUN;
	*cut = CUT[style];
	cut->top *= longer;
	cut->front *= style == SYNTH_FRINGE ? 1.0f : longer;
	cut->side *= longer;
	cut->back *= longer;
	cut->cover_top *= fuller;
	cut->cover_side *= style == SYNTH_AFRO ? fuller : 0.5f + 0.5f * fuller;
	if (style == SYNTH_AFRO) {
		cut->top *= fuller;
		cut->side *= fuller;
		cut->front *= fuller;
		cut->back *= fuller;
	}
	cut->lift *= fuller * (0.9f + 0.25f * f->tousle);
	cut->curl *= 0.6f + 0.8f * p->hair_curl;
	cut->fuzz *= 0.6f + 0.5f * f->tousle + 0.3f * p->hair_curl;
}

float synth_skull_u(const struct synth_person *p, float y)
{
	float t;
	if (y <= 2.5f)
		return y;
	t = synth_clamp((y - 2.5f) / (9.1f * p->head_h), 0.0f, 1.0f);
	return 2.5f + 9.1f * asinf(t);
}

/* Pushes a point out of an ellipsoid that is `off` thicker. */
static struct v3 push_out(struct v3 p, struct v3 centre, struct v3 radius, float off)
{
	struct v3 d = v3_sub(p, centre), r = v3(radius.x + off, radius.y + off, radius.z + off);
	float f = (d.x / r.x) * (d.x / r.x) + (d.y / r.y) * (d.y / r.y) + (d.z / r.z) * (d.z / r.z);
	if (f >= 1.0f || f < 1e-4f)
		return p;
	return v3_mad(centre, d, 1.0f / sqrtf(f));
}

static struct v3 keep_outside(const struct synth_person *p, struct v3 at, float off)
{
	at = push_out(at, v3(0, 2.4f, -0.5f), v3(7.6f * p->head_w, 9.2f * p->head_h, 9.7f * p->head_d), off);
	at = push_out(at, v3(0, -3.2f, 0.4f), v3(7.15f * p->head_w * p->cheek_w, 8.4f, 8.2f), off * 0.9f);
	if (at.y < -3.0f) {
		at = push_out(at, v3(0, -14.0f, -2.0f), v3(5.9f * p->neck_w, 10.0f, 5.6f * p->neck_w), off);
		at = push_out(at, v3(0, -31.5f, -3.2f), v3(20.5f * p->shoulder_w, 15.0f, 9.6f), 0.4f + 0.3f * off);
	}
	return at;
}

static struct v3 over_ear(struct v3 at, float off)
{
	if (fabsf(at.x) < 5.5f || at.y > 1.7f || at.y < -4.5f)
		return at;
	return push_out(at, v3(at.x > 0 ? 7.6f : -7.6f, -1.4f, -0.9f), v3(0.75f, 3.1f, 1.9f), 0.6f * off);
}

/* Parted hair frames the face. */
static struct v3 keep_off_face(struct v3 at)
{
	float room = 5.9f * synth_step(7.0f, 1.5f, at.y) * synth_step(1.0f, 4.0f, at.z);
	if (fabsf(at.x) < room)
		at.x = at.x < 0.0f ? -room : room;
	return at;
}

/* Which way the hair is combed at a place of the scalp. */
static struct v3 combing(const struct synth_stage *s, const struct synth_cut *cut, struct v3 at, struct v3 out,
                         float angle)
{
	const struct synth_person *p = s->person;
	float part = (p->hair_part + s->photo->part_shift), top = synth_step(4.0f, 8.5f, at.y), front, side;
	struct v3 comb = v3(0, 0, 0);
	part = (p->hair_part < 0 ? synth_min(part, -0.1f) : synth_max(part, 0.1f)) * synth_step(-8.0f, 2.0f, at.z);
	front = synth_step(0.95f, 0.5f, fabsf(angle)) * synth_step(3.5f, 6.0f, at.y) * synth_step(2.5f, 6.0f, at.z);
	side = synth_clamp((at.x - part) / 0.25f, -1.0f, 1.0f);
	comb.x = cut->sideways * side;
	comb.y = -0.35f * (1.0f - top) - 0.2f;
	comb.z = cut->forward - cut->backward - 0.9f * cut->sideways * (1.0f - fabsf(side));
	if (cut->fringe > 0.0f)
		comb = v3_mix(comb, v3(0.25f * side * cut->sideways, -0.75f, 1.0f), front * cut->fringe);
	else if (cut->fringe < 0.0f)
		comb = v3_mix(comb, v3(0.3f * side * cut->sideways + 0.05f * at.x, 0.2f, -0.9f), -front * cut->fringe);
	if (cut->knot) {
		struct v3 knot = v3(0.0f, 6.5f, -9.5f);
		comb = v3_unit(v3_sub(knot, at));
	}
	/* Along the scalp. */
	comb = v3_mad(comb, out, -v3_dot(comb, out));
	return comb;
}

static float length_at(const struct synth_cut *cut, struct v3 at, float angle)
{
	float a = fabsf(angle), front = synth_step(0.95f, 0.6f, a) * synth_step(2.5f, 6.0f, at.z);
	float low = synth_step(7.4f, 3.2f, at.y), back = synth_step(1.5f, 2.2f, a), side;
	side = synth_mix(cut->side, cut->back, back);
	return synth_mix(synth_mix(cut->top, cut->front, front), side, low * (1.0f - 0.8f * front));
}

void synth_guide_grow(const struct synth_stage *s, const struct synth_cut *cut, float angle, float u, float layer,
                      uint32_t id, struct synth_guide *g)
{
	const struct synth_person *p = s->person;
	struct v3 out, at = synth_skull(p, angle, u, &out), before, dir, comb, across;
	uint32_t seed = p->noise + 60, day = s->photo->noise + 61;
	float r1 = synth_hash01(id, 1, seed) - 0.5f, r2 = synth_hash01(id, 2, seed) - 0.5f,
		  r3 = synth_hash01(id, 3, day) - 0.5f;
	float length = length_at(cut, at, angle) * (0.86f + 0.28f * synth_hash01(id, 4, seed)), step, cover, phase, thick;
	float low = synth_step(7.0f, 2.5f, at.y);
	comb = combing(s, cut, at, out, angle);
	comb = v3_scale(comb, 1.0f / synth_max(v3_length(comb), 0.25f));
	across = v3_unit(v3_cross(out, comb));
	comb = v3_mad(comb, across, cut->fuzz * (r1 + 0.8f * r3));
	comb = v3_mad(comb, out, cut->fuzz * 0.4f * r2);
	cover = synth_mix(cut->cover_top, cut->cover_side, low);
	thick = cover * (0.75f + 0.5f * layer);
	dir = v3_unit(
		v3_mad(comb, out, cut->lift * (0.5f + 0.9f * layer) * (1.0f - 0.6f * low) * (cut->curtain ? 0.25f : 1.0f)));
	step = length / (SYNTH_GUIDE_POINTS - 1);
	phase = 6.283f * synth_hash01(id, 5, seed);
	g->out = out;
	g->depth = layer;
	g->id = id;
	at = v3_mad(at, out, 0.05f + cut->start * cover);
	for (int i = 0; i < SYNTH_GUIDE_POINTS; i++) {
		float t = (float)i / (SYNTH_GUIDE_POINTS - 1),
			  fall = cut->weight * step * synth_min(0.42f * step, 1.0f) * (0.4f + t), off;
		off = thick * synth_clamp(t * 4.0f, 0.12f, 1.0f);
		before = at;
		g->point[i] = over_ear(at, off);
		at = v3_mad(at, dir, step);
		if (cut->curl > 0.0f && cut->turns > 0.0f) {
			float turn = phase + 6.283f * cut->turns * t, amount = cut->curl * step * synth_clamp(t * 4.0f, 0, 1);
			amount *= synth_min(6.283f * cut->turns / length, 1.0f);
			at = v3_mad(v3_mad(at, across, amount * cosf(turn)), out, amount * 0.6f * sinf(turn));
		}
		if (cut->curtain && cut->fringe < 0.5f)
			at = keep_off_face(at);
		at = keep_outside(p, at, off);
		dir = v3_sub(at, before);
		dir = v3_mad(dir, comb, 0.3f * step * synth_min(step, 0.5f) * (1.0f - t));
		dir.z -= 0.22f * cut->backward * step * synth_min(step, 1.0f) * (cut->knot ? 0.0f : 1.0f);
		dir.y -= fall;
		if (cut->curtain && at.y < 2.0f) { /* what hangs does not fly */
			dir.x *= 0.72f;
			dir.z *= 0.8f;
		}
		if (cut->knot)
			dir = v3_add(v3_scale(v3_unit(dir), 0.6f), v3_scale(v3_unit(v3_sub(v3(0, 6.5f, -9.5f), at)), 0.6f));
		dir = v3_unit(dir);
	}
}

/* --- The cap: the scalp raised by the hair's thickness where hair grows, sunk below the skin elsewhere. --- */

static enum phiz_status cap_build(struct synth_stage *s, const struct synth_cut *cut)
{
	const struct synth_person *p = s->person;
	int rows = (int)(44.0f * s->detail), columns = (int)(64.0f * s->detail);
	struct synth_mesh *m;
	bool hat = (s->photo->wear & PHIZ_SYNTH_HAT) != 0;
	if (cut->cover_top <= 0.12f)
		return PHIZ_OK;
	m = synth_mesh_add(s, SYNTH_SCALP, rows, columns);
	if (!m)
		return PHIZ_E_NOMEM;
	m->closed = true;
	for (int r = 0; r < rows; r++)
		for (int c = 0; c < columns; c++) {
			struct synth_vertex *v = &m->vertex[r * columns + c];
			float a = SYNTH_PI * (2.0f * (float)c / (float)(columns - 1) - 1.0f), line = synth_hairline(p, a), low,
				  thick, n;
			float u = synth_mix(-9.0f, SYNTH_U_HIGH, (float)r / (float)(rows - 1));
			struct v3 out, at = synth_skull(p, a, u, &out);
			low = synth_step(7.0f, 2.5f, at.y);
			thick = synth_mix(cut->cover_top, cut->cover_side, low) * (hat ? 0.3f : 1.0f);
			n = synth_fractal(at.x * 0.8f + 11.0f, at.y * 0.8f + at.z * 0.7f, 2, p->noise + 62);
			thick *= 1.0f + (cut->curl > 0.2f ? 0.5f : 0.2f) * n;
			if (cut->sideways > 0.5f) /* the parting */
				thick *= 1.0f - 0.55f * synth_gauss(at.x - p->hair_part - s->photo->part_shift, 0.35f) *
				                    synth_step(3.0f, 8.0f, at.y) * synth_step(-4.0f, 2.0f, at.z);
			at = v3_mad(at, out, synth_mix(-2.2f, thick, synth_step(line + 0.25f, line + 0.9f + 0.7f * thick, at.y)));
			v->rest = at;
			v->pos = synth_to_view(s, at);
		}
	synth_mesh_finish(s, m, 1.0f);
	return PHIZ_OK;
}

/* Long hair beside and behind the neck: guides side by side make a sheet. */
static enum phiz_status curtain_build(struct synth_stage *s, const struct synth_cut *cut)
{
	const int columns = 56;
	struct synth_mesh *m;
	if (!cut->curtain)
		return PHIZ_OK;
	m = synth_mesh_add(s, SYNTH_CURTAIN, SYNTH_GUIDE_POINTS, columns);
	if (!m)
		return PHIZ_E_NOMEM;
	m->two_sided = true;
	for (int c = 0; c < columns; c++) {
		float a = 1.12f + (2.0f * SYNTH_PI - 2.24f) * (float)c / (float)(columns - 1), inset;
		struct synth_guide g;
		struct synth_cut calm = *cut;
		a = a > SYNTH_PI ? a - 2.0f * SYNTH_PI : a;
		calm.fuzz = 0.0f;
		calm.curl *= 0.3f;
		calm.side *= 0.94f;
		calm.back *= 0.96f;
		synth_guide_grow(s, &calm, a, 3.4f, 0.25f, 7u, &g);
		inset = 0.0f;
		for (int r = 0; r < SYNTH_GUIDE_POINTS; r++) {
			struct synth_vertex *v = &m->vertex[(SYNTH_GUIDE_POINTS - 1 - r) * columns + (columns - 1 - c)];
			v->rest = v3_mad(g.point[r], g.out, inset);
			v->pos = synth_to_view(s, v->rest);
		}
	}
	synth_mesh_finish(s, m, 1.0f);
	return PHIZ_OK;
}

/* The knot or the root of a pony tail. */
static enum phiz_status knot_build(struct synth_stage *s, const struct synth_cut *cut)
{
	const int rows = 14, columns = 21;
	struct synth_mesh *m;
	bool high = s->person->hair_volume > 0.5f;
	if (!cut->knot || (s->photo->wear & PHIZ_SYNTH_HAT))
		return PHIZ_OK;
	m = synth_mesh_add(s, SYNTH_SCALP, rows, columns);
	if (!m)
		return PHIZ_E_NOMEM;
	m->closed = true;
	for (int r = 0; r < rows; r++)
		for (int c = 0; c < columns; c++) {
			struct synth_vertex *v = &m->vertex[r * columns + c];
			float a = SYNTH_PI * (2.0f * (float)c / (float)(columns - 1) - 1.0f);
			float b = SYNTH_PI * ((float)r / (float)(rows - 1) - 0.5f),
				  twist = 1.0f + 0.07f * sinf(3.0f * a + 5.0f * b);
			float size = 2.5f + 0.9f * s->person->hair_len;
			struct v3 d = v3(sinf(a) * cosf(b), sinf(b) * 0.85f, cosf(a) * cosf(b));
			v->rest = v3_mad(high ? v3(0, 12.0f, -4.5f) : v3(0, 6.5f, -11.0f), d, size * twist);
			v->pos = synth_to_view(s, v->rest);
		}
	synth_mesh_finish(s, m, 1.0f);
	return PHIZ_OK;
}

enum phiz_status synth_hair_build(struct synth_stage *s)
{
	struct synth_cut cut;
	enum phiz_status status;
	synth_cut_make(s->person, s->photo, &cut);
	status = cap_build(s, &cut);
	if (status == PHIZ_OK)
		status = curtain_build(s, &cut);
	return status == PHIZ_OK ? knot_build(s, &cut) : status;
}

/* --- Strands. --- */

static struct v3 tone_of(const struct synth_person *p, uint32_t id)
{
	float vary = synth_hash01(id, 21, p->noise);
	struct v3 c = v3_scale(p->hair, 0.7f + 0.6f * vary);
	if (synth_hash01(id, 22, p->noise) < p->grey)
		c = v3_mix(c, v3(0.40f, 0.39f, 0.38f), 0.6f + 0.4f * p->grey);
	return c;
}

/* The hairs around a guide. */
static void draw_lock(struct synth_stage *s, const struct synth_cut *cut, const struct synth_guide *g, int hairs,
                      float width)
{
	struct synth_strand strand;
	struct v3 side = v3_unit(v3_cross(g->out, v3_sub(g->point[4], g->point[0]))), view = m3_apply(&s->head, g->out);
	memset(&strand, 0, sizeof(strand));
	strand.count = SYNTH_GUIDE_POINTS;
	strand.out = g->out;
	strand.key = synth_step(-0.5f, 0.5f, v3_dot(view, s->light[0].dir)) * (0.45f + 0.55f * g->depth);
	strand.open = 0.35f + 0.65f * g->depth;
	strand.shine = 0.5f + 0.5f * s->person->hair_fine;
	for (int k = 0; k < hairs; k++) {
		uint32_t id = g->id * 131u + (uint32_t)k;
		float a = synth_hash01(id, 11, s->person->noise) - 0.5f, b = synth_hash01(id, 12, s->person->noise) - 0.5f;
		float c = synth_hash01(id, 13, s->person->noise), wave = 6.283f * c, trim = 0.8f + 0.2f * c;
		for (int i = 0; i < SYNTH_GUIDE_POINTS; i++) {
			float t = (float)i / (SYNTH_GUIDE_POINTS - 1), wide = cut->clump * (1.8f - 0.9f * t);
			float at = t * trim * (SYNTH_GUIDE_POINTS - 1);
			int j = (int)at < SYNTH_GUIDE_POINTS - 1 ? (int)at : SYNTH_GUIDE_POINTS - 2;
			struct v3 p = v3_mix(g->point[j], g->point[j + 1], at - (float)j);
			p = v3_mad(p, side, wide * a + 0.06f * sinf(wave + 7.0f * t) * (0.3f + cut->fuzz));
			strand.point[i] = v3_mad(p, g->out, 0.6f * wide * b * (t > 0.1f ? 1.0f : 0.3f) + 0.1f);
		}
		strand.root = v3_scale(tone_of(s->person, id), 0.65f);
		strand.tip = v3_scale(strand.root, 1.75f);
		strand.width = width;
		synth_strand_draw(s, &strand);
	}
}

static void draw_head_hair(struct synth_stage *s, const struct synth_cut *cut)
{
	const struct synth_person *p = s->person;
	int rows = (int)(17.0f * sqrtf(cut->strands)), columns = (int)(38.0f * sqrtf(cut->strands)),
		hairs = (int)(5.0f * s->detail + 2.5f);
	bool hat = (s->photo->wear & PHIZ_SYNTH_HAT) != 0;
	for (int r = 0; r < rows; r++)
		for (int c = 0; c < columns; c++) {
			uint32_t id = (uint32_t)(r * columns + c);
			float jx = synth_hash01(id, 31, p->noise), jy = synth_hash01(id, 32, p->noise),
				  layer = synth_hash01(id, 33, p->noise);
			float a = SYNTH_PI * (2.0f * ((float)c + jx) / (float)columns - 1.0f),
				  y = -9.0f + 20.5f * ((float)r + jy) / (float)rows;
			struct v3 out, at;
			struct synth_guide g;
			y = y > 2.5f ? synth_mix(2.5f, 2.5f + 9.1f * p->head_h, (y - 2.5f) / 9.0f) : y;
			at = synth_skull(p, a, synth_skull_u(p, y), &out);
			if (synth_scalp_mask(p, a, at.y) < 0.35f || (hat && (at.y > 3.5f || fabsf(a) < 0.9f)))
				continue;
			if (!cut->curtain && m3_apply(&s->head, out).z < -0.45f)
				continue;
			synth_guide_grow(s, cut, a, synth_skull_u(p, y), layer, id, &g);
			draw_lock(s, cut, &g, hairs, (cut->curl > 0.2f ? 0.085f : 0.07f) * (1.15f - 0.3f * p->hair_fine));
		}
}

enum phiz_status synth_hair_draw(struct synth_stage *s)
{
	struct synth_cut cut;
	synth_cut_make(s->person, s->photo, &cut);
	if (s->person->style != SYNTH_BALD)
		draw_head_hair(s, &cut);
	return synth_face_hair_draw(s);
}
