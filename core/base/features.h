/* What the processor can do, as far as kernels ask for it. */
#ifndef PHIZ_BASE_FEATURES_H
#define PHIZ_BASE_FEATURES_H

#include <stdbool.h>

#include <phiz/ctx.h>

/* Bits of struct phiz_kernel's `features`. A bit is set only where the operating system keeps the registers too. */
enum {
	PHIZ_CPU_AVX2 = 1u << 0,   /* with FMA and F16C */
	PHIZ_CPU_AVX512 = 1u << 1, /* F, BW, VL and DQ, with BMI2: Skylake-X and later, Zen 4 and later */
	PHIZ_CPU_NEON = 1u << 2,
	PHIZ_CPU_VNNI = 1u << 3,    /* AVX512-VNNI: Cascade Lake and later, Zen 4 and later */
	PHIZ_CPU_AMX_INT8 = 1u << 4, /* AMX's tiles of bytes, with AVX-512: Sapphire Rapids and later */
	PHIZ_CPU_AVX512_BF16 = 1u << 5, /* with AVX512: Cooper Lake, Sapphire Rapids and later, Zen 4 and later */
	PHIZ_CPU_AMX_BF16 = 1u << 6     /* AMX's tiles of bf16, with both: Sapphire Rapids and later */
};

struct phiz_cpu_choice {
	unsigned features;   /* instruction sets that may be used */
	bool reference_only; /* no kernel but the reference ones */
};

/* What this processor has, narrowed by the environment variable PHIZ_CPU: reference (no fast kernel at all), sse2 (what
 * every x86-64 has), avx2, avx512, vnni, avx512bf16, neon. It cannot add what the processor lacks. ARG for any other
 * word. */
enum phiz_status phiz_cpu_choose(struct phiz_ctx *ctx, struct phiz_cpu_choice *out);

/* The same without a word of complaint: nothing where PHIZ_CPU is another word. */
unsigned phiz_cpu_allowed(void);

/* The processor's own, whatever PHIZ_CPU says. */
unsigned phiz_cpu_features(void);

enum { PHIZ_CPU_NAME = 64 };
/* The processor's model in printable ASCII ("AMD EPYC 9B45"), or "unknown", into text; returns text. */
char *phiz_cpu_name(char text[PHIZ_CPU_NAME]);

/* "avx2 avx512", or "none" into text; returns text. */
char *phiz_cpu_features_text(unsigned features, char text[64]);

#endif
