/* PGM and PPM by hand: P2, P3 (text) and P5, P6 (binary), samples of up to 16 bits. A sample v becomes
 * round(v * 255 / maxval), halves to even, as Pillow has it. */
#include "core/image/codec.h"

#include <math.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

enum { MAX_DIGITS = 10 };

struct pnm {
	const struct phiz_source *source;
	size_t position;
	int width, height, channels;
	unsigned maxval;
	bool text;
};

static bool is_space(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool at_end(const struct pnm *p)
{
	return p->position >= p->source->size;
}

/* White space, and comments from # to the end of the line. */
static void skip_space(struct pnm *p)
{
	const unsigned char *data = p->source->data;
	while (!at_end(p) && (is_space(data[p->position]) || data[p->position] == '#')) {
		if (data[p->position] == '#')
			while (!at_end(p) && data[p->position] != '\n' && data[p->position] != '\r')
				p->position++;
		else
			p->position++;
	}
}

/* The next number; false where there is none or it has more than ten digits. */
static bool read_number(struct pnm *p, uint64_t *value)
{
	skip_space(p);
	const unsigned char *data = p->source->data;
	size_t begin = p->position;
	uint64_t v = 0;
	while (!at_end(p) && data[p->position] >= '0' && data[p->position] <= '9' && p->position - begin <= MAX_DIGITS)
		v = v * 10 + (data[p->position++] - (unsigned)'0');
	*value = v;
	return p->position > begin && p->position - begin <= MAX_DIGITS;
}

static enum phiz_status read_header(struct phiz_ctx *ctx, const struct phiz_source *source, struct pnm *p)
{
	*p = (struct pnm){ source, 2, 0, 0, 0, 0, false };
	char kind = (char)source->data[1];
	uint64_t width, height, maxval;
	if (kind == '1' || kind == '4')
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: is a PBM (black and white): want JPEG, PNG, PGM or PPM, convert it",
		                 source->name);
	p->text = kind == '2' || kind == '3';
	p->channels = kind == '3' || kind == '6' ? 3 : 1;
	if (!read_number(p, &width) || !read_number(p, &height) || !read_number(p, &maxval))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %s PNM (no valid header)", source->name,
		                 at_end(p) ? "truncated" : "damaged");
	if (width == 0 || height == 0 || width > 0x7fffffff || height > 0x7fffffff || maxval < 1 || maxval > 65535)
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: damaged PNM (claims %llux%llu pixels, largest sample %llu)",
		                 source->name, (unsigned long long)width, (unsigned long long)height,
		                 (unsigned long long)maxval);
	if (at_end(p) || !is_space(source->data[p->position]))
		return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %s PNM (no pixels behind the header)", source->name,
		                 at_end(p) ? "truncated" : "damaged");
	p->position++;
	p->width = (int)width;
	p->height = (int)height;
	p->maxval = (unsigned)maxval;
	return PHIZ_OK;
}

/* table[v] for v in 0..maxval. */
static uint8_t *make_table(struct phiz_ctx *ctx, unsigned maxval)
{
	uint8_t *table = phiz_alloc(ctx, (size_t)maxval + 1, 1);
	if (!table)
		return NULL;
	for (unsigned v = 0; v <= maxval; v++)
		table[v] = (uint8_t)nearbyint((double)v / maxval * 255);
	return table;
}

enum sample { SAMPLE_OK, SAMPLE_END, SAMPLE_BAD };

static enum sample read_text(struct pnm *p, unsigned *value)
{
	uint64_t number;
	skip_space(p);
	if (at_end(p))
		return SAMPLE_END;
	if (!read_number(p, &number) || number > 65535)
		return SAMPLE_BAD;
	*value = (unsigned)number;
	return SAMPLE_OK;
}

static enum sample read_binary(struct pnm *p, unsigned *value)
{
	const unsigned char *data = p->source->data + p->position;
	size_t size = p->maxval > 255 ? 2 : 1;
	if (p->source->size - p->position < size)
		return SAMPLE_END;
	*value = size == 2 ? (unsigned)data[0] << 8 | data[1] : data[0];
	p->position += size;
	return SAMPLE_OK;
}

/* The next sample, at most maxval: above it is damage, which the lenient take as maxval. */
static enum sample read_sample(struct pnm *p, unsigned *value)
{
	enum sample sample = p->text ? read_text(p, value) : read_binary(p, value);
	if (sample != SAMPLE_OK || *value <= p->maxval)
		return sample;
	*value = p->maxval;
	return p->source->lenient ? SAMPLE_OK : SAMPLE_BAD;
}

/* All samples through the table. `out` stays as it is where they end. */
static enum phiz_status read_samples(struct phiz_ctx *ctx, struct pnm *p, const uint8_t *table, uint8_t *out)
{
	const char *name = p->source->name;
	size_t count = (size_t)p->width * (size_t)p->height * (size_t)p->channels;
	size_t copies = p->channels == 3 ? 1 : 3;
	for (size_t i = 0; i < count; i++) {
		unsigned value = 0;
		enum sample sample = read_sample(p, &value);
		if (sample != SAMPLE_OK) {
			const char *kind = sample == SAMPLE_END ? "truncated" : "damaged";
			if (!p->source->lenient)
				return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %s PNM (at sample %zu)", name, kind, i);
			phiz_log(ctx, PHIZ_LOG_WARN, "%s: %s PNM (at sample %zu), taken as far as it goes", name, kind, i);
			return PHIZ_OK;
		}
		for (size_t c = 0; c < copies; c++)
			*out++ = table[value];
	}
	return PHIZ_OK;
}

enum phiz_status phiz_pnm_decode(struct phiz_ctx *ctx, const struct phiz_source *source, struct phiz_image *out)
{
	struct pnm p;
	enum phiz_status status = read_header(ctx, source, &p);
	if (status)
		return status;
	/* Text: a digit and a space each. Where the product wraps, the pixel limit has refused already. */
	uint64_t sample = p.text || p.maxval > 255 ? 2 : 1;
	uint64_t least = (uint64_t)p.width * (uint64_t)p.height * (uint64_t)p.channels * sample - 1;
	status = phiz_source_check(ctx, source, (uint64_t)p.width, (uint64_t)p.height, least);
	if (!status)
		status = phiz_image_create(ctx, p.width, p.height, 3, out);
	if (status)
		return status;
	memset(out->data, 0, (size_t)p.width * (size_t)p.height * 3);
	uint8_t *table = make_table(ctx, p.maxval);
	status = table ? read_samples(ctx, &p, table, out->data) : phiz_ctx_status(ctx);
	phiz_free(ctx, table);
	if (status)
		phiz_image_free(ctx, out);
	return status;
}

enum phiz_status phiz_pnm_probe(struct phiz_ctx *ctx, const struct phiz_source *source, int *width, int *height)
{
	struct pnm p;
	enum phiz_status status = read_header(ctx, source, &p);
	if (status)
		return status;
	*width = p.width;
	*height = p.height;
	return PHIZ_OK;
}

enum phiz_status phiz_pnm_encode(struct phiz_ctx *ctx, const struct phiz_image *image, struct phiz_bytes *out)
{
	enum phiz_status status = phiz_image_check(ctx, image, "PNM encode");
	if (status)
		return status;
	phiz_bytes_printf(out, "P%c\n%d %d\n255\n", image->channels == 3 ? '6' : '5', image->width, image->height);
	phiz_bytes_add(out, image->data, (size_t)image->width * (size_t)image->height * (size_t)image->channels);
	return phiz_bytes_status(out);
}
