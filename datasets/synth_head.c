/* The head: features upon the skull, the expression, and the grid that is drawn. */
#include <string.h>

#include "core/base/error.h"
#include "datasets/synth_internal.h"

#define LID_RADIUS 1.34f
#define LINES_MAX 1200

/* What the features need to know about a person again and again. */
struct plan {
	const struct synth_person *p;
	const struct synth_photo *f;
	float tip_y, base_y, root_y; /* of the nose */
	float eye_z;
	float face_z; /* of the skull between the eyes */
};

static void plan_make(struct plan *plan, const struct synth_person *p, const struct synth_photo *f)
{
	struct v3 at;
	plan->p = p;
	plan->f = f;
	plan->root_y = 0.55f;
	plan->tip_y = -p->nose_len;
	plan->base_y = plan->tip_y - 0.9f + 0.25f * p->nose_up;
	at = synth_skull(p, asinf(synth_clamp(p->eye_x / (7.38f * p->head_w), -1, 1)), 0.0f, NULL);
	plan->eye_z = at.z - LID_RADIUS - 0.12f - 0.35f * p->eye_deep;
	plan->face_z = synth_skull(p, 0.0f, 0.0f, NULL).z;
}

/* Height of a ball over the face, falling steeply outside it. */
static float ball(float x, float y, float cx, float cy, float top, float rx, float ry, float rz)
{
	float dx = (x - cx) / rx, dy = (y - cy) / ry, d2 = dx * dx + dy * dy;
	if (d2 >= 1.0f)
		return top - rz - 4.0f * (sqrtf(d2) - 1.0f) * rx;
	return top - rz + rz * sqrtf(1.0f - d2);
}

/* How far the nose stands out at (x, y). */
static float nose(const struct plan *n, float x, float y)
{
	const struct synth_person *p = n->p;
	float ax = fabsf(x), t, down, out, w, q, h, tip, wing, top;
	if (ax > 3.4f || y > 3.6f || y < n->base_y - 1.2f)
		return 0.0f;
	t = (n->root_y - y) / (n->root_y - n->tip_y);
	down = synth_clamp(t, 0.0f, 1.0f);
	out = t < 0.0f ? p->nose_root * synth_step(-0.62f, 0.05f, t) : synth_mix(p->nose_root, p->nose_out, down);
	out += p->nose_hump * 3.6f * down * (1.0f - down);
	out *= synth_step(n->base_y - 0.2f, n->tip_y + 0.1f + 0.2f * p->nose_up, y);
	w = p->nose_w * synth_mix(1.25f, 1.98f, down * down);
	q = ax / w;
	h = q < 1.0f ? 1.0f - powf(q, 2.3f) : 0.0f;
	h = out * h * h;
	tip = ball(x, y, 0.0f, n->tip_y + 0.12f * p->nose_up, p->nose_out + 0.14f, p->nose_tip * 1.2f, p->nose_tip,
	           p->nose_tip * 0.9f);
	top = 0.45f + 0.4f * p->nose_out;
	wing = (top + 0.3f) * synth_bump(ax, y, p->nose_alar - 0.05f, n->tip_y - 0.3f + 0.1f * p->nose_up, 1.12f, 0.98f) -
	       0.3f;
	h = synth_smax(h, synth_max(tip, -0.35f), 0.35f);
	return synth_max(synth_smax(h, wing, 0.3f), 0.0f);
}

static float nostril(const struct plan *n, float x, float y)
{
	return synth_bump(fabsf(x), y, 0.56f * n->p->nose_alar, n->tip_y - 0.66f + 0.2f * n->p->nose_up, 0.42f, 0.26f);
}

