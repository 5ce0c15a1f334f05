#define _DEFAULT_SOURCE /* syscall */
#include "core/base/features.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"

#if defined(__x86_64__)

#include <cpuid.h>

#if defined(PHIZ_HAVE_AMX) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

/* A process asks its system for the tiles' registers before it uses them; asking again changes nothing, and takes a
 * tenth of a microsecond. */
static bool may_use_tiles(void)
{
	enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
	return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

/* AMX's tiles with products of bytes and of bf16; clang has no word for them yet. */
static void has_tiles(bool *bytes, bool *bf16)
{
#if defined(__clang__)
	unsigned a, b, c, d = 0;
	bool known = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 24 & 1u);
	*bytes = known && (d >> 25 & 1u);
	*bf16 = known && (d >> 22 & 1u);
#else
	*bytes = __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-int8");
	*bf16 = __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16");
#endif
}
#endif

/* The compiler's run-time library has asked the processor before main, XGETBV included; asking again would trap into
 * the hypervisor at each question. */
unsigned phiz_cpu_features(void)
{
	unsigned features = 0;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		features |= PHIZ_CPU_AVX2;
	if ((features & PHIZ_CPU_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("bmi2"))
		features |= PHIZ_CPU_AVX512;
#if defined(PHIZ_HAVE_VNNI)
	if ((features & PHIZ_CPU_AVX512) && __builtin_cpu_supports("avx512vnni"))
		features |= PHIZ_CPU_VNNI;
#endif
#if defined(PHIZ_HAVE_AVX512BF16)
	if ((features & PHIZ_CPU_AVX512) && __builtin_cpu_supports("avx512bf16"))
		features |= PHIZ_CPU_AVX512_BF16;
#endif
#if defined(PHIZ_HAVE_AMX) && defined(__linux__)
	bool bytes, bf16;
	has_tiles(&bytes, &bf16);
	if ((features & PHIZ_CPU_AVX512) && (bytes || bf16) && may_use_tiles())
		features |= (bytes ? PHIZ_CPU_AMX_INT8 : 0u) |
		            (bf16 && (features & PHIZ_CPU_AVX512_BF16) ? PHIZ_CPU_AMX_BF16 : 0u);
#endif
	return features;
}

/* The brand string, 48 bytes of leaves 0x80000002 to 4, and family, model and stepping, for brands that say little. */
static void read_name(char *text)
{
	unsigned word[12] = {0}, signature = 0, b, c, d;
	for (unsigned i = 0; i < 3; i++)
		if (!__get_cpuid(0x80000002 + i, &word[4 * i], &word[4 * i + 1], &word[4 * i + 2], &word[4 * i + 3]))
			return;
	memcpy(text, word, sizeof word);
	if (__get_cpuid(1, &signature, &b, &c, &d))
		snprintf(text + strlen(text), 12, " %08x", signature);
}

#elif defined(__aarch64__)

unsigned phiz_cpu_features(void)
{
	return PHIZ_CPU_NEON;
}

/* Implementer, variant, part and revision as the system has them ("0x00000000411fd073"). */
static void read_name(char *text)
{
	FILE *f = fopen("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1", "r");
	if (!f)
		return;
	if (!fgets(text, 32, f))
		text[0] = 0;
	fclose(f);
}

#else

unsigned phiz_cpu_features(void)
{
	return 0;
}

static void read_name(char *text)
{
	(void)text;
}

#endif

char *phiz_cpu_name(char text[PHIZ_CPU_NAME])
{
	size_t used = 0;
	memset(text, 0, PHIZ_CPU_NAME);
	read_name(text);
	for (const char *from = text; *from; from++) /* names are padded with blanks, on any side */
		if (*from > ' ' && *from <= '~')
			text[used++] = *from;
		else if (used && text[used - 1] != ' ')
			text[used++] = ' ';
	while (used && text[used - 1] == ' ')
		used--;
	text[used] = 0;
	if (!used)
		snprintf(text, PHIZ_CPU_NAME, "unknown");
	return text;
}

static const struct {
	const char *name;
	unsigned features; /* that may be used under this word */
} words[] = {
	{"reference", 0}, {"sse2", 0}, {"avx2", PHIZ_CPU_AVX2}, {"avx512", PHIZ_CPU_AVX2 | PHIZ_CPU_AVX512},
	{"vnni", PHIZ_CPU_AVX2 | PHIZ_CPU_AVX512 | PHIZ_CPU_VNNI},
	{"avx512bf16", PHIZ_CPU_AVX2 | PHIZ_CPU_AVX512 | PHIZ_CPU_VNNI | PHIZ_CPU_AVX512_BF16},
	{"neon", PHIZ_CPU_NEON},
};

/* false: PHIZ_CPU is another word, and nothing may be used. */
static bool choose(struct phiz_cpu_choice *out)
{
	const char *word = getenv("PHIZ_CPU");
	out->features = phiz_cpu_features();
	out->reference_only = false;
	if (!word || !*word)
		return true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].name, word) != 0)
			continue;
		out->features &= words[i].features;
		out->reference_only = i == 0;
		return true;
	}
	out->features = 0;
	return false;
}

unsigned phiz_cpu_allowed(void)
{
	struct phiz_cpu_choice c;
	(void)choose(&c);
	return c.features;
}

enum phiz_status phiz_cpu_choose(struct phiz_ctx *ctx, struct phiz_cpu_choice *out)
{
	if (choose(out))
		return PHIZ_OK;
	return phiz_fail(ctx, PHIZ_E_ARG,
	                 "environment variable PHIZ_CPU: want reference, sse2, avx2, avx512, vnni, avx512bf16 or neon, "
	                 "got '%.40s'",
	                 getenv("PHIZ_CPU"));
}

char *phiz_cpu_features_text(unsigned features, char text[64])
{
	static const char *const name[] = {"avx2", "avx512", "neon", "vnni", "amx_int8", "avx512bf16", "amx_bf16"};
	size_t used = 0;
	snprintf(text, 64, "none");
	for (unsigned i = 0; i < sizeof(name) / sizeof(name[0]); i++)
		if (features & 1u << i)
			used += (size_t)snprintf(text + used, 64 - used, "%s%s", used ? " " : "", name[i]);
	return text;
}
