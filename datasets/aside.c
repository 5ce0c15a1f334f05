/* Moving there and back. What a file's state is (here, there, both, neither) is looked up, never assumed, so that every
 * step may be the one before which the last run was killed. */
#define _DEFAULT_SOURCE /* flock, realpath */
#include "datasets/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/system.h"

#define MAX_JOURNAL ((size_t)1 << 30)
#define COPY_BYTES ((size_t)256 << 10)
#define MAX_TRIES 100000

struct mover {
	struct phiz_ctx *ctx;
	const char *dir, *aside;
	char *journal, *lock;
	int lock_fd;
	unsigned char *buffer; /* two halves of COPY_BYTES */
	phiz_aside_progress progress;
	void *user;
	struct phiz_aside_result *result;
};

static bool exists(const char *path)
{
	struct stat info;

	return lstat(path, &info) == 0;
}

/* Is path (which need not exist) the folder or inside of it? Both as realpath gives them. */
static bool lies_in(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0' || (n && folder[n - 1] == '/'));
}

static enum phiz_status check_places(struct phiz_ctx *ctx, const char *dir, const char *aside)
{
	char *a = phiz_alloc(ctx, PATH_MAX, 1), *b = phiz_alloc(ctx, PATH_MAX, 1);
	enum phiz_status status = a && b ? PHIZ_OK : PHIZ_E_NOMEM;

	if (!status && (!realpath(dir, a) || !realpath(aside, b)))
		status = phiz_fail_system(ctx, dir, "cannot find this folder or the one for what is put aside", errno);
	if (!status && (lies_in(b, a) || lies_in(a, b)))
		status = phiz_fail(ctx, PHIZ_E_ARG, "%s: what is put aside cannot lie inside of %s, nor the other way round: "
		                   "name another folder", aside, dir);
	phiz_free(ctx, a);
	phiz_free(ctx, b);
	return status;
}

