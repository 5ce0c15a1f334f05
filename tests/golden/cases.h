/* Reading the cases that make_image.py wrote. Include support/support.h first. */
#ifndef PHIZ_TESTS_GOLDEN_CASES_H
#define PHIZ_TESTS_GOLDEN_CASES_H

#include <stdio.h>
#include <stdlib.h>

#include <phiz/image.h>

#include "core/base/file.h"

struct golden_case {
	char op[32], name[64];
	int n;
	double param[40];
	int in_width, in_height, in_channels;
	uint32_t seed;
	const unsigned char *blob, *out;
	size_t blob_size;
	bool floats;
	int width, height, channels; /* of the output */
};

struct golden_cases {
	struct phiz_bytes file;
	size_t position;
};

static inline void cases_open(struct phiz_ctx *ctx, const char *name, struct golden_cases *cases)
{
	char path[1024];
	cases->position = 0;
	phiz_bytes_init(&cases->file, ctx);
	assert_ok(ctx, phiz_file_read(ctx, test_golden(name, path), 1 << 20, &cases->file));
}

static inline const char *cases_word(const char **text, char *out, size_t size)
{
	size_t n = strcspn(*text, " \n");
	assert_true(n > 0 && n < size);
	memcpy(out, *text, n);
	out[n] = '\0';
	*text += n + 1;
	return out;
}

static inline int cases_int(const char **text)
{
	char word[64];
	return (int)strtol(cases_word(text, word, sizeof word), NULL, 10);
}

static inline bool cases_next(struct golden_cases *cases, struct golden_case *c)
{
	if (cases->position >= cases->file.size)
		return false;
	const char *text = cases->file.data + cases->position;
	char word[64];
	memset(c, 0, sizeof *c);
	cases_word(&text, c->op, sizeof c->op);
	cases_word(&text, c->name, sizeof c->name);
	c->n = cases_int(&text);
	assert_true(c->n <= 40);
	for (int i = 0; i < c->n; i++)
		c->param[i] = strtod(cases_word(&text, word, sizeof word), NULL);
	c->in_width = cases_int(&text);
	c->in_height = cases_int(&text);
	c->in_channels = cases_int(&text);
	c->seed = (uint32_t)cases_int(&text);
	c->blob_size = (size_t)cases_int(&text);
	c->floats = strcmp(cases_word(&text, word, sizeof word), "f4") == 0;
	c->width = cases_int(&text);
	c->height = cases_int(&text);
	c->channels = cases_int(&text);
	c->blob = (const unsigned char *)text;
	c->out = c->blob + c->blob_size;
	size_t out = (size_t)c->width * (size_t)c->height * (size_t)c->channels * (c->floats ? 4 : 1);
	cases->position = (size_t)(text - cases->file.data) + c->blob_size + out;
	assert_true(cases->position <= cases->file.size);
	return true;
}

/* The generated picture: pattern() of make_image.py. */
static inline void cases_picture(struct phiz_ctx *ctx, int w, int h, int channels, uint32_t seed,
                                 struct phiz_image *image)
{
	uint32_t s = seed;
	assert_ok(ctx, phiz_image_create(ctx, w, h, channels, image));
	for (int i = 0; i < w * h * channels; i++) {
		int x = i / channels % w, y = i / channels / w;
		const int ramp[3] = { x * 191 / w, y * 191 / h, 191 - (x + y) * 191 / (w + h) };
		s = s * 1664525u + 1013904223u;
		image->data[i] = (uint8_t)(seed >= 100 ? s >> 24 : (uint32_t)ramp[i % channels] + (s >> 26));
	}
}

/* Pixels against the case's: at most `most` apart, and at most `share` of them apart at all. */
static inline void cases_compare(const struct golden_case *c, const struct phiz_image *got, int most, double share)
{
	size_t count = (size_t)c->width * (size_t)c->height * (size_t)c->channels, differ = 0;
	int worst = 0;
	if (got->width != c->width || got->height != c->height || got->channels != c->channels)
		fail_msg("%s %s: want %dx%dx%d, got %dx%dx%d", c->op, c->name, c->width, c->height, c->channels, got->width,
		         got->height, got->channels);
	for (size_t i = 0; i < count; i++) {
		int d = abs((int)got->data[i] - (int)c->out[i]);
		differ += d > 0;
		worst = d > worst ? d : worst;
	}
	if (worst > most || (double)differ > share * (double)count)
		fail_msg("%s %s: %zu of %zu bytes differ, by up to %d", c->op, c->name, differ, count, worst);
}

/* Floats against the case's, bit for bit. */
static inline void cases_compare_floats(const struct golden_case *c, const float *got)
{
	size_t count = (size_t)c->width * (size_t)c->height * (size_t)c->channels;
	for (size_t i = 0; i < count; i++) {
		float want;
		memcpy(&want, c->out + 4 * i, 4);
		if (got[i] != want)
			fail_msg("%s %s: [%zu] is %.9g, want %.9g", c->op, c->name, i, (double)got[i], (double)want);
	}
}

#endif
