/* The matrix file beside a gallery: the rows that are searched, mapped as they lie. It holds nothing that the gallery
 * does not: whenever it is missing, stale or unsound it is made anew.
 *
 * 4096 bytes of header (little endian: magic, version, dim, stride, rows, generation, the gallery's id, checksum of
 * what follows, checksum of the header up to here), then the people's ids, 8 bytes each, up to a multiple of 4096, then
 * the rows, 4 bytes a float. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/reader.h"
#include "core/base/system.h"
#include "core/cpu/search.h"
#include "deploy/gallery.h"

enum { PAGE = 4096, VERSION = 1, SIGNED = 128 };

static const char magic[8] = {'p', 'h', 'i', 'z', 'm', 't', 'x', '\n'};

/* Not against an enemy, who could write the file as he pleases, but against a torn or spoilt one: eight lanes of
 * multiply and xor, as fast as memory. size: a multiple of 64. */
static uint64_t checksum(uint64_t seed, const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t lane[8], word[8], sum = seed;

	for (int l = 0; l < 8; l++)
		lane[l] = seed + (uint64_t)l + 0x9e3779b97f4a7c15u;
	for (size_t i = 0; i < size; i += sizeof word) {
		memcpy(word, p + i, sizeof word);
		for (int l = 0; l < 8; l++)
			lane[l] = (lane[l] ^ word[l]) * 0x100000001b3u + (lane[l] >> 47);
	}
	for (int l = 0; l < 8; l++) {
		sum = (sum ^ lane[l]) * 0xff51afd7ed558ccdu;
		sum ^= sum >> 32;
	}
	return sum;
}

static size_t ids_size(int64_t n)
{
	return ((size_t)n * 8 + PAGE - 1) / PAGE * PAGE;
}

/* SIGNED bytes, then their checksum, then zeros. */
static void add_header(struct phiz_gallery *g, uint64_t sum, struct phiz_bytes *b)
{
	const struct phiz_index *x = &g->index;

	phiz_bytes_add(b, magic, sizeof magic);
	phiz_bytes_u32le(b, VERSION);
	phiz_bytes_u32le(b, (uint32_t)g->dim);
	phiz_bytes_u64le(b, (uint64_t)x->stride);
	phiz_bytes_u64le(b, (uint64_t)x->n);
	phiz_bytes_u64le(b, (uint64_t)x->generation);
	phiz_bytes_add(b, g->id, sizeof g->id);
	phiz_bytes_u64le(b, sum);
	while (b->size < SIGNED && !b->failed)
		phiz_bytes_u8(b, 0);
	if (!b->failed)
		phiz_bytes_u64le(b, checksum(1, b->data, SIGNED));
	while (b->size < PAGE && !b->failed)
		phiz_bytes_u8(b, 0);
}

/* Does the header fit this gallery, generation and file? */
static bool header_fits(struct phiz_gallery *g, const struct phiz_map *map, int64_t generation, int64_t *n,
                        uint64_t *sum)
{
	struct phiz_reader r = {map->data, map->size, sizeof magic};
	uint32_t version = 0, dim = 0;
	uint64_t stride = 0, rows = 0, made = 0, check = 0;
	const unsigned char *id = NULL;
	size_t size;

	if (map->size < PAGE || memcmp(map->data, magic, sizeof magic) || !phiz_reader_u32(&r, &version) ||
	    !phiz_reader_u32(&r, &dim) || !phiz_reader_u64(&r, &stride) || !phiz_reader_u64(&r, &rows) ||
	    !phiz_reader_u64(&r, &made) || !phiz_reader_take(&r, 16, &id) || !phiz_reader_u64(&r, sum) ||
	    !phiz_reader_seek(&r, SIGNED) || !phiz_reader_u64(&r, &check))
		return false;
	if (check != checksum(1, map->data, SIGNED) || version != VERSION || dim != (uint32_t)g->dim ||
	    stride != (uint64_t)g->index.stride || made != (uint64_t)generation || memcmp(id, g->id, 16) ||
	    rows > (uint64_t)1 << 40 || !phiz_size_mul((size_t)rows, (size_t)stride * sizeof(float), &size))
		return false;
	*n = (int64_t)rows;
	return map->size - PAGE >= ids_size(*n) && map->size - PAGE - ids_size(*n) == size;
}

static bool ascending(const int64_t *id, int64_t n)
{
	for (int64_t i = 1; i < n; i++)
		if (id[i] <= id[i - 1])
			return false;
	return true;
}

