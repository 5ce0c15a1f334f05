/* One photo from its numbers: sets up the stage and runs the parts in order. */
#include <string.h>

#include "core/base/error.h"
#include "datasets/synth_internal.h"

void phiz_synth_defaults(struct phiz_synth_options *options)
{
	memset(options, 0, sizeof(*options));
	options->people = 10;
	options->photos = 30;
	options->size = 160;
	options->seed = 1;
}

enum phiz_status phiz_synth_check(struct phiz_ctx *ctx, const struct phiz_synth_options *options)
{
	if (options->people < 1 || options->people > 100000)
		return phiz_fail(ctx, PHIZ_E_ARG, "sample people: want 1 to 100000 people, got %d", options->people);
	if (options->photos < 1 || options->photos > 10000)
		return phiz_fail(ctx, PHIZ_E_ARG, "sample people: want 1 to 10000 photos of each, got %d", options->photos);
	if (options->size < 32 || options->size > 1024)
		return phiz_fail(ctx, PHIZ_E_ARG, "sample people: want a size of 32 to 1024 pixels, got %d", options->size);
	if (options->first_person < 0 || options->first_person > 1000000000)
		return phiz_fail(ctx, PHIZ_E_ARG, "sample people: want a first person from 0 to 1000000000, got %d",
		                 options->first_person);
	if (!(options->burst >= 0.0 && options->burst <= 0.9))
		return phiz_fail(ctx, PHIZ_E_ARG, "sample people: want a chance of bursts from 0 to 0.9, got %g",
		                 options->burst);
	return PHIZ_OK;
}

/* Turns about y, then x, then z. */
static struct m3 rotation(float yaw, float pitch, float roll)
{
	float cy = cosf(yaw), sy = sinf(yaw), cp = cosf(pitch), sp = sinf(pitch), cr = cosf(roll), sr = sinf(roll);
	/* Looking up lifts the nose: a turn about x by -pitch. Clockwise in the picture: about z by -roll. */
	struct v3 x = v3(cy, 0, sy), y = v3(-sy * -sp, cp, cy * -sp * -1.0f), z = v3(-sy * cp, -sp, cy * cp);
	struct m3 m;
	y = v3(sp * sy * -1.0f, cp, sp * cy);
	m.row[0] = v3_add(v3_scale(x, cr), v3_scale(y, sr));
	m.row[1] = v3_sub(v3_scale(y, cr), v3_scale(x, sr));
	m.row[2] = z;
	return m;
}

static void stage_aim(struct synth_stage *s, int size)
{
	const struct synth_photo *f = s->photo;
	struct v3 middle;
	s->size = size;
	s->detail = synth_clamp(sqrtf((float)size / 380.0f), 0.6f, 2.2f);
	s->distance = f->distance;
	s->focal = f->face_px * (float)size * (f->distance - 7.0f);
	s->joint = v3(0.0f, -9.0f, -2.5f);
	s->head = rotation(f->yaw, f->pitch, f->roll);
	s->body = rotation(f->body_yaw, 0.0f, f->body_roll);
	/* The face's middle comes to the picture's middle, but for the framing's error. */
	middle = synth_to_view(s, v3(0.0f, -1.2f, 3.0f));
	s->place = v3(-middle.x, -middle.y, 0.0f);
	s->centre_x = (0.5f + f->offset_x) * (float)size;
	s->centre_y = (0.5f + f->offset_y) * (float)size;
	synth_photo_lights(f, s->light);
}

static enum phiz_status stage_run(struct synth_stage *s, struct phiz_image *out)
{
	enum phiz_status status;
	size_t pixels = (size_t)s->size * (size_t)s->size;
	s->hit = synth_pool_get(&s->pool, pixels, sizeof(*s->hit));
	s->colour = synth_pool_get(&s->pool, pixels, sizeof(*s->colour));
	if (!s->hit || !s->colour)
		return PHIZ_E_NOMEM;
	if ((status = synth_head_build(s)) != PHIZ_OK || (status = synth_ears_build(s)) != PHIZ_OK ||
	    (status = synth_body_build(s)) != PHIZ_OK || (status = synth_hair_build(s)) != PHIZ_OK ||
	    (status = synth_glasses_build(s)) != PHIZ_OK || (status = synth_hat_build(s)) != PHIZ_OK ||
	    (status = synth_light_all(s)) != PHIZ_OK || (status = synth_scene_paint(s)) != PHIZ_OK)
		return status;
	for (int i = 0; i < s->meshes; i++)
		synth_mesh_draw(s, i);
	if ((status = synth_shade(s)) != PHIZ_OK || (status = synth_hair_draw(s)) != PHIZ_OK)
		return status;
	synth_glasses_lens(s);
	return synth_camera_develop(s, out);
}

static void truth_make(struct synth_stage *s, int size, struct phiz_face_truth *truth)
{
	const struct synth_photo *f = s->photo;
	synth_landmarks(s, truth, (float)size / (float)s->size);
	truth->yaw = (double)f->yaw * 180.0 / 3.14159265358979;
	truth->pitch = (double)f->pitch * 180.0 / 3.14159265358979;
	truth->roll = (double)f->roll * 180.0 / 3.14159265358979;
	truth->wear = f->wear;
	truth->burst = f->burst;
}

enum phiz_status phiz_synth_render(struct phiz_ctx *ctx, const struct phiz_synth_options *options, int person,
                                   int photo, struct phiz_image *out, struct phiz_face_truth *truth)
{
	enum phiz_status status = phiz_synth_check(ctx, options);
	struct synth_person who;
	struct synth_photo how;
	struct synth_stage stage;
	uint32_t number;
	if (out)
		memset(out, 0, sizeof(*out));
	if (status != PHIZ_OK)
		return status;
	if (person < 0 || photo < 0)
		return phiz_fail(ctx, PHIZ_E_ARG, "sample people: want a person and a photo from 0, got %d and %d", person,
		                 photo);
	number = (uint32_t)options->first_person + (uint32_t)person;
	synth_person_draw(&who, options->seed, number);
	synth_photo_draw(&how, &who, options, number, (uint32_t)photo);
	memset(&stage, 0, sizeof(stage));
	stage.pool.ctx = ctx;
	stage.person = &who;
	stage.photo = &how;
	stage_aim(&stage, 2 * options->size);
	if (truth)
		truth_make(&stage, options->size, truth);
	if (!out)
		return PHIZ_OK;
	status = phiz_image_create(ctx, options->size, options->size, 3, out);
	if (status == PHIZ_OK)
		status = stage_run(&stage, out);
	synth_pool_free(&stage.pool);
	if (status != PHIZ_OK)
		phiz_image_free(ctx, out);
	return status;
}
