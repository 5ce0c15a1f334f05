/* Programs started from argument vectors, never through a shell; words for the shell on the other side of ssh, and for
 * systemd there. */
#ifndef PHIZ_TOOLS_REMOTE_H
#define PHIZ_TOOLS_REMOTE_H

#include <stdbool.h>

#include "core/base/bytes.h"

/* Runs argv[0] (found in PATH) with standard input from `input` (a descriptor; -1: nothing) and waits. output: what it
 * prints, at most 64 KiB of it, or NULL: to standard error. *code: its exit status, 128 + signal where it was ended so.
 * Errors: NOTFOUND (no such program), IO, NOMEM. */
enum phiz_status phiz_program_run(struct phiz_ctx *ctx, char *const argv[], int input, struct phiz_bytes *output,
                                  int *code);

/* Appends the text as one word for a POSIX shell: 'it'\''s'. */
void phiz_shell_word(struct phiz_bytes *out, const char *text);

/* Takes the text apart as a shell would (blanks part words; '...', "..." and \ keep them together) and appends each
 * word behind a blank as one for the command of a systemd unit, which gives it back unchanged: "50%%". Errors: ARG (a
 * quote is not closed, no word, a control character). */
enum phiz_status phiz_systemd_words(struct phiz_ctx *ctx, struct phiz_bytes *out, const char *text);

/* Is it [USER@]HOST, with nothing in it that ssh or a shell could take for something else? */
bool phiz_is_ssh_target(const char *text);

#endif
