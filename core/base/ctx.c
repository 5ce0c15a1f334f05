#include "core/base/ctx.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"

const char *phiz_status_name(enum phiz_status status)
{
	switch (status) {
	case PHIZ_OK: return "ok";
	case PHIZ_E_ARG: return "wrong argument";
	case PHIZ_E_NOMEM: return "out of memory";
	case PHIZ_E_IO: return "input/output error";
	case PHIZ_E_FORMAT: return "damaged or foreign data";
	case PHIZ_E_SHAPE: return "shapes do not fit";
	case PHIZ_E_UNSUPPORTED: return "not supported";
	case PHIZ_E_NOTFOUND: return "not found";
	case PHIZ_E_LIMIT: return "limit exceeded";
	case PHIZ_E_NUMERIC: return "not a finite number";
	case PHIZ_E_CANCELLED: return "cancelled";
	case PHIZ_E_INTERNAL: return "internal error";
	}
	return "unknown status";
}

static int online_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > PHIZ_MAX_THREADS ? PHIZ_MAX_THREADS : (int)n;
}

static bool shared_init(struct phiz_shared *shared, const struct phiz_ctx_options *options)
{
	shared->memory_limit = options->memory_limit;
	shared->log = options->log;
	shared->log_user = options->log_user;
	shared->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (shared->c_locale == (locale_t)0)
		return false;
	pthread_mutex_init(&shared->memory_lock, NULL);
	pthread_mutex_init(&shared->log_lock, NULL);
	atomic_init(&shared->temporaries, 0);
	return true;
}

enum phiz_status phiz_ctx_create(const struct phiz_ctx_options *options, struct phiz_ctx **out)
{
	static const struct phiz_ctx_options defaults;
	struct phiz_ctx *ctx;
	*out = NULL;
	if (!options)
		options = &defaults;
	if (options->threads < 0 || options->threads > PHIZ_MAX_THREADS)
		return PHIZ_E_ARG;
	ctx = phiz_raw_calloc(sizeof(*ctx));
	if (!ctx)
		return PHIZ_E_NOMEM;
	if (!shared_init(&ctx->own, options)) {
		phiz_raw_free(ctx);
		return PHIZ_E_NOMEM;
	}
	ctx->shared = &ctx->own;
	pthread_mutex_init(&ctx->error_lock, NULL);
	if (phiz_pool_create(options->threads ? options->threads : online_cpus(), &ctx->pool)) {
		phiz_ctx_free(&ctx);
		return PHIZ_E_NOMEM;
	}
	*out = ctx;
	return PHIZ_OK;
}

enum phiz_status phiz_ctx_fork(struct phiz_ctx *parent, struct phiz_ctx **out)
{
	struct phiz_ctx *ctx = phiz_calloc(parent, 1, sizeof(*ctx));
	*out = ctx;
	if (!ctx)
		return PHIZ_E_NOMEM;
	ctx->shared = parent->shared;
	pthread_mutex_init(&ctx->error_lock, NULL);
	return PHIZ_OK;
}

void phiz_ctx_free(struct phiz_ctx **ctx)
{
	if (!ctx || !*ctx)
		return;
	struct phiz_ctx *c = *ctx;
	*ctx = NULL;
	phiz_kept_free(c);
	phiz_pool_free(&c->pool);
	pthread_mutex_destroy(&c->error_lock);
	if (c->shared != &c->own) {
		/* A fork is counted memory of the context that it was forked from, and must not count itself off through
		 * its own memory: the shared part lives elsewhere. */
		phiz_free(c, c);
		return;
	}
	freelocale(c->own.c_locale);
	pthread_mutex_destroy(&c->own.memory_lock);
	pthread_mutex_destroy(&c->own.log_lock);
	phiz_raw_free(c);
}

const char *phiz_ctx_message(const struct phiz_ctx *ctx)
{
	return ctx->message;
}

enum phiz_status phiz_ctx_status(const struct phiz_ctx *ctx)
{
	return ctx->status;
}

void phiz_ctx_clear(struct phiz_ctx *ctx)
{
	ctx->status = PHIZ_OK;
	ctx->message[0] = 0;
}

int phiz_ctx_threads(const struct phiz_ctx *ctx)
{
	return phiz_pool_threads(ctx->pool);
}