/* Lips, the fold below them and the chin. Heights along z. */
static float mouth(const struct plan *n, float x, float y)
{
	const struct synth_person *p = n->p;
	float line, e, t, up, low, z;
	if (y > -4.6f || y < -12.0f)
		return 0.0f;
	z = 0.42f * synth_bump(x, y, 0.0f, p->mouth_y + 0.2f, 4.2f, 3.1f);
	z -= 0.34f * synth_bump(x, y, 0.0f, p->mouth_y - 1.75f, 2.6f, 0.95f);
	z += (0.42f + 0.25f * p->chin_out) *
	     synth_bump(x, y, 0.0f, -9.95f - 0.4f * p->chin_len, 2.5f + 0.5f * p->chin_w, 1.7f);
	z -= 0.16f * synth_bump(x, y, 0.0f, 0.5f * (n->base_y + p->mouth_y + p->lip_up), 0.42f, 1.0f);
	t = fabsf(x) / p->mouth_w;
	if (t > 1.25f)
		return z;
	line = synth_lip_line(p, x);
	e = t < 1.0f ? sqrtf(1.0f - t * t) : 0.0f;
	up = synth_lip_upper(p, x) + 0.02f;
	low = synth_lip_lower(p, x) + 0.02f;
	if (y > line && y < line + 1.3f * up)
		z += p->lip_out * 0.85f * e * sinf(SYNTH_PI * powf((y - line) / (1.3f * up), 0.75f));
	if (y < line && y > line - 1.25f * low)
		z += p->lip_out * 1.05f * e * sinf(SYNTH_PI * powf((line - y) / (1.25f * low), 0.8f));
	/* The corners are drawn in. */
	z -= 0.22f * synth_bump(fabsf(x), y, p->mouth_w + 0.1f, line, 0.7f, 0.55f);
	return z - 0.12f * e * synth_gauss(y - line, 0.1f);
}

/* Brow ridge, sockets, cheekbones, cheeks, temples, folds. Heights along the skull's normal. */
static float relief(const struct plan *n, float x, float y)
{
	const struct synth_person *p = n->p;
	const struct synth_photo *f = n->f;
	float ax = fabsf(x), z = 0.0f, fold, d;
	if (y > -2.6f && y < 5.0f) {
		float ridge = y - (synth_brow_line(p, x) - 0.25f);
		z += 0.55f * p->brow_ridge * synth_gauss(ridge, 0.7f) * synth_step(5.6f, 3.6f, ax) *
		     synth_step(-0.4f, 1.2f, ax + 0.3f);
		z += 0.25f * p->brow_ridge * synth_bump(x, y, 0.0f, 1.9f, 1.6f, 1.3f);
		z -= (0.85f + 0.4f * p->eye_deep) * synth_bump(ax, y, p->eye_x - 0.15f, 0.2f, 2.6f, 1.9f);
		z -= 0.3f * synth_bump(ax, y, 1.45f, 0.35f, 0.9f, 1.5f);
	}
	z += 0.5f * p->cheekbone * synth_bump(ax, y, 5.0f, -2.4f, 2.6f, 1.9f);
	z += (0.28f + 0.6f * p->cheek_full + 0.3f * f->smile) *
	     synth_bump(ax, y, 3.8f + 0.2f * f->smile, -3.5f + 0.4f * f->smile, 2.8f, 2.5f);
	z += (0.5f * p->cheek_full - 0.12f) * synth_bump(ax, y, 4.9f, -6.2f, 2.4f, 2.8f);
	z += 0.4f * synth_max(p->weight, 0.0f) * synth_bump(ax, y, 2.4f, -9.6f, 3.2f, 2.0f);
	z -= 0.45f * synth_max(p->temple, 0.0f) * synth_bump(ax, y, 6.6f, 3.0f, 2.0f, 3.0f);
	/* From the wing of the nose to beside the mouth. */
	if (y < -4.2f && y > -8.6f) {
		float along = (-4.2f - y) / 4.4f;
		d = ax - (1.85f + (p->mouth_w - 1.2f) * powf(along, 0.8f) + 0.25f * f->smile);
		fold = (0.03f + 0.13f * p->wear + 0.16f * f->smile) * sinf(SYNTH_PI * synth_clamp(along * 1.05f, 0, 1));
		z -= fold * synth_gauss(d, 0.22f);
		z += 0.8f * fold * synth_gauss(d - 0.65f, 0.5f);
	}
	/* Bags under the eyes. */
	z += (0.05f + 0.14f * p->wear) * synth_bump(ax, y, p->eye_x - 0.1f, -1.05f, 1.4f, 0.45f);
	return z;
}

