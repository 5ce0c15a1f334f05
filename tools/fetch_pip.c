/* A wheel through the pip client. pip is started from an argument vector, never through a shell, and told to take
 * wheels only: of a source package it would run the set-up program. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/system.h"
#include "core/base/thread.h"
#include "tools/fetch.h"
#include "tools/tools.h"

enum { MAX_WORDS = 24, MAX_SECONDS = 1800 };

extern char **environ;

/* Its complaints go to `complaints`, all else to nowhere. A group of its own, so that Ctrl-C reaches this program first
 * and all that pip started can be ended together. Gives an errno. */
static int spawn(char *const argv[], const char *complaints, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int error = posix_spawn_file_actions_init(&files);

	if (error)
		return error;
	error = posix_spawnattr_init(&attr);
	if (error) {
		posix_spawn_file_actions_destroy(&files);
		return error;
	}
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setpgroup(&attr, 0);
	error = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	if (!error)
		error = posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	if (!error)
		error = posix_spawn_file_actions_addopen(&files, 2, complaints, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (!error)
		error = posix_spawnp(pid, argv[0], &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return error;
}

static void stop(pid_t pid, int *status)
{
	struct timespec pause = {0, 50000000};

	kill(-pid, SIGTERM);
	for (int i = 0; i < 60; i++) { /* three seconds to clean up after itself */
		if (waitpid(pid, status, WNOHANG) == pid)
			return;
		nanosleep(&pause, NULL);
	}
	kill(-pid, SIGKILL);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
}

/* Waits for the end, a signal or the time limit. */
static enum phiz_status wait_for(struct phiz_ctx *ctx, pid_t pid, const char *what, int *status)
{
	struct timespec pause = {0, 50000000};
	struct phiz_progress progress;
	double begun = phiz_time();

	phiz_progress_start(&progress);
	for (;;) {
		pid_t got = waitpid(pid, status, WNOHANG);
		if (got == pid)
			break;
		if (got < 0 && errno != EINTR)
			return phiz_fail_system(ctx, "pip", "cannot wait for it", errno);
		if (phiz_interrupted || phiz_time() - begun > MAX_SECONDS) {
			stop(pid, status);
			phiz_progress_clear(&progress);
			if (phiz_interrupted)
				return phiz_fail(ctx, PHIZ_E_CANCELLED, "broken off; nothing was kept");
			return phiz_fail(ctx, PHIZ_E_LIMIT, "pip was not done after %d minutes", MAX_SECONDS / 60);
		}
		phiz_progress_show(&progress, 0, 0, false, "pip downloads %s ...", what);
		nanosleep(&pause, NULL);
	}
	phiz_progress_clear(&progress);
	return PHIZ_OK;
}

/* pip's own words: the last line that begins with ERROR, else the last line. */
static void complaint(struct phiz_ctx *ctx, const char *path, char *out, size_t size)
{
	struct phiz_bytes text;
	const char *best = NULL;
	char *line;

	snprintf(out, size, "it said nothing");
	phiz_bytes_init(&text, ctx);
	if (!phiz_file_read(ctx, path, 1 << 20, &text)) {
		for (line = text.data; line && *line;) {
			char *end = strchr(line, '\n');
			if (end)
				*end = 0;
			if (*line && (!best || !strncmp(line, "ERROR", 5) || strncmp(best, "ERROR", 5)))
				best = line;
			line = end ? end + 1 : NULL;
		}
		if (best)
			snprintf(out, size, "%.300s", best);
		for (char *c = out; *c; c++)
			if ((unsigned char)*c < ' ')
				*c = ' ';
	}
	phiz_bytes_free(&text);
}

static enum phiz_status find_wheel(struct phiz_ctx *ctx, const char *folder, size_t limit, char **wheel)
{
	struct phiz_names names;
	struct stat s;
	enum phiz_status status = phiz_dir_list(ctx, folder, &names);

	for (size_t i = 0; !status && i < names.count && !*wheel; i++) {
		size_t n = strlen(names.name[i]);
		if (n < 5 || strcmp(names.name[i] + n - 4, ".whl"))
			continue;
		*wheel = phiz_path_join(ctx, folder, names.name[i]);
		if (!*wheel)
			status = PHIZ_E_NOMEM;
		else if (lstat(*wheel, &s) || !S_ISREG(s.st_mode))
			status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s: not a plain file", *wheel);
		else if ((uintmax_t)s.st_size > limit)
			status = phiz_fail(ctx, PHIZ_E_LIMIT, "%s: %lld bytes, want at most %zu", names.name[i],
			                   (long long)s.st_size, limit);
	}
	phiz_names_free(ctx, &names);
	if (!status && !*wheel)
		status = phiz_fail(ctx, PHIZ_E_NOTFOUND, "pip was content but brought no wheel");
	return status;
}

enum phiz_status phiz_fetch_pip(struct phiz_ctx *ctx, const char *package, const char *version, const char *folder,
                                size_t limit, char **wheel)
{
	static const char *const programs[][4] = {{"pip"}, {"pip3"}, {"python3", "-m", "pip"}};
	static const char *const words[] = {"download", "--no-deps", "--only-binary", ":all:", "--no-input",
	                                    "--disable-pip-version-check", "--progress-bar", "off", "--timeout", "30",
	                                    "--retries", "2", "-q", "-d"};
	char *spec = phiz_asprintf(ctx, "%s==%s", package, version);
	char *said = phiz_path_join(ctx, folder, "pip.log");
	enum phiz_status status = spec && said ? PHIZ_OK : PHIZ_E_NOMEM;
	int error = ENOENT, ended = 0;
	char line[400];
	pid_t pid;

	*wheel = NULL;
	for (int p = 0; !status && error == ENOENT && p < 3; p++) {
		const char *argv[MAX_WORDS];
		int n = 0;
		for (int i = 0; programs[p][i]; i++)
			argv[n++] = programs[p][i];
		for (int i = 0; i < PHIZ_COUNT(words); i++)
			argv[n++] = words[i];
		argv[n++] = folder;
		argv[n++] = spec;
		argv[n] = NULL;
		error = spawn((char *const *)argv, said, &pid); /* execvp does not write to them */
	}
	if (!status && error == ENOENT)
		status = phiz_fail(ctx, PHIZ_E_NOTFOUND, "there is no pip, pip3 or python3 on the PATH");
	else if (!status && error)
		status = phiz_fail_system(ctx, "pip", "cannot start it", error);
	if (!status)
		status = wait_for(ctx, pid, spec, &ended);
	if (!status && (!WIFEXITED(ended) || WEXITSTATUS(ended))) {
		complaint(ctx, said, line, sizeof line);
		status = phiz_fail(ctx, PHIZ_E_IO, "pip could not download %s: %s", spec, line);
	}
	if (!status)
		status = find_wheel(ctx, folder, limit, wheel);
	if (status) {
		phiz_free(ctx, *wheel);
		*wheel = NULL;
	}
	phiz_free(ctx, said);
	phiz_free(ctx, spec);
	return status;
}
