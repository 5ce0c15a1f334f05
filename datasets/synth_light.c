/* Light: a key light and nine samples of the surroundings, each with a shadow map. The sum is kept at the vertices,
 * where on skin it is spread a little, red most: that is what makes skin look soft. */
#include <string.h>

#include "core/base/error.h"
#include "datasets/synth_internal.h"

#define MAP_KEY 144
#define MAP_SKY 64

struct shadow_map {
	int size;
	float *depth; /* distance along the light, larger is nearer to it */
	struct v3 right, up, dir, centre;
	float scale;
};

static void map_aim(struct shadow_map *map, struct v3 dir, struct v3 centre, float radius)
{
	struct v3 side = fabsf(dir.y) < 0.9f ? v3(0, 1, 0) : v3(1, 0, 0);
	map->dir = dir;
	map->right = v3_unit(v3_cross(side, dir));
	map->up = v3_cross(dir, map->right);
	map->centre = centre;
	map->scale = 0.5f * (float)map->size / radius;
	for (int i = 0; i < map->size * map->size; i++)
		map->depth[i] = -1e9f;
}

static struct v3 map_place(const struct shadow_map *map, struct v3 p)
{
	struct v3 d = v3_sub(p, map->centre);
	float half = 0.5f * (float)map->size;
	return v3(half + map->scale * v3_dot(d, map->right), half + map->scale * v3_dot(d, map->up), v3_dot(d, map->dir));
}

static void map_triangle(struct shadow_map *map, struct v3 p, struct v3 q, struct v3 t, bool two_sided)
{
	float area = (q.x - p.x) * (t.y - p.y) - (t.x - p.x) * (q.y - p.y), inv, last = (float)map->size - 1.0f;
	float low_x = synth_min(p.x, synth_min(q.x, t.x)), high_x = synth_max(p.x, synth_max(q.x, t.x));
	float low_y = synth_min(p.y, synth_min(q.y, t.y)), high_y = synth_max(p.y, synth_max(q.y, t.y));
	int x0, x1, y0, y1;
	/* What turns its back to the light lies behind what faces it. */
	if (area < 1e-7f && (!two_sided || area > -1e-7f))
		return;
	x0 = (int)(synth_clamp(low_x, 0.0f, last) + 0.5f);
	y0 = (int)(synth_clamp(low_y, 0.0f, last) + 0.5f);
	x1 = (int)(synth_clamp(high_x, -0.5f, last) + 0.5f);
	y1 = (int)(synth_clamp(high_y, -0.5f, last) + 0.5f);
	inv = 1.0f / area;
	for (int y = y0; y <= y1; y++)
		for (int x = x0; x <= x1; x++) {
			float px = (float)x + 0.5f, py = (float)y + 0.5f, z;
			float wq = ((px - p.x) * (t.y - p.y) - (t.x - p.x) * (py - p.y)) * inv;
			float wt = ((q.x - p.x) * (py - p.y) - (px - p.x) * (q.y - p.y)) * inv;
			float *depth = map->depth + y * map->size + x;
			if (wq < 0.0f || wt < 0.0f || wq + wt > 1.0f)
				continue;
			z = p.z + wq * (q.z - p.z) + wt * (t.z - p.z);
			if (z > *depth)
				*depth = z;
		}
}

/* Draws every step-th row and column, the last ones included. place: room for one vertex each. */
static void map_draw(struct shadow_map *map, const struct synth_mesh *m, int step, struct v3 *place)
{
	int columns = (m->columns - 2) / step + 2, rows = (m->rows - 2) / step + 2;
	for (int r = 0; r < rows; r++)
		for (int c = 0; c < columns; c++) {
			int row = r * step < m->rows ? r * step : m->rows - 1,
				column = c * step < m->columns ? c * step : m->columns - 1;
			place[r * columns + c] = map_place(map, m->vertex[row * m->columns + column].pos);
		}
	for (int r = 0; r + 1 < rows; r++)
		for (int c = 0; c + 1 < columns; c++) {
			const struct v3 *p = place + r * columns + c;
			map_triangle(map, p[0], p[1], p[columns + 1], m->two_sided);
			map_triangle(map, p[0], p[columns + 1], p[columns], m->two_sided);
		}
}

/* Share of the light that arrives, 0..1: the mean of a few places around, `spread` map cells apart. */
static float map_ask(const struct shadow_map *map, struct v3 p, float bias, float spread)
{
	static const float PLACE[9][2] = {{0, 0},       {1, 0},        {-1, 0},       {0, 1},        {0, -1},
	                                  {0.7f, 0.7f}, {-0.7f, 0.7f}, {0.7f, -0.7f}, {-0.7f, -0.7f}};
	struct v3 at = map_place(map, p);
	int open = 0, taps = spread > 0.0f ? 9 : 1;
	for (int i = 0; i < taps; i++) {
		float fx = at.x + spread * PLACE[i][0], fy = at.y + spread * PLACE[i][1];
		int x = synth_floor(fx), y = synth_floor(fy);
		if (x < 0 || y < 0 || x >= map->size || y >= map->size || map->depth[y * map->size + x] < at.z + bias)
			open++;
	}
	return (float)open / (float)taps;
}

/* How light falls on a tilted surface: Lambert, for skin and hair bent a little round the corner. */
static float facing(float cosine, float wrap)
{
	float t = (cosine + wrap) / (1.0f + wrap);
	return t > 0.0f ? t : 0.0f;
}

static float wrap_of(enum synth_material material)
{
	switch (material) {
	case SYNTH_SKIN:
	case SYNTH_EAR:
	case SYNTH_NECK: return 0.12f;
	case SYNTH_SCALP:
	case SYNTH_CURTAIN: return 0.3f;
	default: return 0.0f;
	}
}

