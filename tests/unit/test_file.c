/* Reading, mapping, atomic writing under bad weather, folders, paths. */
#define _GNU_SOURCE /* syscall */
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/file.h"

static struct phiz_ctx *ctx;
static char folder[256], path[512];
static struct phiz_bytes b;

/* The weather: these stand in the place of the C library's. */
static int write_error;         /* errno of write once write_room is used up */
static size_t write_room;       /* bytes */
static size_t write_piece;      /* write at most so many at once; 0: all */
static unsigned write_calls;    /* every third is interrupted, if write_piece is set */
static int sync_error, rename_error;

ssize_t write(int fd, const void *data, size_t size)
{
	if (write_piece && write_calls++ % 3 == 2) {
		errno = EINTR;
		return -1;
	}
	if (write_error && size > write_room) {
		if (write_room == 0) {
			errno = write_error;
			return -1;
		}
		size = write_room;
	}
	if (write_piece && size > write_piece)
		size = write_piece;
	if (write_error)
		write_room -= size;
	return syscall(SYS_write, fd, data, size);
}

int fsync(int fd)
{
	errno = sync_error;
	return sync_error ? -1 : (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
	errno = rename_error;
	return rename_error ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int setup(void **state)
{
	(void)state;
	ctx = test_ctx(1);
	test_folder(folder);
	phiz_bytes_init(&b, ctx);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	write_error = sync_error = rename_error = 0;
	write_piece = write_room = 0;
	phiz_bytes_free(&b);
	test_folder_done(folder);
	test_ctx_done(&ctx);
	return 0;
}

static const char *in_folder(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* The folder holds these names, separated by spaces, and no others. */
static void check_names(const char *want)
{
	struct phiz_names names;
	char text[1024] = "";
	assert_ok(ctx, phiz_dir_list(ctx, folder, &names));
	for (size_t i = 0; i < names.count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "", names.name[i]);
	assert_string_equal(text, want);
	phiz_names_free(ctx, &names);
}

static void check_content(const char *name, const char *want)
{
	assert_ok(ctx, phiz_file_read(ctx, in_folder(name), 1 << 20, &b));
	assert_string_equal(b.data, want);
	assert_int_equal(b.size, strlen(want));
}

static void test_read(void **state)
{
	(void)state;
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "hello", 5));
	check_content("a", "hello");
	assert_ok(ctx, phiz_file_read(ctx, in_folder("a"), 5, &b));
	assert_fails(ctx, PHIZ_E_LIMIT, phiz_file_read(ctx, in_folder("a"), 4, &b));
	assert_message(ctx, "/a: is larger than the 4 bytes");
	assert_int_equal(b.size, 0);
	assert_ok(ctx, phiz_file_write(ctx, in_folder("empty"), "", 0));
	assert_ok(ctx, phiz_file_read(ctx, in_folder("empty"), 0, &b));
	assert_string_equal(b.data, "");
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_file_read(ctx, in_folder("none"), 10, &b));
	assert_message(ctx, "/none: cannot open: No such file");
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_file_read(ctx, in_folder("a/b"), 10, &b));
	assert_fails(ctx, PHIZ_E_IO, phiz_file_read(ctx, folder, 10, &b));
	assert_message(ctx, "is a folder");
	assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
	assert_fails(ctx, PHIZ_E_IO, phiz_file_read(ctx, in_folder("fifo"), 10, &b));
	assert_message(ctx, "not a regular file");
	assert_fails(ctx, PHIZ_E_IO, phiz_file_read(ctx, "/dev/zero", 10, &b));
	/* A file without a size, and a limit on it. */
	assert_ok(ctx, phiz_file_read(ctx, "/proc/self/status", 1 << 20, &b));
	assert_non_null(strstr(b.data, "VmPeak"));
	assert_fails(ctx, PHIZ_E_LIMIT, phiz_file_read(ctx, "/proc/self/status", 100, &b));
	/* {0} instead of init. */
	struct phiz_bytes zero = {0};
	assert_ok(ctx, phiz_file_read(ctx, in_folder("a"), 10, &zero));
	assert_string_equal(zero.data, "hello");
	phiz_bytes_free(&zero);
}