/* The place of the eye's opening: tilted, and nearer its inner corner where it is highest. */
float synth_eye_open(const struct synth_person *p, const struct synth_photo *f, float x, float y, int side, float *ex,
                     float *upper, float *lower)
{
	float u = (x * (float)side - p->eye_x), v = y - p->eye_tilt * u, t, wide, high, low, fold;
	wide = p->eye_w;
	t = u / wide;
	*ex = t;
	if (fabsf(t) >= 1.0f) {
		*upper = *lower = 0.0f;
		return -fabsf(t);
	}
	/* Highest a little inside of the middle, lowest a little outside: what makes an almond. */
	fold = 1.0f - 0.25f * (1.0f - p->lid_fold) * synth_step(0.2f, -0.8f, t);
	high = p->eye_h * (1.0f - 0.22f * p->lid_heavy) * fold;
	high *= (1.0f - f->blink) * (1.0f - 0.35f * f->squint) * (1.0f + 0.16f * synth_max(f->brow, 0.0f)) +
	        0.25f * f->gaze_y;
	high = synth_max(high, 0.015f) * (1.0f - 0.3f * f->blink);
	low = 0.86f * p->eye_h * (1.0f - 0.3f * f->blink) * (1.0f - 0.32f * f->smile - 0.3f * f->squint);
	*upper = high * powf(1.0f - t * t, 0.62f) * (1.0f - 0.16f * t) - 0.5f * f->blink * low * (1.0f - t * t);
	*lower = -low * powf(1.0f - t * t, 0.8f) * (1.0f + 0.22f * t);
	return v >= 0.0f ? *upper - v : v - *lower;
}

/* The lids lie on the eyeballs. */
static float lids(const struct plan *n, float x, float y, float z)
{
	const struct synth_person *p = n->p;
	float dx = fabsf(x) - p->eye_x, dy = y + 0.03f, d2 = dx * dx + dy * dy, top, crease, ex, upper, lower, inside;
	if (d2 > 4.5f)
		return z;
	top = n->eye_z +
	      (d2 < LID_RADIUS * LID_RADIUS ? sqrtf(LID_RADIUS * LID_RADIUS - d2) : -2.0f * (sqrtf(d2) - LID_RADIUS));
	z = synth_smax(z, top, 0.22f);
	inside = synth_eye_open(p, n->f, x, y, x < 0.0f ? -1 : 1, &ex, &upper, &lower);
	if (fabsf(ex) < 1.15f) {
		/* The fold of the upper lid, and a small step at the lids' edges. */
		float v = y - p->eye_tilt * dx;
		crease = v - (p->eye_h * powf(synth_max(1.0f - ex * ex / 1.32f, 0.0f), 0.6f) + 0.3f + 0.1f * p->eye_deep);
		z -= 0.16f * p->lid_fold * synth_gauss(crease, 0.09f) * synth_step(1.15f, 0.7f, fabsf(ex));
		if (inside > 0.0f)
			z -= 0.14f * synth_step(0.0f, 0.12f, inside);
	}
	return z;
}

/* --- Expression: where a point of the resting face goes. --- */

static void open_jaw(const struct plan *n, struct v3 rest, struct v3 *pos)
{
	const struct synth_person *p = n->p;
	float amount = n->f->open, line, within, below, side, turn, y, z;
	if (amount <= 0.0f || rest.y > -2.0f)
		return;
	line = synth_lip_line(p, rest.x);
	side = synth_step(p->mouth_w * 0.86f, p->mouth_w * 1.35f, fabsf(rest.x));
	within = synth_clamp((line + 0.5f * SYNTH_LIP_GAP - rest.y) / SYNTH_LIP_GAP, 0.0f, 1.0f);
	below = synth_step(-4.2f, -9.4f, rest.y);
	within = synth_mix(within, below, synth_mix(side, 1.0f, synth_step(0.0f, -1.0f, rest.z)));
	within *= synth_step(-2.5f, 1.0f, rest.z);
	turn = 0.24f * amount * within;
	y = pos->y + 1.5f;
	z = pos->z - 0.5f;
	pos->y = -1.5f + y * cosf(turn) - z * sinf(turn);
	pos->z = 0.5f + z * cosf(turn) + y * sinf(turn) * 0.6f;
	pos->x *= 1.0f - 0.05f * amount * synth_bump(rest.x, rest.y, 0.0f, -7.2f, 5.5f, 3.0f);
}

