/* One line on stderr that tells how far long work has come. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/thread.h"
#include "tools/tools.h"

void phiz_progress_start(struct phiz_progress *p)
{
	p->terminal = isatty(STDERR_FILENO) == 1;
	p->quiet = phiz_quiet;
	p->started = phiz_time();
	p->last = -1e9;
	p->width = 0;
}

void phiz_progress_restart(struct phiz_progress *p) { p->started = phiz_time(); }

static void format_seconds(double s, char out[32])
{
	if (s < 0 || !isfinite(s))
		snprintf(out, 32, "--:--");
	else if (s < 3600)
		snprintf(out, 32, "%02d:%02d", (int)s / 60, (int)s % 60);
	else
		snprintf(out, 32, "%d:%02d:%02d", (int)(s / 3600), (int)s / 60 % 60, (int)s % 60);
}

void phiz_progress_show(struct phiz_progress *p, double done, double total, bool force, const char *fmt, ...)
{
	char text[256], bar[32], eta[32], line[400];
	double now = phiz_time();
	va_list args;

	if (p->quiet || (!force && now - p->last < (p->terminal ? 0.1 : 10)))
		return;
	p->last = now;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	if (total > 0) {
		int cells = 20, full = (int)(cells * (done / total) + 0.5);
		full = full < 0 ? 0 : full > cells ? cells : full;
		memset(bar, '#', (size_t)full);
		memset(bar + full, '.', (size_t)(cells - full));
		bar[cells] = 0;
		format_seconds(done > 0 ? (now - p->started) * (total - done) / done : -1, eta);
		snprintf(line, sizeof line, "[%s] %3.0f %%  %s  ETA %s", bar, 100 * done / total, text, eta);
	} else {
		snprintf(line, sizeof line, "%s", text);
	}
	if (p->terminal) {
		fprintf(stderr, "\r%-*s", p->width, line);
		p->width = (int)strlen(line);
	} else {
		fprintf(stderr, "%s\n", line);
	}
	fflush(stderr);
}

void phiz_progress_clear(struct phiz_progress *p)
{
	if (p->terminal && !p->quiet && p->width) {
		fprintf(stderr, "\r%*s\r", p->width, "");
		fflush(stderr);
		p->width = 0;
	}
}
