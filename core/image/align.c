/* Cutting faces out of photos. */
#include <phiz/align.h>

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/image/align_cut.h"

enum { MIN_SIZE = 16, MAX_SIZE = 1024, TEMPLATE_SIZE = 112 };
#define MAX_MARGIN 4.0
#define MAX_COORDINATE 1e6 /* of a box or a landmark, pixels */
#define SHRINK_FROM 1.5    /* photo pixels for one of the crop, above which the photo is made smaller first */

static const char *const names[] = {"none", "arcface", "facenet", "box"};

bool phiz_align_parse(const char *name, enum phiz_align_kind *out)
{
	for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
		if (!strcmp(name, names[i])) {
			*out = (enum phiz_align_kind)i;
			return true;
		}
	return false;
}

const char *phiz_align_name(enum phiz_align_kind kind)
{
	return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : "?";
}

enum phiz_status phiz_align_check(struct phiz_ctx *ctx, const struct phiz_align *a)
{
	double max = a->kind == PHIZ_ALIGN_BOX ? MAX_MARGIN : a->kind == PHIZ_ALIGN_FACENET ? a->size - 1 : 0;

	if ((unsigned)a->kind >= sizeof names / sizeof names[0])
		return phiz_fail(ctx, PHIZ_E_ARG, "alignment: no kind %d", (int)a->kind);
	if (a->kind == PHIZ_ALIGN_NONE ? a->size != 0 : a->size < MIN_SIZE || a->size > MAX_SIZE)
		return phiz_fail(ctx, PHIZ_E_ARG, "alignment %s: size: want %s, got %d", names[a->kind],
		                 a->kind == PHIZ_ALIGN_NONE ? "0" : "16 to 1024", a->size);
	if (!(a->margin >= 0 && a->margin <= max))
		return phiz_fail(ctx, PHIZ_E_ARG, "alignment %s: margin: want 0 to %g, got %g", names[a->kind], max, a->margin);
	return PHIZ_OK;
}

void phiz_align_template(int size, float point[PHIZ_LANDMARKS][2])
{
	/* insightface's arcface_dst for 112 x 112: where the five points lie in the middle of its training faces. */
	static const double at[PHIZ_LANDMARKS][2] = {
		{38.2946, 51.6963}, {73.5318, 51.5014}, {56.0252, 71.7366}, {41.5493, 92.3655}, {70.7299, 92.2041},
	};

	for (int i = 0; i < PHIZ_LANDMARKS; i++)
		for (int k = 0; k < 2; k++)
			point[i][k] = (float)(at[i][k] * size / TEMPLATE_SIZE);
}

bool phiz_face_has_landmarks(const struct phiz_face *face)
{
	const float(*p)[2] = face->landmark;

	for (int i = 1; i < PHIZ_LANDMARKS; i++)
		for (int k = 0; k < 2; k++)
			if (p[i][k] < p[0][k] || p[i][k] > p[0][k])
				return true;
	return false;
}

/* With the points as complex numbers around their means, the best rotation and scale is
 * s = sum(conj(from) to) / sum(|from|^2). */
bool phiz_align_similarity(const float from[][2], const float to[][2], int n, double m[6])
{
	double fx = 0, fy = 0, tx = 0, ty = 0, re = 0, im = 0, spread = 0;

	for (int i = 0; i < n; i++) {
		fx += (double)from[i][0] / n;
		fy += (double)from[i][1] / n;
		tx += (double)to[i][0] / n;
		ty += (double)to[i][1] / n;
	}
	for (int i = 0; i < n; i++) {
		double ax = (double)from[i][0] - fx, ay = (double)from[i][1] - fy;
		double bx = (double)to[i][0] - tx, by = (double)to[i][1] - ty;
		re += ax * bx + ay * by;
		im += ax * by - ay * bx;
		spread += ax * ax + ay * ay;
	}
	if (!(spread > 1e-12) || !isfinite(spread) || !isfinite(re) || !isfinite(im))
		return false;
	re /= spread;
	im /= spread;
	m[0] = m[4] = re;
	m[1] = -im;
	m[3] = im;
	m[2] = tx - re * fx + im * fy;
	m[5] = ty - im * fx - re * fy;
	return true;
}

static bool finite_face(const struct phiz_face *f)
{
	for (int i = 0; i < 4; i++)
		if (!(fabs((double)f->box[i]) <= MAX_COORDINATE))
			return false;
	for (int i = 0; i < PHIZ_LANDMARKS; i++)
		if (!(fabs((double)f->landmark[i][0]) <= MAX_COORDINATE && fabs((double)f->landmark[i][1]) <= MAX_COORDINATE))
			return false;
	return true;
}

static bool cut_by_landmarks(const struct phiz_align *a, const struct phiz_face *face, double m[6])
{
	float point[PHIZ_LANDMARKS][2];

	phiz_align_template(a->size, point);
	if (!phiz_align_similarity((const float(*)[2])point, (const float(*)[2])face->landmark, PHIZ_LANDMARKS, m))
		return false;
	return hypot(m[0], m[3]) > 1e-6;
}

static bool cut_by_box(const struct phiz_align *a, const struct phiz_face *face, double m[6])
{
	double w = (double)face->box[2], h = (double)face->box[3];
	double cx = (double)face->box[0] + w / 2, cy = (double)face->box[1] + h / 2;

	if (!(w > 0 && h > 0))
		return false;
	if (a->kind == PHIZ_ALIGN_FACENET) {
		w *= a->size / (a->size - a->margin);
		h *= a->size / (a->size - a->margin);
	} else {
		w = h = (w > h ? w : h) * (1 + a->margin);
	}
	m[0] = w / a->size;
	m[4] = h / a->size;
	m[1] = m[3] = 0;
	m[2] = cx - w / 2;
	m[5] = cy - h / 2;
	return true;
}