static void smile(const struct plan *n, struct v3 rest, struct v3 *pos)
{
	const struct synth_person *p = n->p;
	float s = n->f->smile, sx = rest.x < 0.0f ? -1.0f : 1.0f, ax = fabsf(rest.x), corner, middle, line, above;
	if (rest.z < 0.0f || rest.y > 1.0f || rest.y < -11.5f)
		return;
	corner = synth_bump(ax, rest.y, p->mouth_w + 0.1f, p->mouth_y, 2.4f, 2.3f);
	middle = synth_bump(ax, rest.y, 0.0f, p->mouth_y, 2.6f, 2.0f);
	pos->x += sx * s * 0.62f * corner;
	pos->y += s * (0.62f * corner - 0.12f * middle);
	pos->z -= s * (0.45f * corner + 0.22f * middle);
	/* Cheeks are pushed up, the wings of the nose widen. */
	pos->y += s * 0.40f * synth_bump(ax, rest.y, 3.8f, -3.4f, 2.8f, 2.6f);
	pos->x += sx * s * 0.16f * synth_bump(ax, rest.y, 1.4f, n->tip_y - 0.3f, 1.0f, 1.0f);
	/* The upper lip is drawn off the teeth, and both lips thin. */
	line = synth_lip_line(p, rest.x);
	above = synth_clamp((rest.y - line + 0.5f * SYNTH_LIP_GAP) / SYNTH_LIP_GAP, 0.0f, 1.0f);
	if (n->f->teeth > 0.0f && ax < p->mouth_w) {
		float arc = 1.0f - (ax / p->mouth_w) * (ax / p->mouth_w);
		pos->y += n->f->teeth * arc *
		          (above * 0.32f * synth_step(p->mouth_y + 2.3f, p->mouth_y + 0.6f, rest.y) -
		           (1.0f - above) * 0.36f * synth_step(p->mouth_y - 2.6f, p->mouth_y - 0.8f, rest.y));
	}
	if (n->f->pucker > 0.0f) {
		float lips = synth_bump(ax, rest.y, 0.0f, p->mouth_y, 4.0f, 2.6f);
		pos->x -= 0.26f * n->f->pucker * rest.x * lips;
		pos->z += 0.4f * n->f->pucker * lips;
	}
}

static void brows(const struct plan *n, struct v3 rest, struct v3 *pos)
{
	const struct synth_photo *f = n->f;
	float ax = fabsf(rest.x), region;
	if (rest.z < 0.0f || rest.y < 0.2f || rest.y > 6.5f)
		return;
	region = synth_bump(ax, rest.y, 3.0f, 2.5f, 3.6f, 2.6f);
	pos->y += 0.55f * f->brow * region;
	region = synth_bump(ax, rest.y, 1.3f, 2.1f, 2.0f, 1.6f);
	pos->y -= 0.35f * f->frown * region;
	pos->x -= (rest.x < 0.0f ? -1.0f : 1.0f) * 0.3f * f->frown * region * synth_step(0.2f, 1.0f, ax);
}

static struct v3 express(const struct plan *n, struct v3 rest, struct v3 pos)
{
	smile(n, rest, &pos);
	open_jaw(n, rest, &pos);
	brows(n, rest, &pos);
	return pos;
}

