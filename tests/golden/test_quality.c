/* Measures of pictures of faces against numpy, poses against a head that is turned in space, and what blur, light and
 * distance do to sample people. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/file.h"
#include "core/image/quality.h"
#include "datasets/csv.h"
#include "datasets/synth.h"

/* --- Pixels, against numpy (make_quality.py). --- */

static void draw(struct phiz_ctx *ctx, const int v[8], struct phiz_image *out)
{
	assert_ok(ctx, phiz_image_create(ctx, v[0], v[1], 3, out));
	for (int y = 0; y < v[1]; y++)
		for (int x = 0; x < v[0]; x++)
			for (int k = 0; k < 3; k++) {
				int p = (((v[2] * x * x + v[3] * y * y + v[4] * x * y) >> v[5]) + 37 * k) & 255;
				p = (p * v[6] >> 8) + v[7];
				out->data[(y * v[0] + x) * 3 + k] = (uint8_t)(p < 0 ? 0 : p > 255 ? 255 : p);
			}
}

static void test_numpy(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_bytes text;
	struct phiz_csv csv;
	char path[1024];

	(void)state;
	phiz_bytes_init(&text, ctx);
	assert_ok(ctx, phiz_file_read(ctx, test_golden("quality.csv", path), 1 << 20, &text));
	assert_ok(ctx, phiz_csv_parse(ctx, text.data, text.size, path, &csv));
	assert_int_equal(csv.count, 8);
	for (size_t r = 1; r < csv.count; r++) {
		struct phiz_image image;
		struct phiz_quality q;
		double want[5], got[5];
		int v[8];

		for (int i = 0; i < 8; i++)
			v[i] = atoi(csv.row[r].field[i]);
		for (int i = 0; i < 5; i++)
			want[i] = strtod(csv.row[r].field[8 + i], NULL);
		draw(ctx, v, &image);
		assert_ok(ctx, phiz_quality_crop(ctx, &image, &q));
		got[0] = q.sharpness, got[1] = q.mean, got[2] = q.dark, got[3] = q.bright, got[4] = q.contrast;
		test_close_f64("quality", got, want, 5, 1e-11, 1e-10);
		assert_true(q.overall >= 0.0099 && q.overall <= 1);
		phiz_image_free(ctx, &image);
	}
	phiz_csv_free(ctx, &csv);
	phiz_bytes_free(&text);
	test_ctx_done(&ctx);
}

/* --- Pose, against a head of the form that the formula supposes, turned in space and seen from far away. --- */

static void turned(double yaw, double pitch, double roll, double eyes, float out[5][2])
{
	const double head[5][3] = {{-0.5, 0, 0}, {0.5, 0, 0}, {0, 0.62 * 1.03, -0.57}, {-0.4, 1.03, 0}, {0.4, 1.03, 0}};
	const double unit = acos(-1) / 180;
	double cy = cos(yaw * unit), sy = sin(yaw * unit), cp = cos(pitch * unit), sp = sin(pitch * unit);
	double cr = cos(roll * unit), sr = sin(roll * unit);

	for (int i = 0; i < 5; i++) {
		double x = head[i][0], y = head[i][1], z = head[i][2];
		double y1 = y * cp + z * sp, z1 = z * cp - y * sp; /* up: the nose, in front, rises */
		double x1 = x * cy - z1 * sy;                      /* to the right of the picture */
		out[i][0] = (float)(eyes * (x1 * cr - y1 * sr) + 300);
		out[i][1] = (float)(eyes * (x1 * sr + y1 * cr) + 200);
	}
}

