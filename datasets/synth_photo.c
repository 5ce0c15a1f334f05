/* The conditions of a photo: pose, expression, light, clothes, background, and what the camera does wrong. */
#include <string.h>

#include "datasets/synth_internal.h"

static float uniform(struct phiz_rng *r, float low, float high)
{
	return (float)phiz_rng_uniform(r, low, high);
}

static float normal(struct phiz_rng *r, float mean, float deviation)
{
	return mean + deviation * synth_clamp((float)phiz_rng_normal(r), -2.2f, 2.2f);
}

static bool chance(struct phiz_rng *r, float p)
{
	return uniform(r, 0.0f, 1.0f) < p;
}

static float radians(float degrees)
{
	return degrees * (SYNTH_PI / 180.0f);
}

/* A colour from hue 0..6, saturation and value, in linear light. */
static struct v3 colour_of(float hue, float saturation, float value)
{
	float r = synth_clamp(fabsf(fmodf(hue, 6.0f) - 3.0f) - 1.0f, 0.0f, 1.0f);
	float g = synth_clamp(2.0f - fabsf(fmodf(hue, 6.0f) - 2.0f), 0.0f, 1.0f);
	float b = synth_clamp(2.0f - fabsf(fmodf(hue, 6.0f) - 4.0f), 0.0f, 1.0f);
	return v3(synth_from_srgb(value * synth_mix(1.0f, r, saturation)),
	          synth_from_srgb(value * synth_mix(1.0f, g, saturation)),
	          synth_from_srgb(value * synth_mix(1.0f, b, saturation)));
}

static void draw_pose(struct synth_photo *f, struct phiz_rng *r)
{
	f->yaw = radians(synth_clamp(normal(r, 0.0f, 15.0f), -35.0f, 35.0f));
	f->pitch = radians(synth_clamp(normal(r, -1.0f, 6.0f), -15.0f, 15.0f));
	f->roll = radians(synth_clamp(normal(r, 0.0f, 4.5f), -10.0f, 10.0f));
	f->body_yaw = 0.35f * f->yaw + radians(normal(r, 0.0f, 9.0f));
	f->body_roll = 0.2f * f->roll + radians(normal(r, 0.0f, 2.0f));
	/* Most people look into the camera, whatever way the head is turned. */
	if (chance(r, 0.7f)) {
		f->gaze_x = -0.8f * f->yaw + normal(r, 0.0f, 0.04f);
		f->gaze_y = -0.8f * f->pitch + normal(r, 0.0f, 0.03f);
	} else {
		f->gaze_x = -0.4f * f->yaw + normal(r, 0.0f, 0.16f);
		f->gaze_y = normal(r, 0.0f, 0.08f);
	}
	f->gaze_x = synth_clamp(f->gaze_x, -0.5f, 0.5f);
	f->gaze_y = synth_clamp(f->gaze_y, -0.22f, 0.22f);
}

static void draw_framing(struct synth_photo *f, struct phiz_rng *r)
{
	f->distance = uniform(r, 75.0f, 190.0f);
	f->face_px = uniform(r, 0.0245f, 0.0335f);
	f->offset_x = normal(r, 0.0f, 0.025f);
	f->offset_y = normal(r, 0.015f, 0.02f);
}

static void draw_expression(struct synth_photo *f, const struct synth_person *p, struct phiz_rng *r)
{
	float mood = uniform(r, 0.0f, 1.0f), much = uniform(r, 0.4f, 1.0f);
	float cheerful = 0.35f + 0.4f * p->smile_habit;
	if (mood < 0.5f * cheerful) { /* a smile */
		f->smile = 0.75f * much;
	} else if (mood < cheerful) { /* a smile that shows teeth */
		f->smile = 0.55f + 0.45f * much;
		f->teeth = 0.5f + 0.5f * much;
		f->open = chance(r, 0.35f) ? uniform(r, 0.1f, 0.5f) : 0.0f;
	} else if (mood < cheerful + 0.08f) { /* talking or astonished */
		f->open = uniform(r, 0.15f, 0.75f);
		f->brow = uniform(r, -0.1f, 0.8f);
	} else if (mood < cheerful + 0.13f) { /* sceptical */
		f->frown = uniform(r, 0.3f, 1.0f);
		f->squint = uniform(r, 0.1f, 0.6f);
		f->pucker = uniform(r, 0.0f, 0.4f);
	}
	f->brow += normal(r, 0.08f, 0.15f);
	f->squint += 0.25f * f->smile * uniform(r, 0.2f, 1.0f);
	f->blink = chance(r, 0.025f) ? 1.0f : uniform(r, 0.0f, 0.14f);
}

