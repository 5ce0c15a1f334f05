/* Setting the context's last error and writing to its log. */
#ifndef PHIZ_BASE_ERROR_H
#define PHIZ_BASE_ERROR_H

#include <phiz/ctx.h>

/* Sets status and message ("what, where, what to do") and returns status, so that a caller can return it. */
enum phiz_status phiz_fail(struct phiz_ctx *ctx, enum phiz_status status, const char *fmt, ...) PHIZ_PRINTF(3, 4);

/* Puts "PREFIX: " before the message that is there (where it happened, seen from further out); returns the
 * status that is there. */
enum phiz_status phiz_fail_in(struct phiz_ctx *ctx, const char *fmt, ...) PHIZ_PRINTF(2, 3);

/* Copies status and message of a fork into its parent (or any other context) and returns the status. */
enum phiz_status phiz_fail_copy(struct phiz_ctx *to, const struct phiz_ctx *from);

void phiz_log(struct phiz_ctx *ctx, enum phiz_log_level level, const char *fmt, ...) PHIZ_PRINTF(3, 4);

#endif
