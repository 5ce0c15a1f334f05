/* The skull and the plan of the face: where brows, lips and hairline run. */
#include "datasets/synth_internal.h"

/* A row of the table: breadth at the ears' axis, front and back of the slice at height y. */
struct slice {
	float y, w, front, back;
};

static const struct slice SLICE[] = {
	{-10.9f, 5.25f, 8.55f, -3.0f}, {-9.5f, 5.62f, 8.70f, -3.6f}, {-8.0f, 5.96f, 8.55f, -4.6f},
	{-6.0f, 6.36f, 8.75f, -6.4f},  {-4.0f, 6.72f, 8.72f, -7.8f}, {-2.0f, 7.08f, 8.62f, -8.9f},
	{0.0f, 7.38f, 8.72f, -9.6f},   {2.5f, 7.55f, 9.05f, -10.0f},
};
#define SLICES ((int)(sizeof(SLICE) / sizeof(SLICE[0])))

static float hermite(float a, float b, float c, float d, float t)
{
	float m0 = 0.5f * (c - a), m1 = 0.5f * (d - b), t2 = t * t, t3 = t2 * t;
	return (2 * t3 - 3 * t2 + 1) * b + (t3 - 2 * t2 + t) * m0 + (-2 * t3 + 3 * t2) * c + (t3 - t2) * m1;
}

static struct slice slice_at(float y)
{
	int i = 0;
	float t;
	const struct slice *a, *b, *c, *d;
	struct slice out;
	while (i + 2 < SLICES && y >= SLICE[i + 1].y)
		i++;
	b = &SLICE[i];
	c = &SLICE[i + 1];
	a = i > 0 ? &SLICE[i - 1] : b;
	d = i + 2 < SLICES ? &SLICE[i + 2] : c;
	t = synth_clamp((y - b->y) / (c->y - b->y), 0.0f, 1.0f);
	out.y = y;
	out.w = hermite(a->w, b->w, c->w, d->w, t);
	out.front = hermite(a->front, b->front, c->front, d->front, t);
	out.back = hermite(a->back, b->back, c->back, d->back, t);
	return out;
}

/* The person's own slice: cheeks, jaw and chin make it broader or narrower. */
static struct slice own_slice(const struct synth_person *p, float y)
{
	struct slice s = slice_at(y);
	float cheek = synth_step(-9.0f, -4.5f, y) * synth_step(2.5f, -1.0f, y);
	float jaw = synth_step(-4.5f, -8.5f, y);
	s.w *= p->head_w * (1.0f + (p->cheek_w - 1.0f) * cheek) * (1.0f + (p->jaw_w - 1.0f) * jaw);
	s.front *= 0.5f + 0.5f * p->head_d;
	s.back *= p->head_d;
	s.front += 0.3f * p->chin_out * synth_step(-7.8f, -10.0f, y);
	return s;
}

float synth_skull_height(const struct synth_person *p, float u)
{
	if (u > 2.5f)
		return 2.5f + 9.1f * p->head_h * sinf((u - 2.5f) / 9.1f);
	if (u < SYNTH_U_CHIN)
		return SYNTH_U_CHIN - 0.45f * sinf((SYNTH_U_CHIN - u) / (SYNTH_U_CHIN - SYNTH_U_LOW) * 0.5f * SYNTH_PI);
	return u;
}

/* sign(x) |x|^e, for sections that are squarer than an ellipse (e < 1). */
static float power(float x, float e)
{
	float a = fabsf(x);
	if (a < 1e-6f)
		return 0.0f;
	a = e == 1.0f ? a : powf(a, e);
	return x < 0.0f ? -a : a;
}

