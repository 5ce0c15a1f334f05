#include "core/cpu/peak.h"

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/thread.h"
#include "core/cpu/features.h"
#include "core/cpu/search.h"

/* Many short tries, of which some fall between what else the machine does. */
enum { FLOAT_TRIES = 60, SWEEPS = 5, PIECES = 2 /* of a thread in a try */ };
static const double piece_seconds = 0.002;
static const size_t memory_bytes = 256u << 20, least_bytes = 16u << 20;

/* Four floats, which every processor's vector registers hold. */
typedef float quad __attribute__((vector_size(16)));

/* x = x * factor + term with a multiplication and an addition (SSE2 has no fused one), 12 registers of 4 floats. */
float phiz_peak_plain(const float *start, float factor, float term, int64_t rounds, int *flops)
{
	quad f = {factor, factor, factor, factor}, t = {term, term, term, term}, x[12];

	for (int i = 0; i < 12; i++)
		x[i] = (quad){start[4 * i], start[4 * i + 1], start[4 * i + 2], start[4 * i + 3]};
	quad a = x[0], b = x[1], c = x[2], d = x[3], e = x[4], g = x[5];
	quad h = x[6], k = x[7], l = x[8], m = x[9], n = x[10], o = x[11];
	for (int64_t r = 0; r < rounds; r++) {
		a = a * f + t, b = b * f + t, c = c * f + t, d = d * f + t, e = e * f + t, g = g * f + t;
		h = h * f + t, k = k * f + t, l = l * f + t, m = m * f + t, n = n * f + t, o = o * f + t;
	}
	quad sum = ((a + b) + (c + d)) + ((e + g) + (h + k)) + ((l + m) + (n + o));
	*flops = 12 * 4 * 2;
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static enum phiz_status choose(struct phiz_ctx *ctx, enum phiz_dtype dtype, phiz_peak_fn *run,
                               const char **instructions)
{
	struct phiz_cpu_choice choice;
	enum phiz_status status = phiz_cpu_choose(ctx, &choice);

	(void)dtype;
	*run = phiz_peak_plain;
	*instructions = "none";
	if (status)
		return status;
#if defined(__x86_64__)
	*instructions = "sse2";
	if (choice.features & PHIZ_CPU_AVX2)
		*run = phiz_peak_avx2, *instructions = "avx2";
	if (choice.features & PHIZ_CPU_AVX512)
		*run = phiz_peak_avx512, *instructions = "avx512";
#if defined(PHIZ_HAVE_AVX512BF16)
	if (dtype == PHIZ_BF16 && (choice.features & PHIZ_CPU_AVX512_BF16) && !(choice.features & PHIZ_CPU_AMX_BF16))
		*run = phiz_peak_avx512bf16, *instructions = "avx512bf16";
#endif
#if defined(PHIZ_HAVE_VNNI)
	if (dtype == PHIZ_U8 && (choice.features & PHIZ_CPU_VNNI) && !(choice.features & PHIZ_CPU_AMX_INT8))
		*run = phiz_peak_vnni, *instructions = "vnni";
#endif
#elif defined(__aarch64__)
	if (choice.features & PHIZ_CPU_NEON)
		*run = phiz_peak_neon, *instructions = "neon";
#endif
	return PHIZ_OK;
}

struct work {
	phiz_peak_fn run;
	float start[PHIZ_PEAK_FLOATS];
	int64_t rounds;        /* of a piece */
	float sum[64 * PIECES]; /* by piece, modulo their number: written so that the work has a use */
};

static void work_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	struct work *w = arg;
	int flops;

	(void)worker;
	for (int64_t i = begin; i < end; i++)
		w->sum[i % (64 * PIECES)] = w->run(w->start, 0.999f, 0.001f, w->rounds, &flops);
}

/* The registers tend to 1, so that no value grows, vanishes or becomes denormal, which would be slow. */
static double measure_flops(struct phiz_ctx *ctx, struct work *w)
{
	int64_t pieces = (int64_t)phiz_ctx_threads(ctx) * PIECES;
	double best = 0, begin;
	int flops;

	for (int i = 0; i < PHIZ_PEAK_FLOATS; i++)
		w->start[i] = 1 + (float)i / PHIZ_PEAK_FLOATS;
	for (w->rounds = 1024;; w->rounds *= 2) {
		begin = phiz_time();
		w->sum[0] = w->run(w->start, 0.999f, 0.001f, w->rounds, &flops);
		if (phiz_time() - begin > piece_seconds / 2)
			break;
	}
	for (int t = 0; t < FLOAT_TRIES; t++) {
		begin = phiz_time();
		phiz_parallel_for(ctx, pieces, 1, work_piece, w);
		double rate = (double)pieces * (double)w->rounds * flops / (phiz_time() - begin);
		best = rate > best ? rate : best;
	}
	return best;
}

static void fill_piece(void *arg, int64_t begin, int64_t end, int worker)
{
	float *data = arg;

	(void)worker;
	for (int64_t i = begin; i < end; i++)
		data[i] = (float)(i & 1023);
}

static enum phiz_status measure_memory(struct phiz_ctx *ctx, double *rate)
{
	const int64_t stride = 1024; /* floats of a row: a page */
	size_t bytes = memory_bytes;
	float *data = phiz_alloc(ctx, bytes, 1);
	enum phiz_status status = PHIZ_OK;
	uint64_t all;

	while (!data && bytes > least_bytes)
		data = phiz_alloc(ctx, bytes /= 2, 1);
	if (!data)
		return PHIZ_E_NOMEM;
	*rate = 0;
	phiz_parallel_for(ctx, (int64_t)(bytes / sizeof(float)), 1 << 20, fill_piece, data);
	for (int t = 0; t < SWEEPS && !status; t++) {
		double begin = phiz_time(), found;
		status = phiz_search_sweep(ctx, data, (int64_t)(bytes / sizeof(float)) / stride, stride, &all);
		found = (double)bytes / (phiz_time() - begin);
		*rate = found > *rate ? found : *rate;
	}
	phiz_free(ctx, data);
	return status;
}

enum phiz_status phiz_peak_measure(struct phiz_ctx *ctx, enum phiz_dtype dtype, struct phiz_peak *out)
{
	struct work *w = phiz_calloc(ctx, 1, sizeof *w);
	enum phiz_status status = w ? PHIZ_OK : PHIZ_E_NOMEM;
	struct phiz_peak peak = {.threads = phiz_ctx_threads(ctx)};

	*out = (struct phiz_peak){0};
	if (!status)
		status = choose(ctx, dtype, &w->run, &peak.instructions);
	if (!status)
		status = measure_memory(ctx, &peak.gbps);
	if (!status) {
		peak.gflops = measure_flops(ctx, w) / 1e9;
		peak.gbps /= 1e9;
		*out = peak;
	}
	phiz_free(ctx, w);
	return status;
}

double phiz_peak_share(const struct phiz_peak *peak, double flops, double bytes, double seconds, bool *by_memory)
{
	double compute = peak->gflops > 0 ? flops / (peak->gflops * 1e9) : 0;
	double move = peak->gbps > 0 ? bytes / (peak->gbps * 1e9) : 0;

	if (by_memory)
		*by_memory = move > compute;
	return seconds > 0 ? (move > compute ? move : compute) / seconds : 0;
}