/* A point of the face: rest coordinates and posed position, both in head space. */
static void face_point(const struct plan *n, float angle, float u, struct v3 *rest, struct v3 *pos)
{
	struct v3 normal, at = synth_skull(n->p, angle, u, &normal);
	if (at.z > -1.0f && u < 9.0f) {
		float front = synth_step(-1.0f, 3.0f, at.z), h = relief(n, at.x, at.y) * front;
		*rest = at;
		at = v3_mad(at, normal, h);
		if (rest->z > 3.0f) {
			float soft = synth_step(3.0f, 5.0f, rest->z);
			at.z = synth_mix(at.z, lids(n, rest->x, rest->y, at.z), soft);
			at.z += soft * (nose(n, rest->x, rest->y) + mouth(n, rest->x, rest->y));
			at.z -= soft * 0.35f * nostril(n, rest->x, rest->y);
		}
		*pos = express(n, *rest, at);
		return;
	}
	*rest = *pos = at;
}

/* --- The grid. --- */

/* Places along a line, denser where `density` is higher: fills place[0..n-1] from low to high. */
static void spread_lines(float *place, int n, float low, float high, float (*density)(const struct plan *, float),
                         const struct plan *plan)
{
	enum { STEPS = 512 };
	float sum[STEPS + 1], step = (high - low) / (float)STEPS;
	int at = 0;
	sum[0] = 0.0f;
	for (int i = 0; i < STEPS; i++)
		sum[i + 1] = sum[i] + density(plan, low + step * ((float)i + 0.5f));
	for (int i = 0; i < n; i++) {
		float want = sum[STEPS] * (float)i / (float)(n - 1);
		while (at + 1 < STEPS && sum[at + 1] < want)
			at++;
		place[i] = low + step * ((float)at + synth_clamp((want - sum[at]) / (sum[at + 1] - sum[at]), 0.0f, 1.0f));
	}
	place[0] = low;
	place[n - 1] = high;
}

static float density_rows(const struct plan *n, float u)
{
	float d = 0.35f;
	d += 0.9f * synth_step(-12.0f, -10.0f, u) * synth_step(4.5f, 2.5f, u);
	d += 1.1f * synth_gauss(u, 0.75f);                     /* eyes */
	d += 1.3f * synth_gauss(u - (n->tip_y - 0.45f), 0.5f); /* nostrils */
	d += 1.2f * synth_gauss(u - n->p->mouth_y, 0.6f);      /* lips */
	d += 5.0f * synth_gauss(u - n->p->mouth_y, 0.09f) * (n->f->open > 0.0f || n->f->teeth > 0.0f ? 1.0f : 0.0f);
	return d;
}

static float density_columns(const struct plan *n, float angle)
{
	float a = fabsf(angle);
	(void)n;
	return 0.35f + 1.1f * synth_step(1.25f, 0.75f, a) + 0.35f * synth_step(2.2f, 1.6f, a);
}

/* Rows near the mouth follow the line of the lips, so that it can part between two of them. */
static float follow_lips(const struct plan *n, float u, float angle)
{
	float near = synth_bump(0.0f, u, 0.0f, n->p->mouth_y, 1.0f, 1.3f), x;
	if (near <= 0.0f || fabsf(angle) > 0.8f)
		return u;
	x = sinf(angle) * 6.0f * n->p->head_w;
	return u + near * (synth_lip_line(n->p, x) - n->p->mouth_y) * synth_step(0.8f, 0.55f, fabsf(angle));
}

