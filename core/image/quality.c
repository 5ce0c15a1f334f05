#include "core/image/quality.h"

#include <math.h>

#include "core/image/codec.h"

#define SIZE PHIZ_QUALITY_SIZE
#define DEGREES (180 / 3.14159265358979323846)
#define NOSE_DEPTH 0.57 /* in eye distances */
#define NOSE_DOWN 0.62  /* from eyes (0) to mouth (1) */
#define FACE_HEIGHT 1.03 /* eyes to mouth, in eye distances */
#define TEMPLATE_EYES (35.2 / 112)

struct moments {
	double sum, squares, n;
};

static void count(struct moments *m, double v)
{
	m->sum += v;
	m->squares += v * v;
	m->n++;
}

/* Exact: the sums are of whole numbers. */
static double variance(const struct moments *m)
{
	return (m->squares * m->n - m->sum * m->sum) / (m->n * m->n);
}

static bool inside(int x, int y)
{
	double u = (x + 0.5 - SIZE / 2.0) / (0.84 * SIZE / 2), v = (y + 0.5 - SIZE / 2.0) / (SIZE / 2.0);

	return u * u + v * v <= 1;
}

/* grey: SIZE squared. */
static void measure_pixels(const uint8_t *grey, struct phiz_quality *q)
{
	struct moments value = {0}, laplacian = {0};
	double dark = 0, bright = 0;

	for (int y = 0; y < SIZE; y++)
		for (int x = 0; x < SIZE; x++) {
			const uint8_t *p = grey + y * SIZE + x;

			if (!inside(x, y))
				continue;
			count(&value, p[0]);
			dark += p[0] <= 8;
			bright += p[0] >= 247;
			if (x > 0 && y > 0 && x < SIZE - 1 && y < SIZE - 1)
				count(&laplacian, p[-1] + p[1] + p[-SIZE] + p[SIZE] - 4 * p[0]);
		}
	q->sharpness = variance(&laplacian);
	q->mean = value.sum / value.n / 255;
	q->dark = dark / value.n;
	q->bright = bright / value.n;
	q->contrast = sqrt(variance(&value)) / 255;
}

static enum phiz_status measure_square(struct phiz_ctx *ctx, const struct phiz_image *square, struct phiz_quality *q)
{
	struct phiz_image grey;
	enum phiz_status status = phiz_image_to_gray(ctx, square, &grey);

	if (status)
		return status;
	measure_pixels(grey.data, q);
	phiz_image_free(ctx, &grey);
	return PHIZ_OK;
}

enum phiz_status phiz_quality_face(struct phiz_ctx *ctx, const struct phiz_image *image, const struct phiz_face *face,
                                   struct phiz_quality *out)
{
	const struct phiz_align align = {PHIZ_ALIGN_ARCFACE, 0, SIZE};
	struct phiz_image square;
	enum phiz_status status;

	*out = (struct phiz_quality){0};
	status = phiz_align_crop(ctx, &align, image, face, &square);
	if (status)
		return status;
	status = measure_square(ctx, &square, out);
	phiz_image_free(ctx, &square);
	if (status)
		return status;
	phiz_quality_pose(face->landmark, out);
	out->overall = phiz_quality_overall(out);
	return PHIZ_OK;
}

enum phiz_status phiz_quality_crop(struct phiz_ctx *ctx, const struct phiz_image *crop, struct phiz_quality *out)
{
	struct phiz_image square;
	enum phiz_status status = phiz_image_check(ctx, crop, "face quality");

	*out = (struct phiz_quality){0};
	if (!status)
		status = phiz_image_resize(ctx, crop, SIZE, SIZE, NULL, &square);
	if (status)
		return status;
	status = measure_square(ctx, &square, out);
	phiz_image_free(ctx, &square);
	if (status)
		return status;
	out->eyes = TEMPLATE_EYES * (crop->width < crop->height ? crop->width : crop->height);
	out->overall = phiz_quality_overall(out);
	return PHIZ_OK;
}

void phiz_quality_pose(const float p[PHIZ_LANDMARKS][2], struct phiz_quality *out)
{
	double dx = (double)p[1][0] - p[0][0], dy = (double)p[1][1] - p[0][1], eyes = hypot(dx, dy);
	double ex = ((double)p[0][0] + p[1][0]) / 2, ey = ((double)p[0][1] + p[1][1]) / 2;
	double mx = ((double)p[3][0] + p[4][0]) / 2 - ex, my = ((double)p[3][1] + p[4][1]) / 2 - ey;
	double nx = p[2][0] - ex, ny = p[2][1] - ey;

	out->yaw = out->pitch = out->roll = out->eyes = 0;
	if (!(eyes > 0) || !isfinite(eyes + mx + my + nx + ny))
		return;
	out->eyes = eyes;
	out->roll = atan2(dy, dx) * DEGREES;
	/* Along the eyes, and across. */
	double nose_x = (nx * dx + ny * dy) / eyes, nose_y = (ny * dx - nx * dy) / eyes;
	double mouth_x = (mx * dx + my * dy) / eyes, mouth_y = (my * dx - mx * dy) / eyes;
	out->yaw = atan((nose_x - mouth_x / 2) / (NOSE_DEPTH * eyes)) * DEGREES;
	if (mouth_y > 0)
		out->pitch = atan((NOSE_DOWN - nose_y / mouth_y) * FACE_HEIGHT / NOSE_DEPTH) * DEGREES;
}

/* v brought from low..high to 0..1; low > high turns it round. */
static double ramp(double v, double low, double high)
{
	double part = (v - low) / (high - low);

	return part > 1 ? 1 : part > 0 ? part : 0; /* 0 for what is no number */
}

static double log_ramp(double v, double low, double high) { return v > 0 ? ramp(log(v), log(low), log(high)) : 0; }

double phiz_quality_overall(const struct phiz_quality *q)
{
	double clipped = ramp(q->dark + q->bright, 0.5, 0);
	double light = q->mean < 0.5 ? ramp(q->mean, 0.08, 0.25) : ramp(q->mean, 0.95, 0.75);
	const double part[][2] = {
		{0.30, log_ramp(q->sharpness, 10, 300)},
		{0.20, log_ramp(q->eyes, 8, 40)},
		{0.25, ramp(hypot(q->yaw, 1.5 * q->pitch), 60, 15)},
		{0.15, light * clipped},
		{0.10, ramp(q->contrast, 0.02, 0.12)},
	};
	double sum = 0;

	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
		sum += part[i][0] * log(part[i][1] > 0.01 ? part[i][1] : 0.01);
	return exp(sum);
}