static void test_turned_head(void **state)
{
	float p[5][2];
	struct phiz_quality q = {0};

	(void)state;
	for (int angle = -50; angle <= 50; angle += 10) {
		turned(angle, 0, 0, 50, p);
		phiz_quality_pose(p, &q);
		/* The distance of the eyes shrinks as well: tan and sin differ, which is the formula's own simplification. */
		assert_true(fabs(q.yaw - angle) < 0.01 && fabs(q.pitch) < 0.01 && fabs(q.roll) < 0.01);
		turned(0, angle, 0, 50, p);
		phiz_quality_pose(p, &q);
		assert_true(fabs(q.pitch - angle) < 0.01 && fabs(q.yaw) < 0.01 && fabs(q.eyes - 50) < 0.01);
		turned(0, 0, 3 * angle, 50, p);
		phiz_quality_pose(p, &q);
		assert_true(fabs(q.roll - 3 * angle) < 0.01 && fabs(q.yaw) < 0.01 && fabs(q.pitch) < 0.01);
		turned(angle, 10, angle, 50, p);
		phiz_quality_pose(p, &q);
		assert_true(fabs(q.yaw - angle) < 8);
	}
	memset(p, 0, sizeof p);
	phiz_quality_pose(p, &q);
	assert_true(q.yaw == 0 && q.pitch == 0 && q.roll == 0 && q.eyes == 0);
	p[2][0] = NAN;
	p[1][0] = 5;
	phiz_quality_pose(p, &q);
	assert_true(q.yaw == 0 && q.eyes == 0);
	assert_true(phiz_quality_overall(&q) > 0 && phiz_quality_overall(&q) < 0.1);
}

/* --- Sample people, who come with the truth. --- */

static void sample(struct phiz_ctx *ctx, int person, struct phiz_image *image, struct phiz_face *face,
                   struct phiz_face_truth *truth)
{
	struct phiz_synth_options o;

	phiz_synth_defaults(&o);
	o.size = 160;
	assert_ok(ctx, phiz_synth_render(ctx, &o, person, 3, image, truth));
	*face = (struct phiz_face){{(float)truth->x, (float)truth->y, (float)truth->w, (float)truth->h}, 1, {{0}}};
	for (int i = 0; i < 5; i++)
		for (int k = 0; k < 2; k++)
			face->landmark[i][k] = (float)truth->landmark[i][k];
}

static void test_sample_poses(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	double error[3] = {0};
	int n = 300;

	(void)state;
	for (int person = 0; person < n; person++) {
		struct phiz_face_truth t;
		struct phiz_face face;
		struct phiz_quality q;

		sample(ctx, person, NULL, &face, &t);
		phiz_quality_pose(face.landmark, &q);
		error[0] += fabs(q.yaw - t.yaw) / n;
		error[1] += fabs(q.pitch - t.pitch) / n;
		error[2] += fabs(q.roll - t.roll) / n;
	}
	printf("mean error in degrees: yaw %.2f, pitch %.2f, roll %.2f\n", error[0], error[1], error[2]);
	assert_true(error[0] < 3 && error[1] < 7 && error[2] < 3);
	test_ctx_done(&ctx);
}

/* 3x3 mean. */
static void blur(struct phiz_ctx *ctx, struct phiz_image *image)
{
	struct phiz_image from;
	int row = image->width * 3;

	assert_ok(ctx, phiz_image_copy(ctx, image, &from));
	for (int y = 1; y < image->height - 1; y++)
		for (int i = 3; i < row - 3; i++) {
			int sum = 0;
			for (int v = -1; v <= 1; v++)
				for (int u = -3; u <= 3; u += 3)
					sum += from.data[(y + v) * row + i + u];
			image->data[y * row + i] = (uint8_t)((sum + 4) / 9);
		}
	phiz_image_free(ctx, &from);
}

static void scale(struct phiz_image *image, double factor, double shift)
{
	for (int i = 0; i < image->width * image->height * 3; i++) {
		double v = image->data[i] * factor + shift;
		image->data[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
	}
}

static struct phiz_quality measure(struct phiz_ctx *ctx, const struct phiz_image *image, const struct phiz_face *face)
{
	struct phiz_quality q;

	assert_ok(ctx, phiz_quality_face(ctx, image, face, &q));
	return q;
}

/* A little more blur each time: less sharp each time, never better. */
static void test_blur(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);

	(void)state;
	for (int person = 0; person < 12; person++) {
		struct phiz_face_truth t;
		struct phiz_face face;
		struct phiz_image image;
		struct phiz_quality before, now;

		sample(ctx, person, &image, &face, &t);
		before = measure(ctx, &image, &face);
		for (int i = 0; i < 6; i++) {
			blur(ctx, &image);
			now = measure(ctx, &image, &face);
			assert_true(now.sharpness < before.sharpness && now.overall <= before.overall + 0.002);
			assert_true(now.contrast < before.contrast && now.yaw == before.yaw);
			before = now;
		}
		assert_true(now.sharpness < 120);
		phiz_image_free(ctx, &image);
	}
	test_ctx_done(&ctx);
}