static void light_mesh(const struct synth_stage *s, struct synth_mesh *m, const struct shadow_map *map, int which)
{
	const struct synth_light *l = &s->light[which];
	float wrap = wrap_of(m->material), cell = 1.0f / map->scale;
	float spread = which == 0 ? 0.6f + s->photo->softness * 3.0f : 0.0f;
	for (int i = 0; i < m->rows * m->columns; i++) {
		struct synth_vertex *v = &m->vertex[i];
		struct v3 n = v->normal;
		float f, open;
		if (n.z < -0.45f && !m->two_sided) /* never seen */
			continue;
		if (m->two_sided && n.z < 0.0f)
			n = v3_scale(n, -1.0f);
		f = facing(v3_dot(n, l->dir), wrap);
		if (f <= 0.0f)
			continue;
		open = map_ask(map, v3_mad(v->pos, n, 0.15f + 0.4f * cell),
		               which == 0 ? 0.25f + cell * spread * 0.4f : 0.2f + cell * 0.6f, spread);
		v->light = v3_mad(v->light, l->colour, f * open);
		if (which == 0)
			v->key = open;
		else
			v->occlusion += f * open;
		v->reach += which == 0 ? 0.0f : f;
	}
}

/* One pass of a box blur of the light along rows or columns, per colour with its own reach. */
static void blur_line(struct v3 *light, struct v3 *line, int n, int stride, const int reach[3])
{
	for (int i = 0; i < n; i++)
		line[i] = light[(size_t)i * (size_t)stride];
	for (int k = 0; k < 3; k++) {
		const float *in = &line[0].x + k;
		float *out = &light[0].x + k;
		float sum = 0.0f;
		int low = 0, high = -1;
		for (int i = 0; i < n; i++) {
			int want_low = i - reach[k] > 0 ? i - reach[k] : 0;
			int want_high = i + reach[k] < n - 1 ? i + reach[k] : n - 1;
			while (high < want_high)
				sum += in[3 * (size_t)++high];
			while (low < want_low)
				sum -= in[3 * (size_t)low++];
			out[3 * (size_t)i * (size_t)stride] = sum / (float)(high - low + 1);
		}
	}
}

/* Skin spreads light: red over most of half a centimetre, green and blue over less. */
static enum phiz_status soften(struct synth_stage *s, struct synth_mesh *m)
{
	int n = m->rows * m->columns, longest = m->rows > m->columns ? m->rows : m->columns;
	struct v3 *light = synth_pool_get(&s->pool, (size_t)n, sizeof(*light));
	struct v3 *line = synth_pool_get(&s->pool, (size_t)longest, sizeof(*line));
	float density = (float)m->columns / 128.0f;
	int reach[3];
	if (!light || !line)
		return PHIZ_E_NOMEM;
	reach[0] = (int)(2.0f * density + 0.5f);
	reach[1] = (int)(1.0f * density + 0.5f);
	reach[2] = (int)(1.0f * density + 0.5f);
	for (int i = 0; i < n; i++)
		light[i] = m->vertex[i].light;
	for (int pass = 0; pass < 2; pass++) {
		for (int r = 0; r < m->rows; r++)
			blur_line(light + (size_t)r * (size_t)m->columns, line, m->columns, 1, reach);
		for (int c = 0; c < m->columns; c++)
			blur_line(light + c, line, m->rows, m->columns, reach);
	}
	for (int i = 0; i < n; i++)
		m->vertex[i].light = light[i];
	return PHIZ_OK;
}

enum phiz_status synth_light_all(struct synth_stage *s)
{
	struct shadow_map map;
	struct v3 centre = synth_to_view(s, v3(0, -1, 0)), *place;
	int most = 0, step = (int)(2.4f * s->detail + 0.5f);
	for (int i = 0; i < s->meshes; i++) {
		int n = (s->mesh[i].rows + 1) * (s->mesh[i].columns + 1);
		most = n > most ? n : most;
	}
	memset(&map, 0, sizeof(map));
	map.depth = synth_pool_get(&s->pool, (size_t)MAP_KEY * MAP_KEY, sizeof(float));
	place = synth_pool_get(&s->pool, (size_t)most, sizeof(*place));
	if (!map.depth || !place)
		return PHIZ_E_NOMEM;
	for (int which = 0; which < SYNTH_LIGHTS; which++) {
		map.size = which == 0 ? MAP_KEY : MAP_SKY;
		map_aim(&map, s->light[which].dir, centre, 20.0f);
		for (int i = 0; i < s->meshes; i++)
			if (s->mesh[i].casts)
				map_draw(&map, &s->mesh[i], which == 0 || s->mesh[i].rows < 20 ? 1 : step, place);
		for (int i = 0; i < s->meshes; i++)
			light_mesh(s, &s->mesh[i], &map, which);
	}
	for (int i = 0; i < s->meshes; i++) {
		struct synth_mesh *m = &s->mesh[i];
		for (int k = 0; k < m->rows * m->columns; k++)
			m->vertex[k].occlusion /= synth_max(m->vertex[k].reach, 0.1f);
		if (m->material == SYNTH_SKIN && soften(s, m) != PHIZ_OK)
			return PHIZ_E_NOMEM;
	}
	return PHIZ_OK;
}

struct v3 synth_light_at(const struct synth_stage *s, struct v3 normal, float key, float open)
{
	struct v3 sum = v3_scale(s->light[0].colour, key * facing(v3_dot(normal, s->light[0].dir), 0.3f));
	for (int i = 1; i < SYNTH_LIGHTS; i++)
		sum = v3_mad(sum, s->light[i].colour, open * facing(v3_dot(normal, s->light[i].dir), 0.3f));
	return sum;
}
