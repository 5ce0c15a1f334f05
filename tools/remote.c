#include "tools/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/error.h"

enum { MOST_OUTPUT = 65536 };

extern char **environ;

static int spawn(char *const argv[], int input, int output, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	int error = posix_spawn_file_actions_init(&files);

	if (error)
		return error;
	error = input >= 0 ? posix_spawn_file_actions_adddup2(&files, input, 0)
	                   : posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&files, output >= 0 ? output : 2, 1);
	if (!error)
		error = posix_spawnp(pid, argv[0], &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	return error;
}

/* What comes beyond the limit is read and forgotten, so that the program does not wait for a reader. */
static void collect(int from, struct phiz_bytes *output)
{
	char part[4096];
	ssize_t n;

	while ((n = read(from, part, sizeof part)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && output->size + (size_t)n <= MOST_OUTPUT)
			phiz_bytes_add(output, part, (size_t)n);
}

enum phiz_status phiz_program_run(struct phiz_ctx *ctx, char *const argv[], int input, struct phiz_bytes *output,
                                  int *code)
{
	int ends[2] = {-1, -1}, status = 0;
	pid_t pid;

	*code = -1;
	if (output && pipe(ends))
		return phiz_fail(ctx, PHIZ_E_IO, "%s: no pipe: %s", argv[0], strerror(errno));
	if (output && fcntl(ends[0], F_SETFD, FD_CLOEXEC)) {
		close(ends[0]);
		close(ends[1]);
		return phiz_fail(ctx, PHIZ_E_IO, "%s: %s", argv[0], strerror(errno));
	}
	int error = spawn(argv, input, ends[1], &pid);
	if (output)
		close(ends[1]);
	if (!error && output)
		collect(ends[0], output);
	if (output)
		close(ends[0]);
	if (error)
		return phiz_fail(ctx, error == ENOENT ? PHIZ_E_NOTFOUND : PHIZ_E_IO, "%s: %s: is it installed?", argv[0],
		                 strerror(error));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return output ? phiz_bytes_status(output) : PHIZ_OK;
}

void phiz_shell_word(struct phiz_bytes *out, const char *text)
{
	phiz_bytes_text(out, "'");
	for (; *text; text++) {
		if (*text == '\'')
			phiz_bytes_text(out, "'\\''");
		else
			phiz_bytes_add(out, text, 1);
	}
	phiz_bytes_text(out, "'");
}

static void add_to_systemd_word(struct phiz_bytes *out, char c)
{
	if (c == '\\' || c == '"')
		phiz_bytes_text(out, "\\");
	if (c == '%' || c == '$')
		phiz_bytes_add(out, &c, 1);
	phiz_bytes_add(out, &c, 1);
}

/* The word at the text; behind it, or NULL where a quote is not closed. */
static const char *add_systemd_word(struct phiz_bytes *out, const char *at)
{
	char quote = '\0';

	phiz_bytes_text(out, " \"");
	for (; *at && (quote || *at != ' '); at++) {
		if (*at == quote) {
			quote = '\0';
		} else if (!quote && (*at == '\'' || *at == '"')) {
			quote = *at;
		} else {
			if (*at == '\\' && at[1] && (!quote || (quote == '"' && (at[1] == '"' || at[1] == '\\'))))
				at++;
			add_to_systemd_word(out, *at);
		}
	}
	phiz_bytes_text(out, "\"");
	return quote ? NULL : at;
}

enum phiz_status phiz_systemd_words(struct phiz_ctx *ctx, struct phiz_bytes *out, const char *text)
{
	for (const char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			return phiz_fail(ctx, PHIZ_E_ARG, "a control character is in the arguments");
	text += strspn(text, " ");
	if (!*text)
		return phiz_fail(ctx, PHIZ_E_ARG, "no arguments: want a verb and what it takes");
	while (text && *text) {
		text = add_systemd_word(out, text);
		if (text)
			text += strspn(text, " ");
	}
	return text ? phiz_bytes_status(out) : phiz_fail(ctx, PHIZ_E_ARG, "a quote is not closed");
}

bool phiz_is_ssh_target(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t user = strspn(text, allowed);
	const char *host = text[user] == '@' ? text + user + 1 : text;

	return *text != '-' && *host && *host != '-' && host[strspn(host, allowed)] == '\0' && strlen(text) < 256 &&
	       (host == text || user > 0);
}
