/* Frames of videos: films that GStreamer's own encoders make of pictures whose grey tells the frame's number; every
 * n-th frame, so many a second, a size that changes, damage, and what is no film. Skipped where phiz was built without
 * GStreamer or an encoder is missing. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include <phiz/video.h>

#include "core/base/file.h"
#include "support/film.h"
#include "support/photos.h"

#if defined(__SANITIZE_ADDRESS__)
/* GLib keeps a table from the moment it is loaded on. It is told by whole call stacks, so that leaks of frames are
 * still found. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__asan_default_options(void) { return "fast_unwind_on_malloc=0"; }
const char *__lsan_default_suppressions(void) { return "leak:_dl_init"; }
#endif

enum { FRAMES = 30 };

static struct phiz_image plain(struct phiz_ctx *ctx, int width, int height, int grey)
{
	struct phiz_image image;

	assert_ok(ctx, phiz_image_create(ctx, width, height, 3, &image));
	memset(image.data, grey, (size_t)width * (size_t)height * 3);
	return image;
}

/* Frame i is of grey 20 + 7 i, 25 a second. false: no encoder. */
static bool make(struct phiz_ctx *ctx, const char *path, enum test_film_kind kind, int changes)
{
	struct test_film *film = test_film_open(path, kind, 25);

	for (int i = 0; film && i < FRAMES; i++) {
		bool large = changes && i >= FRAMES / 2;
		struct phiz_image image = plain(ctx, large ? 96 : 64, large ? 80 : 48, 20 + 7 * i);
		assert_true(test_film_add(film, &image));
		phiz_image_free(ctx, &image);
	}
	return test_film_close(&film);
}

static int grey_of(const struct phiz_image *image)
{
	return image->data[((size_t)(image->height / 2) * (size_t)image->width + (size_t)(image->width / 2)) * 3];
}

static int read_all(struct phiz_ctx *ctx, const char *path, const struct phiz_video_options *o, int64_t index[],
                    int max)
{
	struct phiz_video *video;
	struct phiz_frame frame;
	bool end = false;
	int n = 0;

	assert_ok(ctx, phiz_video_open(ctx, path, o, &video));
	while (!end) {
		assert_ok(ctx, phiz_video_next(video, &frame, &end));
		if (end)
			break;
		assert_true(n < max && frame.image.channels == 3);
		assert_true(abs(grey_of(&frame.image) - (20 + 7 * (int)frame.index)) <= 5);
		assert_true(fabs(frame.time - (double)frame.index / 25) < 0.005);
		index[n++] = frame.index;
		phiz_image_free(ctx, &frame.image);
	}
	phiz_video_free(&video);
	return n;
}