/* The part of the photo that the crop touches, with a pixel around it for interpolation. */
static void touched(const double m[6], int size, double pad, double box[4])
{
	box[0] = box[1] = INFINITY;
	box[2] = box[3] = -INFINITY;
	for (int corner = 0; corner < 4; corner++) {
		double x = corner & 1 ? size : 0, y = corner & 2 ? size : 0;
		double sx = m[0] * x + m[1] * y + m[2], sy = m[3] * x + m[4] * y + m[5];
		box[0] = fmin(box[0], sx - pad);
		box[1] = fmin(box[1], sy - pad);
		box[2] = fmax(box[2], sx + pad);
		box[3] = fmax(box[3], sy + pad);
	}
}

/* The touched part of the photo, made smaller so that one of its pixels is about one of the crop (`step` of
 * them before); m is changed to lead into it. */
static enum phiz_status shrink(struct phiz_ctx *ctx, const struct phiz_image *from, int size, double step,
                               double m[6], struct phiz_image *out)
{
	double box[4];

	touched(m, size, 2 * step, box);
	box[0] = fmax(0, floor(box[0]));
	box[1] = fmax(0, floor(box[1]));
	box[2] = fmin(from->width, ceil(box[2]));
	box[3] = fmin(from->height, ceil(box[3]));
	if (!(box[2] > box[0] && box[3] > box[1])) { /* the crop lies wholly outside */
		box[0] = box[1] = 0;
		box[2] = box[3] = 1;
	}
	int width = (int)ceil((box[2] - box[0]) / step), height = (int)ceil((box[3] - box[1]) / step);
	double kx = width / (box[2] - box[0]), ky = height / (box[3] - box[1]);
	enum phiz_status status = phiz_image_resize(ctx, from, width, height, box, out);
	if (status)
		return status;
	for (int i = 0; i < 3; i++) {
		m[i] = (m[i] - (i == 2 ? box[0] : 0)) * kx;
		m[3 + i] = (m[3 + i] - (i == 2 ? box[1] : 0)) * ky;
	}
	return PHIZ_OK;
}

enum phiz_status phiz_align_cut(struct phiz_ctx *ctx, const struct phiz_align *align, const struct phiz_face *face,
                                double m[6])
{
	bool by_landmarks = align->kind == PHIZ_ALIGN_ARCFACE;
	enum phiz_status status = phiz_align_check(ctx, align);

	if (!status && align->kind == PHIZ_ALIGN_NONE)
		status = phiz_fail(ctx, PHIZ_E_ARG, "alignment none: cuts nothing");
	if (!status &&
	    (!finite_face(face) || !(by_landmarks ? cut_by_landmarks(align, face, m) : cut_by_box(align, face, m))))
		status = phiz_fail(ctx, PHIZ_E_ARG, "alignment %s: a face %s", names[align->kind],
		                   by_landmarks ? "whose landmarks allow no transform" : "with an empty box");
	return status;
}

enum phiz_status phiz_align_point(struct phiz_ctx *ctx, const struct phiz_align *align, const struct phiz_face *face,
                                  const float photo[][2], float crop[][2], int n)
{
	double m[6] = {1, 0, 0, 0, 1, 0};
	enum phiz_status status = align->kind == PHIZ_ALIGN_NONE ? phiz_align_check(ctx, align)
	                                                         : phiz_align_cut(ctx, align, face, m);

	if (status)
		return status;
	double d = m[0] * m[4] - m[1] * m[3];
	for (int i = 0; i < n; i++) {
		double x = (double)photo[i][0] - m[2], y = (double)photo[i][1] - m[5];
		crop[i][0] = (float)((m[4] * x - m[1] * y) / d);
		crop[i][1] = (float)((m[0] * y - m[3] * x) / d);
	}
	return PHIZ_OK;
}

enum phiz_status phiz_align_warp(struct phiz_ctx *ctx, const struct phiz_image *from, const double m[6], int size,
                                 struct phiz_image *out)
{
	static const uint8_t black[3] = {0, 0, 0};
	struct phiz_image small = {0, 0, 0, NULL};
	double step = fmax(hypot(m[0], m[3]), hypot(m[1], m[4])), to[6];

	*out = small;
	memcpy(to, m, sizeof to);
	if (step > SHRINK_FROM) {
		enum phiz_status status = shrink(ctx, from, size, step, to, &small);

		if (status)
			return status;
		from = &small;
	}
	enum phiz_status status = phiz_image_affine(ctx, from, to, size, size, true, black, out);
	phiz_image_free(ctx, &small);
	return status;
}

enum phiz_status phiz_align_crop(struct phiz_ctx *ctx, const struct phiz_align *align, const struct phiz_image *from,
                                 const struct phiz_face *face, struct phiz_image *out)
{
	double m[6];

	*out = (struct phiz_image){0, 0, 0, NULL};
	if (align->kind == PHIZ_ALIGN_NONE) {
		enum phiz_status status = phiz_align_check(ctx, align);
		return status ? status : phiz_image_copy(ctx, from, out);
	}
	enum phiz_status status = phiz_align_cut(ctx, align, face, m);
	return status ? status : phiz_align_warp(ctx, from, m, align->size, out);
}