void phiz_ctx_memory(const struct phiz_ctx *ctx, struct phiz_memory_stats *out)
{
	pthread_mutex_lock(&ctx->shared->memory_lock);
	*out = ctx->shared->stats;
	pthread_mutex_unlock(&ctx->shared->memory_lock);
}

int phiz_vformat(const struct phiz_ctx *ctx, char *text, size_t size, const char *fmt, va_list args)
{
	locale_t before = uselocale(ctx->shared->c_locale);
	int length = vsnprintf(text, size, fmt, args);
	uselocale(before);
	return length;
}

/* One line of valid UTF-8: names from hostile files must not move the cursor of a terminal or split a log line. */
static void tidy(char *text)
{
	size_t left = strlen(text), n;
	for (char *p = text; left; p += n, left -= n) {
		n = phiz_utf8_next(p, left);
		if (n == 0) {
			n = 1;
			*p = '?';
		} else if (n == 1 && (*p == '\n' || *p == '\t')) {
			*p = ' ';
		} else if (n == 1 && ((unsigned char)*p < 0x20 || *p == 0x7f)) {
			*p = '?';
		}
	}
}

/* Formats one line into text; where it does not fit, it ends in "...". */
static void format_line(const struct phiz_ctx *ctx, char *text, size_t size, const char *fmt, va_list args)
{
	int length = phiz_vformat(ctx, text, size, fmt, args);
	if (length < 0)
		text[0] = 0;
	if (length >= (int)size) {
		size_t cut = size - 4;
		while (cut && ((unsigned char)text[cut] & 0xc0) == 0x80) /* not in the middle of a character */
			cut--;
		memcpy(text + cut, "...", 4);
	}
	tidy(text);
}

/* PHIZ_OK as status keeps the one that is there. */
static enum phiz_status set_error(struct phiz_ctx *ctx, enum phiz_status status, const char *message)
{
	pthread_mutex_lock(&ctx->error_lock);
	if (status != PHIZ_OK)
		ctx->status = status;
	status = ctx->status;
	size_t size = strlen(message) + 1;
	memcpy(ctx->message, message, size < PHIZ_MESSAGE_MAX ? size : PHIZ_MESSAGE_MAX);
	ctx->message[PHIZ_MESSAGE_MAX - 1] = 0;
	pthread_mutex_unlock(&ctx->error_lock);
	return status;
}

/* The arguments may point into the message that is there, so it is formatted aside first. */
enum phiz_status phiz_fail(struct phiz_ctx *ctx, enum phiz_status status, const char *fmt, ...)
{
	char text[PHIZ_MESSAGE_MAX];
	va_list args;
	if (!ctx)
		return status;
	va_start(args, fmt);
	format_line(ctx, text, sizeof(text), fmt, args);
	va_end(args);
	return set_error(ctx, status, text);
}

/* At most half of the room goes to the prefix, so that what it is about is never pushed out. */
enum phiz_status phiz_fail_in(struct phiz_ctx *ctx, const char *fmt, ...)
{
	char prefix[PHIZ_MESSAGE_MAX / 2], message[PHIZ_MESSAGE_MAX];
	va_list args;
	va_start(args, fmt);
	format_line(ctx, prefix, sizeof(prefix), fmt, args);
	va_end(args);
	pthread_mutex_lock(&ctx->error_lock);
	memcpy(message, ctx->message, sizeof(message));
	pthread_mutex_unlock(&ctx->error_lock);
	return phiz_fail(ctx, PHIZ_OK, "%s: %s", prefix, message);
}

enum phiz_status phiz_fail_copy(struct phiz_ctx *to, const struct phiz_ctx *from)
{
	if (to == from)
		return from->status;
	if (from->status == PHIZ_OK)
		return PHIZ_OK;
	return set_error(to, from->status, from->message);
}

void phiz_log(struct phiz_ctx *ctx, enum phiz_log_level level, const char *fmt, ...)
{
	char text[2048];
	va_list args;
	if (!ctx->shared->log)
		return;
	va_start(args, fmt);
	format_line(ctx, text, sizeof(text), fmt, args);
	va_end(args);
	pthread_mutex_lock(&ctx->shared->log_lock);
	ctx->shared->log(ctx->shared->log_user, level, text);
	pthread_mutex_unlock(&ctx->shared->log_lock);
}
