/* For those who call the system themselves. */
#ifndef PHIZ_BASE_SYSTEM_H
#define PHIZ_BASE_SYSTEM_H

#include <phiz/ctx.h>

/* "PATH: WHAT: REASON" for an errno; NOTFOUND, NOMEM or IO by what it is. */
enum phiz_status phiz_fail_system(struct phiz_ctx *ctx, const char *path, const char *what, int error);

#endif
