/* Small fixed jobs whose instructions tests/e2e/test_count.py counts under valgrind: bench_count runs each
 * once in a function of its own, count_NAME, which is what callgrind looks at. "bench_count --build" prints the
 * compiler and whether this build and processor are of the kind that counts are kept for. needs: train */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <phiz/detector.h>
#include <phiz/plan.h>

#include "core/base/error.h"
#include "core/base/rng.h"
#include "core/cpu/features.h"
#include "support/op_case.h"
#include "support/spots.h"
#include "train/trainnet.h"

#define COUNTED __attribute__((noinline, used))

/* One operator with the kernels that a plan takes for it: [0] forward, [1] backward. */
struct op_job {
	struct op_run run;
	const struct phiz_kernel *kernel[2];
	void *workspace[2];
	size_t workspace_bytes[2];
};

struct jobs {
	struct phiz_ctx *ctx;
	struct phiz_model *tiny;
	struct phiz_trainnet *net;
	struct op_job conv3x3, depthwise, pointwise;
	struct phiz_detector *detector;
	struct phiz_image frame, photo;
	struct phiz_faces faces;
	struct phiz_preproc preproc;
	float *input;
};

enum { BATCH = 8, SIZE = 32 };
void count_train_tiny(struct jobs *j);
void count_conv3x3(struct jobs *j);
void count_depthwise(struct jobs *j);
void count_pointwise(struct jobs *j);
void count_detector(struct jobs *j);
void count_preproc(struct jobs *j);

static void noise(float *x, int64_t n)
{
	struct phiz_rng rng;
	phiz_rng_init(&rng, 1, 0, 0, PHIZ_STREAM_TEST);
	for (int64_t i = 0; i < n; i++)
		x[i] = (float)phiz_rng_uniform(&rng, -2, 2);
}

/* A step of the trainer without the optimiser: tiny, 8 photos of 32 pixels, forward, loss, backward. */
COUNTED void count_train_tiny(struct jobs *j)
{
	static const int32_t labels[BATCH] = {0, 1, 2, 3, 4, 5, 6, 7};
	float *features[PHIZ_MAX_FEATURES];
	const float *logits;
	double loss;

	assert_ok(j->ctx, phiz_trainnet_begin(j->net, false, BATCH, features));
	memcpy(features[0], j->input, sizeof(float) * BATCH * 3 * SIZE * SIZE);
	assert_ok(j->ctx, phiz_trainnet_forward(j->net, BATCH, labels, NULL, 0, 0, &loss, &logits));
	assert_ok(j->ctx, phiz_trainnet_backward(j->net, false, 1));
}

static void run_op(struct op_job *o)
{
	for (int backward = 0; backward < 2; backward++) {
		o->run.call.workspace = o->workspace[backward];
		o->run.call.workspace_bytes = o->workspace_bytes[backward];
		(backward ? op_run_backward : op_run_forward)(&o->run, o->kernel[backward]);
	}
}

/* Convolutions, forward and both gradients: as ResNets have them, and as MobileFaceNet has them. */
COUNTED void count_conv3x3(struct jobs *j) { run_op(&j->conv3x3); }
COUNTED void count_depthwise(struct jobs *j) { run_op(&j->depthwise); }
COUNTED void count_pointwise(struct jobs *j) { run_op(&j->pointwise); }

/* One frame of 640x480 through a detector with a small network: scaling, network, boxes, suppression. */
COUNTED void count_detector(struct jobs *j)
{
	assert_ok(j->ctx, phiz_detector_run(j->detector, &j->frame, &j->faces));
}

/* A photo of 250x250 to the input of a network. */
COUNTED void count_preproc(struct jobs *j)
{
	assert_ok(j->ctx, phiz_preproc_run(j->ctx, &j->preproc, &j->photo, j->input));
}

static void prepare_op(struct phiz_ctx *ctx, const char *text, struct op_job *o)
{
	struct op_case c;

	op_case_parse(&c, text);
	op_run_start(&o->run, ctx, &c, PHIZ_F32);
	op_run_fill(&o->run, 1);
	op_run_block(&o->run, OP_BLOCK_ALL); /* as plans lay them */
	for (int backward = 0; backward < 2; backward++) {
		o->kernel[backward] = phiz_backend_cpu()->find(ctx, &o->run.call, PHIZ_F32, backward);
		assert_true(o->kernel[backward] && o->kernel[backward]->blocked);
		op_run_workspace(&o->run, o->kernel[backward], backward);
		o->workspace[backward] = o->run.call.workspace;
		o->workspace_bytes[backward] = o->run.call.workspace_bytes;
	}
}

