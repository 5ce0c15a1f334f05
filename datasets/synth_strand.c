/* Single hairs: drawing with depth, and the hairs of the face. */
#include <string.h>

#include "core/base/error.h"
#include "datasets/synth_hair.h"
#include "datasets/synth_skin.h"

/* Hair shines along a band across its length (Kajiya and Kay). */
static struct v3 hair_light(const struct synth_stage *s, const struct synth_strand *h, struct v3 tangent,
                            struct v3 colour, struct v3 base)
{
	struct v3 half = v3_unit(v3_add(s->light[0].dir, v3(0, 0, 1)));
	float th = v3_dot(tangent, half), sh = sqrtf(synth_max(1.0f - th * th, 0.0f)), band = sh * sh;
	band *= band;
	band *= band;
	colour = v3_mul(colour, base);
	colour = v3_mad(colour, v3_mul(v3_add(s->light[0].colour, s->photo->sky), h->root),
	                0.7f * h->key * h->shine * band);
	band *= band;
	band *= band;
	return v3_mad(colour, v3_add(s->light[0].colour, s->photo->sky), 0.035f * h->key * h->shine * band);
}

struct tip {
	float x, y, z;
	struct v3 colour;
};

/* A short stroke of a width in pixels. */
static void stroke(struct synth_stage *s, const struct tip *a, const struct tip *b, float width)
{
	float dx = b->x - a->x, dy = b->y - a->y, reach = synth_max(fabsf(dx), fabsf(dy));
	bool steep = fabsf(dy) > fabsf(dx);
	int steps = (int)reach + 1, half = (int)(width * 0.5f), last = s->size - 1;
	float inv = 1.0f / (float)steps;
	if (synth_max(a->x, b->x) < -2.0f || synth_max(a->y, b->y) < -2.0f || synth_min(a->x, b->x) > (float)last + 2.0f ||
	    synth_min(a->y, b->y) > (float)last + 2.0f || steps > 4 * s->size)
		return;
	for (int i = 0; i < steps; i++) {
		float t = ((float)i + 0.5f) * inv, fx = a->x + dx * t, fy = a->y + dy * t, z = a->z + (b->z - a->z) * t;
		int x = synth_floor(fx), y = synth_floor(fy);
		struct v3 colour = v3_mix(a->colour, b->colour, t);
		for (int k = -half; k <= half; k++) {
			int px = steep ? x + k : x, py = steep ? y : y + k;
			size_t at;
			if (px < 0 || py < 0 || px > last || py > last)
				continue;
			at = (size_t)py * (size_t)s->size + (size_t)px;
			if (s->hit[at].z > z)
				continue;
			s->hit[at].z = z;
			s->colour[at] = colour;
		}
	}
}

void synth_strand_draw(struct synth_stage *s, const struct synth_strand *h)
{
	struct tip tip[SYNTH_GUIDE_POINTS];
	struct v3 view[SYNTH_GUIDE_POINTS], base = synth_light_at(s, m3_apply(&s->head, h->out), h->key, h->open);
	float width;
	for (int i = 0; i < h->count; i++) {
		view[i] = synth_to_view(s, h->point[i]);
		synth_project(s, v3(view[i].x, view[i].y, view[i].z), &tip[i].x, &tip[i].y, &tip[i].z);
		tip[i].z *= 1.0f + h->lift * tip[i].z;
	}
	width = h->width * s->focal * tip[0].z;
	for (int i = 0; i < h->count; i++) {
		struct v3 along = v3_unit(v3_sub(view[i + 1 < h->count ? i + 1 : i], view[i > 0 ? i - 1 : 0]));
		float t = (float)i / (float)(h->count - 1);
		tip[i].colour = hair_light(s, h, along, v3_mix(h->root, h->tip, t), base);
	}
	for (int i = 0; i + 1 < h->count; i++)
		stroke(s, &tip[i], &tip[i + 1], width);
}

/* The face's grid, asked for the vertex nearest to a rest place: rows and columns are sorted, so walk. */
static const struct synth_vertex *vertex_over(const struct synth_mesh *m, float x, float y)
{
	int r = m->rows / 2, c = m->columns / 2;
	for (int i = 0; i < 400; i++) {
		const struct synth_vertex *v = &m->vertex[r * m->columns + c];
		int dr = 0, dc = 0;
		if (c + 1 < m->columns && fabsf(v[1].rest.x - x) < fabsf(v->rest.x - x))
			dc = 1;
		else if (c > 0 && fabsf(v[-1].rest.x - x) < fabsf(v->rest.x - x))
			dc = -1;
		if (r + 1 < m->rows && fabsf(v[m->columns].rest.y - y) < fabsf(v->rest.y - y))
			dr = 1;
		else if (r > 0 && fabsf(v[-m->columns].rest.y - y) < fabsf(v->rest.y - y))
			dr = -1;
		if (dr == 0 && dc == 0)
			return v;
		r += dr;
		c += dc;
	}
	return &m->vertex[r * m->columns + c];
}