/* Directions and colours by the kind of place; intensities so that a fair face is about as bright as film wants it. */
static void draw_light(struct synth_photo *f, struct phiz_rng *r)
{
	float kind = uniform(r, 0.0f, 1.0f), side = chance(r, 0.5f) ? 1.0f : -1.0f, key, fill;
	float az = side * radians(uniform(r, 12.0f, 65.0f)), el = radians(uniform(r, 12.0f, 52.0f));
	struct v3 warm = v3(1.0f, 0.80f, 0.58f), day = v3(1.0f, 0.97f, 0.93f), cool = v3(0.86f, 0.94f, 1.06f), tone;
	if (kind < 0.34f) { /* a window to the side */
		tone = v3_mix(day, cool, uniform(r, 0.0f, 0.8f));
		key = uniform(r, 0.6f, 0.95f);
		fill = uniform(r, 0.22f, 0.42f);
		f->softness = uniform(r, 0.7f, 1.0f);
		f->sky = v3_scale(v3_mix(tone, warm, 0.3f), fill);
		f->ground = v3_scale(v3_mix(tone, warm, 0.6f), fill * 0.7f);
	} else if (kind < 0.56f) { /* sun */
		tone = v3_mix(day, warm, uniform(r, 0.1f, 0.6f));
		key = uniform(r, 0.85f, 1.25f);
		fill = uniform(r, 0.28f, 0.46f);
		el = radians(uniform(r, 25.0f, 58.0f));
		f->softness = uniform(r, 0.1f, 0.35f);
		f->sky = v3_scale(v3(0.80f, 0.95f, 1.18f), fill);
		f->ground = v3_scale(v3_mix(v3(0.85f, 0.9f, 0.7f), warm, uniform(r, 0.0f, 1.0f)), fill * 0.55f);
	} else if (kind < 0.74f) { /* overcast or a bright room: hardly a key */
		tone = v3_mix(day, cool, uniform(r, 0.0f, 1.0f));
		key = uniform(r, 0.18f, 0.4f);
		fill = uniform(r, 0.55f, 0.75f);
		f->softness = 1.0f;
		f->sky = v3_scale(tone, fill);
		f->ground = v3_scale(v3_mix(tone, warm, 0.4f), fill * 0.55f);
	} else if (kind < 0.88f) { /* lamps in the evening */
		tone = v3_mix(warm, day, uniform(r, 0.0f, 0.5f));
		key = uniform(r, 0.5f, 0.85f);
		fill = uniform(r, 0.12f, 0.3f);
		f->softness = uniform(r, 0.4f, 0.9f);
		f->sky = v3_scale(v3_mix(tone, warm, 0.5f), fill);
		f->ground = v3_scale(v3_mix(tone, warm, 0.7f), fill * 0.6f);
	} else { /* a studio: key, fill and rim */
		tone = day;
		key = uniform(r, 0.65f, 0.9f);
		fill = uniform(r, 0.25f, 0.4f);
		f->softness = uniform(r, 0.6f, 1.0f);
		f->sky = v3_scale(tone, fill);
		f->ground = v3_scale(tone, fill * 0.7f);
	}
	f->key = v3_scale(tone, key);
	f->key_dir = v3_unit(v3(sinf(az) * cosf(el), sinf(el), cosf(az) * cosf(el)));
	/* A bright patch elsewhere: another window, a screen, a rim light. */
	az = -side * radians(uniform(r, 50.0f, 125.0f));
	f->window_dir = v3_unit(v3(sinf(az), uniform(r, -0.1f, 0.6f), cosf(az)));
	f->window = v3_scale(v3_mix(cool, warm, uniform(r, 0.0f, 1.0f)), uniform(r, 0.0f, 0.9f));
}

