/* Made-up photographs for tests: no faces, but pictures whose hashes differ as those of photos do. */
#ifndef PHIZ_TESTS_PHOTOS_H
#define PHIZ_TESTS_PHOTOS_H

#include "support/support.h"

/* A width x height PPM at "dir/name", with the folders above it. The picture is a function of scene; shift moves it to
 * the left by so many 1/64 of its width, light is added to all its values. */
void test_photo(struct phiz_ctx *ctx, const char *dir, const char *name, unsigned scene, int shift, int light,
                int width, int height);
/* A file of these bytes at "dir/name", with the folders above it. */
void test_file(struct phiz_ctx *ctx, const char *dir, const char *name, const void *data, size_t size);

#endif
