/* Small vectors, curves and noise for the renderer of sample people. */
#ifndef PHIZ_DATASETS_SYNTH_MATH_H
#define PHIZ_DATASETS_SYNTH_MATH_H

#include <math.h>
#include <stdint.h>

#define SYNTH_PI 3.14159265f

struct v3 {
	float x, y, z;
};

static inline struct v3 v3(float x, float y, float z)
{
	struct v3 v;
	v.x = x;
	v.y = y;
	v.z = z;
	return v;
}

static inline struct v3 v3_add(struct v3 a, struct v3 b)
{
	return v3(a.x + b.x, a.y + b.y, a.z + b.z);
}

static inline struct v3 v3_sub(struct v3 a, struct v3 b)
{
	return v3(a.x - b.x, a.y - b.y, a.z - b.z);
}

static inline struct v3 v3_scale(struct v3 a, float s)
{
	return v3(a.x * s, a.y * s, a.z * s);
}

/* Component by component. */
static inline struct v3 v3_mul(struct v3 a, struct v3 b)
{
	return v3(a.x * b.x, a.y * b.y, a.z * b.z);
}

/* a + b * s */
static inline struct v3 v3_mad(struct v3 a, struct v3 b, float s)
{
	return v3(a.x + b.x * s, a.y + b.y * s, a.z + b.z * s);
}

static inline struct v3 v3_mix(struct v3 a, struct v3 b, float t)
{
	return v3(a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t, a.z + (b.z - a.z) * t);
}

static inline float v3_dot(struct v3 a, struct v3 b)
{
	return a.x * b.x + a.y * b.y + a.z * b.z;
}

static inline struct v3 v3_cross(struct v3 a, struct v3 b)
{
	return v3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}

static inline float v3_length(struct v3 a)
{
	return sqrtf(v3_dot(a, a));
}

static inline struct v3 v3_unit(struct v3 a)
{
	float l = v3_dot(a, a);
	return l > 1e-20f ? v3_scale(a, 1.0f / sqrtf(l)) : v3(0, 0, 1);
}

/* Rows of a rotation. */
struct m3 {
	struct v3 row[3];
};

static inline struct v3 m3_apply(const struct m3 *m, struct v3 v)
{
	return v3(v3_dot(m->row[0], v), v3_dot(m->row[1], v), v3_dot(m->row[2], v));
}

/* By the transpose, that is, the inverse. */
static inline struct v3 m3_undo(const struct m3 *m, struct v3 v)
{
	return v3_mad(v3_mad(v3_scale(m->row[0], v.x), m->row[1], v.y), m->row[2], v.z);
}

/* Plain comparisons: the library's minimum cares for NaN and is a call. */
static inline float synth_min(float a, float b)
{
	return a < b ? a : b;
}

static inline float synth_max(float a, float b)
{
	return a > b ? a : b;
}

/* Without the processor's rounding instruction the library's floor is a call. */
static inline int synth_floor(float x)
{
	int i = (int)x;
	return i - ((float)i > x);
}

static inline float synth_clamp(float x, float low, float high)
{
	return x < low ? low : x > high ? high : x;
}

static inline float synth_mix(float a, float b, float t)
{
	return a + (b - a) * t;
}

/* 0 at or before a, 1 at or after b (a > b falls), smooth between. */
static inline float synth_step(float a, float b, float x)
{
	float t = synth_clamp((x - a) / (b - a), 0.0f, 1.0f);
	return t * t * (3.0f - 2.0f * t);
}

/* A soft hill of height 1 over the disc r2 < 1, twice differentiable, and nothing outside. r2: squared radius. */
static inline float synth_hill(float r2)
{
	float t = 1.0f - r2;
	return t > 0.0f ? t * t * t : 0.0f;
}

/* The hill over an ellipse. */
static inline float synth_bump(float x, float y, float cx, float cy, float rx, float ry)
{
	float dx = (x - cx) / rx, dy = (y - cy) / ry;
	return synth_hill(dx * dx + dy * dy);
}

/* The larger of two, rounded where they cross over a range of k. */
static inline float synth_smax(float a, float b, float k)
{
	float h = synth_clamp(0.5f + 0.5f * (a - b) / k, 0.0f, 1.0f);
	return synth_mix(b, a, h) + k * h * (1.0f - h);
}

static inline float synth_gauss(float x, float deviation)
{
	float t = x / deviation;
	return expf(-0.5f * t * t);
}

/* --- Noise: values at whole positions from a hash, smooth between. --- */

static inline uint32_t synth_hash(uint32_t x, uint32_t y, uint32_t seed)
{
	uint32_t h = x * 0x9e3779b1u ^ (y + 0x7f4a7c15u) * 0x85ebca77u ^ seed * 0xc2b2ae3du;
	h ^= h >> 15;
	h *= 0x2c1b3c6du;
	h ^= h >> 12;
	h *= 0x297a2d39u;
	return h ^ h >> 15;
}

/* Uniform in [0, 1). */
static inline float synth_hash01(uint32_t x, uint32_t y, uint32_t seed)
{
	return (float)(synth_hash(x, y, seed) >> 8) * (1.0f / 16777216.0f);
}

/* Smooth noise in [-1, 1] with features of size 1. */
static inline float synth_noise(float x, float y, uint32_t seed)
{
	int fx = synth_floor(x), fy = synth_floor(y);
	float tx = x - (float)fx, ty = y - (float)fy;
	uint32_t ix = (uint32_t)fx, iy = (uint32_t)fy;
	float a = synth_hash01(ix, iy, seed), b = synth_hash01(ix + 1, iy, seed);
	float c = synth_hash01(ix, iy + 1, seed), d = synth_hash01(ix + 1, iy + 1, seed);
	tx = tx * tx * (3.0f - 2.0f * tx);
	ty = ty * ty * (3.0f - 2.0f * ty);
	return 2.0f * synth_mix(synth_mix(a, b, tx), synth_mix(c, d, tx), ty) - 1.0f;
}

/* Octaves of it, each half as large and half as strong; in about [-1, 1]. */
static inline float synth_fractal(float x, float y, int octaves, uint32_t seed)
{
	float sum = 0.0f, weight = 0.5f;
	for (int i = 0; i < octaves; i++) {
		sum += weight * synth_noise(x, y, seed + (uint32_t)i);
		x = x * 2.0f + 17.3f;
		y = y * 2.0f - 9.1f;
		weight *= 0.5f;
	}
	return sum;
}

/* --- Colour: linear light in, display out. --- */

static inline float synth_from_srgb(float v)
{
	return v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
}

static inline struct v3 synth_srgb(int r, int g, int b)
{
	return v3(synth_from_srgb((float)r / 255.0f), synth_from_srgb((float)g / 255.0f),
	          synth_from_srgb((float)b / 255.0f));
}

static inline float synth_luma(struct v3 c)
{
	return 0.2126f * c.x + 0.7152f * c.y + 0.0722f * c.z;
}

#endif
