/* Status codes and the marks that every public header uses. */
#ifndef PHIZ_STATUS_H
#define PHIZ_STATUS_H

#if defined(__GNUC__)
#define PHIZ_API __attribute__((visibility("default")))
#define PHIZ_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define PHIZ_API
#define PHIZ_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a call came to. Everything but PHIZ_OK leaves a message in the context (phiz_ctx_message). */
enum phiz_status {
	PHIZ_OK = 0,
	PHIZ_E_ARG,         /* the caller's argument or setting is wrong */
	PHIZ_E_NOMEM,       /* memory ran out, or the context's memory limit was met */
	PHIZ_E_IO,          /* the system refused: open, read, write, rename, disk full */
	PHIZ_E_FORMAT,      /* a file or message is damaged, truncated or of another kind */
	PHIZ_E_SHAPE,       /* shapes or dtypes do not fit together */
	PHIZ_E_UNSUPPORTED, /* well-formed, but phiz does not do it */
	PHIZ_E_NOTFOUND,    /* a file, name or key is not there */
	PHIZ_E_LIMIT,       /* a stated limit was exceeded (pixels, bytes, nesting) */
	PHIZ_E_NUMERIC,     /* NaN or Inf where a finite number must be */
	PHIZ_E_CANCELLED,   /* broken off on request */
	PHIZ_E_INTERNAL     /* a mistake in phiz itself: please report it */
};

/* The code's name in words, such as "out of memory". Never NULL, static storage. */
PHIZ_API const char *phiz_status_name(enum phiz_status status);

#ifdef __cplusplus
}
#endif
#endif
