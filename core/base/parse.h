/* Bounded parsing of numbers, and "did you mean". */
#ifndef PHIZ_BASE_PARSE_H
#define PHIZ_BASE_PARSE_H

#include <stdbool.h>

#include <phiz/ctx.h>

/* The whole text must be a decimal number in [min, max]; white space and trailing rubbish are refused. The
 * message says what was read and what was wanted: "want a whole number from 1 to 100, got '12x'". */
enum phiz_status phiz_parse_i64(struct phiz_ctx *ctx, const char *text, int64_t min, int64_t max, int64_t *out);
/* Finite only ("nan", "inf" and hex are refused), independent of the locale. */
enum phiz_status phiz_parse_f64(struct phiz_ctx *ctx, const char *text, double min, double max, double *out);
/* A size in bytes, from 1 byte to 8 TiB: a number (decimal, no exponent) followed by K, M or G (times 1024, 1024^2,
 * 1024^3) or by nothing, for bytes: "512M", "1.5G". */
enum phiz_status phiz_parse_bytes(struct phiz_ctx *ctx, const char *text, size_t *out);
/* true/false, yes/no, on/off, 1/0. */
enum phiz_status phiz_parse_bool(struct phiz_ctx *ctx, const char *text, bool *out);

/* The entry of list (count entries) nearest to word by edit distance, or NULL if none is near enough to be
 * what was meant. */
const char *phiz_suggest(const char *word, const char *const *list, size_t count);

/* Bytes of the first character of text, 1..4; 0 if it is not valid UTF-8 or size is 0. */
size_t phiz_utf8_next(const char *text, size_t size);
/* Valid UTF-8 (no overlong forms, no surrogates)? */
bool phiz_utf8_valid(const char *text, size_t size);

#endif