/* Hairs of the face are short: they lie on a vertex and run in a direction of the head's space. */
static void short_hair(struct synth_stage *s, const struct synth_vertex *v, struct v3 offset, struct v3 along,
                       float length, float curve, struct v3 colour, float width)
{
	struct synth_strand h;
	struct v3 at = v3_add(m3_undo(&s->head, v3_sub(v3_sub(v->pos, s->place), s->joint)), s->joint);
	struct v3 out = m3_undo(&s->head, v->normal);
	memset(&h, 0, sizeof(h));
	h.count = 4;
	along = v3_unit(v3_mad(along, out, -v3_dot(along, out)));
	for (int i = 0; i < h.count; i++) {
		float t = (float)i / (float)(h.count - 1);
		h.point[i] = v3_mad(v3_mad(v3_add(at, offset), along, length * t), out, 0.04f + curve * t);
		h.point[i].y -= 0.25f * length * t * t;
	}
	h.width = width;
	h.root = v3_scale(colour, 0.8f);
	h.tip = v3_scale(colour, 1.15f);
	h.out = out;
	h.key = v->key * 0.9f;
	h.open = 0.85f;
	h.shine = 0.25f;
	h.lift = 0.35f;
	synth_strand_draw(s, &h);
}

static struct v3 face_hair_colour(const struct synth_person *p, uint32_t id, float grey)
{
	float vary = 0.7f + 0.6f * synth_hash01(id, 41, p->noise);
	if (synth_hash01(id, 42, p->noise) < grey)
		return v3_scale(v3(0.42f, 0.41f, 0.40f), vary);
	return v3_mix(v3_scale(p->hair, vary * synth_mix(0.9f, 0.62f, synth_step(0.05f, 0.3f, synth_luma(p->hair)))),
	              synth_skin_colour(p->melanin, p->blood), 0.08f);
}

static void draw_brows(struct synth_stage *s, const struct synth_mesh *m)
{
	const struct synth_person *p = s->person;
	int n = (int)(150.0f * p->brow_dense * s->detail);
	for (int side = -1; side <= 1; side += 2)
		for (int i = 0; i < n; i++) {
			uint32_t id = (uint32_t)i * 2u + (uint32_t)(side > 0);
			float t = synth_hash01(id, 51, p->noise), w = synth_hash01(id, 52, p->noise) - 0.5f, thick, x, y, lean;
			const struct synth_vertex *v;
			t = t * (0.85f + 0.15f * t);
			thick = p->brow_thick * synth_mix(1.0f, 0.3f, synth_clamp(t * t, 0, 1)) * synth_step(-0.08f, 0.12f, t);
			x = p->brow_gap + 4.1f * p->brow_len * t;
			y = synth_brow_line(p, x) + thick * w;
			v = vertex_over(m, (float)side * x, y);
			lean = synth_mix(1.1f, -0.35f, synth_step(0.0f, 0.55f, t)) - 0.5f * w;
			short_hair(s, v, v3((float)side * x - v->rest.x, y - v->rest.y, 0), v3((float)side * 1.0f, lean, 0),
			           0.5f + 0.25f * synth_hash01(id, 53, p->noise), 0.03f, face_hair_colour(p, id, 0.5f * p->grey),
			           0.038f);
		}
}

static void draw_beard(struct synth_stage *s, const struct synth_mesh *m)
{
	const struct synth_person *p = s->person;
	float long_hair = 0.5f + 0.7f * p->hair_len, start = 0.0f;
	if (p->beard < SYNTH_MOUSTACHE)
		return;
	for (int r = 0; r < m->rows; r++)
		for (int c = 0; c < m->columns; c++) {
			const struct synth_vertex *v = &m->vertex[r * m->columns + c];
			uint32_t id = (uint32_t)(r * 2048 + c);
			float mask, x = v->rest.x, y = v->rest.y, length, mid;
			int hairs;
			if (v->rest.y > -3.0f || v->rest.z < 0.0f || v->normal.z < -0.2f)
				continue;
			mask = synth_beard_mask(p, p->beard, x, y, v->rest.z);
			if (mask < 0.15f)
				continue;
			mid = y > synth_lip_line(p, x) ? 1.0f : 0.0f;
			hairs = mask * (y < -8.0f ? 2.0f : 1.4f) > synth_hash01(id, 54, p->noise) + 0.35f ? 2 : 1;
			for (int k = 0; k < hairs; k++) {
				float jx = 0.3f * (synth_hash01(id, 55u + (uint32_t)k, p->noise) - 0.5f);
				float jy = 0.3f * (synth_hash01(id, 58u + (uint32_t)k, p->noise) - 0.5f);
				length = long_hair * (0.6f + 0.5f * synth_hash01(id, 61u + (uint32_t)k, p->noise)) *
				         synth_mix(0.55f, 1.0f, mask);
				length *= synth_mix(1.0f, 0.55f, mid) * (1.0f + 0.5f * synth_step(-8.5f, -10.5f, y));
				short_hair(s, v, v3(jx + start, jy, 0), v3(0.22f * x * (1.0f - 0.3f * mid) + 2.0f * jx, -1.0f, 0.1f),
				           length, 0.12f * length,
				           face_hair_colour(p, id + (uint32_t)k, synth_min(p->grey * 1.2f, 1.0f)), 0.06f);
			}
		}
}

enum phiz_status synth_face_hair_draw(struct synth_stage *s)
{
	const struct synth_mesh *m = &s->mesh[0];
	if (!(s->photo->wear & PHIZ_SYNTH_MASK))
		draw_beard(s, m);
	draw_brows(s, m);
	return PHIZ_OK;
}