static enum phiz_status open_mover(struct mover *m)
{
	m->lock_fd = -1;
	m->journal = phiz_path_join(m->ctx, m->aside, "journal");
	m->lock = phiz_path_join(m->ctx, m->aside, ".lock");
	m->buffer = phiz_alloc(m->ctx, 2, COPY_BYTES);
	if (!m->journal || !m->lock || !m->buffer)
		return PHIZ_E_NOMEM;
	enum phiz_status status = check_places(m->ctx, m->dir, m->aside);
	if (status)
		return status;
	m->lock_fd = open(m->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (m->lock_fd < 0)
		return phiz_fail_system(m->ctx, m->lock, "cannot write to this folder", errno);
	if (flock(m->lock_fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return phiz_fail(m->ctx, PHIZ_E_IO, "%s: another process is moving photos: wait for it", m->aside);
	return PHIZ_OK;
}

static void close_mover(struct mover *m)
{
	if (m->lock_fd >= 0)
		close(m->lock_fd);
	phiz_free(m->ctx, m->journal);
	phiz_free(m->ctx, m->lock);
	phiz_free(m->ctx, m->buffer);
}

static enum phiz_status read_journal(struct mover *m, struct phiz_aside_moves *out)
{
	struct phiz_bytes text;
	enum phiz_status status;

	memset(out, 0, sizeof(*out));
	phiz_bytes_init(&text, m->ctx);
	status = phiz_file_read(m->ctx, m->journal, MAX_JOURNAL, &text);
	if (!status)
		status = phiz_aside_parse(m->ctx, text.data, text.size, m->journal, out);
	phiz_bytes_free(&text);
	return status;
}

static enum phiz_status write_journal(struct mover *m, const struct phiz_aside_moves *moves)
{
	struct phiz_bytes text;
	enum phiz_status status;

	phiz_bytes_init(&text, m->ctx);
	phiz_aside_format(moves, &text);
	status = phiz_bytes_status(&text);
	if (!status)
		status = phiz_file_write(m->ctx, m->journal, text.data, text.size);
	phiz_bytes_free(&text);
	return status;
}

/* --- One file. --- */

static ssize_t read_some(int fd, void *to, size_t n)
{
	ssize_t got;

	do
		got = read(fd, to, n);
	while (got < 0 && errno == EINTR);
	return got;
}

static bool write_all(int fd, const unsigned char *data, size_t n)
{
	while (n) {
		ssize_t done = write(fd, data, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		data += done;
		n -= (size_t)done;
	}
	return true;
}

/* Copies what is in the open files, with permissions and times, and syncs. */
static bool copy_open(struct mover *m, int from, int to)
{
	struct stat info;
	ssize_t n;

	while ((n = read_some(from, m->buffer, COPY_BYTES)) > 0)
		if (!write_all(to, m->buffer, (size_t)n))
			return false;
	if (n < 0 || fstat(from, &info))
		return false;
	const struct timespec times[2] = {info.st_atim, info.st_mtim};
	return fchmod(to, info.st_mode & 07777) == 0 && futimens(to, times) == 0 && fsync(to) == 0;
}

static enum phiz_status copy_over(struct mover *m, const char *from, const char *to)
{
	char *temporary = phiz_asprintf(m->ctx, "%s.phiz.tmp", to);
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), out = -1;
	enum phiz_status status = temporary ? PHIZ_OK : PHIZ_E_NOMEM;
	struct stat info;

	if (!status && (in < 0 || fstat(in, &info) || !S_ISREG(info.st_mode)))
		status = phiz_fail(m->ctx, PHIZ_E_IO, "%s: cannot be moved to another file system: no regular file, or not "
		                   "to be read", from);
	if (!status) {
		unlink(temporary); /* of a run that was killed */
		out = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (out < 0 || !copy_open(m, in, out))
			status = phiz_fail_system(m->ctx, to, "cannot copy to this place", errno);
	}
	if (out >= 0 && close(out) && !status)
		status = phiz_fail_system(m->ctx, to, "cannot copy to this place", errno);
	if (!status && rename(temporary, to))
		status = phiz_fail_system(m->ctx, to, "cannot put the copy in its place", errno);
	if (status && temporary)
		unlink(temporary);
	if (in >= 0)
		close(in);
	phiz_free(m->ctx, temporary);
	return status;
}

/* The folder that path lies in; "." for none. */
static char *folder_of(struct phiz_ctx *ctx, const char *path)
{
	size_t n = (size_t)(phiz_path_base(path) - path);

	return n > 1 ? phiz_strndup(ctx, path, n - 1) : phiz_strdup(ctx, n ? "/" : ".");
}

static enum phiz_status sync_folder_of(struct phiz_ctx *ctx, const char *path)
{
	char *folder = folder_of(ctx, path);
	int fd;

	if (!folder)
		return PHIZ_E_NOMEM;
	fd = open(folder, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)fsync(fd); /* some file systems cannot: then there is nothing more to do */
		close(fd);
	}
	phiz_free(ctx, folder);
	return PHIZ_OK;
}

static enum phiz_status same_content(struct mover *m, const char *a, const char *b, bool *same)
{
	int x = open(a, O_RDONLY | O_CLOEXEC | O_NONBLOCK), y = open(b, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	enum phiz_status status = PHIZ_OK;
	ssize_t n = 0, k = 0;

	*same = x >= 0 && y >= 0;
	while (*same && (n = read_some(x, m->buffer, COPY_BYTES)) > 0) {
		for (k = 0; *same && k < n;) { /* the other may come in other pieces */
			ssize_t got = read_some(y, m->buffer + COPY_BYTES, (size_t)(n - k));
			*same = got > 0 && memcmp(m->buffer + k, m->buffer + COPY_BYTES, (size_t)got) == 0;
			k += got;
		}
	}
	if (*same && (n < 0 || read_some(y, m->buffer, 1) != 0))
		*same = false;
	if (n < 0 || k < 0)
		status = phiz_fail_system(m->ctx, n < 0 ? a : b, "cannot read", errno);
	if (x >= 0)
		close(x);
	if (y >= 0)
		close(y);
	return status;
}

/* From one place to the other, which is free. */
static enum phiz_status move_file(struct mover *m, const char *from, const char *to)
{
	char *folder = folder_of(m->ctx, to);
	enum phiz_status status = folder ? phiz_dir_make(m->ctx, folder) : PHIZ_E_NOMEM;

	phiz_free(m->ctx, folder);
	if (status)
		return status;
	if (rename(from, to)) {
		if (errno != EXDEV)
			return phiz_fail_system(m->ctx, from, "cannot be moved", errno);
		status = copy_over(m, from, to);
		if (!status)
			status = sync_folder_of(m->ctx, to);
		if (!status && unlink(from))
			status = phiz_fail_system(m->ctx, from, "cannot be removed after it was copied", errno);
	}
	return status;
}

/* Brings a file from here to there, whatever an earlier run has done of it. conflict: another file stands there. */
static enum phiz_status bring(struct mover *m, const char *here, const char *there, bool *conflict)
{
	bool is_here = exists(here), is_there = exists(there), same = false;
	enum phiz_status status = PHIZ_OK;

	*conflict = false;
	if (is_here && is_there) {
		status = same_content(m, here, there, &same);
		*conflict = !status && !same;
		if (!status && same) { /* copied, and killed before the original was removed */
			if (unlink(here))
				return phiz_fail_system(m->ctx, here, "cannot be removed", errno);
			m->result->moved++;
		}
	} else if (is_here) {
		status = move_file(m, here, there);
		m->result->moved += !status;
	} else if (is_there) {
		m->result->already++;
	} else {
		m->result->missing++;
	}
	return status;
}

/* --- Putting aside. --- */

/* moves sorted by where they come from, so that one in the journal is found. */
static int compare_moves(const void *a, const void *b)
{
	const struct phiz_aside_move *x = *(struct phiz_aside_move *const *)a, *y = *(struct phiz_aside_move *const *)b;
	int c = strcmp(x->from, y->from);

	return c ? c : (x > y) - (x < y);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "anna/1.jpg", or "anna/1~2.jpg" where that is taken: by a file, or by a move of the journal (taken, sorted). */
static enum phiz_status choose_place(struct mover *m, const char *from, char *const *taken, size_t n, char **out)
{
	const char *base = phiz_path_base(from), *dot = strrchr(base, '.');
	int stem;

	if (!dot || dot == base)
		dot = from + strlen(from);
	stem = (int)(dot - from);
	for (int i = 1; i < MAX_TRIES; i++) {
		char *to = i == 1 ? phiz_strdup(m->ctx, from) : phiz_asprintf(m->ctx, "%.*s~%d%s", stem, from, i, dot);
		char *path = to ? phiz_path_join(m->ctx, m->aside, to) : NULL;
		bool is_free = path && !exists(path) && strcmp(to, "journal") != 0 && strcmp(to, ".lock") != 0 &&
		               !(n && bsearch(&to, taken, n, sizeof(*taken), compare_texts));

		phiz_free(m->ctx, path);
		*out = to;
		if (!path) {
			phiz_free(m->ctx, to);
			*out = NULL;
			return PHIZ_E_NOMEM;
		}
		if (is_free)
			return PHIZ_OK;
		phiz_free(m->ctx, to);
		*out = NULL;
	}
	return phiz_fail(m->ctx, PHIZ_E_LIMIT, "%s: too many files of this name in %s: empty that folder", from, m->aside);
}

/* A move of the journal that is not done yet keeps its place: from the last run, which was broken off. */
static const struct phiz_aside_move *find_pending(struct mover *m, struct phiz_aside_move *const *sorted, size_t n,
                                                  const char *from)
{
	for (size_t low = 0, high = n; low < high;) {
		size_t mid = low + (high - low) / 2;
		int c = strcmp(sorted[mid]->from, from);

		if (c < 0) {
			low = mid + 1;
		} else if (c > 0) {
			high = mid;
		} else { /* equal ones lie together: look at all of them */
			size_t k = mid;
			while (k > 0 && strcmp(sorted[k - 1]->from, from) == 0)
				k--;
			for (; k < n && strcmp(sorted[k]->from, from) == 0; k++) {
				char *path = phiz_path_join(m->ctx, m->aside, sorted[k]->to);
				bool pending = path && !exists(path);
				phiz_free(m->ctx, path);
				if (pending)
					return sorted[k];
			}
			return NULL;
		}
	}
	return NULL;
}

/* Chooses places for the moves and appends to the journal those that are not in it. */
static enum phiz_status plan(struct mover *m, struct phiz_aside_moves *journal, struct phiz_aside_moves *moves)
{
	size_t old = journal->count;
	struct phiz_aside_move **sorted = phiz_alloc(m->ctx, old + 1, sizeof(*sorted));
	char **taken = phiz_alloc(m->ctx, old + 1, sizeof(*taken));
	enum phiz_status status = PHIZ_OK;

	if (!sorted || !taken || phiz_grow(m->ctx, &journal->move, &journal->capacity, old + moves->count,
	                                   sizeof(*journal->move)))
		status = PHIZ_E_NOMEM;
	for (size_t i = 0; !status && i < old; i++) {
		sorted[i] = &journal->move[i];
		taken[i] = journal->move[i].to;
	}
	if (!status && old) {
		qsort(sorted, old, sizeof(*sorted), compare_moves);
		qsort(taken, old, sizeof(*taken), compare_texts);
	}
	for (size_t i = 0; !status && i < moves->count; i++) {
		struct phiz_aside_move *move = &moves->move[i];
		const struct phiz_aside_move *pending = find_pending(m, sorted, old, move->from);

		if (pending) {
			move->to = phiz_strdup(m->ctx, pending->to);
			status = move->to ? PHIZ_OK : PHIZ_E_NOMEM;
			continue;
		}
		status = choose_place(m, move->from, taken, old, &move->to);
		if (!status)
			status = phiz_aside_add(m->ctx, journal, move->from, move->why);
		if (!status) {
			journal->move[journal->count - 1].to = phiz_strdup(m->ctx, move->to);
			status = journal->move[journal->count - 1].to ? PHIZ_OK : PHIZ_E_NOMEM;
		}
	}
	phiz_free(m->ctx, sorted);
	phiz_free(m->ctx, taken);
	return status;
}

static enum phiz_status do_move(struct mover *m, const struct phiz_aside_move *move, bool back, bool *conflict)
{
	char *from = phiz_path_join(m->ctx, m->dir, move->from), *to = phiz_path_join(m->ctx, m->aside, move->to);
	enum phiz_status status = from && to ? PHIZ_OK : PHIZ_E_NOMEM;

	if (!status)
		status = back ? bring(m, to, from, conflict) : bring(m, from, to, conflict);
	if (!status && !*conflict)
		status = sync_folder_of(m->ctx, back ? from : to);
	phiz_free(m->ctx, from);
	phiz_free(m->ctx, to);
	return status;
}

static enum phiz_status tell(struct mover *m, size_t done, size_t total)
{
	if (m->progress && !m->progress(m->user, done, total))
		return phiz_fail(m->ctx, PHIZ_E_CANCELLED, "broken off after %zu of %zu moves: the same command goes on, undo "
		                 "puts back what was moved", done, total);
	return PHIZ_OK;
}

enum phiz_status phiz_aside_put(struct phiz_ctx *ctx, const char *dir, const char *aside,
                                struct phiz_aside_moves *moves, phiz_aside_progress progress, void *user,
                                struct phiz_aside_result *result)
{
	struct mover m = {.ctx = ctx, .dir = dir, .aside = aside, .lock_fd = -1, .progress = progress, .user = user,
	                  .result = result};
	struct phiz_aside_moves journal = {0};
	bool conflict;
	enum phiz_status status;

	memset(result, 0, sizeof(*result));
	if (moves->count == 0)
		return PHIZ_OK;
	status = phiz_dir_make(ctx, aside);
	if (!status)
		status = open_mover(&m);
	if (!status && exists(m.journal))
		status = read_journal(&m, &journal);
	if (!status)
		status = plan(&m, &journal, moves);
	if (!status)
		status = write_journal(&m, &journal);
	for (size_t i = 0; !status && i < moves->count; i++) {
		status = do_move(&m, &moves->move[i], false, &conflict);
		if (!status && conflict)
			status = phiz_fail(ctx, PHIZ_E_IO, "%s/%s: a file came into the way", aside, moves->move[i].to);
		if (!status)
			status = tell(&m, i + 1, moves->count);
	}
	phiz_aside_moves_free(ctx, &journal);
	close_mover(&m);
	return status;
}

/* --- Undoing. --- */

/* Removes the folders above the file as far as they are empty; not ASIDE itself. */
static enum phiz_status prune(struct mover *m, const char *to)
{
	char *path = phiz_path_join(m->ctx, m->aside, to), *slash;
	size_t top = strlen(m->aside);

	if (!path)
		return PHIZ_E_NOMEM;
	while ((slash = strrchr(path, '/')) && (size_t)(slash - path) > top) {
		*slash = '\0';
		if (strlen(path) <= top || rmdir(path))
			break;
	}
	phiz_free(m->ctx, path);
	return PHIZ_OK;
}

static enum phiz_status finish_undo(struct mover *m, const struct phiz_aside_moves *left)
{
	if (left->count)
		return write_journal(m, left);
	if (unlink(m->journal))
		return phiz_fail_system(m->ctx, m->journal, "cannot be removed", errno);
	unlink(m->lock);
	(void)rmdir(m->aside); /* stays where it holds anything else */
	return PHIZ_OK;
}

/* Moves that stay in the journal go to the front; the others are freed. */
static void keep(struct phiz_ctx *ctx, struct phiz_aside_moves *moves, const bool *stays)
{
	size_t kept = 0;

	for (size_t i = 0; i < moves->count; i++) {
		struct phiz_aside_move *move = &moves->move[i];

		if (stays[i]) {
			moves->move[kept++] = *move;
			continue;
		}
		phiz_free(ctx, move->from);
		phiz_free(ctx, move->to);
		phiz_free(ctx, move->why);
	}
	moves->count = kept;
}

enum phiz_status phiz_aside_undo(struct phiz_ctx *ctx, const char *dir, const char *aside,
                                 phiz_aside_progress progress, void *user, struct phiz_aside_result *result)
{
	struct mover m = {.ctx = ctx, .dir = dir, .aside = aside, .lock_fd = -1, .progress = progress, .user = user,
	                  .result = result};
	struct phiz_aside_moves journal = {0};
	bool *stays = NULL;
	enum phiz_status status;

	memset(result, 0, sizeof(*result));
	if (!phiz_path_is_dir(aside))
		return phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no such folder: nothing was put aside there", aside);
	status = open_mover(&m);
	if (!status && !exists(m.journal))
		status = phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no journal in it: nothing was put aside there", aside);
	if (!status)
		status = read_journal(&m, &journal);
	if (!status) {
		stays = phiz_calloc(ctx, journal.count, sizeof(*stays));
		status = stays ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	for (size_t i = journal.count; !status && i-- > 0;) {
		status = do_move(&m, &journal.move[i], true, &stays[i]);
		result->conflict += !status && stays[i];
		if (!status && !stays[i])
			status = prune(&m, journal.move[i].to);
		if (!status)
			status = tell(&m, journal.count - i, journal.count);
	}
	if (!status) {
		keep(ctx, &journal, stays);
		status = finish_undo(&m, &journal);
	}
	phiz_free(ctx, stays);
	phiz_aside_moves_free(ctx, &journal);
	close_mover(&m);
	return status;
}
