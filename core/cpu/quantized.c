#include "core/cpu/quantized.h"

#include <string.h>

#include "core/base/thread.h"
#include "core/ops/ops.h"
#include "core/ops/quantized.h"

enum {
	SLAB = PHIZ_SLAB, GROUP = PHIZ_FILTER_GROUP, THIN_CHANNELS = 4, THIN_PIXEL = 8, THIN_TAPS = 8,
	MOST_STRIDE = 4,
	CHUNK_POSITIONS = 128, /* of a piece of the work: its pixels stay in the first-level cache under all its filters */
	PACK_ROWS = 8          /* rows that a thread lays out at a time */
};

/* A call, and how its picture and filters are laid out. Sizes in bytes are those of narrow bytes; `unit` is 2 where
 * they become 16 bits. */
struct quantized {
	const struct phiz_quantized_micro *micro;
	const uint8_t *in;
	const int8_t *weight;
	const float *scale, *bias, *slope;
	const uint8_t *residual;
	uint8_t *out;
	float *real; /* of linear, instead of out */
	bool in_blocked, out_blocked, thin;
	int64_t n, c, h, w, k, r, s, p, q;
	int64_t stride_h, stride_w, dilation_h, dilation_w, top, left;
	int input_zero, residual_zero, output_zero;
	float residual_scale, low;

	int unit, blocks, slabs, groups; /* blocks of channels; groups of filters, a multiple of the tile's */
	/* Pictures that are needed: remainder of the row * stride_w + that of the column; their size in positions. */
	int phases, phase[MOST_STRIDE * MOST_STRIDE];
	int64_t rows, pitch;
	int64_t step, row_bytes, phase_bytes, block_bytes, image_bytes, positions;

	/* Constants, or the workspace's begin. */
	int8_t *filters;
	int32_t *shift; /* [groups * 16], and so the next three */
	float *scales, *biases, *slopes;
	/* Workspace. */
	int32_t *offset;
	uint8_t *picture;
	char *scratch;
};

static void describe_sizes(const struct phiz_call *call, struct quantized *z)
{
	const int64_t *x = call->in[PHIZ_QUANTIZED_INPUT].shape.dim, *w = call->in[PHIZ_QUANTIZED_WEIGHT].shape.dim;
	const union phiz_attr *a = call->node->attr;

	z->n = x[0];
	z->c = x[1];
	z->k = w[0];
	if (call->node->op == &phiz_op_quantized_linear) {
		z->h = z->w = z->r = z->s = z->p = z->q = 1;
		z->stride_h = z->stride_w = z->dilation_h = z->dilation_w = 1;
		z->input_zero = (int)a[PHIZ_QUANTIZED_LINEAR_INPUT_ZERO].i;
		z->real = call->out[0].data;
		return;
	}
	z->h = x[2];
	z->w = x[3];
	z->r = w[2];
	z->s = w[3];
	z->p = call->out[0].shape.dim[2];
	z->q = call->out[0].shape.dim[3];
	z->stride_h = a[PHIZ_CONV2D_STRIDE_H].i;
	z->stride_w = a[PHIZ_CONV2D_STRIDE_W].i;
	z->dilation_h = a[PHIZ_CONV2D_DILATION_H].i;
	z->dilation_w = a[PHIZ_CONV2D_DILATION_W].i;
	z->top = a[PHIZ_CONV2D_PAD_TOP].i;
	z->left = a[PHIZ_CONV2D_PAD_LEFT].i;
	z->input_zero = (int)a[PHIZ_QUANTIZED_CONV2D_INPUT_ZERO].i;
	z->residual_zero = (int)a[PHIZ_QUANTIZED_CONV2D_RESIDUAL_ZERO].i;
	z->output_zero = (int)a[PHIZ_QUANTIZED_CONV2D_OUTPUT_ZERO].i;
	z->residual_scale = (float)a[PHIZ_QUANTIZED_CONV2D_RESIDUAL_SCALE].f;
	z->low = a[PHIZ_QUANTIZED_CONV2D_RELU].i ? 0 : (float)-z->output_zero;
	z->out = call->out[0].data;
	z->residual = call->in[PHIZ_QUANTIZED_RESIDUAL].data;
	z->slope = call->in[PHIZ_QUANTIZED_SLOPE].data;
	z->in_blocked = call->in[PHIZ_QUANTIZED_INPUT].layout == PHIZ_BLOCKED;
	z->out_blocked = call->out[0].layout == PHIZ_BLOCKED;
}