static void draw_worn(struct synth_photo *f, const struct synth_person *p, struct phiz_rng *r)
{
	static const unsigned char LIPS[][3] = {{168, 54, 62}, {188, 84, 84}, {150, 40, 66}, {196, 96, 100}, {130, 44, 48}};
	float hue = uniform(r, 0.0f, 6.0f);
	int lips = (int)phiz_rng_below(r, 5);
	bool glasses = chance(r, p->glasses_chance), own = chance(r, 0.75f), dark = chance(r, 0.06f);
	f->frame = own ? p->frame : (int)phiz_rng_below(r, 4);
	f->frame_colour = own ? p->frame_colour : colour_of(uniform(r, 0.0f, 6.0f), 0.6f, uniform(r, 0.1f, 0.6f));
	if (glasses || dark)
		f->wear |= dark ? PHIZ_SYNTH_SUNGLASSES : PHIZ_SYNTH_GLASSES;
	if (chance(r, 0.06f))
		f->wear |= PHIZ_SYNTH_HAT;
	if (chance(r, 0.03f))
		f->wear |= PHIZ_SYNTH_MASK;
	f->hat = colour_of(uniform(r, 0.0f, 6.0f), uniform(r, 0.1f, 0.8f), uniform(r, 0.15f, 0.8f));
	f->lipstick = chance(r, p->lipstick_chance) ? uniform(r, 0.35f, 0.9f) : 0.0f;
	f->lip_colour = synth_srgb(LIPS[lips][0], LIPS[lips][1], LIPS[lips][2]);
	f->make_up = p->female ? uniform(r, 0.0f, 1.0f) * p->lipstick_chance : 0.0f;
	f->stubble = uniform(r, 0.0f, 1.0f);
	f->flush = normal(r, 0.0f, 0.08f);
	f->tousle = uniform(r, 0.0f, 1.0f);
	f->part_shift = normal(r, 0.0f, 0.35f);
	f->tied = chance(r, 0.14f);
	f->cloth = (enum synth_cloth)phiz_rng_below(r, SYNTH_CLOTHS);
	f->pattern = chance(r, 0.62f) ? SYNTH_PLAIN : (enum synth_pattern)phiz_rng_below(r, SYNTH_PATTERNS);
	f->cloth_a = colour_of(hue, uniform(r, 0.05f, 0.7f), powf(uniform(r, 0.0f, 1.0f), 0.8f) * 0.8f + 0.1f);
	f->cloth_b = chance(r, 0.5f)
	                 ? v3(0.75f, 0.74f, 0.71f)
	                 : colour_of(hue + uniform(r, 0.3f, 3.0f), uniform(r, 0.1f, 0.6f), uniform(r, 0.2f, 0.9f));
}

static void draw_scene(struct synth_photo *f, struct phiz_rng *r)
{
	float hue = uniform(r, 0.0f, 6.0f), near = uniform(r, -0.5f, 0.5f);
	f->scene = (enum synth_scene)phiz_rng_below(r, SYNTH_SCENES);
	f->scene_a = colour_of(hue, uniform(r, 0.04f, 0.45f), uniform(r, 0.3f, 0.9f));
	f->scene_b = colour_of(hue + 6.0f + near, uniform(r, 0.05f, 0.5f), uniform(r, 0.15f, 0.7f));
	f->scene_c = colour_of(uniform(r, 0.0f, 6.0f), uniform(r, 0.2f, 0.7f), uniform(r, 0.4f, 1.0f));
	if (chance(r, 0.07f)) {
		float angle = radians(uniform(r, 20.0f, 160.0f)) * (chance(r, 0.5f) ? 1.0f : -1.0f),
			  radius = uniform(r, 0.3f, 0.42f);
		f->wear |= PHIZ_SYNTH_OCCLUDED;
		f->occluder = v3(0.5f + 0.66f * sinf(angle), 0.56f + 0.5f * cosf(angle), radius);
		f->occluder_colour = colour_of(uniform(r, 0.0f, 6.0f), uniform(r, 0.1f, 0.6f), uniform(r, 0.15f, 0.6f));
	}
}

static void draw_camera(struct synth_photo *f, struct phiz_rng *r)
{
	f->exposure = normal(r, 0.0f, 0.26f);
	f->contrast = normal(r, 1.08f, 0.06f);
	f->saturation = normal(r, 1.0f, 0.12f);
	f->warmth = normal(r, 0.0f, 0.055f);
	f->tint = normal(r, 0.0f, 0.018f);
	f->blur = chance(r, 0.22f) ? uniform(r, 0.5f, 1.8f) : uniform(r, 0.0f, 0.45f);
	f->motion = chance(r, 0.09f) ? uniform(r, 0.8f, 3.2f) : 0.0f;
	f->motion_angle = uniform(r, 0.0f, SYNTH_PI);
	f->noise_amount = 0.004f + 0.028f * powf(uniform(r, 0.0f, 1.0f), 4.0f);
	f->lowres = chance(r, 0.09f) ? uniform(r, 1.4f, 2.6f) : 1.0f;
	f->vignette = uniform(r, 0.0f, 0.22f);
	f->quality = 62 + (int)phiz_rng_below(r, 34);
}

