/* Draws: random sequences into explicit parameters. */
#include "datasets/augment.h"

#include <math.h>
#include <string.h>

/* torchvision gives up after so many. */
enum { TRIES = 10 };

static bool happens(struct phiz_rng *rng, double probability)
{
	return probability > 0 && phiz_rng_f64(rng) < probability;
}

/* Uniform in the logarithm, so that a ratio is as likely as its inverse. */
static double draw_ratio(struct phiz_rng *rng, const double ratio[2])
{
	return exp(phiz_rng_uniform(rng, log(ratio[0]), log(ratio[1])));
}

static int draw_offset(struct phiz_rng *rng, int room)
{
	return (int)phiz_rng_below(rng, (uint32_t)room + 1);
}

/* The largest box in the middle whose ratio is within bounds. */
static void central_crop(int width, int height, const double ratio[2], struct phiz_box *box)
{
	double own = (double)width / (double)height;
	int w = width, h = height;
	if (own < ratio[0])
		h = (int)nearbyint(width / ratio[0]);
	else if (own > ratio[1])
		w = (int)nearbyint(height * ratio[1]);
	w = w < 1 ? 1 : w;
	h = h < 1 ? 1 : h;
	*box = (struct phiz_box){ (width - w) / 2, (height - h) / 2, w, h };
}

void phiz_draw_resized_crop(struct phiz_rng *rng, int width, int height, const double scale[2], const double ratio[2],
                            struct phiz_box *box)
{
	double area = (double)width * (double)height;
	for (int i = 0; i < TRIES; i++) {
		double target = area * phiz_rng_uniform(rng, scale[0], scale[1]), aspect = draw_ratio(rng, ratio);
		double w = nearbyint(sqrt(target * aspect)), h = nearbyint(sqrt(target / aspect));
		if (w < 1 || w > width || h < 1 || h > height)
			continue;
		box->w = (int)w;
		box->h = (int)h;
		box->y = draw_offset(rng, height - box->h);
		box->x = draw_offset(rng, width - box->w);
		return;
	}
	central_crop(width, height, ratio, box);
}

void phiz_draw_erase(struct phiz_rng *rng, int width, int height, const double scale[2], const double ratio[2],
                     struct phiz_box *box)
{
	double area = (double)width * (double)height;
	*box = (struct phiz_box){ 0, 0, 0, 0 };
	for (int i = 0; i < TRIES; i++) {
		double target = area * phiz_rng_uniform(rng, scale[0], scale[1]), aspect = draw_ratio(rng, ratio);
		double h = nearbyint(sqrt(target * aspect)), w = nearbyint(sqrt(target / aspect));
		if (h >= height || w >= width)
			continue;
		box->w = (int)w;
		box->h = (int)h;
		box->y = draw_offset(rng, height - box->h);
		box->x = draw_offset(rng, width - box->w);
		return;
	}
}

static void draw_affine(const struct phiz_augment *a, struct phiz_rng *rng, int size, struct phiz_augment_draw *out)
{
	bool shifts = a->translate[0] > 0 || a->translate[1] > 0, zooms = a->zoom[1] > 0;
	out->zoom = 1;
	out->affine = shifts || zooms;
	for (int i = 0; shifts && i < 2; i++) {
		double most = a->translate[i] * size;
		out->shift[i] = (int)nearbyint(phiz_rng_uniform(rng, -most, most));
	}
	if (zooms)
		out->zoom = phiz_rng_uniform(rng, a->zoom[0], a->zoom[1]);
}

static void draw_jitter(const struct phiz_augment *a, struct phiz_rng *rng, struct phiz_augment_draw *out)
{
	const double strength[4] = { a->brightness, a->contrast, a->saturation, a->hue };
	uint32_t order[4] = { 0, 1, 2, 3 };
	double factor[4] = { 0 };
	if (!happens(rng, a->jitter))
		return;
	phiz_rng_shuffle_u32(rng, order, 4);
	for (int i = 0; i < 4; i++) {
		double middle = i == PHIZ_JITTER_HUE ? 0 : 1, low = middle - strength[i];
		if (i != PHIZ_JITTER_HUE && low < 0)
			low = 0;
		if (strength[i] > 0)
			factor[i] = phiz_rng_uniform(rng, low, middle + strength[i]);
	}
	for (int i = 0; i < 4; i++) {
		uint32_t step = order[i];
		if (!(strength[step] > 0))
			continue;
		out->jitter_order[out->jitter_steps] = (enum phiz_jitter_step)step;
		out->jitter_factor[out->jitter_steps++] = factor[step];
	}
}

static void draw_erase(const struct phiz_augment *a, struct phiz_rng *rng, int size, struct phiz_augment_draw *out)
{
	if (!happens(rng, a->erase))
		return;
	phiz_draw_erase(rng, size, size, a->erase_scale, a->erase_ratio, &out->erase);
	out->erase_noise = *rng;
}

void phiz_augment_sample(const struct phiz_augment *a, struct phiz_rng *rng, int width, int height, int size,
                         struct phiz_augment_draw *out)
{
	memset(out, 0, sizeof *out);
	if (a->crop)
		phiz_draw_resized_crop(rng, width, height, a->crop_scale, a->crop_ratio, &out->crop);
	out->flip = happens(rng, a->flip);
	if (a->rotation > 0)
		out->angle = phiz_rng_uniform(rng, -a->rotation, a->rotation);
	draw_affine(a, rng, size, out);
	if (a->brightness > 0 || a->contrast > 0 || a->saturation > 0 || a->hue > 0)
		draw_jitter(a, rng, out);
	out->gray = happens(rng, a->gray);
	if (happens(rng, a->blur))
		out->blur_sigma = phiz_rng_uniform(rng, a->blur_sigma[0], a->blur_sigma[1]);
	if (happens(rng, a->low_res))
		out->low_res = a->low_res_side[0] + draw_offset(rng, a->low_res_side[1] - a->low_res_side[0]);
	if (happens(rng, a->jpeg))
		out->jpeg_quality = a->jpeg_quality[0] + draw_offset(rng, a->jpeg_quality[1] - a->jpeg_quality[0]);
	draw_erase(a, rng, size, out);
}

/* The logarithm of a Gamma(shape, 1) draw: Marsaglia and Tsang 2000 ("A simple method for generating gamma variables")
 * for shape + 1, brought down by u^(1/shape). In logarithms, because for a small shape the draw itself is often too
 * small for a double. */
static double log_gamma_draw(struct phiz_rng *rng, double shape)
{
	double d = shape + 1 - 1.0 / 3, c = 1 / sqrt(9 * d);
	for (;;) {
		double x = phiz_rng_normal(rng), v = 1 + c * x;
		if (v <= 0)
			continue;
		v = v * v * v;
		double u = 1 - phiz_rng_f64(rng);
		if (log(u) < 0.5 * x * x + d - d * v + d * log(v))
			return log(d * v) + log(1 - phiz_rng_f64(rng)) / shape;
	}
}

double phiz_mixup_lambda(struct phiz_rng *rng, double alpha)
{
	double a = log_gamma_draw(rng, alpha), b = log_gamma_draw(rng, alpha);
	return 1 / (1 + exp(b - a));
}