static bool needs_phase(const struct quantized *z, int64_t y, int64_t x)
{
	if (z->thin) { /* pairs of rows; all columns lie in one picture */
		for (int64_t r = 0; r < z->r; r += 2)
			if (r % z->stride_h == y && x == 0)
				return true;
		return false;
	}
	for (int64_t r = 0; r < z->r; r++)
		for (int64_t s = 0; s < z->s; s++)
			if (r * z->dilation_h % z->stride_h == y && s * z->dilation_w % z->stride_w == x)
				return true;
	return false;
}

static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

static void describe(const struct phiz_call *call, const struct phiz_quantized_micro *micro, struct quantized *z)
{
	memset(z, 0, sizeof *z);
	z->micro = micro;
	z->in = call->in[PHIZ_QUANTIZED_INPUT].data;
	z->weight = call->in[PHIZ_QUANTIZED_WEIGHT].data;
	z->scale = call->in[PHIZ_QUANTIZED_SCALE].data;
	z->bias = call->in[PHIZ_QUANTIZED_BIAS].data;
	describe_sizes(call, z);
	z->unit = micro->wide ? 2 : 1;
	z->thin = !z->in_blocked && z->c <= THIN_CHANNELS && z->dilation_h == 1 && z->dilation_w == 1 && z->h * z->w > 1;
	for (int64_t y = 0; y < z->stride_h; y++)
		for (int64_t x = 0; x < z->stride_w; x++)
			if (needs_phase(z, y, x))
				z->phase[z->phases++] = (int)(y * z->stride_w + x);
	z->rows = z->p + (z->r - 1) * z->dilation_h / z->stride_h;
	if (z->thin) {
		z->blocks = 1;
		z->slabs = (int)(divide_up(z->r, 2) * divide_up(z->s, THIN_TAPS));
		z->step = z->stride_w * THIN_PIXEL;
		z->pitch = z->q - 1 + divide_up(divide_up(z->s, THIN_TAPS) * THIN_TAPS, z->stride_w);
	} else {
		z->blocks = (int)divide_up(z->c, SLAB);
		z->slabs = (int)(z->blocks * z->r * z->s);
		z->step = SLAB;
		z->pitch = z->q + (z->s - 1) * z->dilation_w / z->stride_w;
	}
	z->groups = (int)(divide_up(z->k, GROUP * micro->groups) * micro->groups);
	z->row_bytes = z->pitch * z->step;
	z->phase_bytes = z->rows * z->row_bytes;
	z->block_bytes = z->phases * z->phase_bytes;
	z->image_bytes = z->blocks * z->block_bytes;
	z->positions = micro->steps ? (z->p - 1) * z->pitch + z->q : z->p * z->q;
}

/* --- Memory --- */

struct place {
	char *memory;
	size_t used;
};

static void *take(struct place *place, size_t bytes)
{
	void *here = place->memory ? place->memory + place->used : NULL;

	place->used += (bytes + 63) & ~(size_t)63;
	return here;
}

static void place_constants(struct quantized *z, struct place *place)
{
	size_t filters = (size_t)z->groups * GROUP;

	z->filters = take(place, filters * (size_t)z->slabs * SLAB * (size_t)z->unit);
	z->shift = take(place, filters * sizeof *z->shift);
	z->scales = take(place, filters * sizeof(float));
	z->biases = take(place, filters * sizeof(float));
	z->slopes = take(place, filters * sizeof(float));
}