enum phiz_status phiz_matrix_open(struct phiz_gallery *g, int64_t generation, bool *found)
{
	struct phiz_index *x = &g->index;
	int64_t n = 0;
	uint64_t sum = 0;

	*found = false;
	if (!phiz_path_is_file(g->matrix_path))
		return PHIZ_OK;
	enum phiz_status status = phiz_map_open(g->ctx, g->matrix_path, &x->map);
	if (status) /* it is made anew */
		return status == PHIZ_E_NOMEM ? status : PHIZ_OK;
	if (header_fits(g, &x->map, generation, &n, &sum) &&
	    sum == checksum(2, x->map.data + PAGE, x->map.size - PAGE) &&
	    ascending((const int64_t *)(const void *)(x->map.data + PAGE), n)) {
		x->n = n;
		x->person = (const int64_t *)(const void *)(x->map.data + PAGE);
		x->rows = (const float *)(const void *)(x->map.data + PAGE + ids_size(n));
		*found = true;
	} else {
		phiz_map_close(&x->map);
		memset(&x->map, 0, sizeof x->map);
	}
	return PHIZ_OK;
}

/* For the owner only, as the gallery is. */
static void make_private(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
}

enum phiz_status phiz_matrix_write(struct phiz_gallery *g)
{
	const struct phiz_index *x = &g->index;
	struct phiz_writer *w = NULL;
	struct phiz_bytes head;
	size_t ids = ids_size(x->n), rows = (size_t)x->n * (size_t)x->stride * sizeof(float);
	unsigned char *front = phiz_calloc(g->ctx, ids, 1), *all = NULL;
	enum phiz_status status = front ? PHIZ_OK : PHIZ_E_NOMEM;

	phiz_bytes_init(&head, g->ctx);
	if (!status) {
		memcpy(front, x->person, (size_t)x->n * 8);
		all = phiz_alloc(g->ctx, ids + rows, 1); /* in one piece, as it is checked when it is read */
		status = all ? PHIZ_OK : PHIZ_E_NOMEM;
	}
	if (!status) {
		memcpy(all, front, ids);
		memcpy(all + ids, x->rows, rows);
		add_header(g, checksum(2, all, ids + rows), &head);
		status = phiz_bytes_status(&head);
	}
	if (!status) {
		make_private(g->matrix_path);
		status = phiz_writer_open(g->ctx, g->matrix_path, &w);
	}
	if (!status)
		status = phiz_writer_add(w, head.data, head.size);
	if (!status)
		status = phiz_writer_add(w, all, ids + rows);
	if (!status)
		status = phiz_writer_commit(&w);
	phiz_writer_abort(&w);
	phiz_bytes_free(&head);
	phiz_free(g->ctx, all);
	phiz_free(g->ctx, front);
	return status;
}

static enum phiz_status erase_file(struct phiz_gallery *g, const char *path)
{
	static const unsigned char zeros[65536];
	struct stat info;
	int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	bool done = true;

	if (fd < 0)
		return errno == ENOENT ? PHIZ_OK : phiz_fail_system(g->ctx, path, "cannot erase", errno);
	if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
		for (off_t at = 0; at < info.st_size && done;) {
			size_t size = (size_t)(info.st_size - at < (off_t)sizeof zeros ? info.st_size - at : (off_t)sizeof zeros);
			ssize_t n = write(fd, zeros, size);
			done = n > 0 || (n < 0 && errno == EINTR);
			at += n > 0 ? n : 0;
		}
	done = fsync(fd) == 0 && done;
	done = unlink(path) == 0 && done;
	int error = errno;
	close(fd);
	return done ? PHIZ_OK : phiz_fail_system(g->ctx, path, "cannot erase", error);
}

enum phiz_status phiz_matrix_erase(struct phiz_gallery *g)
{
	if (g->memory)
		return PHIZ_OK;
	const char *base = phiz_path_base(g->matrix_path);
	char *folder = phiz_strndup(g->ctx, g->matrix_path, (size_t)(base - g->matrix_path));
	/* core/base/writer.c names temporary files so. */
	char *left = folder ? phiz_asprintf(g->ctx, "%s.%.200s.phiz.tmp", folder, base) : NULL;
	enum phiz_status status = left ? erase_file(g, g->matrix_path) : PHIZ_E_NOMEM;

	if (!status)
		status = erase_file(g, left);
	phiz_free(g->ctx, left);
	phiz_free(g->ctx, folder);
	return status;
}