/* Darker and darker, brighter and brighter. */
static void test_exposure(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);

	(void)state;
	for (int person = 0; person < 12; person++)
		for (int bright = 0; bright < 2; bright++) {
			struct phiz_face_truth t;
			struct phiz_face face;
			struct phiz_image image, worse;
			struct phiz_quality before, now;

			sample(ctx, person, &image, &face, &t);
			before = measure(ctx, &image, &face);
			for (int i = 1; i < 8; i++) {
				assert_ok(ctx, phiz_image_copy(ctx, &image, &worse));
				scale(&worse, bright ? 1 : 1 - 0.13 * i, bright ? 32 * i : 0);
				now = measure(ctx, &worse, &face);
				phiz_image_free(ctx, &worse);
				if (bright)
					assert_true(now.mean > before.mean && now.bright >= before.bright && now.dark <= before.dark);
				else
					assert_true(now.mean < before.mean && now.dark >= before.dark && now.bright <= before.bright);
				if (bright ? before.mean > 0.75 : now.mean < 0.25)
					assert_true(now.overall <= before.overall);
				before = now;
			}
			assert_true(now.overall < 0.5);
			phiz_image_free(ctx, &image);
		}
	test_ctx_done(&ctx);
}

/* Small faces are worse, wherever they stand in the photo. */
static void test_size(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_face_truth t;
	struct phiz_face face, small;
	struct phiz_image image, less;
	double before = 2;

	(void)state;
	sample(ctx, 1, &image, &face, &t);
	for (int side = 160; side >= 40; side /= 2) {
		double f = side / 160.0;
		struct phiz_quality q;

		assert_ok(ctx, phiz_image_resize(ctx, &image, side, side, NULL, &less));
		small = face;
		for (int i = 0; i < 5; i++)
			for (int k = 0; k < 2; k++)
				small.landmark[i][k] = (float)(face.landmark[i][k] * f);
		for (int i = 0; i < 4; i++)
			small.box[i] = (float)(face.box[i] * f);
		q = measure(ctx, &less, &small);
		assert_true(q.overall < before);
		before = q.overall;
		phiz_image_free(ctx, &less);
	}
	phiz_image_free(ctx, &image);
	test_ctx_done(&ctx);
}

struct once {
	struct phiz_image image;
	struct phiz_face face;
};

static enum phiz_status measure_once(struct phiz_ctx *ctx, void *user)
{
	struct once *o = user;
	struct phiz_quality q;
	enum phiz_status status = phiz_quality_face(ctx, &o->image, &o->face, &q);

	return status ? status : phiz_quality_crop(ctx, &o->image, &q);
}

static void test_refused_and_oom(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_face_truth t;
	struct phiz_face nothing = {{0}, 1, {{0}}};
	struct phiz_quality q;
	struct once o;

	(void)state;
	sample(ctx, 0, &o.image, &o.face, &t);
	test_every_oom(ctx, measure_once, &o);
	assert_fails(ctx, PHIZ_E_ARG, phiz_quality_face(ctx, &o.image, &nothing, &q));
	phiz_image_free(ctx, &o.image);
	assert_fails(ctx, PHIZ_E_ARG, phiz_quality_crop(ctx, &o.image, &q));
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numpy), cmocka_unit_test(test_turned_head), cmocka_unit_test(test_sample_poses),
		cmocka_unit_test(test_blur),  cmocka_unit_test(test_exposure),    cmocka_unit_test(test_size),
		cmocka_unit_test(test_refused_and_oom),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