static int chunk_positions(const struct quantized *z)
{
	return CHUNK_POSITIONS / z->micro->pixels * z->micro->pixels;
}

/* Of a thread: where the positions of a chunk lie and where they go, sums of two tiles, pixels on their way from and to
 * plain tensors. */
struct scratch {
	int32_t *at, *to, *sum[2];
	uint8_t *pixels, *residual;
};

static size_t place_scratch(const struct quantized *z, char *memory, struct scratch *out)
{
	struct place place = {memory, 0};
	size_t tile = (size_t)z->micro->pixels * GROUP;

	out->at = take(&place, (size_t)chunk_positions(z) * sizeof(int32_t));
	out->to = take(&place, (size_t)chunk_positions(z) * sizeof(int32_t));
	for (int i = 0; i < 2; i++)
		out->sum[i] = take(&place, tile * (size_t)z->micro->groups * sizeof(int32_t));
	out->pixels = take(&place, tile);
	out->residual = take(&place, tile);
	return place.used;
}

static size_t place_all(struct quantized *z, const void *constants, char *workspace, int threads)
{
	struct place kept = {(char *)(uintptr_t)constants, 0}, place = {workspace, 0}; /* constants are only read */
	struct scratch scratch;

	place_constants(z, constants ? &kept : &place);
	z->offset = take(&place, (size_t)z->slabs * sizeof *z->offset);
	/* The last tile reads on behind the last position. */
	z->picture = take(&place, (size_t)(z->n * z->image_bytes + z->micro->pixels * z->step + SLAB) * (size_t)z->unit);
	z->scratch = workspace ? workspace + place.used : NULL;
	return place.used + place_scratch(z, NULL, &scratch) * (size_t)threads;
}

bool phiz_quantized_conv2d_supports(const struct phiz_call *call)
{
	static const struct phiz_quantized_micro widest = {.pixels = 32, .groups = 4, .wide = true};
	const struct phiz_tensor *residual = &call->in[PHIZ_QUANTIZED_RESIDUAL];
	struct quantized z;

	if (call->node->attr[PHIZ_CONV2D_GROUPS].i != 1 || call->node->attr[PHIZ_CONV2D_STRIDE_H].i > MOST_STRIDE ||
	    call->node->attr[PHIZ_CONV2D_STRIDE_W].i > MOST_STRIDE)
		return false;
	if (residual->shape.ndim >= 0 && residual->layout != call->out[0].layout)
		return false;
	describe(call, &widest, &z);
	return z.image_bytes < INT32_MAX / 4 && z.k * z.p * z.q < INT32_MAX / 4 && z.groups < INT32_MAX / 64;
}

size_t phiz_quantized_workspace(const struct phiz_call *call, int threads, const struct phiz_quantized_micro *micro)
{
	struct quantized z;

	describe(call, micro, &z);
	return place_all(&z, NULL, NULL, threads);
}

size_t phiz_quantized_constants(const struct phiz_call *call, const struct phiz_quantized_micro *micro)
{
	struct place place = {NULL, 0};
	struct quantized z;

	describe(call, micro, &z);
	place_constants(&z, &place);
	return place.used;
}

/* --- Filters --- */

/* Byte i of slab t of filter k. */
static int8_t weight_at(const struct quantized *z, int64_t k, int t, int i)
{
	int64_t c, r, s;

	if (z->thin) {
		int64_t across = divide_up(z->s, THIN_TAPS);
		r = t / across * 2 + i / THIN_CHANNELS % 2;
		s = t % across * THIN_TAPS + i / THIN_PIXEL;
		c = i % THIN_CHANNELS;
	} else {
		int64_t taps = z->r * z->s;
		r = t % taps / z->s;
		s = t % z->s;
		c = t / taps * SLAB + i;
	}
	return k < z->k && c < z->c && r < z->r && s < z->s ? z->weight[((k * z->c + c) * z->r + r) * z->s + s] : 0;
}