static void test_map(void **state)
{
	(void)state;
	struct phiz_map map;
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "hello", 5));
	assert_ok(ctx, phiz_map_open(ctx, in_folder("a"), &map));
	assert_int_equal(map.size, 5);
	assert_memory_equal(map.data, "hello", 5);
	/* A file that is replaced meanwhile stays what it was for who maps it. */
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "", 0));
	assert_memory_equal(map.data, "hello", 5);
	phiz_map_close(&map);
	assert_null(map.data);
	phiz_map_close(&map);
	assert_ok(ctx, phiz_map_open(ctx, in_folder("a"), &map));
	assert_int_equal(map.size, 0);
	assert_non_null(map.data);
	phiz_map_close(&map);
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_map_open(ctx, in_folder("none"), &map));
	assert_null(map.data);
	assert_fails(ctx, PHIZ_E_IO, phiz_map_open(ctx, folder, &map));
}

static void test_input(void **state)
{
	(void)state;
	struct phiz_input input;
	char got[6] = "";
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "hello", 5));
	assert_ok(ctx, phiz_input_open(ctx, in_folder("a"), &input));
	assert_int_equal(input.size, 5);
	assert_true(phiz_input_read(&input, 1, got, 4));
	assert_string_equal(got, "ello");
	assert_true(phiz_input_read(&input, 5, got, 0));
	assert_false(phiz_input_read(&input, 3, got, 3));
	assert_int_equal(truncate(in_folder("a"), 2), 0); /* by others, meanwhile */
	assert_false(phiz_input_read(&input, 0, got, 5));
	assert_true(phiz_input_read(&input, 0, got, 2));
	phiz_input_close(&input);
	phiz_input_close(&input);
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_input_open(ctx, in_folder("none"), &input));
	phiz_input_close(&input);
	assert_fails(ctx, PHIZ_E_IO, phiz_input_open(ctx, folder, &input));
}

/* Pieces of all sizes around the writer's buffer, over short and interrupted writes. */
static void test_write_pieces(void **state)
{
	(void)state;
	struct phiz_writer *w;
	static const size_t sizes[] = {0, 1, 65535, 1, 65536, 65537, 3, 200000, 131072, 0, 65534, 5};
	static unsigned char data[200000];
	size_t total = 0;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 2654435761u >> 13);
	write_piece = 7777;
	assert_ok(ctx, phiz_writer_open(ctx, in_folder("a"), &w));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_ok(ctx, phiz_writer_add(w, data, sizes[i]));
		total += sizes[i];
	}
	assert_ok(ctx, phiz_writer_commit(&w));
	assert_null(w);
	assert_true(write_calls > 50);
	assert_ok(ctx, phiz_file_read(ctx, in_folder("a"), 1 << 20, &b));
	assert_int_equal(b.size, total);
	const char *p = b.data;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); p += sizes[i++])
		assert_memory_equal(p, data, sizes[i]);
	check_names("a");
}

static void test_abort(void **state)
{
	(void)state;
	struct phiz_writer *w;
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "old", 3));
	assert_ok(ctx, phiz_writer_open(ctx, in_folder("a"), &w));
	assert_ok(ctx, phiz_writer_add(w, "new", 3));
	check_content("a", "old");
	phiz_writer_abort(&w);
	assert_null(w);
	phiz_writer_abort(&w);
	check_content("a", "old");
	check_names("a");
}

