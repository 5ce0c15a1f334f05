/* Getting files from outside: through pip, through https, out of a wheel. What comes is only ever read. */
#ifndef PHIZ_TOOLS_FETCH_H
#define PHIZ_TOOLS_FETCH_H

#include <stdbool.h>
#include <stddef.h>

#include <phiz/ctx.h>

/* A new folder in `parent` for what is not finished, as a new string; what earlier processes that are gone left behind
 * there is removed first. */
enum phiz_status phiz_fetch_folder(struct phiz_ctx *ctx, const char *parent, char **path);
/* Deletes the folder and what is in it, and frees path. NULL is fine. */
void phiz_fetch_folder_remove(struct phiz_ctx *ctx, char **path);

/* Downloads the wheel of package==version into folder with the first of pip, pip3, python3 -m pip that there is,
 * without what it depends on; wheels only, so that nothing of the package runs. wheel: its path as a new string.
 * Errors: NOTFOUND (no pip), IO (with pip's last line), CANCELLED (Ctrl-C), LIMIT (above `limit` bytes, or not done in
 * 30 minutes). */
enum phiz_status phiz_fetch_pip(struct phiz_ctx *ctx, const char *package, const char *version, const char *folder,
                                size_t limit, char **wheel);

/* Downloads an https URL of at most `limit` bytes into a file. CURL_CA_BUNDLE names other certificates to trust than
 * the system's. what: said in the progress. Errors: IO, CANCELLED, LIMIT; UNSUPPORTED (built without libcurl; not
 * https). */
enum phiz_status phiz_fetch_url(struct phiz_ctx *ctx, const char *url, size_t limit, const char *what,
                                const char *path);
/* Was the program built with libcurl? */
bool phiz_fetch_has_https(void);

/* Copies one member (of at most `limit` bytes) of a wheel or other zip archive into a file. Errors: NOTFOUND, LIMIT;
 * FORMAT: no archive, damaged, or one with names that lead out of it ("../x", "/x"). */
enum phiz_status phiz_fetch_member(struct phiz_ctx *ctx, const char *archive, const char *member, size_t limit,
                                   const char *path);

/* OK if the file has this size and SHA-256; FORMAT, saying both sums, if not. */
enum phiz_status phiz_fetch_check(struct phiz_ctx *ctx, const char *path, size_t size, const char *sha256);

#endif