struct filling {
	const struct quantized *z;
};

static void fill_groups(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct quantized *z = ((const struct filling *)arg)->z;
	const int together = 4 / z->unit; /* bytes of a filter side by side */
	(void)worker;
	for (int64_t k = begin * GROUP; k < end * GROUP; k++) {
		int32_t sum = 0;
		for (int t = 0; t < z->slabs; t++)
			for (int i = 0; i < SLAB; i++) {
				int64_t at = k / GROUP * z->slabs + t;
				int8_t v = weight_at(z, k, t, i);
				at = ((at * (SLAB / together) + i / together) * GROUP + k % GROUP) * together + i % together;
				if (z->unit == 2)
					((int16_t *)(void *)z->filters)[at] = v;
				else
					z->filters[at] = v;
				sum += v;
			}
		bool there = k < z->k;
		z->shift[k] = -z->input_zero * sum;
		z->scales[k] = there ? z->scale[k] : 0;
		z->biases[k] = there ? z->bias[k] : 0;
		z->slopes[k] = there && z->slope ? z->slope[k] : 0;
	}
}

void phiz_quantized_prepare(const struct phiz_call *call, void *constants, const struct phiz_quantized_micro *micro)
{
	struct place place = {constants, 0};
	struct quantized z;
	struct filling filling = {&z};

	describe(call, micro, &z);
	place_constants(&z, &place);
	phiz_parallel_for(call->ctx, z.groups, 1, fill_groups, &filling);
}

/* --- The picture --- */

static void fill_offsets(const struct quantized *z)
{
	int index[MOST_STRIDE * MOST_STRIDE] = {0}, at = 0;

	for (int i = 0; i < z->phases; i++)
		index[z->phase[i]] = i;
	if (z->thin) {
		for (int64_t r = 0; r < z->r; r += 2)
			for (int64_t s = 0; s < z->s; s += THIN_TAPS)
				z->offset[at++] = (int32_t)((index[r % z->stride_h * z->stride_w] * z->phase_bytes +
				                             r / z->stride_h * z->row_bytes + s * THIN_PIXEL) * z->unit);
		return;
	}
	for (int b = 0; b < z->blocks; b++)
		for (int64_t r = 0; r < z->r; r++)
			for (int64_t s = 0; s < z->s; s++) {
				int64_t y = r * z->dilation_h, x = s * z->dilation_w;
				int64_t phase = index[y % z->stride_h * z->stride_w + x % z->stride_w];
				int64_t place = y / z->stride_h * z->row_bytes + x / z->stride_w * z->step;
				z->offset[at++] = (int32_t)((b * z->block_bytes + phase * z->phase_bytes + place) * z->unit);
			}
}

/* n elements of what stands for 0. */
static void put_zeros(const struct quantized *z, uint8_t *to, int64_t n)
{
	if (z->unit == 1)
		memset(to, z->input_zero, (size_t)n);
	for (int64_t i = 0; z->unit == 2 && i < n; i++)
		((uint16_t *)(void *)to)[i] = (uint16_t)z->input_zero;
}

static void put(const struct quantized *z, uint8_t *to, const uint8_t *from, int64_t n)
{
	if (z->unit == 1)
		memcpy(to, from, (size_t)n);
	for (int64_t i = 0; z->unit == 2 && i < n; i++)
		((uint16_t *)(void *)to)[i] = from[i];
}

/* Pixels [begin, end) of a row whose pixel j is column j * stride + first of the picture lie inside of its width. */
static void inside(int64_t first, int64_t stride, int64_t width, int64_t count, int64_t *begin, int64_t *end)
{
	*begin = first < 0 ? divide_up(-first, stride) : 0;
	*end = first < width ? (width - 1 - first) / stride + 1 : 0;
	*begin = *begin < count ? *begin : count;
	*end = *end < count ? *end : count;
	*end = *end > *begin ? *end : *begin;
}

