/* Who a sample person is. All draws are made in one fixed order, so that a person never changes with the options. */
#include <stdio.h>
#include <string.h>

#include "datasets/synth_internal.h"

/* First names from many places, by turns a woman's and a man's: even numbers are women. */
static const char *const NAMES[] = {
	"ada",   "bruno",  "chiara", "dmitri", "esra",   "farid",  "greta", "hugo",    "ines",   "jomo",
	"kavya", "lars",   "mei",    "nikos",  "olga",   "pablo",  "qing",  "rashid",  "sanna",  "tariq",
	"uma",   "viktor", "wanda",  "xavier", "yuki",   "zoltan", "amara", "bilal",   "carmen", "dinesh",
	"elif",  "femi",   "gwen",   "haruto", "imani",  "jonas",  "katya", "leon",    "malika", "nuno",
	"odile", "pedro",  "ruth",   "samir",  "thandi", "umut",   "vera",  "wei",     "ximena", "yusuf",
	"zora",  "anton",  "bianca", "cosmo",  "dalia",  "emil",   "fatou", "gabriel", "hanna",  "idris",
};
#define NAME_COUNT (sizeof(NAMES) / sizeof(NAMES[0]))

void phiz_synth_name(int person, char *out, size_t size)
{
	if (size == 0)
		return;
	if (person >= 0 && (size_t)person < NAME_COUNT)
		snprintf(out, size, "%s", NAMES[person]);
	else
		snprintf(out, size, "person_%03d", person);
}

bool synth_name_female(uint32_t number, uint32_t draw)
{
	return number < NAME_COUNT ? number % 2 == 0 : draw % 2 == 0;
}

static float uniform(struct phiz_rng *r, float low, float high)
{
	return (float)phiz_rng_uniform(r, low, high);
}

/* Normal, cut at two deviations: no monsters. */
static float normal(struct phiz_rng *r, float mean, float deviation)
{
	return mean + deviation * synth_clamp((float)phiz_rng_normal(r), -2.0f, 2.0f);
}

/* Numbers that spread evenly over [0, 1) for neighbouring persons (golden ratio and its kin), so that already a
 * handful of people covers the range. */
static float spread(uint64_t seed, uint32_t number, uint32_t which)
{
	static const double STEP[] = {0.6180339887498949, 0.7548776662466927, 0.5698402909980532, 0.8191725133961645};
	double offset = synth_hash01((uint32_t)seed, (uint32_t)(seed >> 32), 77u + which);
	double t = offset + STEP[which % 4] * (double)number;
	return (float)(t - floor(t));
}

static void draw_skull(struct synth_person *p, struct phiz_rng *r)
{
	float man = p->female ? -0.5f : 0.5f;
	man += normal(r, 0.0f, 0.18f);
	p->head_w = normal(r, 1.0f + 0.02f * man, 0.032f);
	p->head_d = normal(r, 1.0f, 0.03f);
	p->head_h = normal(r, 1.0f, 0.035f);
	p->cheek_w = normal(r, 1.0f, 0.035f) + 0.035f * p->weight;
	p->jaw_w = normal(r, 0.99f + 0.12f * man, 0.05f) + 0.05f * p->weight;
	p->chin_w = normal(r, 0.3f * man, 0.35f);
	p->chin_len = normal(r, -0.1f + 0.6f * man, 0.36f);
	p->chin_out = normal(r, 0.25f * man, 0.4f);
	p->jaw_square = normal(r, 0.7f * man, 0.35f);
	p->brow_ridge = normal(r, 0.25f + 0.55f * man, 0.18f);
	p->forehead_slope = normal(r, 0.35f * man, 0.3f);
	p->cheekbone = normal(r, 0.3f, 0.3f);
	p->cheek_full = normal(r, 0.1f - 0.2f * man, 0.3f) + 0.5f * p->weight;
	p->temple = normal(r, 0.3f, 0.25f) - 0.3f * p->weight;
}