static void check_kind(struct phiz_ctx *ctx, const char *dir, enum test_film_kind kind, const char *name)
{
	struct phiz_video_options third = {.every = 3}, slow = {.fps = 5}, fast = {.fps = 100};
	int64_t index[FRAMES + 1];
	char path[512];

	/* A name that would be a pipeline of its own, were it pasted into one. */
	snprintf(path, sizeof path, "%s/a \"b\" ! fakesink %s", dir, name);
	if (!make(ctx, path, kind, 0)) {
		printf("no encoder for %s here\n", name);
		return;
	}
	assert_int_equal(read_all(ctx, path, NULL, index, FRAMES), FRAMES);
	assert_true(index[0] == 0 && index[FRAMES - 1] == FRAMES - 1);
	assert_int_equal(read_all(ctx, path, &third, index, FRAMES), FRAMES / 3);
	for (int i = 0; i < FRAMES / 3; i++)
		assert_int_equal(index[i], 3 * i);
	assert_int_equal(read_all(ctx, path, &slow, index, FRAMES), 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(index[i], 5 * i);
	assert_int_equal(read_all(ctx, path, &fast, index, FRAMES), FRAMES);
}

static void test_kinds(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	char dir[256];

	(void)state;
	test_folder(dir);
	check_kind(ctx, dir, TEST_FILM_MJPEG_AVI, "x.avi");
	check_kind(ctx, dir, TEST_FILM_VP8_WEBM, "x.webm");
	check_kind(ctx, dir, TEST_FILM_THEORA_OGG, "x.ogv");
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

/* A JPEG stream may change its size in the middle. */
static void test_size_changes(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_video *video;
	struct phiz_frame frame;
	char dir[256], path[512];
	bool end = false;
	int sizes[2] = {0, 0};

	(void)state;
	test_folder(dir);
	snprintf(path, sizeof path, "%s/x.avi", dir);
	if (make(ctx, path, TEST_FILM_MJPEG_AVI, 1)) {
		assert_ok(ctx, phiz_video_open(ctx, path, NULL, &video));
		while (!end) {
			assert_ok(ctx, phiz_video_next(video, &frame, &end));
			sizes[0] += frame.image.width == 64 && frame.image.height == 48;
			sizes[1] += frame.image.width == 96 && frame.image.height == 80;
			phiz_image_free(ctx, &frame.image);
		}
		phiz_video_free(&video);
		assert_int_equal(sizes[0], FRAMES / 2);
		assert_int_equal(sizes[1], FRAMES / 2);
	}
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

/* Opens, and reads to the end or to the first error; gives the status. */
static enum phiz_status try(struct phiz_ctx *ctx, const char *path)
{
	struct phiz_video_options o = {.stall = 1};
	struct phiz_video *video;
	struct phiz_frame frame;
	bool end = false;
	enum phiz_status status = phiz_video_open(ctx, path, &o, &video);

	while (!status && !end) {
		status = phiz_video_next(video, &frame, &end);
		phiz_image_free(ctx, &frame.image);
	}
	phiz_video_free(&video);
	return status;
}

static void test_no_films(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	struct phiz_video_options bad[] = {{.every = -1}, {.fps = -1}, {.fps = 1001}, {.fps = NAN}};
	struct phiz_video *video;
	struct phiz_bytes whole;
	char dir[256], path[512];

	(void)state;
	test_folder(dir);
	snprintf(path, sizeof path, "%s/x.avi", dir);
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_video_open(ctx, path, NULL, &video));
	assert_null(video);
	test_file(ctx, dir, "x.avi", "", 0);
	assert_true(try(ctx, path) != PHIZ_OK);
	test_file(ctx, dir, "x.avi", "this is no film, but a text of some length, so that types are guessed", 69);
	assert_true(try(ctx, path) != PHIZ_OK);
	assert_message(ctx, "x.avi");
	assert_null(strchr(phiz_ctx_message(ctx), '\n'));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_fails(ctx, PHIZ_E_ARG, phiz_video_open(ctx, path, &bad[i], &video));
	/* Cut, and spoilt: an error or fewer frames, no crash and no leak. */
	phiz_bytes_init(&whole, ctx);
	if (make(ctx, path, TEST_FILM_MJPEG_AVI, 0)) {
		assert_ok(ctx, phiz_file_read(ctx, path, 1 << 24, &whole));
		for (size_t n = 10; n < whole.size; n = n * 3) {
			test_file(ctx, dir, "cut.avi", whole.data, n);
			snprintf(path, sizeof path, "%s/cut.avi", dir);
			(void)try(ctx, path);
		}
		for (size_t i = 0; i < whole.size; i += 97)
			whole.data[i] = (char)(whole.data[i] ^ 0x55);
		test_file(ctx, dir, "cut.avi", whole.data, whole.size);
		(void)try(ctx, path);
	}
	phiz_bytes_free(&whole);
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

/* A film that is left in the middle, many times. */
static void test_left(void **state)
{
	struct phiz_ctx *ctx = test_ctx(1);
	char dir[256], path[512];

	(void)state;
	test_folder(dir);
	snprintf(path, sizeof path, "%s/x.avi", dir);
	if (make(ctx, path, TEST_FILM_MJPEG_AVI, 0))
		for (int i = 0; i < 10; i++) {
			struct phiz_video *video;
			struct phiz_frame frame;
			bool end;

			assert_ok(ctx, phiz_video_open(ctx, path, NULL, &video));
			for (int k = 0; k < i; k++) {
				assert_ok(ctx, phiz_video_next(video, &frame, &end));
				phiz_image_free(ctx, &frame.image);
			}
			phiz_video_free(&video);
			assert_null(video);
		}
	test_folder_done(dir);
	test_ctx_done(&ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),    cmocka_unit_test(test_size_changes),
		cmocka_unit_test(test_no_films), cmocka_unit_test(test_left),
	};

	if (!phiz_video_available()) {
		puts("phiz was built without GStreamer");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