/* Row y of image n, block b, from column `first` on, every stride_w-th pixel: `pitch` pixels of 64 channels. */
static void pack_row(const struct quantized *z, int64_t n, int64_t b, int64_t y, int64_t first, uint8_t *to)
{
	const int64_t area = z->h * z->w, channels = z->c - b * SLAB < SLAB ? z->c - b * SLAB : SLAB;
	int64_t begin, end;

	inside(first, z->stride_w, z->w, y >= 0 && y < z->h ? z->pitch : 0, &begin, &end);
	put_zeros(z, to, begin * SLAB);
	put_zeros(z, to + end * SLAB * z->unit, (z->pitch - end) * SLAB);
	if (z->in_blocked) {
		const uint8_t *row = z->in + ((n * z->blocks + b) * area + y * z->w) * SLAB;
		if (z->stride_w == 1 && end > begin)
			put(z, to + begin * SLAB * z->unit, row + (first + begin) * SLAB, (end - begin) * SLAB);
		for (int64_t j = begin; z->stride_w > 1 && j < end; j++)
			put(z, to + j * SLAB * z->unit, row + (first + j * z->stride_w) * SLAB, SLAB);
		return;
	}
	if (channels < SLAB)
		put_zeros(z, to, z->pitch * SLAB);
	for (int64_t c = 0; c < channels; c++) {
		const uint8_t *plane = z->in + (n * z->c + b * SLAB + c) * area;
		for (int64_t j = begin; j < end; j++)
			put(z, to + (j * SLAB + c) * z->unit, plane + y * z->w + first + j * z->stride_w, 1);
	}
}

/* Row y of three planes as words of four bytes, at every second word of `to`. */
static void pack_words(const struct quantized *z, int64_t n, int64_t y, uint32_t *to)
{
	const int64_t area = z->h * z->w, count = z->pitch * z->stride_w;
	const uint32_t zero = (uint32_t)z->input_zero;
	int64_t begin, end;

	inside(-z->left, 1, z->w, y >= 0 && y < z->h ? count : 0, &begin, &end);
	const uint8_t *a = z->in + n * 3 * area + (end > begin ? y * z->w + begin - z->left : 0);
	for (int64_t j = 0; j < begin; j++)
		to[2 * j] = zero * 0x01010101u;
	for (int64_t j = begin; j < end; j++, a++)
		to[2 * j] = a[0] | (uint32_t)a[area] << 8 | (uint32_t)a[2 * area] << 16 | zero << 24;
	for (int64_t j = end; j < count; j++)
		to[2 * j] = zero * 0x01010101u;
}

/* Rows y and y + 1 of a photograph, pixel by pixel: [pixel][row][4 channels]. */
static void pack_thin_row(const struct quantized *z, int64_t n, int64_t y, uint8_t *to)
{
	const int64_t area = z->h * z->w, count = z->pitch * z->stride_w;
	int64_t begin, end;

	if (z->c == 3 && z->unit == 1) {
		pack_words(z, n, y, (uint32_t *)(void *)to);
		pack_words(z, n, y + 1, (uint32_t *)(void *)to + 1);
		return;
	}
	put_zeros(z, to, count * THIN_PIXEL);
	for (int i = 0; i < 2; i++)
		for (int64_t c = 0; c < z->c; c++) {
			const uint8_t *plane = z->in + (n * z->c + c) * area;
			uint8_t *at = to + (i * THIN_CHANNELS + c) * z->unit;
			inside(-z->left, 1, z->w, y + i >= 0 && y + i < z->h ? count : 0, &begin, &end);
			for (int64_t j = begin; j < end; j++)
				put(z, at + j * THIN_PIXEL * z->unit, plane + (y + i) * z->w + j - z->left, 1);
		}
}