enum phiz_status synth_head_build(struct synth_stage *s)
{
	int rows = (int)(118.0f * s->detail), columns = (int)(126.0f * s->detail) | 1;
	float u[LINES_MAX], angle[LINES_MAX];
	struct synth_mesh *m;
	struct plan plan;
	rows = rows < LINES_MAX ? rows : LINES_MAX;
	columns = columns < LINES_MAX ? columns : LINES_MAX - 1;
	plan_make(&plan, s->person, s->photo);
	s->eye_z[0] = s->eye_z[1] = plan.eye_z;
	m = synth_mesh_add(s, SYNTH_SKIN, rows, columns);
	if (!m)
		return PHIZ_E_NOMEM;
	m->closed = true;
	spread_lines(u, rows, SYNTH_U_LOW, SYNTH_U_HIGH, density_rows, &plan);
	spread_lines(angle, columns, -SYNTH_PI, SYNTH_PI, density_columns, &plan);
	for (int r = 0; r < rows; r++)
		for (int c = 0; c < columns; c++) {
			struct synth_vertex *v = &m->vertex[r * columns + c];
			struct v3 pos;
			face_point(&plan, angle[c], follow_lips(&plan, u[r], angle[c]), &v->rest, &pos);
			v->extra = angle[c];
			v->pos = synth_to_view(s, pos);
		}
	synth_mesh_finish(s, m, 1.0f);
	return PHIZ_OK;
}

/* --- Truth. --- */

/* The posed point of the face over rest place (x, y). */
static struct v3 point_over(const struct plan *n, float x, float y)
{
	float angle = asinf(synth_clamp(x / (6.4f * n->p->head_w), -1.0f, 1.0f)), u = y;
	struct v3 rest = v3(0, 0, 0), pos = v3(0, 0, 0);
	for (int i = 0; i < 6; i++) { /* the skull is smooth: a few corrections find the place */
		face_point(n, angle, u, &rest, &pos);
		angle += (x - rest.x) / 7.0f;
		u += y - rest.y;
	}
	return pos;
}

static void seen_at(const struct synth_stage *s, struct v3 head, float *x, float *y)
{
	float nearness;
	synth_project(s, synth_to_view(s, head), x, y, &nearness);
}

static void swap_if_crossed(double a[2], double b[2])
{
	if (a[0] > b[0])
		for (int i = 0; i < 2; i++) {
			double t = a[i];
			a[i] = b[i];
			b[i] = t;
		}
}

/* scale: pixels of the picture for one of the screen. */
void synth_landmarks(struct synth_stage *s, struct phiz_face_truth *truth, float scale)
{
	const struct synth_person *p = s->person;
	float low_x = 1e9f, high_x = -1e9f, low_y = 1e9f, high_y = -1e9f, side = (float)s->size;
	struct v3 place[5];
	struct plan plan;
	plan_make(&plan, p, s->photo);
	for (int i = 0; i < 2; i++) {
		float sx = i == 0 ? -1.0f : 1.0f;
		place[i] = v3(sx * p->eye_x, 0.05f, plan.eye_z + LID_RADIUS - 0.1f);
		place[3 + i] = point_over(&plan, sx * p->mouth_w * 0.96f, synth_lip_line(p, sx * p->mouth_w));
	}
	place[2] = point_over(&plan, 0.0f, plan.tip_y);
	for (int i = 0; i < 5; i++) {
		float x, y;
		seen_at(s, place[i], &x, &y);
		truth->landmark[i][0] = (double)(x * scale);
		truth->landmark[i][1] = (double)(y * scale);
	}
	swap_if_crossed(truth->landmark[0], truth->landmark[1]);
	swap_if_crossed(truth->landmark[3], truth->landmark[4]);
	for (int r = 0; r <= 24; r++)
		for (int c = -8; c <= 8; c++) {
			struct v3 rest, pos;
			float x, y;
			face_point(&plan, 1.4f * (float)c / 8.0f, SYNTH_U_CHIN + 16.4f * (float)r / 24.0f, &rest, &pos);
			seen_at(s, pos, &x, &y);
			low_x = synth_min(low_x, x);
			high_x = synth_max(high_x, x);
			low_y = synth_min(low_y, y);
			high_y = synth_max(high_y, y);
		}
	low_x = synth_clamp(low_x, 0.0f, side);
	low_y = synth_clamp(low_y, 0.0f, side);
	truth->x = (double)(low_x * scale);
	truth->y = (double)(low_y * scale);
	truth->w = (double)((synth_clamp(high_x, 0.0f, side) - low_x) * scale);
	truth->h = (double)((synth_clamp(high_y, 0.0f, side) - low_y) * scale);
}
