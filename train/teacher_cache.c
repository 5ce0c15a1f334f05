#include "train/teacher_cache.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/io/safetensors.h"
#include "core/io/tensors.h"

#define HOW "teacher"
#define KEY "photo"
#define EMBEDDING "embedding"

static const struct phiz_photo_key no_key;

static bool is_key(const struct phiz_photo_key *key)
{
	return memcmp(key, &no_key, sizeof *key) != 0;
}

enum phiz_status phiz_photo_keys(struct phiz_ctx *ctx, const struct phiz_dataset *dataset,
                                 const struct phiz_face *faces, const uint32_t *index, size_t count,
                                 struct phiz_photo_key *key)
{
	for (size_t i = 0; i < count; i++) {
		char *path = phiz_dataset_path(ctx, dataset, index[i]), hex[65];
		struct phiz_sha256 h;
		struct phiz_map file;
		enum phiz_status status = path ? phiz_map_open(ctx, path, &file) : PHIZ_E_NOMEM;

		phiz_free(ctx, path);
		key[index[i]] = no_key;
		if (status == PHIZ_E_NOMEM)
			return status;
		if (status) { /* the loader says what is wrong with it */
			phiz_ctx_clear(ctx);
			continue;
		}
		phiz_sha256_init(&h);
		phiz_sha256_add(&h, file.data, file.size);
		if (faces) {
			phiz_sha256_add(&h, faces[index[i]].landmark, sizeof faces->landmark);
			phiz_sha256_add(&h, faces[index[i]].box, sizeof faces->box);
		}
		phiz_map_close(&file);
		phiz_sha256_hex(&h, hex);
		memcpy(key[index[i]].text, hex, sizeof key->text);
	}
	return PHIZ_OK;
}

/* --- A file: EMBEDDING [rows, dim], KEY [rows, 32], meta HOW. --- */

static bool fits(const struct phiz_tensors *t, const struct phiz_teacher_memory *m)
{
	const struct phiz_tensor *e = phiz_tensors_find(t, EMBEDDING), *k = phiz_tensors_find(t, KEY);
	bool as = false;

	for (size_t i = 0; i < t->n_meta; i++)
		as |= !strcmp(t->meta[i].key, HOW) && !strcmp(t->meta[i].text, m->how);
	return as && e && k && e->dtype == PHIZ_F32 && k->dtype == PHIZ_U8 && e->shape.ndim == 2 && k->shape.ndim == 2 &&
	       e->shape.dim[0] == k->shape.dim[0] && e->shape.dim[1] == m->dim &&
	       k->shape.dim[1] == (int64_t)sizeof(struct phiz_photo_key);
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(*(const struct phiz_photo_key *const *)a, *(const struct phiz_photo_key *const *)b,
	              sizeof(struct phiz_photo_key));
}

/* As phiz_teacher_recall, of a file in memory. */
static size_t take_rows(struct phiz_ctx *ctx, const struct phiz_teacher_memory *m, const struct phiz_tensors *t,
                        uint32_t *index, size_t count)
{
	const struct phiz_tensor *e = phiz_tensors_find(t, EMBEDDING);
	const struct phiz_photo_key *key = phiz_tensors_find(t, KEY)->data;
	const size_t rows = (size_t)e->shape.dim[0], dim = (size_t)m->dim;
	const struct phiz_photo_key **sorted = phiz_alloc(ctx, rows + 1, sizeof(*sorted));
	size_t left = 0;

	if (!sorted) {
		phiz_ctx_clear(ctx);
		return count;
	}
	for (size_t i = 0; i < rows; i++)
		sorted[i] = key + i;
	qsort(sorted, rows, sizeof(*sorted), compare_keys);
	for (size_t i = 0; i < count; i++) {
		const struct phiz_photo_key *want = &m->key[index[i]];
		const struct phiz_photo_key **at = bsearch(&want, sorted, rows, sizeof(*sorted), compare_keys);

		if (is_key(want) && at)
			memcpy(m->embedding + index[i] * dim, (const float *)e->data + (size_t)(*at - key) * dim,
			       dim * sizeof(float));
		else
			index[left++] = index[i];
	}
	phiz_free(ctx, sorted);
	return left;
}

size_t phiz_teacher_recall(struct phiz_ctx *ctx, const struct phiz_teacher_memory *m, const char *path, uint32_t *index,
                           size_t count)
{
	struct phiz_tensors t;

	if (!path || !phiz_path_is_file(path))
		return count;
	if (phiz_safetensors_read(ctx, path, &t)) {
		phiz_log(ctx, PHIZ_LOG_WARN, "%s; computed anew", phiz_ctx_message(ctx));
		phiz_ctx_clear(ctx);
		return count;
	}
	if (fits(&t, m))
		count = take_rows(ctx, m, &t, index, count);
	phiz_tensors_free(ctx, &t);
	return count;
}

void phiz_teacher_keep(struct phiz_ctx *ctx, const struct phiz_teacher_memory *m, const char *path)
{
	const size_t dim = (size_t)m->dim;
	struct phiz_photo_key *key = phiz_alloc(ctx, m->samples + 1, sizeof *key);
	float *embedding = phiz_alloc(ctx, m->samples * dim + 1, sizeof *embedding);
	struct phiz_meta meta = {(char *)(uintptr_t)HOW, (char *)(uintptr_t)m->how};
	enum phiz_status status = key && embedding ? PHIZ_OK : PHIZ_E_NOMEM;
	size_t rows = 0;

	for (size_t i = 0; i < m->samples && !status; i++)
		if (is_key(&m->key[i])) {
			key[rows] = m->key[i];
			memcpy(embedding + rows++ * dim, m->embedding + i * dim, dim * sizeof(float));
		}
	if (!status) {
		const struct phiz_st_tensor tensor[] = {
			{.name = EMBEDDING, .dtype = PHIZ_F32, .shape = phiz_shape_2d((int64_t)rows, m->dim), .data = embedding,
			 .bytes = rows * dim * sizeof(float)},
			{.name = KEY, .dtype = PHIZ_U8, .shape = phiz_shape_2d((int64_t)rows, (int64_t)sizeof *key), .data = key,
			 .bytes = rows * sizeof *key},
		};

		status = phiz_st_write(ctx, path, tensor, 2, &meta, 1);
	}
	if (status) {
		phiz_log(ctx, PHIZ_LOG_WARN, "%s: the teacher's embeddings are not kept", phiz_ctx_message(ctx));
		phiz_ctx_clear(ctx);
	}
	phiz_free(ctx, embedding);
	phiz_free(ctx, key);
}