static void prepare_pictures(struct jobs *j)
{
	struct phiz_rng rng;

	assert_ok(j->ctx, phiz_detector_adopt(j->ctx, test_spot_detector(j->ctx, NULL), NULL, &j->detector));
	assert_ok(j->ctx, phiz_image_create(j->ctx, 640, 480, 3, &j->frame));
	memset(j->frame.data, 0, 640 * 480 * 3);
	for (size_t i = 0; i < 12; i++) /* a face each (support/spots.h) */
		memset(j->frame.data + (8 * (4 * i + 2) * 640 + 8 * (6 * i + 3)) * 3, 230, 2);
	assert_ok(j->ctx, phiz_image_create(j->ctx, 250, 250, 3, &j->photo));
	phiz_rng_init(&rng, 2, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < 250 * 250 * 3; i++)
		j->photo.data[i] = (uint8_t)phiz_rng_below(&rng, 256);
	phiz_preproc_torchvision(&j->preproc);
}

static void prepare(struct jobs *j)
{
	struct phiz_trainnet_options o = {.batch = BATCH, .size = SIZE};

	j->ctx = test_ctx(1);
	j->input = calloc(3 * 224 * 224, sizeof *j->input);
	noise(j->input, BATCH * 3 * SIZE * SIZE);
	assert_ok(j->ctx, phiz_model_from_cfg(j->ctx, phiz_net_builtin("tiny"), "tiny", 0, SIZE, 1, &j->tiny));
	assert_ok(j->ctx, phiz_trainnet_create(j->tiny, &o, &j->net));
	prepare_op(j->ctx, "conv2d [1,64,28,28] [64,64,3,3] pad_top=1 pad_left=1 pad_bottom=1 pad_right=1", &j->conv3x3);
	prepare_op(j->ctx, "conv2d [1,64,28,28] [64,1,3,3] groups=64 pad_top=1 pad_left=1 pad_bottom=1 pad_right=1",
	           &j->depthwise);
	prepare_op(j->ctx, "conv2d [1,128,28,28] [64,128,1,1]", &j->pointwise);
	prepare_pictures(j);
}

static void finish(struct jobs *j)
{
	op_run_done(&j->conv3x3.run);
	op_run_done(&j->depthwise.run);
	op_run_done(&j->pointwise.run);
	phiz_trainnet_free(&j->net);
	phiz_model_free(&j->tiny);
	phiz_detector_free(&j->detector);
	phiz_faces_free(j->ctx, &j->faces);
	phiz_image_free(j->ctx, &j->frame);
	phiz_image_free(j->ctx, &j->photo);
	free(j->input);
	test_ctx_done(&j->ctx);
}

static int print_build(void)
{
	bool sanitized = false, optimized = false;
	char features[64];

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	sanitized = true;
#endif
#if defined(__OPTIMIZE__)
	optimized = true;
#endif
#if defined(__clang__)
	printf("clang %d.%d\n", __clang_major__, __clang_minor__);
#else
	printf("gcc %d.%d\n", __GNUC__, __GNUC_MINOR__);
#endif
	printf("%s\n%s\n", optimized && !sanitized ? "release" : "debug",
	       phiz_cpu_features_text(phiz_cpu_features(), features));
	return 0;
}

/* A test, so that the support library's checks say what went wrong. */
static void run_jobs(void **state)
{
	struct jobs j = {0};

	(void)state;
	prepare(&j);
	assert_ok(j.ctx, phiz_detector_run(j.detector, &j.frame, &j.faces)); /* its first frame of a size makes a plan */
	count_train_tiny(&j);
	count_conv3x3(&j);
	count_depthwise(&j);
	count_pointwise(&j);
	count_detector(&j);
	count_preproc(&j);
	assert_true(j.faces.n > 0);
	finish(&j);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(run_jobs)};

	if (argc > 1 && !strcmp(argv[1], "--build"))
		return print_build();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
