/* Means over areas. For each row of the result the source rows are first added up column by column, then those sums
 * along the row: each source pixel is read once per result row that touches it. */
#include "core/image/area.h"

#include <string.h>

#include "core/base/thread.h"

enum { TILE = 1536 }; /* values of a source row that are added up at a time */

static int first_of(int i, int from, int to) { return (int)((int64_t)i * from / to); }
static int end_of(int i, int from, int to) { return (int)((((int64_t)i + 1) * from + to - 1) / to); }

/* sum[k] = of `rows` rows at data[k], k < n <= TILE. */
static void add_rows(const uint8_t *data, size_t stride, int rows, int n, uint32_t *sum)
{
	for (int k = 0; k < n; k++)
		sum[k] = data[k];
	for (int r = 1; r < rows; r++) {
		data += stride;
		for (int k = 0; k < n; k++)
			sum[k] += data[k];
	}
}

/* A window of any size, for results that are far smaller than the source. */
static uint64_t add_window(const struct phiz_view *from, int x0, int x1, int y0, int y1, int c)
{
	uint64_t sum = 0;

	for (int y = y0; y < y1; y++) {
		const uint8_t *row = from->data + (size_t)y * from->stride;
		for (int x = x0; x < x1; x++)
			sum += row[x * from->channels + c];
	}
	return sum;
}

/* One row of the result; y0, y1: the source rows. out: channel 0 of it, planes are `plane` apart. */
static void area_row(const struct phiz_view *from, int width, int y0, int y1, float shift, float scale, float *out,
                     size_t plane)
{
	uint32_t column[TILE];
	int channels = from->channels, tile = TILE / channels;

	for (int x = 0; x < width;) {
		int left = first_of(x, from->width, width), right = end_of(x, from->width, width), last = x + 1;
		bool fits = right - left <= tile;
		for (; fits && last < width && end_of(last, from->width, width) - left <= tile; last++)
			right = end_of(last, from->width, width);
		if (fits)
			add_rows(from->data + (size_t)y0 * from->stride + (size_t)left * (size_t)channels, from->stride, y1 - y0,
			         (right - left) * channels, column);
		for (; x < last; x++) {
			int x0 = first_of(x, from->width, width), x1 = end_of(x, from->width, width);
			double count = (double)(x1 - x0) * (y1 - y0);
			for (int c = 0; c < channels; c++) {
				uint64_t sum = 0;
				if (fits)
					for (int k = x0 - left; k < x1 - left; k++)
						sum += column[k * channels + c];
				else
					sum = add_window(from, x0, x1, y0, y1, c);
				out[(size_t)c * plane + (size_t)x] = ((float)((double)sum / count) - shift) * scale;
			}
		}
	}
}

void phiz_area_rows(const struct phiz_view *from, int width, int height, int y0, int y1, float shift, float scale,
                    float *out)
{
	for (int y = y0; y < y1; y++)
		area_row(from, width, first_of(y, from->height, height), end_of(y, from->height, height), shift, scale,
		         out + (size_t)y * (size_t)width, (size_t)width * (size_t)height);
}

struct job {
	const struct phiz_view *from;
	int width, height;
	float shift, scale, *out;
};

static void do_rows(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct job *j = arg;

	(void)worker;
	phiz_area_rows(j->from, j->width, j->height, (int)begin, (int)end, j->shift, j->scale, j->out);
}

void phiz_area_planes(struct phiz_ctx *ctx, const struct phiz_view *from, int width, int height, float shift,
                      float scale, float *out)
{
	struct job j = {from, width, height, shift, scale, out};

	phiz_parallel_for(ctx, height, 16, do_rows, &j);
}