static void test_disk_full(void **state)
{
	(void)state;
	struct phiz_writer *w;
	static char data[100000];
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "old", 3));
	write_error = ENOSPC;
	write_room = 70000;
	assert_ok(ctx, phiz_writer_open(ctx, in_folder("a"), &w));
	assert_fails(ctx, PHIZ_E_IO, phiz_writer_add(w, data, sizeof(data)));
	assert_message(ctx, "/a: disk full after 70000 bytes: free some space; the old file is untouched");
	assert_fails(ctx, PHIZ_E_IO, phiz_writer_add(w, "x", 1));
	assert_fails(ctx, PHIZ_E_IO, phiz_writer_commit(&w));
	assert_null(w);
	write_room = 0;
	assert_fails(ctx, PHIZ_E_IO, phiz_file_write(ctx, in_folder("a"), data, 10)); /* seen at commit only */
	assert_message(ctx, "disk full after 0 bytes");
	write_error = EDQUOT;
	assert_fails(ctx, PHIZ_E_IO, phiz_file_write(ctx, in_folder("a"), data, sizeof(data)));
	assert_message(ctx, "quota");
	write_error = EIO;
	assert_fails(ctx, PHIZ_E_IO, phiz_file_write(ctx, in_folder("a"), data, sizeof(data)));
	write_error = 0;
	sync_error = EIO;
	assert_fails(ctx, PHIZ_E_IO, phiz_file_write(ctx, in_folder("a"), data, sizeof(data)));
	assert_message(ctx, "cannot sync");
	sync_error = 0;
	rename_error = EACCES;
	assert_fails(ctx, PHIZ_E_IO, phiz_file_write(ctx, in_folder("a"), data, sizeof(data)));
	rename_error = 0;
	check_content("a", "old");
	check_names("a");
	sync_error = EINVAL; /* a file system that cannot sync */
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "new", 3));
	check_content("a", "new");
}

static unsigned mode_of(const char *name)
{
	struct stat info;
	assert_int_equal(stat(in_folder(name), &info), 0);
	return info.st_mode & 07777;
}

static void test_permissions(void **state)
{
	(void)state;
	mode_t before = umask(027);
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "1", 1));
	assert_int_equal(mode_of("a"), 0640);
	assert_int_equal(chmod(in_folder("a"), 0600), 0);
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "2", 1));
	assert_int_equal(mode_of("a"), 0600);
	umask(before);
}

static void test_links(void **state)
{
	(void)state;
	struct stat info;
	char target[512];
	assert_ok(ctx, phiz_dir_make(ctx, in_folder("elsewhere")));
	assert_ok(ctx, phiz_file_write(ctx, in_folder("elsewhere/real"), "1", 1));
	snprintf(target, sizeof(target), "elsewhere/real");
	assert_int_equal(symlink(target, in_folder("link")), 0);
	assert_ok(ctx, phiz_file_write(ctx, in_folder("link"), "2", 1));
	assert_int_equal(lstat(in_folder("link"), &info), 0);
	assert_true(S_ISLNK(info.st_mode));
	check_content("elsewhere/real", "2");
	/* A link planted in the place of the temporary file is not followed. */
	snprintf(target, sizeof(target), "%s/elsewhere/real", folder);
	assert_int_equal(symlink(target, in_folder(".a.phiz.tmp")), 0);
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "3", 1));
	check_content("a", "3");
	check_content("elsewhere/real", "2");
}

static void test_refused(void **state)
{
	(void)state;
	struct phiz_writer *w;
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_writer_open(ctx, in_folder("none/a"), &w));
	assert_null(w);
	assert_message(ctx, "/none/a: cannot write to this folder: No such file");
	assert_fails(ctx, PHIZ_E_ARG, phiz_writer_open(ctx, "", &w));
	assert_fails(ctx, PHIZ_E_ARG, phiz_writer_open(ctx, "folder/", &w));
	assert_fails(ctx, PHIZ_E_IO, phiz_writer_open(ctx, folder, &w));
	assert_message(ctx, "it is a folder");
	assert_fails(ctx, PHIZ_E_IO, phiz_writer_open(ctx, "/dev/null", &w));
	assert_ok(ctx, phiz_file_write(ctx, in_folder("file"), "", 0));
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_writer_open(ctx, in_folder("file/a"), &w));
	if (geteuid() != 0) {
		assert_int_equal(chmod(folder, 0500), 0);
		assert_fails(ctx, PHIZ_E_IO, phiz_writer_open(ctx, in_folder("a"), &w));
		assert_message(ctx, "Permission denied");
		assert_int_equal(chmod(folder, 0700), 0);
	}
	char long_name[256];
	memset(long_name, 'n', 255);
	long_name[255] = 0;
	assert_ok(ctx, phiz_file_write(ctx, in_folder(long_name), "long", 4));
	check_content(long_name, "long");
}

