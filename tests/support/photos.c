#include "support/photos.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "core/base/rng.h"

#define GRID 9

void test_file(struct phiz_ctx *ctx, const char *dir, const char *name, const void *data, size_t size)
{
	char path[1024], *slash;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_ok(ctx, phiz_dir_make(ctx, path));
	*slash = '/';
	assert_ok(ctx, phiz_file_write(ctx, path, data, size));
}

/* A grid of random values, interpolated linearly. */
static double value_at(double grid[GRID][GRID + 4], double x, double y)
{
	int ix = (int)x, iy = (int)y;
	double fx = x - ix, fy = y - iy;
	double top = grid[iy][ix] * (1 - fx) + grid[iy][ix + 1] * fx;
	double bottom = grid[iy + 1][ix] * (1 - fx) + grid[iy + 1][ix + 1] * fx;

	return top * (1 - fy) + bottom * fy;
}

void test_photo(struct phiz_ctx *ctx, const char *dir, const char *name, unsigned scene, int shift, int light,
                int width, int height)
{
	double grid[GRID][GRID + 4];
	struct phiz_rng rng;
	struct phiz_bytes b;

	phiz_rng_init(&rng, scene, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < GRID; i++)
		for (int k = 0; k < GRID + 4; k++)
			grid[i][k] = phiz_rng_uniform(&rng, 20, 200);
	phiz_bytes_init(&b, ctx);
	phiz_bytes_printf(&b, "P6\n%d %d\n255\n", width, height);
	for (int y = 0; y < height; y++) {
		for (int x = 0; x < width; x++) {
			double u = (double)(GRID - 1) * (x / (double)width + shift / 64.0), v = (double)(GRID - 1) * y / height;
			int value = (int)value_at(grid, u, v) + light;
			phiz_bytes_u8(&b, (unsigned)value);
			phiz_bytes_u8(&b, (unsigned)(value / 2 + 40));
			phiz_bytes_u8(&b, (unsigned)(255 - value));
		}
	}
	assert_ok(ctx, phiz_bytes_status(&b));
	test_file(ctx, dir, name, b.data, b.size);
	phiz_bytes_free(&b);
}
