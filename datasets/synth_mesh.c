/* Grids of vertices: memory, the camera, normals, drawing with a depth buffer. */
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "datasets/synth_internal.h"

void *synth_pool_get(struct synth_pool *pool, size_t n, size_t size)
{
	void *p;
	if (pool->count == (int)(sizeof(pool->block) / sizeof(pool->block[0]))) {
		phiz_fail(pool->ctx, PHIZ_E_INTERNAL, "sample people: the renderer's pool has no slot left");
		return NULL;
	}
	p = phiz_calloc(pool->ctx, n, size);
	if (p)
		pool->block[pool->count++] = p;
	return p;
}

void synth_pool_free(struct synth_pool *pool)
{
	while (pool->count > 0)
		phiz_free(pool->ctx, pool->block[--pool->count]);
}

struct v3 synth_to_view(const struct synth_stage *s, struct v3 head)
{
	struct v3 turned = m3_apply(&s->head, v3_sub(head, s->joint));
	return v3_add(v3_add(turned, s->joint), s->place);
}

struct v3 synth_body_to_view(const struct synth_stage *s, struct v3 p)
{
	struct v3 turned = m3_apply(&s->body, v3_sub(p, s->joint));
	return v3_add(v3_add(turned, s->joint), s->place);
}

void synth_project(const struct synth_stage *s, struct v3 view, float *x, float *y, float *nearness)
{
	float w = 1.0f / (s->distance - view.z > 5.0f ? s->distance - view.z : 5.0f);
	*x = s->centre_x + s->focal * view.x * w;
	*y = s->centre_y - s->focal * view.y * w;
	*nearness = w;
}

struct synth_mesh *synth_mesh_add(struct synth_stage *s, enum synth_material material, int rows, int columns)
{
	struct synth_mesh *m;
	if (s->meshes == SYNTH_MESHES) {
		phiz_fail(s->pool.ctx, PHIZ_E_INTERNAL, "sample people: too many meshes");
		return NULL;
	}
	m = &s->mesh[s->meshes];
	m->vertex = synth_pool_get(&s->pool, (size_t)rows * (size_t)columns, sizeof(*m->vertex));
	if (!m->vertex)
		return NULL;
	m->material = material;
	m->rows = rows;
	m->columns = columns;
	m->casts = true;
	s->meshes++;
	return m;
}

static int wrap(const struct synth_mesh *m, int column)
{
	if (m->closed)
		return column < 0 ? m->columns - 2 : column >= m->columns ? 1 : column;
	return column < 0 ? 0 : column >= m->columns ? m->columns - 1 : column;
}

void synth_mesh_finish(const struct synth_stage *s, struct synth_mesh *m, float outward)
{
	for (int r = 0; r < m->rows; r++) {
		const struct synth_vertex *row = m->vertex + (size_t)r * (size_t)m->columns;
		const struct synth_vertex *below = r > 0 ? row - m->columns : row;
		const struct synth_vertex *above = r + 1 < m->rows ? row + m->columns : row;
		for (int c = 0; c < m->columns; c++) {
			struct synth_vertex *v = m->vertex + (size_t)r * (size_t)m->columns + c;
			struct v3 across = v3_sub(row[wrap(m, c + 1)].pos, row[wrap(m, c - 1)].pos);
			struct v3 up = v3_sub(above[c].pos, below[c].pos);
			v->normal = v3_scale(v3_unit(v3_cross(across, up)), outward);
			synth_project(s, v->pos, &v->sx, &v->sy, &v->sz);
		}
	}
}

/* One triangle of a cell. corner: vertices; pa, pb: their places within the cell. */
struct corner {
	float x, y, z, a, b;
};

static void draw_triangle(struct synth_stage *s, const struct corner *p, const struct corner *q, const struct corner *t,
                          uint32_t cell, bool two_sided)
{
	float area = (q->x - p->x) * (t->y - p->y) - (t->x - p->x) * (q->y - p->y), inv;
	float low_x, high_x, low_y, high_y;
	int x0, x1, y0, y1;
	if (area > 0.0f) {
		const struct corner *swap = q;
		if (!two_sided)
			return;
		q = t;
		t = swap;
		area = -area;
	}
	if (area > -1e-8f)
		return;
	low_x = synth_min(p->x, synth_min(q->x, t->x));
	high_x = synth_max(p->x, synth_max(q->x, t->x));
	low_y = synth_min(p->y, synth_min(q->y, t->y));
	high_y = synth_max(p->y, synth_max(q->y, t->y));
	if (high_x < 0.0f || high_y < 0.0f || low_x > (float)s->size || low_y > (float)s->size)
		return;
	x0 = low_x < 0.5f ? 0 : (int)(low_x + 0.5f);
	y0 = low_y < 0.5f ? 0 : (int)(low_y + 0.5f);
	x1 = high_x > (float)s->size - 0.5f ? s->size - 1 : synth_floor(high_x - 0.5f);
	y1 = high_y > (float)s->size - 0.5f ? s->size - 1 : synth_floor(high_y - 0.5f);
	inv = 1.0f / area;
	for (int y = y0; y <= y1; y++) {
		struct synth_hit *hit = s->hit + (size_t)y * (size_t)s->size;
		float py = (float)y + 0.5f;
		for (int x = x0; x <= x1; x++) {
			float px = (float)x + 0.5f;
			float wq = ((px - p->x) * (t->y - p->y) - (t->x - p->x) * (py - p->y)) * inv;
			float wt = ((q->x - p->x) * (py - p->y) - (px - p->x) * (q->y - p->y)) * inv;
			float wp = 1.0f - wq - wt, z;
			if (wq < 0.0f || wt < 0.0f || wp < 0.0f)
				continue;
			z = wp * p->z + wq * q->z + wt * t->z;
			if (z <= hit[x].z)
				continue;
			hit[x].z = z;
			hit[x].cell = cell;
			hit[x].a = (uint16_t)((wp * p->a + wq * q->a + wt * t->a) * 65535.0f);
			hit[x].b = (uint16_t)((wp * p->b + wq * q->b + wt * t->b) * 65535.0f);
		}
	}
}

static struct corner corner_of(const struct synth_vertex *v, float a, float b)
{
	struct corner c;
	c.x = v->sx;
	c.y = v->sy;
	c.z = v->sz;
	c.a = a;
	c.b = b;
	return c;
}

void synth_mesh_draw(struct synth_stage *s, int mesh)
{
	const struct synth_mesh *m = &s->mesh[mesh];
	for (int r = 0; r + 1 < m->rows; r++)
		for (int c = 0; c + 1 < m->columns; c++) {
			uint32_t cell = (uint32_t)mesh << 26 | (uint32_t)r << 13 | (uint32_t)c;
			const struct synth_vertex *v = m->vertex + (size_t)r * (size_t)m->columns + c;
			struct corner k00 = corner_of(v, 0, 0), k10 = corner_of(v + 1, 1, 0);
			struct corner k01 = corner_of(v + m->columns, 0, 1), k11 = corner_of(v + m->columns + 1, 1, 1);
			draw_triangle(s, &k00, &k10, &k11, cell, m->two_sided);
			draw_triangle(s, &k00, &k11, &k01, cell, m->two_sided);
		}
}