/* A burst is one moment: everything but the smallest movements and the noise is that of the photo that opens it. */
static void jitter(struct synth_photo *f, const struct phiz_synth_options *options, uint32_t number, uint32_t photo)
{
	struct phiz_rng r;
	phiz_rng_init(&r, options->seed, photo + 1, (uint64_t)number | (uint64_t)1 << 40, PHIZ_STREAM_SYNTH);
	f->grain = phiz_rng_u32(&r);
	f->yaw += radians(normal(&r, 0.0f, 0.7f));
	f->pitch += radians(normal(&r, 0.0f, 0.5f));
	f->offset_x += normal(&r, 0.0f, 0.0035f);
	f->offset_y += normal(&r, 0.0f, 0.0035f);
	f->gaze_x += normal(&r, 0.0f, 0.02f);
	f->smile = synth_clamp(f->smile + normal(&r, 0.0f, 0.03f), 0.0f, 1.0f);
	f->exposure += normal(&r, 0.0f, 0.02f);
}

/* The photo that opens the burst that `photo` belongs to. */
static uint32_t burst_of(const struct phiz_synth_options *options, uint32_t number, uint32_t photo)
{
	while (photo > 0) {
		struct phiz_rng r;
		phiz_rng_init(&r, options->seed, photo + 1, (uint64_t)number | (uint64_t)1 << 41, PHIZ_STREAM_SYNTH);
		if (phiz_rng_f64(&r) >= options->burst)
			break;
		photo--;
	}
	return photo;
}

void synth_photo_draw(struct synth_photo *f, const struct synth_person *p, const struct phiz_synth_options *options,
                      uint32_t number, uint32_t photo)
{
	uint32_t first = burst_of(options, number, photo);
	struct phiz_rng r;
	memset(f, 0, sizeof(*f));
	phiz_rng_init(&r, options->seed, first + 1, number, PHIZ_STREAM_SYNTH);
	f->noise = phiz_rng_u32(&r);
	f->grain = f->noise + 90;
	draw_pose(f, &r);
	draw_framing(f, &r);
	draw_expression(f, p, &r);
	draw_light(f, &r);
	draw_worn(f, p, &r);
	draw_scene(f, &r);
	draw_camera(f, &r);
	f->burst = (int)first;
	if (first != photo)
		jitter(f, options, number, photo);
}

/* The light of the surroundings that comes from a direction. */
static struct v3 surroundings(const struct synth_photo *f, struct v3 d)
{
	struct v3 c = v3_mix(f->ground, f->sky, synth_step(-0.7f, 0.7f, d.y));
	float lobe = synth_max(v3_dot(d, f->window_dir), 0.0f);
	c = v3_mad(c, f->window, lobe * lobe * lobe);
	lobe = synth_max(v3_dot(d, f->key_dir), 0.0f);
	return v3_mad(c, f->key, 0.3f * lobe * lobe);
}

void synth_photo_lights(const struct synth_photo *f, struct synth_light light[SYNTH_LIGHTS])
{
	static const struct v3 SIDE[SYNTH_LIGHTS - 1] = {
		{0.0f, 0.15f, 1.0f},  {-0.75f, 0.3f, 0.65f},  {0.75f, 0.3f, 0.65f},
		{0.0f, 0.9f, 0.45f},  {-1.0f, 0.1f, -0.15f},  {1.0f, 0.1f, -0.15f},
		{0.0f, -0.85f, 0.6f}, {-0.45f, 0.75f, -0.5f}, {0.45f, 0.75f, -0.5f}};
	light[0].dir = f->key_dir;
	light[0].colour = f->key;
	for (int i = 1; i < SYNTH_LIGHTS; i++) {
		light[i].dir = v3_unit(SIDE[i - 1]);
		light[i].colour = v3_scale(surroundings(f, light[i].dir), 0.36f);
	}
}