static void draw_eyes(struct synth_person *p, struct phiz_rng *r)
{
	static const unsigned char IRIS[][3] = {{58, 34, 20},   {84, 50, 26},   {110, 72, 34},  {128, 104, 54},
	                                        {104, 118, 72}, {96, 122, 132}, {84, 120, 160}, {112, 128, 140}};
	float man = p->female ? -0.5f : 0.5f, light = 1.0f - p->melanin * 1.5f;
	int pick;
	p->eye_x = normal(r, 3.2f, 0.17f);
	p->eye_w = normal(r, 1.64f - 0.07f * man, 0.08f);
	p->eye_h = normal(r, 0.57f - 0.1f * man, 0.05f);
	p->eye_tilt = normal(r, 0.07f, 0.06f);
	p->eye_deep = normal(r, 0.1f + 0.15f * man, 0.16f);
	p->lid_fold = synth_clamp(normal(r, 0.62f, 0.35f), 0.0f, 1.0f);
	p->lid_heavy = synth_clamp(normal(r, 0.15f + 0.35f * p->wear, 0.22f), 0.0f, 1.0f);
	p->iris_r = normal(r, 0.63f, 0.025f);
	pick = uniform(r, 0.0f, 1.0f) < light ? (int)phiz_rng_below(r, 8) : (int)phiz_rng_below(r, 3);
	p->iris = v3_scale(synth_srgb(IRIS[pick][0], IRIS[pick][1], IRIS[pick][2]), uniform(r, 0.8f, 1.2f));
	p->brow_y = normal(r, 2.15f - 0.3f * man, 0.2f);
	p->brow_arch = normal(r, 0.3f - 0.3f * man, 0.17f);
	p->brow_thick = synth_clamp(normal(r, 0.5f + 0.16f * man, 0.11f), 0.28f, 0.8f);
	p->brow_len = normal(r, 1.0f, 0.06f);
	p->brow_tilt = normal(r, 0.06f, 0.08f);
	p->brow_gap = normal(r, 1.35f, 0.2f);
	p->brow_dense = synth_clamp(normal(r, 0.85f, 0.2f), 0.4f, 1.2f);
}

static void draw_middle(struct synth_person *p, struct phiz_rng *r)
{
	float man = p->female ? -0.5f : 0.5f;
	p->nose_len = normal(r, 4.2f + 0.34f * man, 0.25f) + 0.2f * p->wear;
	p->nose_root = normal(r, 0.5f + 0.2f * man, 0.22f);
	p->nose_out = normal(r, 2.0f + 0.25f * man, 0.25f);
	p->nose_hump = normal(r, 0.08f * man, 0.12f);
	p->nose_w = normal(r, 1.0f + 0.08f * man, 0.1f);
	p->nose_tip = normal(r, 0.82f + 0.05f * man, 0.07f);
	p->nose_up = normal(r, -0.1f * man, 0.15f);
	p->nose_alar = normal(r, 1.12f + 0.08f * man, 0.15f);
	p->mouth_y = normal(r, -7.15f - 0.15f * man, 0.2f);
	p->mouth_w = normal(r, 2.5f + 0.15f * man, 0.2f);
	p->lip_up = synth_clamp(normal(r, 0.66f - 0.16f * man, 0.15f), 0.28f, 1.05f);
	p->lip_low = synth_clamp(normal(r, 0.92f - 0.1f * man, 0.16f), 0.45f, 1.3f);
	p->lip_out = normal(r, 0.42f - 0.08f * man, 0.12f);
	p->mouth_curve = normal(r, 0.17f, 0.08f);
	p->cupid = synth_clamp(normal(r, 0.5f, 0.3f), 0.0f, 1.0f);
	p->ear_size = normal(r, 1.0f + 0.06f * man, 0.08f) + 0.06f * p->wear;
	p->ear_out = normal(r, 0.42f, 0.13f);
	p->neck_w = normal(r, 0.95f + 0.17f * man, 0.05f) + 0.08f * p->weight;
	p->shoulder_w = normal(r, 1.0f + 0.16f * man, 0.05f);
}

static void draw_skin(struct synth_person *p, struct phiz_rng *r)
{
	p->blood = synth_clamp(normal(r, 0.45f, 0.14f), 0.22f, 0.8f);
	p->freckles = uniform(r, 0.0f, 1.0f) < 0.25f ? uniform(r, 0.3f, 1.0f) * synth_clamp(1.2f - 2.0f * p->melanin, 0, 1)
	                                             : 0.0f;
	p->blotch = uniform(r, 0.2f, 0.9f);
	p->shadow_eyes = synth_clamp(normal(r, 0.3f + 0.3f * p->wear, 0.2f), 0.0f, 1.0f);
	p->oily = uniform(r, 0.2f, 1.0f);
	p->lip_red = normal(r, 0.55f, 0.15f);
	for (int i = 0; i < SYNTH_MOLES; i++) {
		float x = uniform(r, -6.0f, 6.0f), y = uniform(r, -10.0f, 5.5f), size = uniform(r, 0.07f, 0.17f);
		bool here = uniform(r, 0.0f, 1.0f) < 0.35f;
		p->mole[i] = v3(x, y, here ? size : 0.0f);
	}
}

static struct v3 hair_colour(float melanin, struct phiz_rng *r)
{
	static const unsigned char COLOUR[][3] = {{24, 20, 19},  {38, 28, 23},   {62, 43, 31},    {88, 60, 40},
	                                          {122, 84, 54}, {168, 126, 78}, {206, 170, 116}, {142, 66, 32}};
	float fair = synth_clamp(1.15f - 2.6f * melanin, 0.0f, 1.0f);
	int pick = uniform(r, 0.0f, 1.0f) < fair ? 2 + (int)phiz_rng_below(r, 6) : (int)phiz_rng_below(r, 3);
	float more = uniform(r, 0.8f, 1.25f);
	return v3_scale(synth_srgb(COLOUR[pick][0], COLOUR[pick][1], COLOUR[pick][2]), more);
}

