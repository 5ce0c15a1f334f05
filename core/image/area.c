/* Means over areas. For each row of the result the source rows are first added up column by column, then those sums
 * along the row: each source pixel is read once per result row that touches it. */
#include "core/image/area.h"

#include <string.h>

#include "core/base/thread.h"

/* TILE: values of a source row that are added up at a time. RESULTS: of a row that are made at a time. EXACT: the
 * largest window whose sum of bytes float holds exactly; a quotient of two such numbers is the same in float as when it
 * is rounded from double. */
enum { TILE = 1536, RESULTS = 256, CHANNELS = 3, EXACT = (1 << 24) / 255 };

static int first_of(int i, int from, int to) { return (int)((int64_t)i * from / to); }
static int end_of(int i, int from, int to) { return (int)((((int64_t)i + 1) * from + to - 1) / to); }

/* first_of and end_of of one result after the other, without dividing. */
struct steps {
	int to, whole, part; /* of the source for each result: whole + part / to */
	int at, rest;        /* the place reached: at + rest / to */
};

static void next_step(struct steps *s, int *x0, int *x1)
{
	*x0 = s->at;
	s->at += s->whole;
	s->rest += s->part;
	if (s->rest >= s->to) {
		s->rest -= s->to;
		s->at++;
	}
	*x1 = s->at + (s->rest > 0);
}

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
static double window_mean(const struct phiz_view *from, int x0, int x1, int y0, int y1, int c)
{
	uint64_t sum = 0;

	for (int y = y0; y < y1; y++) {
		const uint8_t *row = from->data + (size_t)y * from->stride;
		for (int x = x0; x < x1; x++)
			sum += row[x * from->channels + c];
	}
	return (double)sum / ((double)(x1 - x0) * (y1 - y0));
}

/* Some results of a row: their windows, and the sums over them. */
struct piece {
	int n, x0[RESULTS], x1[RESULTS];
	uint32_t column[TILE + CHANNELS]; /* of the source from x0[0] on, channels side by side; then zeros */
	int32_t sum[CHANNELS][RESULTS];
	float count[RESULTS];
};

/* Results from s on, at most `n`, as far as their windows fit into a tile; 0 if not even one does. */
static void find_windows(struct piece *p, struct steps *s, int n, int tile)
{
	p->n = 0;
	while (p->n < n && p->n < RESULTS) {
		struct steps before = *s;
		next_step(s, &p->x0[p->n], &p->x1[p->n]);
		if (p->x1[p->n] - p->x0[0] > tile) {
			*s = before;
			return;
		}
		p->n++;
	}
}

/* The sums, of windows that are `least` wide or one more. */
static void add_columns(struct piece *p, int channels, int least)
{
	for (int i = 0; i < p->n; i++) {
		const uint32_t *at = p->column + (p->x0[i] - p->x0[0]) * channels;
		uint32_t wider = p->x1[i] - p->x0[i] > least;
		for (int c = 0; c < channels; c++) {
			uint32_t sum = wider * at[least * channels + c];
			for (int k = 0; k < least; k++)
				sum += at[k * channels + c];
			p->sum[c][i] = (int32_t)sum;
		}
	}
}

static void write_means(const struct piece *p, int channels, float shift, float scale, float *out, size_t plane)
{
	for (int c = 0; c < channels; c++, out += plane)
		for (int i = 0; i < p->n; i++)
			out[i] = ((float)p->sum[c][i] / p->count[i] - shift) * scale;
}

/* One row of the result; y0, y1: the source rows. out: channel 0 of it, planes are `plane` apart. */
static void area_row(const struct phiz_view *from, int width, int y0, int y1, float shift, float scale, float *out,
                     size_t plane)
{
	int channels = from->channels, tile = TILE / channels;
	struct steps s = {width, from->width / width, from->width % width, 0, 0};
	int least = s.whole + (s.part > 0); /* windows are as wide as this or one wider */
	struct piece p;

	if ((int64_t)(least + 1) * (y1 - y0) > EXACT)
		tile = 0;
	for (int x = 0; x < width; x += p.n) {
		find_windows(&p, &s, width - x, tile);
		if (p.n == 0) {
			p.n = 1;
			next_step(&s, p.x0, p.x1);
			for (int c = 0; c < channels; c++)
				out[(size_t)c * plane + (size_t)x] =
					((float)window_mean(from, p.x0[0], p.x1[0], y0, y1, c) - shift) * scale;
			continue;
		}
		int columns = (p.x1[p.n - 1] - p.x0[0]) * channels;
		add_rows(from->data + (size_t)y0 * from->stride + (size_t)p.x0[0] * (size_t)channels, from->stride, y1 - y0,
		         columns, p.column);
		for (int c = 0; c < channels; c++)
			p.column[columns + c] = 0;
		add_columns(&p, channels, least);
		for (int i = 0; i < p.n; i++)
			p.count[i] = (float)((p.x1[i] - p.x0[i]) * (y1 - y0));
		write_means(&p, channels, shift, scale, out + x, plane);
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
