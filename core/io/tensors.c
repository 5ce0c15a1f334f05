#include "core/io/tensors.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/io/json.h"

void phiz_tensors_free(struct phiz_ctx *ctx, struct phiz_tensors *t)
{
	size_t i;

	if (!t)
		return;
	for (i = 0; i < t->count; i++) {
		phiz_free(ctx, t->entry[i].name);
		phiz_tensor_free(ctx, &t->entry[i].tensor);
	}
	for (i = 0; i < t->n_meta; i++) {
		phiz_free(ctx, t->meta[i].key);
		phiz_free(ctx, t->meta[i].text);
	}
	phiz_free(ctx, t->entry);
	phiz_free(ctx, t->meta);
	memset(t, 0, sizeof(*t));
}

enum phiz_status phiz_tensors_add(struct phiz_ctx *ctx, struct phiz_tensors *t, const char *name,
                                  struct phiz_tensor *tensor)
{
	char *copy = phiz_strdup(ctx, name);
	enum phiz_status status;

	status = copy ? phiz_grow(ctx, &t->entry, &t->capacity, t->count + 1, sizeof(*t->entry)) : PHIZ_E_NOMEM;
	if (status) {
		phiz_free(ctx, copy);
		phiz_tensor_free(ctx, &tensor);
		return status;
	}
	t->entry[t->count].name = copy;
	t->entry[t->count].tensor = tensor;
	t->entry[t->count].trainable = false;
	t->count++;
	return PHIZ_OK;
}

enum phiz_status phiz_tensors_add_meta(struct phiz_ctx *ctx, struct phiz_tensors *t, const char *key, const char *text)
{
	enum phiz_status status = phiz_grow(ctx, &t->meta, &t->meta_capacity, t->n_meta + 1, sizeof(*t->meta));
	struct phiz_meta *m;

	if (status)
		return status;
	m = &t->meta[t->n_meta];
	m->key = phiz_strdup(ctx, key);
	m->text = phiz_strdup(ctx, text);
	if (!m->key || !m->text) {
		phiz_free(ctx, m->key);
		phiz_free(ctx, m->text);
		return PHIZ_E_NOMEM;
	}
	t->n_meta++;
	return PHIZ_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum phiz_status phiz_tensors_check(struct phiz_ctx *ctx, const struct phiz_tensors *t, const char *path)
{
	const char **name = phiz_alloc(ctx, t->count, sizeof(*name));
	enum phiz_status status = PHIZ_OK;
	char shown[PHIZ_SHOWN];
	size_t i;

	if (!name)
		return PHIZ_E_NOMEM;
	for (i = 0; i < t->count; i++)
		name[i] = t->entry[i].name;
	if (t->count > 1)
		qsort(name, t->count, sizeof(*name), by_name);
	for (i = 1; !status && i < t->count; i++)
		if (strcmp(name[i - 1], name[i]) == 0)
			status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s: two tensors are named '%s'", path,
			                   phiz_shown(name[i], strlen(name[i]), shown));
	phiz_free(ctx, name);
	return status;
}

void phiz_tensors_drop_prefix(struct phiz_tensors *t, const char *prefix)
{
	size_t n = strlen(prefix), i;

	for (i = 0; i < t->count; i++)
		if (strncmp(t->entry[i].name, prefix, n) != 0 || !t->entry[i].name[n])
			return;
	for (i = 0; i < t->count; i++)
		memmove(t->entry[i].name, t->entry[i].name + n, strlen(t->entry[i].name + n) + 1);
}

struct phiz_tensor *phiz_tensors_find(const struct phiz_tensors *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->count; i++)
		if (strcmp(t->entry[i].name, name) == 0)
			return t->entry[i].tensor;
	return NULL;
}

static int begins(const unsigned char *data, size_t size, const char *text)
{
	return size >= strlen(text) && memcmp(data, text, strlen(text)) == 0;
}

/* Whether the text stands among the first bytes, in any case of letters. */
static int has_early(const unsigned char *data, size_t size, const char *text)
{
	size_t n = strlen(text), i, k;

	for (i = 0; i + n <= size && i < 256; i++) {
		for (k = 0; k < n && (data[i + k] | 0x20) == (unsigned char)(text[k] | 0x20); k++)
			;
		if (k == n)
			return 1;
	}
	return 0;
}

const char *phiz_foreign_kind(const void *bytes, size_t size)
{
	const unsigned char *data = bytes;

	if (size == 0)
		return "empty file";
	if (begins(data, size, "version https://git-lfs"))
		return "a Git LFS pointer, not the file itself: fetch it with 'git lfs pull'";
	if (begins(data, size, "<") && (has_early(data, size, "<!doctype html") || has_early(data, size, "<html")))
		return "an HTML page, not a PyTorch or safetensors file: the download failed";
	if (begins(data, size, "<?xml"))
		return "an XML file, not a file of tensors";
	if (begins(data, size, "\x1f\x8b"))
		return "gzip-compressed: unpack it with 'gunzip' first";
	if (begins(data, size, "\x93NUMPY"))
		return "a NumPy array, not a file of named tensors";
	if (begins(data, size, "\x89HDF"))
		return "an HDF5 file (Keras?), which phiz does not read";
	if (begins(data, size, "GGUF"))
		return "a GGUF file, which phiz does not read";
	if (size > 262 && memcmp(data + 257, "ustar", 5) == 0)
		return "a tar archive: unpack it, or save it again with a newer PyTorch";
	if (data[0] == 0x08 && (has_early(data, size, "pytorch") || has_early(data, size, "onnx")))
		return "an ONNX file, a network and not a file of tensors: 'phiz import' reads it by its name .onnx";
	return NULL;
}

static int looks_like_safetensors(const struct phiz_map *map)
{
	return map->size >= 9 && map->data[8] == '{' && map->data[7] == 0 && map->data[6] == 0 && map->data[5] == 0;
}

static int ends(const char *path, const char *ending)
{
	size_t n = strlen(path), k = strlen(ending);

	return n >= k && strcmp(path + n - k, ending) == 0;
}

/* The content decides; the name is asked only where the content is nothing we know, for the better message. */
static enum phiz_status parse_any(struct phiz_ctx *ctx, const struct phiz_map *map, const char *path,
                                  struct phiz_tensors *out)
{
	const char *kind;

	if (looks_like_safetensors(map))
		return phiz_safetensors_parse(ctx, map->data, map->size, path, out);
	if (begins(map->data, map->size, "PK") || begins(map->data, map->size, "\x80"))
		return phiz_pth_parse(ctx, map->data, map->size, path, out);
	kind = phiz_foreign_kind(map->data, map->size);
	if (!kind && ends(path, ".safetensors"))
		return phiz_safetensors_parse(ctx, map->data, map->size, path, out);
	return phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %s", path, kind ? kind : "neither a safetensors nor a PyTorch file");
}

enum phiz_status phiz_tensors_read(struct phiz_ctx *ctx, const char *path, struct phiz_tensors *out)
{
	struct phiz_map map;
	enum phiz_status status;

	memset(out, 0, sizeof(*out));
	status = phiz_map_open(ctx, path, &map);
	if (status)
		return status;
	status = parse_any(ctx, &map, path, out);
	phiz_tensors_drop_prefix(out, "module.");
	phiz_map_close(&map);
	return status;
}