static void pack_rows(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct quantized *z = arg;
	(void)worker;
	for (int64_t i = begin; i < end; i++) {
		int64_t row = i % z->rows, phase = z->phase[i / z->rows % z->phases];
		int64_t plane = i / z->rows / z->phases, y = row * z->stride_h + phase / z->stride_w - z->top;
		uint8_t *to = z->picture + i * z->row_bytes * z->unit;
		if (z->thin)
			pack_thin_row(z, plane, y, to);
		else
			pack_row(z, plane / z->blocks, plane % z->blocks, y, phase % z->stride_w - z->left, to);
	}
}

/* --- Sums --- */

struct run {
	const struct quantized *z;
	int64_t chunks;       /* of an image's positions */
	int parts, part;      /* pieces that the filters are cut into; tiles of filters in one */
	size_t per_worker;
};

/* From or to a plain tensor: the 16 filters of a tile's pixels. */
static void move_plain(const struct quantized *z, int64_t image, int64_t group, const int32_t *to, int count,
                       const uint8_t *from, uint8_t *gathered, const uint8_t *scattered, uint8_t *out)
{
	const int64_t area = z->p * z->q, left = z->k - group * GROUP, filters = left < GROUP ? left : GROUP;

	for (int i = 0; i < count; i++)
		for (int64_t k = 0; k < filters && to[i] >= 0; k++) {
			int64_t at = (image * z->k + group * GROUP + k) * area + to[i] / SLAB;
			if (from)
				gathered[i * GROUP + k] = from[at];
			else
				out[at] = scattered[i * GROUP + k];
		}
}

static void finish_real(const struct quantized *z, int64_t image, int64_t group, const int32_t *sum)
{
	for (int64_t i = 0, k = group * GROUP; i < GROUP && k < z->k; i++, k++)
		z->real[image * z->k + k] = phiz_requantize(sum[i], z->scales[k], z->biases[k]);
}

static void finish_group(const struct quantized *z, const struct scratch *s, int64_t image, int64_t group,
                         const int32_t *to, int count, const int32_t *sum)
{
	static const int32_t side_by_side[32] = {
		0, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 272, 288, 304, 320, 336, 352, 368,
		384, 400, 416, 432, 448, 464, 480, 496};
	const int64_t k = group * GROUP;
	struct phiz_quantized_finish f = {
		.sum = sum, .to = to, .count = count, .scale = z->scales + k, .bias = z->biases + k,
		.slope = z->slope ? z->slopes + k : NULL, .residual_scale = z->residual_scale, .low = z->low,
		.residual_zero = z->residual_zero, .zero = z->output_zero,
	};

	if (k >= z->k)
		return;
	if (z->real) {
		finish_real(z, image, group, sum);
		return;
	}
	if (z->out_blocked) {
		int64_t at = ((image * z->k + k) / SLAB * z->p * z->q) * SLAB + k % SLAB;
		f.out = z->out + at;
		f.residual = z->residual ? z->residual + at : NULL;
		z->micro->finish(&f);
		return;
	}
	f.to = side_by_side;
	f.out = s->pixels;
	if (z->residual) {
		move_plain(z, image, group, to, count, z->residual, s->residual, NULL, NULL);
		f.residual = s->residual;
	}
	z->micro->finish(&f);
	move_plain(z, image, group, to, count, NULL, NULL, s->pixels, z->out);
}

/* A tile whose sums are there. */
struct done {
	int64_t image;
	int group, count;
	const int32_t *to, *sum; /* NULL: there is none */
};

static void finish_tile(const struct quantized *z, const struct scratch *s, struct done *d)
{
	for (int g = 0; d->sum && g < z->micro->groups; g++)
		finish_group(z, s, d->image, d->group + g, d->to, d->count, d->sum + g * z->micro->pixels * GROUP);
	d->sum = NULL;
}

/* Where positions first .. first + count - 1 lie, in bytes of the picture; and go, in bytes of a blocked plane. What is
 * behind the last lies anywhere in it. */
