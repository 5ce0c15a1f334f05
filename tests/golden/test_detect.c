/* Detectors against the implementations that they come from, on the group photos of the private data.
 * label: full */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/detector.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "core/io/import.h"
#include "core/io/onnx.h"

enum { NUMBERS = 15, MAX_ROWS = 400 };

struct row {
	char file[64];
	bool exact; /* computed in double */
	bool empty;
	float number[NUMBERS]; /* x0 y0 x1 y1 score, points */
};

static struct row rows[MAX_ROWS];
static int n_rows, skipped;

static void read_rows(struct phiz_ctx *ctx, const char *name)
{
	struct phiz_bytes text;
	char path[1024];

	n_rows = 0;
	phiz_bytes_init(&text, ctx);
	assert_ok(ctx, phiz_file_read(ctx, test_golden(name, path), 1 << 20, &text));
	for (char *line = strchr(text.data, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
		struct row *r = &rows[n_rows++];
		char *at = line + 1;
		assert_true(n_rows < MAX_ROWS);
		size_t n = strcspn(at, ",");
		assert_true(n < sizeof r->file);
		memcpy(r->file, at, n);
		r->file[n] = 0;
		r->exact = !strncmp(at + n, ",f64", 4);
		at += n + 5;
		r->empty = *at == ',';
		for (int k = 0; k < NUMBERS && !r->empty; k++, at++)
			r->number[k] = strtof(at, &at);
	}
	phiz_bytes_free(&text);
}

/* The larger, or b if it is no number. Not fmax, over which gcc 12 for ARM breaks down in some loops. */
static double worse(double a, double b)
{
	return b <= a ? a : b;
}

/* The largest difference of a box or a point, pixels. */
static double distance(const struct phiz_face *f, const struct row *r)
{
	const float box[4] = {f->box[0], f->box[1], f->box[0] + f->box[2], f->box[1] + f->box[3]};
	double worst = 0;

	for (int k = 0; k < 4; k++)
		worst = worse(worst, fabs((double)box[k] - (double)r->number[k]));
	for (int k = 0; k < 2 * PHIZ_LANDMARKS; k++)
		worst = worse(worst, fabs((double)f->landmark[k / 2][k % 2] - (double)r->number[5 + k]));
	return worst;
}

static bool same(const struct row *a, const struct row *b, double pixels)
{
	for (int k = 0; k < NUMBERS; k++)
		if (k != 4 && fabs((double)a->number[k] - (double)b->number[k]) > pixels)
			return false;
	return true;
}

/* Do float and double agree on this face? Where the reference knows float alone, it has to do. */
static bool settled(int i, bool both)
{
	if (!both)
		return true;
	for (int k = 0; k < n_rows; k++)
		if (rows[k].exact != rows[i].exact && !rows[k].empty && !strcmp(rows[k].file, rows[i].file) &&
		    same(&rows[k], &rows[i], 0.5))
			return true;
	return false;
}

static int find(const struct phiz_faces *faces, const struct row *r, double pixels)
{
	for (int i = 0; i < faces->n; i++)
		if (distance(&faces->face[i], r) <= pixels)
			return i;
	return -1;
}

/* How near a face must be to its row. */
struct limits {
	double pixels, score;
	bool both; /* the rows are float's and double's */
	int longer; /* sides of photos: larger ones are left out */
};

/* Every settled face is there, and every face that is there is one of the rows. */
static void compare(const struct phiz_faces *faces, const char *file, const struct limits *l, int *agreed)
{
	double pixels = l->pixels;

	for (int i = 0; i < n_rows; i++) {
		if (rows[i].empty || strcmp(rows[i].file, file))
			continue;
		int at = find(faces, &rows[i], pixels);
		if (at < 0 && settled(i, l->both))
			fail_msg("%s: no face at %g %g", file, (double)rows[i].number[0], (double)rows[i].number[1]);
		if (at >= 0 && !rows[i].exact) {
			assert_true(fabs((double)faces->face[at].score - (double)rows[i].number[4]) < l->score);
			++*agreed;
		}
	}
	for (int k = 0; k < faces->n; k++) {
		bool known = false;
		for (int i = 0; i < n_rows && !known; i++)
			known = !rows[i].empty && !strcmp(rows[i].file, file) && distance(&faces->face[k], &rows[i]) <= pixels;
		if (!known)
			fail_msg("%s: a face at %g %g that the reference does not have", file,
			         (double)faces->face[k].box[0], (double)faces->face[k].box[1]);
	}
}

static bool same_file(int i, int k) { return !strcmp(rows[i].file, rows[k].file); }

/* Detects in each photo of the rows, and gives back how many of float's faces were asked for. */
static int run_all(struct phiz_ctx *ctx, struct phiz_detector *d, const char *groups, const struct limits *l,
                   int *agreed)
{
	struct phiz_faces faces = {0};
	int wanted = 0;

	for (int i = 0; i < n_rows; i++) {
		struct phiz_image image;
		if (i > 0 && same_file(i, i - 1))
			continue;
		char *path = phiz_path_join(ctx, groups, rows[i].file);
		assert_ok(ctx, phiz_image_read(ctx, path, NULL, &image));
		if (image.width <= l->longer && image.height <= l->longer) {
			assert_ok(ctx, phiz_detector_run(d, &image, &faces));
			compare(&faces, rows[i].file, l, agreed);
			for (int k = i; k < n_rows && same_file(i, k); k++)
				wanted += !rows[k].exact && !rows[k].empty;
		}
		phiz_image_free(ctx, &image);
		phiz_free(ctx, path);
	}
	phiz_faces_free(ctx, &faces);
	return wanted;
}

static struct phiz_model *import_mtcnn(struct phiz_ctx *ctx, const char *const path[3])
{
	struct phiz_tensors t[3];
	struct phiz_model *m;

	for (int i = 0; i < 3; i++)
		assert_ok(ctx, phiz_tensors_read(ctx, path[i], &t[i]));
	assert_ok(ctx, phiz_import_mtcnn(ctx, t, path, &m));
	for (int i = 0; i < 3; i++)
		phiz_tensors_free(ctx, &t[i]);
	return m;
}

/* Boxes and points within a twentieth of a pixel of facenet-pytorch's, wherever float and double agree there. */
static void mtcnn(void **state)
{
	static const struct limits limits = {0.05, 2e-3, true, 950};
	char o[1024], p[1024], r[1024], groups[1024];
	const char *path[3] = {test_data("weights/mtcnn/onet.pt", o), test_data("weights/mtcnn/pnet.pt", p),
	                       test_data("weights/mtcnn/rnet.pt", r)};
	struct phiz_ctx *ctx;
	struct phiz_detector *d;
	int agreed = 0;

	(void)state;
	if (!path[0] || !path[1] || !path[2] || !test_data("faces/groups", groups)) {
		skipped++;
		skip();
	}
	ctx = test_ctx(2);
	read_rows(ctx, "detect_mtcnn.csv");
	assert_ok(ctx, phiz_detector_adopt(ctx, import_mtcnn(ctx, path), NULL, &d));
	int wanted = run_all(ctx, d, groups, &limits, &agreed);
	print_message("mtcnn: %d of %d faces within %g pixels\n", agreed, wanted, limits.pixels);
	assert_int_equal(wanted, 66);
	assert_true(agreed >= wanted - 1);
	phiz_detector_free(&d);
	test_ctx_done(&ctx);
}

/* A detector of one file of ONNX: every face of the reference, and no other. */
static void one_stage(const char *onnx, const char *csv, const struct limits *l, int faces)
{
	struct phiz_detector_options options = {.max_side = 4096}; /* no photo is made smaller: the reference does not */
	char file[1024], groups[1024];
	struct phiz_ctx *ctx;
	struct phiz_detector *d;
	struct phiz_model *model;
	const char *name;
	int agreed = 0;

	if (!test_data(onnx, file) || !test_data("faces/groups", groups)) {
		skipped++;
		skip();
	}
	ctx = test_ctx(2);
	read_rows(ctx, csv);
	assert_ok(ctx, phiz_onnx_read(ctx, file, 0, &model));
	assert_ok(ctx, phiz_onnx_known(model, &name));
	assert_ok(ctx, phiz_detector_adopt(ctx, model, &options, &d));
	int wanted = run_all(ctx, d, groups, l, &agreed);
	print_message("%s: %d of %d faces within %g pixels\n", name, agreed, wanted, l->pixels);
	assert_int_equal(wanted, faces);
	assert_int_equal(agreed, faces);
	phiz_detector_free(&d);
	test_ctx_done(&ctx);
}

/* OpenCV's FaceDetectorYN. */
static void yunet(void **state)
{
	static const struct limits limits = {0.01, 1e-5, false, 4096};

	(void)state;
	one_stage("weights/yunet/yunet_n_dynamic.onnx", "detect_yunet.csv", &limits, 62);
}

/* onnxruntime, decoded in numpy. */
static void ultralight(void **state)
{
	static const struct limits limits = {0.01, 1e-4, false, 4096};

	(void)state;
	one_stage("weights/ultralight/version-RFB-320.onnx", "detect_ultralight.csv", &limits, 61);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mtcnn),
		cmocka_unit_test(yunet),
		cmocka_unit_test(ultralight),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed ? failed : skipped == (int)(sizeof tests / sizeof tests[0]) ? 77 : 0;
}
