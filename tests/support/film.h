/* Small films for tests, made by GStreamer's own encoders. */
#ifndef PHIZ_TESTS_FILM_H
#define PHIZ_TESTS_FILM_H

#include <stdbool.h>

#include <phiz/image.h>

enum test_film_kind { TEST_FILM_MJPEG_AVI, TEST_FILM_VP8_WEBM, TEST_FILM_THEORA_OGG };

struct test_film;
/* NULL where phiz was built without GStreamer or the encoder is not installed. */
struct test_film *test_film_open(const char *path, enum test_film_kind kind, int fps);
/* RGB; with MJPEG the size may change from frame to frame. */
bool test_film_add(struct test_film *film, const struct phiz_image *image);
/* Writes the end. false if the film was NULL or could not be written. */
bool test_film_close(struct test_film **film);

#endif