struct v3 synth_skull(const struct synth_person *p, float angle, float u, struct v3 *normal)
{
	float sn = sinf(angle), cs = cosf(angle), level = synth_clamp(u, SYNTH_U_CHIN, 2.5f);
	struct slice s = own_slice(p, level);
	float y = synth_skull_height(p, u), shrink_w = 1.0f, shrink_d = 1.0f, middle = 0.0f, slant, z, chin, depth;
	struct v3 pos;
	if (u > 2.5f) {
		float k = cosf((u - 2.5f) / 9.1f);
		shrink_w = power(k, 0.88f);
		shrink_d = power(k, cs > 0.0f ? 0.8f + 0.1f * p->forehead_slope : 0.9f);
		middle = -0.6f * (1.0f - k);
	} else if (u < SYNTH_U_CHIN) {
		float k = cosf((SYNTH_U_CHIN - u) / (SYNTH_U_CHIN - SYNTH_U_LOW) * 0.5f * SYNTH_PI);
		shrink_w = shrink_d = 0.08f + 0.92f * k;
		middle = 2.0f * (1.0f - k);
	}
	chin = synth_step(-6.5f, -10.0f, u) * (0.06f * p->chin_w + 0.08f * p->jaw_square);
	depth = cs > 0.0f ? s.front : -s.back;
	z = middle + (depth - (cs > 0.0f ? middle : -middle)) * shrink_d * power(cs, cs > 0.0f ? 1.0f - chin : 1.0f);
	pos.x = s.w * shrink_w * power(sn, 1.0f - chin);
	pos.z = z;
	/* The jaw climbs towards the ears. */
	slant = 0.40f * synth_step(-3.5f, -10.6f, level) * (s.front - synth_max(z, -2.0f));
	pos.y = y - 0.5f * p->chin_len * synth_step(-6.0f, -10.5f, level) * synth_step(2.0f, 8.0f, z) + slant;
	if (normal) {
		float rise = u > 2.5f ? sinf((u - 2.5f) / 9.1f) : u < SYNTH_U_CHIN ? -0.9f : 0.0f;
		*normal = v3_unit(v3(sn / s.w * 7.0f, rise / synth_max(0.25f, shrink_w) * 0.8f, cs / depth * 8.0f));
	}
	return pos;
}

float synth_lip_line(const struct synth_person *p, float x)
{
	float t = synth_clamp(x / p->mouth_w, -1.3f, 1.3f);
	/* The upper lip's middle hangs a little, the corners follow the person's habit. */
	return p->mouth_y + p->mouth_curve * t * t - 0.07f * synth_gauss(t, 0.16f) +
	       0.04f * synth_gauss(fabsf(t) - 0.4f, 0.2f);
}

float synth_lip_upper(const struct synth_person *p, float x)
{
	float t = fabsf(x) / p->mouth_w, rise;
	if (t >= 1.0f)
		return 0.0f;
	rise = powf(1.0f - t, 0.72f) * (1.0f + 0.45f * t);
	rise -= 0.26f * p->cupid * synth_gauss(t, 0.1f);
	return p->lip_up * rise;
}

float synth_lip_lower(const struct synth_person *p, float x)
{
	float t = fabsf(x) / p->mouth_w;
	if (t >= 1.0f)
		return 0.0f;
	return p->lip_low * powf(1.0f - t * t, 0.75f) * (1.0f - 0.12f * t);
}

float synth_brow_line(const struct synth_person *p, float x)
{
	float t = (fabsf(x) - p->brow_gap) / (4.1f * p->brow_len);
	float arch = t < 0.62f ? sinf(t / 0.62f * 0.5f * SYNTH_PI) : 1.0f - 2.6f * (t - 0.62f) * (t - 0.62f) * 2.0f;
	return p->brow_y - 0.15f + (0.12f + p->brow_arch) * arch + p->brow_tilt * 2.0f * (t - 0.5f);
}

float synth_hairline(const struct synth_person *p, float angle)
{
	/* Front, temple's corner, temple, sideburn, above and behind the ear, nape. */
	static const float ANGLE[] = {0.0f, 0.35f, 0.72f, 0.98f, 1.2f, 1.42f, 1.75f, 2.1f, 3.2f};
	static const float HEIGHT[] = {0.0f, -0.1f, -0.5f, -3.2f, -5.4f, -8.4f, -6.6f, -10.5f, -11.6f};
	float a = fabsf(angle), y, corner;
	int i = 0;
	while (i + 2 < 9 && a >= ANGLE[i + 1])
		i++;
	y = synth_mix(HEIGHT[i], HEIGHT[i + 1], synth_step(0.0f, 1.0f, (a - ANGLE[i]) / (ANGLE[i + 1] - ANGLE[i])));
	corner = synth_bump(a, 0.0f, 0.62f, 0.0f, 0.42f, 1.0f);
	return p->hairline + y + p->recede * (0.5f + 2.6f * corner) * synth_step(1.2f, 0.9f, a);
}
