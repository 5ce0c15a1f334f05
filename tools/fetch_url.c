/* A file over https, through libcurl where the program was built with it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/system.h"
#include "tools/fetch.h"
#include "tools/tools.h"

bool phiz_fetch_has_https(void)
{
#ifdef PHIZ_HAVE_CURL
	return true;
#else
	return false;
#endif
}

#ifdef PHIZ_HAVE_CURL
#include <curl/curl.h>

struct download {
	FILE *file;
	size_t size, limit, total; /* total 0: not known yet */
	int error;                 /* errno of a write that failed */
	bool too_large;
	const char *what;
	struct phiz_progress progress;
};

static size_t receive(char *data, size_t one, size_t size, void *user)
{
	struct download *d = user;

	(void)one; /* always 1 */
	if (size > d->limit - d->size) {
		d->too_large = true;
		return 0;
	}
	if (fwrite(data, 1, size, d->file) != size) {
		d->error = errno ? errno : EIO;
		return 0;
	}
	d->size += size;
	return size;
}

static int show(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
	struct download *d = user;

	(void)up_total;
	(void)up;
	phiz_progress_show(&d->progress, (double)now, (double)total, false, "%s %.1f MB", d->what, (double)now / 1e6);
	return phiz_interrupted ? 1 : 0;
}

static void set_options(CURL *curl, const char *url, struct download *d, char *error)
{
	const char *certificates = getenv("CURL_CA_BUNDLE");

	curl_easy_setopt(curl, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
#else
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS);
	curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
	curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 30L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1000L); /* bytes a second, */
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);    /* for so many seconds: given up */
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, 3600L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "phiz/" PHIZ_VERSION);
	curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)d->limit);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, d);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, show);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, d);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	if (certificates && *certificates)
		curl_easy_setopt(curl, CURLOPT_CAINFO, certificates);
}

static enum phiz_status judge(struct phiz_ctx *ctx, const struct download *d, CURLcode code, const char *url,
                              const char *path, const char *error)
{
	if (code == CURLE_OK)
		return PHIZ_OK;
	if (phiz_interrupted)
		return phiz_fail(ctx, PHIZ_E_CANCELLED, "broken off; nothing was kept");
	if (d->too_large || code == CURLE_FILESIZE_EXCEEDED)
		return phiz_fail(ctx, PHIZ_E_LIMIT, "%s: larger than the %zu bytes that it should have", url, d->limit);
	if (d->error)
		return phiz_fail_system(ctx, path, "cannot write", d->error);
	return phiz_fail(ctx, PHIZ_E_IO, "%s: %s", url, *error ? error : curl_easy_strerror(code));
}

enum phiz_status phiz_fetch_url(struct phiz_ctx *ctx, const char *url, size_t limit, const char *what,
                                const char *path)
{
	struct download d = {.limit = limit, .what = what};
	char error[CURL_ERROR_SIZE] = "";

	if (strncmp(url, "https://", 8))
		return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: only https is fetched", url);
	d.file = fopen(path, "wb");
	if (!d.file)
		return phiz_fail_system(ctx, path, "cannot write", errno);
	CURL *curl = curl_global_init(CURL_GLOBAL_DEFAULT) ? NULL : curl_easy_init();
	enum phiz_status status = curl ? PHIZ_OK : phiz_fail(ctx, PHIZ_E_NOMEM, "cannot start libcurl");
	if (!status) {
		phiz_progress_start(&d.progress);
		set_options(curl, url, &d, error);
		CURLcode code = curl_easy_perform(curl);
		phiz_progress_clear(&d.progress);
		status = judge(ctx, &d, code, url, path, error);
		curl_easy_cleanup(curl);
	}
	curl_global_cleanup();
	if (fclose(d.file) && !status)
		status = phiz_fail_system(ctx, path, "cannot write", errno);
	return status;
}

#else

enum phiz_status phiz_fetch_url(struct phiz_ctx *ctx, const char *url, size_t limit, const char *what,
                                const char *path)
{
	(void)limit;
	(void)what;
	(void)path;
	return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: this phiz was built without libcurl and cannot fetch URLs", url);
}

#endif
