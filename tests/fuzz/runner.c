/* usage: fuzz_NAME [-n MUTATIONS] PATH...
 *
 * Runs the target over files, and over the files of folders: each as it is, and MUTATIONS times with bytes changed,
 * taken out or cut off (by default so often that a file of a kilobyte gets some 60; the draws are the same each time).
 * What a target finds wrong, it aborts on; so do sanitizers. A folder that is not there is named and left out; if there
 * was no file to run the exit code is 77. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/file.h"
#include "core/base/rng.h"

#define MAX_FILE (8u << 20)
#define BYTES_PER_FILE 60000 /* that mutations may cost */
#define MAX_MUTATIONS 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct phiz_ctx *ctx;
	long mutations; /* -1: by size */
	size_t files, inputs;
};

/* From memory of the very size, so that a sanitizer sees a read behind it. */
static void feed(struct run *run, const void *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	if (size)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	run->inputs++;
}

static void spoil(struct phiz_rng *rng, uint8_t *data, size_t *size)
{
	static const uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xff, '0', '"', '{', '['};
	size_t at = phiz_rng_below(rng, (uint32_t)*size), n = phiz_rng_below(rng, 8) + 1;

	switch (phiz_rng_below(rng, 4)) {
	case 0:
		data[at] = (uint8_t)(data[at] ^ 1u << phiz_rng_below(rng, 8));
		break;
	case 1:
		data[at] = telling[phiz_rng_below(rng, sizeof(telling))];
		break;
	case 2: /* takes a few bytes out */
		n = n < *size - at ? n : *size - at;
		memmove(data + at, data + at + n, *size - at - n);
		*size -= n;
		break;
	default: /* cuts */
		*size = at;
		break;
	}
}

static void feed_spoilt(struct run *run, const struct phiz_bytes *file)
{
	long times = run->mutations, i;
	struct phiz_rng rng;

	if (times < 0)
		times = (long)(BYTES_PER_FILE / (file->size + 1)) + 4;
	times = times < MAX_MUTATIONS || run->mutations >= 0 ? times : MAX_MUTATIONS;
	for (i = 0; i < times && file->size > 0; i++) {
		uint8_t *copy = malloc(file->size);
		size_t size = file->size;
		uint32_t k;

		if (!copy)
			abort();
		memcpy(copy, file->data, size);
		phiz_rng_init(&rng, 1, 0, (uint64_t)i, PHIZ_STREAM_TEST);
		for (k = phiz_rng_below(&rng, 3) + 1; k > 0 && size > 0; k--)
			spoil(&rng, copy, &size);
		feed(run, copy, size);
		free(copy);
	}
}

static int run_file(struct run *run, const char *path)
{
	struct phiz_bytes file;

	phiz_bytes_init(&file, run->ctx);
	if (phiz_file_read(run->ctx, path, MAX_FILE, &file)) {
		fprintf(stderr, "%s\n", phiz_ctx_message(run->ctx));
		return 1;
	}
	if (getenv("PHIZ_TEST_LOG"))
		fprintf(stderr, "%s\n", path);
	feed(run, file.data, file.size);
	feed_spoilt(run, &file);
	run->files++;
	phiz_bytes_free(&file);
	return 0;
}

static int run_folder(struct run *run, const char *path)
{
	struct phiz_names names = {NULL, 0, 0};
	int failed = 0;
	size_t i;

	if (phiz_dir_list(run->ctx, path, &names)) {
		fprintf(stderr, "%s\n", phiz_ctx_message(run->ctx));
		return 1;
	}
	for (i = 0; i < names.count; i++) {
		char *file = phiz_path_join(run->ctx, path, names.name[i]);

		if (!file)
			abort();
		if (phiz_path_is_file(file))
			failed |= run_file(run, file);
		phiz_free(run->ctx, file);
	}
	phiz_names_free(run->ctx, &names);
	return failed;
}

int main(int argc, char **argv)
{
	struct run run = {NULL, -1, 0, 0};
	int i = 1, failed = 0;

	if (phiz_ctx_create(NULL, &run.ctx))
		return 1;
	if (argc > 2 && strcmp(argv[1], "-n") == 0) {
		run.mutations = strtol(argv[2], NULL, 10);
		i = 3;
	}
	feed(&run, "", 0);
	for (; i < argc; i++) {
		if (phiz_path_is_dir(argv[i]))
			failed |= run_folder(&run, argv[i]);
		else if (phiz_path_is_file(argv[i]))
			failed |= run_file(&run, argv[i]);
		else
			printf("left out, not there: %s\n", argv[i]);
	}
	printf("%zu files, %zu inputs\n", run.files, run.inputs);
	phiz_ctx_free(&run.ctx);
	return failed ? 1 : run.files ? 0 : 77;
}