/* Several writers of one name at a time: each whole, the last to commit stays. */
static void test_two_writers(void **state)
{
	(void)state;
	struct phiz_writer *w[3];
	struct phiz_ctx *other = test_ctx(1);
	assert_ok(ctx, phiz_writer_open(ctx, in_folder("a"), &w[0]));
	assert_ok(other, phiz_writer_open(other, in_folder("a"), &w[1]));
	assert_ok(ctx, phiz_writer_open(ctx, in_folder("a"), &w[2]));
	assert_ok(ctx, phiz_writer_add(w[0], "0000", 4));
	assert_ok(other, phiz_writer_add(w[1], "1", 1));
	assert_ok(ctx, phiz_writer_add(w[2], "22", 2));
	assert_ok(ctx, phiz_writer_commit(&w[2]));
	check_content("a", "22");
	assert_ok(ctx, phiz_writer_commit(&w[0]));
	check_content("a", "0000");
	phiz_writer_abort(&w[1]);
	check_content("a", "0000");
	check_names("a");
	test_ctx_done(&other);
}

/* What a writer that was killed left is taken over by the next one. */
static void test_killed_writer(void **state)
{
	(void)state;
	int ready[2], status;
	char byte;
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "old", 3));
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	if (child == 0) {
		static char data[300000];
		struct phiz_writer *w;
		if (phiz_writer_open(ctx, path, &w) == PHIZ_OK && phiz_writer_add(w, data, sizeof(data)) == PHIZ_OK)
			(void)!syscall(SYS_write, ready[1], "r", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	/* While it lives, its temporary file is left alone. */
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "mine", 4));
	check_names(".a.phiz.tmp a");
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	check_content("a", "mine");
	assert_ok(ctx, phiz_file_write(ctx, in_folder("a"), "new", 3));
	check_content("a", "new");
	check_names("a");
	close(ready[0]);
	close(ready[1]);
}

static void test_folders(void **state)
{
	(void)state;
	struct phiz_names names;
	assert_ok(ctx, phiz_dir_make(ctx, in_folder("x/y//z/")));
	assert_true(phiz_path_is_dir(in_folder("x/y/z")));
	assert_false(phiz_path_is_file(in_folder("x/y/z")));
	assert_ok(ctx, phiz_dir_make(ctx, in_folder("x/y/z")));
	assert_ok(ctx, phiz_dir_make(ctx, "/"));
	assert_ok(ctx, phiz_dir_make(ctx, "."));
	assert_fails(ctx, PHIZ_E_ARG, phiz_dir_make(ctx, ""));
	assert_ok(ctx, phiz_file_write(ctx, in_folder("file"), "", 0));
	assert_true(phiz_path_is_file(in_folder("file")));
	assert_fails(ctx, PHIZ_E_IO, phiz_dir_make(ctx, in_folder("file")));
	assert_fails(ctx, PHIZ_E_IO, phiz_dir_make(ctx, in_folder("file/under")));
	assert_message(ctx, "in the way");
	assert_ok(ctx, phiz_file_write(ctx, in_folder("\xc3\xa9"), "", 0));
	assert_ok(ctx, phiz_file_write(ctx, in_folder("A"), "", 0));
	check_names("A file x \xc3\xa9");
	assert_fails(ctx, PHIZ_E_NOTFOUND, phiz_dir_list(ctx, in_folder("none"), &names));
	assert_int_equal(names.count, 0);
	assert_false(phiz_path_is_dir(in_folder("none")));
	assert_false(phiz_path_is_file(in_folder("none")));
}

static void check_join(const char *dir, const char *name, const char *want)
{
	char *joined = phiz_path_join(ctx, dir, name);
	assert_string_equal(joined, want);
	phiz_free(ctx, joined);
}

static void test_paths(void **state)
{
	(void)state;
	check_join("a", "b", "a/b");
	check_join("a/", "b", "a/b");
	check_join("", "b", "b");
	check_join("/", "b", "/b");
	check_join("a", "/b", "/b");
	check_join("100%s", "%d", "100%s/%d");
	assert_string_equal(phiz_path_base("a/b/c.jpg"), "c.jpg");
	assert_string_equal(phiz_path_base("c.jpg"), "c.jpg");
	assert_string_equal(phiz_path_base("a/"), "");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_read),        T(test_map), T(test_input),           T(test_write_pieces), T(test_abort),
		T(test_disk_full),   T(test_permissions),   T(test_links),        T(test_refused),
		T(test_two_writers), T(test_killed_writer), T(test_folders),      T(test_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
