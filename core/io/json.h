/* JSON from files that may be hostile: jansson behind bounds on nesting and on the number of values; and showing a
 * file's own names in messages. */
#ifndef PHIZ_IO_JSON_H
#define PHIZ_IO_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include <phiz/ctx.h>

#include "core/base/bytes.h"

/* Parses size bytes; `what` begins the message ("FILE: header"). Duplicate keys, NULs, bad UTF-8, whole numbers beyond
 * int64_t, nesting beyond 32 and more than half a million values are refused. Free *out with json_decref. */
enum phiz_status phiz_json_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *what, json_t **out);

/* The same, but whole numbers come as reals if (and only if) one of them is too big for int64_t; *rounded says so. Lets
 * the caller name the place of the number. */
enum phiz_status phiz_json_parse_big(struct phiz_ctx *ctx, const char *text, size_t size, const char *what,
                                     json_t **out, bool *rounded);

/* A whole number from min to max? */
bool phiz_json_int(const json_t *value, int64_t min, int64_t max, int64_t *out);
/* A finite number? */
bool phiz_json_real(const json_t *value, double *out);

/* Appends v in as few digits as give v again when read, with a '.' in every locale. Not finite: null. */
void phiz_json_add_real(struct phiz_bytes *out, double v);
void phiz_json_add_float(struct phiz_bytes *out, float v);

/* text for a message: cut to 80 bytes, control characters as '?'. Returns out. */
#define PHIZ_SHOWN 96
char *phiz_shown(const char *text, size_t size, char out[PHIZ_SHOWN]);

#endif