static void draw_style(struct synth_person *p, struct phiz_rng *r, float pick)
{
	static const enum synth_style WOMEN[] = {SYNTH_LONG,   SYNTH_BOB,  SYNTH_WAVES, SYNTH_BUN,   SYNTH_PIXIE,
	                                         SYNTH_FRINGE, SYNTH_AFRO, SYNTH_LONG,  SYNTH_WAVES, SYNTH_CURLS};
	static const enum synth_style MEN[] = {SYNTH_CROP, SYNTH_SIDE_PART, SYNTH_BUZZ,      SYNTH_SWEPT, SYNTH_CURLS,
	                                       SYNTH_CROP, SYNTH_BALD,      SYNTH_SIDE_PART, SYNTH_AFRO,  SYNTH_PIXIE};
	p->style = p->female ? WOMEN[(int)(pick * 10.0f)] : MEN[(int)(pick * 10.0f)];
	p->hairline = normal(r, p->female ? 6.4f : 6.6f, 0.35f);
	p->recede = p->female ? 0.0f : synth_clamp(normal(r, 0.1f + 0.5f * p->wear, 0.3f), 0.0f, 1.0f);
	p->hair_len = uniform(r, 0.0f, 1.0f);
	p->hair_volume = uniform(r, 0.0f, 1.0f);
	p->hair_curl = uniform(r, 0.0f, 1.0f);
	p->hair_part = (uniform(r, 0.0f, 1.0f) < 0.5f ? -1.0f : 1.0f) * uniform(r, 0.2f, 3.2f);
	p->hair_fine = uniform(r, 0.0f, 1.0f);
	p->grey = synth_clamp((p->age - 42.0f) / 28.0f + normal(r, 0.0f, 0.25f), 0.0f, 0.92f);
	if (p->female && uniform(r, 0.0f, 1.0f) < 0.5f)
		p->grey *= 0.15f; /* dyed */
	if (p->age < 36.0f || p->grey < 0.12f)
		p->grey = 0.0f;
}

static void draw_beard(struct synth_person *p, struct phiz_rng *r)
{
	float t = uniform(r, 0.0f, 1.0f);
	p->beard = t < 0.42f   ? SYNTH_SHAVEN
	           : t < 0.62f ? SYNTH_STUBBLE
	           : t < 0.7f  ? SYNTH_MOUSTACHE
	           : t < 0.8f  ? SYNTH_GOATEE
	                       : SYNTH_FULL_BEARD;
	if (p->female)
		p->beard = SYNTH_SHAVEN;
}

static void draw_habits(struct synth_person *p, struct phiz_rng *r)
{
	static const unsigned char FRAME[][3] = {{20, 20, 22},   {70, 40, 24},  {110, 74, 40}, {150, 146, 140},
	                                         {170, 132, 70}, {110, 22, 28}, {30, 50, 90}};
	float t = uniform(r, 0.0f, 1.0f);
	int colour = (int)phiz_rng_below(r, 7);
	p->glasses_chance = t < 0.55f ? 0.06f : t < 0.8f ? 0.45f : 0.85f;
	p->lipstick_chance = p->female ? uniform(r, 0.0f, 0.7f) : 0.0f;
	p->smile_habit = uniform(r, 0.0f, 1.0f);
	p->frame = (int)phiz_rng_below(r, 4);
	p->frame_colour = synth_srgb(FRAME[colour][0], FRAME[colour][1], FRAME[colour][2]);
}

void synth_person_draw(struct synth_person *p, uint64_t seed, uint32_t number)
{
	struct phiz_rng r;
	memset(p, 0, sizeof(*p));
	phiz_rng_init(&r, seed, 0, number, PHIZ_STREAM_SYNTH);
	p->noise = phiz_rng_u32(&r);
	p->female = synth_name_female(number, phiz_rng_u32(&r));
	p->age = 19.0f + 54.0f * powf(spread(seed, number, 0), 1.25f);
	p->wear = synth_clamp((p->age - 28.0f) / 45.0f, 0.0f, 1.0f);
	p->weight = normal(&r, 0.0f, 0.45f);
	p->melanin = 0.05f + 0.8f * powf(spread(seed, number, 1), 1.25f);
	draw_skull(p, &r);
	draw_eyes(p, &r);
	draw_middle(p, &r);
	draw_skin(p, &r);
	p->hair = hair_colour(p->melanin, &r);
	draw_style(p, &r, spread(seed, number, 2));
	p->hair_mean = v3_mix(p->hair, v3(0.36f, 0.35f, 0.34f), 0.9f * p->grey);
	draw_beard(p, &r);
	draw_habits(p, &r);
}
