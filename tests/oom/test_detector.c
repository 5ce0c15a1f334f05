/* MTCNN, from its weights in the private data: opened and run with the k-th allocation failing, for every k.
 * (A detector of one stage: tests/unit.)
 * label: full */
#include "support/support.h"

#include <stdio.h>

#include <phiz/detector.h>

#include "core/io/import.h"

struct scene {
	char model[320], photo[1024];
};

static enum phiz_status open_and_run(struct phiz_ctx *ctx, void *user)
{
	const struct scene *s = user;
	struct phiz_detector *d = NULL;
	struct phiz_faces faces = {0};
	struct phiz_image image = {0};
	enum phiz_status status = phiz_detector_open(ctx, s->model, NULL, &d);

	if (!status)
		status = phiz_image_read(ctx, s->photo, NULL, &image);
	for (int i = 0; i < 2 && !status; i++) {
		status = phiz_detector_run(d, &image, &faces);
		assert_int_equal(faces.n, status ? 0 : 1);
	}
	phiz_image_free(ctx, &image);
	phiz_faces_free(ctx, &faces);
	phiz_detector_free(&d);
	return status;
}

static void write_model(struct phiz_ctx *ctx, const char *const path[3], const char *to)
{
	struct phiz_tensors t[3];
	struct phiz_model *m;

	for (int i = 0; i < 3; i++)
		assert_ok(ctx, phiz_tensors_read(ctx, path[i], &t[i]));
	assert_ok(ctx, phiz_import_mtcnn(ctx, t, path, &m));
	for (int i = 0; i < 3; i++)
		phiz_tensors_free(ctx, &t[i]);
	assert_ok(ctx, phiz_model_write(m, to));
	phiz_model_free(&m);
}

static int skipped;

static void mtcnn(void **state)
{
	char p[1024], r[1024], o[1024], dir[256];
	const char *path[3] = {test_data("weights/mtcnn/pnet.pt", p), test_data("weights/mtcnn/rnet.pt", r),
	                       test_data("weights/mtcnn/onet.pt", o)};
	struct scene s;
	struct phiz_ctx *ctx;

	(void)state;
	if (!path[0] || !path[1] || !path[2] || !test_data("faces/groups/portraits/obama_small.jpg", s.photo)) {
		skipped++;
		skip();
	}
	ctx = test_ctx(1);
	test_folder(dir);
	snprintf(s.model, sizeof s.model, "%s/mtcnn.phiz", dir);
	write_model(ctx, path, s.model);
	test_every_oom(ctx, open_and_run, &s);
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(mtcnn)};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed ? failed : skipped ? 77 : 0;
}