static void fill_places(const struct quantized *z, int64_t first, int count, const struct scratch *s)
{
	const int64_t row = z->micro->steps ? z->pitch : z->q;
	int64_t p = first / row, q = first % row;

	for (int i = 0; i < count; i++) {
		bool is = q < z->q && p < z->p;
		s->at[i] = is ? (int32_t)((p * z->pitch + q) * z->step * z->unit) : 0;
		s->to[i] = is ? (int32_t)((p * z->q + q) * SLAB) : -1;
		if (++q == row) {
			q = 0;
			p++;
		}
	}
}

static void sum_pieces(void *arg, int64_t begin, int64_t end, int worker)
{
	const struct run *run = arg;
	const struct quantized *z = run->z;
	const struct phiz_quantized_micro *micro = z->micro;
	const int chunk = chunk_positions(z), tiles_of_filters = z->groups / micro->groups;
	struct scratch s;
	struct phiz_quantized_tile t = {.step = z->step * z->unit, .offset = z->offset, .slabs = z->slabs,
	                                .w_group = (int64_t)z->slabs * SLAB * GROUP * z->unit};

	struct done done = {.sum = NULL};
	int turn = 0;

	place_scratch(z, z->scratch + (size_t)worker * run->per_worker, &s);
	if (micro->begin)
		micro->begin();
	for (int64_t piece = begin; piece < end; piece++) {
		int64_t image = piece / run->parts / run->chunks, first = piece / run->parts % run->chunks * chunk;
		int64_t left = z->positions - first;
		int count = left < chunk ? (int)left : chunk, m = (int)(piece % run->parts) * run->part;
		fill_places(z, first, chunk, &s);
		for (int last = m + run->part; m < last && m < tiles_of_filters; m++) {
			t.w = z->filters + m * micro->groups * t.w_group;
			t.shift = z->shift + m * micro->groups * GROUP;
			for (int i = 0; i < count; i += micro->pixels) {
				int here = count - i < micro->pixels ? count - i : micro->pixels;
				t.in = z->picture + (image * z->image_bytes + (micro->steps ? (first + i) * z->step : 0)) * z->unit;
				t.at = s.at + i;
				t.sum = s.sum[turn ^= 1];
				micro->sum(&t);
				/* The tile before is finished while the processor is still at this one's products. */
				finish_tile(z, &s, &done);
				done = (struct done){image, m * micro->groups, here, s.to + i, t.sum};
			}
		}
		finish_tile(z, &s, &done); /* the table of places is the piece's */
	}
	if (micro->end)
		micro->end();
}

enum phiz_status phiz_quantized_forward(struct phiz_call *call, const struct phiz_quantized_micro *micro)
{
	const int threads = phiz_ctx_threads(call->ctx);
	struct quantized z;
	struct scratch s;
	struct filling filling = {&z};

	describe(call, micro, &z);
	place_all(&z, call->constants, call->workspace, threads);
	if (!call->constants)
		phiz_parallel_for(call->ctx, z.groups, 1, fill_groups, &filling);
	fill_offsets(&z);
	phiz_parallel_for(call->ctx, z.n * z.blocks * z.phases * z.rows, PACK_ROWS, pack_rows, &z);

	struct run run = {.z = &z, .chunks = divide_up(z.positions, chunk_positions(&z)),
	                  .per_worker = place_scratch(&z, NULL, &s)};
	/* Few positions, as in the last layers of one image: then the filters are shared out too. */
	int64_t pieces = z.n * run.chunks, tiles = z.groups / micro->groups;
	int64_t split = divide_up(threads > 1 ? 8 * (int64_t)threads : 1, pieces);
	run.part = (int)divide_up(tiles, split < tiles ? split : tiles);
	run.parts = (int)divide_up(tiles, run.part);
	phiz_parallel_for(call->ctx, pieces * run.parts, 1, sum_pieces, &run);
	return PHIZ_OK;
}
