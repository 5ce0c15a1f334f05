/* Files of torch.save. Since PyTorch 1.6 a zip archive: NAME/data.pkl pickles the objects, NAME/data/KEY holds the
 * bytes of each storage. Before, the legacy format: five pickles one after another (a magic number, a version, facts
 * about the machine, the objects, the storages' keys), then each storage as u64 number of elements and its bytes. */
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/io/json.h"
#include "core/io/pickle.h"
#include "core/io/tensors.h"
#include "core/io/zip.h"

#define MAX_TENSORS 65536
#define MAX_NAME 1024
#define LEGACY_VERSION 1001

/* A storage of a legacy file. Its size in bytes needs its dtype, which stands only where a tensor uses it. */
struct record {
	const char *key;
	size_t key_size;
	enum phiz_dtype dtype;
	const unsigned char *data; /* NULL until its bytes were found */
	uint64_t elements;
};

struct source {
	struct phiz_ctx *ctx;
	const char *path;
	struct phiz_pickle pickle; /* of the objects */
	struct phiz_zip zip;
	const char *prefix; /* of the archive's names, such as "archive/"; not terminated */
	size_t prefix_size;
	bool legacy;
	struct phiz_pickle keys;
	struct record *record; /* sorted by key */
	size_t n_records, record_capacity;
	size_t copied, copy_limit; /* bytes of tensors: views of one storage must not blow a small file up */
};

/* A tensor of the pickle, checked. */
struct view {
	char name[PHIZ_SHOWN]; /* for messages */
	enum phiz_dtype dtype;
	struct phiz_shape shape;
	int64_t stride[PHIZ_MAX_DIMS];
	int64_t offset;
	uint64_t elements; /* of the storage */
	const unsigned char *data;
};

/* ---- Storages ---- */

static int compare_keys(const char *a, size_t a_size, const char *b, size_t b_size)
{
	if (a_size != b_size)
		return a_size < b_size ? -1 : 1;
	return a_size > 0 ? memcmp(a, b, a_size) : 0;
}

static int by_key(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return compare_keys(x->key, x->key_size, y->key, y->key_size);
}

static struct record *find_record(const struct source *s, const char *key, size_t key_size)
{
	struct record want = {key, key_size, PHIZ_F32, NULL, 0};

	return s->n_records > 0 ? bsearch(&want, s->record, s->n_records, sizeof(want), by_key) : NULL;
}

static enum phiz_status fail_no_record(struct source *s, const struct view *v, const char *key, size_t key_size)
{
	char shown[PHIZ_SHOWN];

	return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: tensor '%s': its storage '%s' is not in the file", s->path, v->name,
	                 phiz_shown(key, key_size, shown));
}

static enum phiz_status fail_short(struct source *s, const struct view *v, uint64_t has)
{
	return phiz_fail(s->ctx, PHIZ_E_FORMAT,
	                 "%s: tensor '%s': its storage has %llu elements, but its record holds %llu bytes", s->path,
	                 v->name, (unsigned long long)v->elements, (unsigned long long)has);
}

static enum phiz_status find_in_zip(struct source *s, struct view *v, const char *key, size_t key_size)
{
	struct phiz_zip_entry *entry;
	char *name;

	name = phiz_asprintf(s->ctx, "%.*sdata/%.*s", (int)s->prefix_size, s->prefix, (int)key_size, key);
	if (!name)
		return PHIZ_E_NOMEM;
	entry = phiz_zip_find(&s->zip, name, strlen(name));
	phiz_free(s->ctx, name);
	if (!entry)
		return fail_no_record(s, v, key, key_size);
	if (entry->size % phiz_dtype_size(v->dtype) || entry->size / phiz_dtype_size(v->dtype) != v->elements)
		return fail_short(s, v, entry->size);
	if (phiz_zip_data(s->ctx, &s->zip, entry, &v->data))
		return phiz_fail_in(s->ctx, "%s: tensor '%s'", s->path, v->name);
	return PHIZ_OK;
}

static enum phiz_status find_in_records(struct source *s, struct view *v, const char *key, size_t key_size)
{
	const struct record *r = find_record(s, key, key_size);

	if (!r || !r->data)
		return fail_no_record(s, v, key, key_size);
	if (r->elements != v->elements)
		return fail_short(s, v, r->elements * phiz_dtype_size(r->dtype));
	v->data = r->data;
	return PHIZ_OK;
}

/* The persistent id: ("storage", type, key, location, elements[, view]). */
static enum phiz_status read_storage(struct source *s, uint32_t storage, struct view *v)
{
	const struct phiz_pickle *p = &s->pickle;
	const struct phiz_pickle_value *id = phiz_pickle_at(p, (uint32_t)phiz_pickle_at(p, storage)->u.i);
	const struct phiz_pickle_value *key = phiz_pickle_at(p, id->u.item[2]);
	const struct phiz_pickle_value *elements = phiz_pickle_at(p, id->u.item[4]);

	if (!phiz_pickle_storage_dtype(phiz_pickle_at(p, id->u.item[1]), &v->dtype) || key->kind != PHIZ_PICKLE_TEXT ||
	    key->size > MAX_NAME || elements->kind != PHIZ_PICKLE_INT || elements->u.i < 0)
		return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: tensor '%s': its storage is not described as torch.save does",
		                 s->path, v->name);
	if (id->size > 5 && phiz_pickle_at(p, id->u.item[5])->kind != PHIZ_PICKLE_NONE)
		return phiz_fail(s->ctx, PHIZ_E_UNSUPPORTED,
		                 "%s: tensor '%s': a view of a storage, as PyTorch 0.1 wrote; save it "
		                 "again with a newer PyTorch",
		                 s->path, v->name);
	v->elements = (uint64_t)elements->u.i;
	return s->legacy ? find_in_records(s, v, key->u.text, key->size) : find_in_zip(s, v, key->u.text, key->size);
}

/* ---- Tensors ---- */

static enum phiz_status read_dims(struct source *s, const struct phiz_pickle_value *tuple, const char *what,
                                  struct view *v, int64_t *out)
{
	uint32_t i;

	for (i = 0; i < tuple->size; i++) {
		const struct phiz_pickle_value *item = phiz_pickle_at(&s->pickle, tuple->u.item[i]);

		if (item->kind != PHIZ_PICKLE_INT || item->u.i < 0)
			return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: tensor '%s': %s %u is %s", s->path, v->name, what, (unsigned)i,
			                 item->kind == PHIZ_PICKLE_INT ? "negative" : "no number");
		out[i] = item->u.i;
	}
	return PHIZ_OK;
}

/* The last element that the view touches must lie in the storage. Each product is checked: a stride may be anything. */
static bool fits(const struct view *v)
{
	uint64_t last = (uint64_t)v->offset, room;
	int i;

	if (last > v->elements)
		return false;
	for (i = 0; i < v->shape.ndim; i++)
		if (v->shape.dim[i] == 0)
			return true;
	if (v->elements == 0 || last >= v->elements)
		return false;
	for (i = 0; i < v->shape.ndim; i++) {
		room = v->elements - 1 - last;
		if (v->stride[i] == 0)
			continue;
		if ((uint64_t)v->shape.dim[i] - 1 > room / (uint64_t)v->stride[i])
			return false;
		last += ((uint64_t)v->shape.dim[i] - 1) * (uint64_t)v->stride[i];
	}
	return true;
}

static enum phiz_status check_view(struct source *s, const struct view *v, size_t *bytes)
{
	char text[128];

	if (phiz_shape_bytes(s->ctx, v->dtype, &v->shape, bytes))
		return phiz_fail_in(s->ctx, "%s: tensor '%s'", s->path, v->name);
	if (!fits(v))
		return phiz_fail(s->ctx, PHIZ_E_FORMAT,
		                 "%s: tensor '%s' of shape %s at offset %lld reaches beyond its storage of %llu "
		                 "elements",
		                 s->path, v->name, phiz_shape_text(&v->shape, text), (long long)v->offset,
		                 (unsigned long long)v->elements);
	/* An expanded tensor (stride 0) would let ten bytes ask for terabytes. */
	if (*bytes / phiz_dtype_size(v->dtype) > v->elements)
		return phiz_fail(s->ctx, PHIZ_E_UNSUPPORTED,
		                 "%s: tensor '%s' of shape %s repeats the %llu elements of its storage; save "
		                 "tensor.contiguous()",
		                 s->path, v->name, phiz_shape_text(&v->shape, text), (unsigned long long)v->elements);
	if (*bytes > s->copy_limit - s->copied)
		return phiz_fail(s->ctx, PHIZ_E_LIMIT,
		                 "%s: the tensors are views of the same storages and come to over %zu bytes", s->path,
		                 s->copy_limit);
	return PHIZ_OK;
}

/* Copies a strided view: rows of the last dim at once where they are dense, else element by element. */
static void copy_view(const struct view *v, struct phiz_tensor *to)
{
	size_t size = phiz_dtype_size(v->dtype);
	int64_t index[PHIZ_MAX_DIMS] = {0}, left = phiz_tensor_count(to), at = v->offset;
	int last = v->shape.ndim - 1, dense = last >= 0 && v->stride[last] == 1, d;
	size_t run = dense ? (size_t)v->shape.dim[last] : 1;
	unsigned char *out = to->data;

	if (dense)
		last--;
	while (left > 0) {
		memcpy(out, v->data + (size_t)at * size, run * size);
		out += run * size;
		left -= (int64_t)run;
		for (d = last; d >= 0; d--) {
			at += v->stride[d];
			if (++index[d] < v->shape.dim[d])
				break;
			at -= index[d] * v->stride[d];
			index[d] = 0;
		}
	}
}

static enum phiz_status read_view(struct source *s, const struct phiz_pickle_value *tensor, struct view *v,
                                  size_t *bytes)
{
	const struct phiz_pickle *p = &s->pickle;
	const struct phiz_pickle_value *args = phiz_pickle_at(p, (uint32_t)tensor->u.i);
	const struct phiz_pickle_value *size = phiz_pickle_at(p, args->u.item[2]);
	const struct phiz_pickle_value *stride = phiz_pickle_at(p, args->u.item[3]);
	enum phiz_status status;
	int d;

	v->offset = phiz_pickle_at(p, args->u.item[1])->u.i;
	if (v->offset < 0)
		return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: tensor '%s': storage offset %lld is negative", s->path, v->name,
		                 (long long)v->offset);
	if (size->size > PHIZ_MAX_DIMS)
		return phiz_fail(s->ctx, PHIZ_E_UNSUPPORTED, "%s: tensor '%s' has %u dims, phiz takes at most %d", s->path,
		                 v->name, (unsigned)size->size, PHIZ_MAX_DIMS);
	if (stride->size != size->size)
		return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: tensor '%s' has %u dims, but %u strides", s->path, v->name,
		                 (unsigned)size->size, (unsigned)stride->size);
	v->shape.ndim = (int)size->size;
	status = read_dims(s, size, "size", v, v->shape.dim);
	if (!status)
		status = read_dims(s, stride, "stride", v, v->stride);
	/* The stride of a dim of 1 means nothing and may be anything: no sum may meet it. */
	for (d = 0; d < v->shape.ndim; d++)
		if (v->shape.dim[d] == 1)
			v->stride[d] = 0;
	if (!status)
		status = read_storage(s, args->u.item[0], v);
	return status ? status : check_view(s, v, bytes);
}

static enum phiz_status read_tensor(struct source *s, const char *name, size_t name_size,
                                    const struct phiz_pickle_value *tensor, struct phiz_tensors *out)
{
	struct view v;
	struct phiz_tensor *t;
	enum phiz_status status;
	size_t bytes;
	char *copy;

	memset(&v, 0, sizeof(v));
	phiz_shown(name, name_size, v.name);
	if (out->count >= MAX_TENSORS || name_size > MAX_NAME || name_size == 0 || memchr(name, 0, name_size))
		return phiz_fail(s->ctx, PHIZ_E_LIMIT,
		                 "%s: tensor '%s': more than %d tensors, or a name that is empty, has a NUL or "
		                 "over %d bytes",
		                 s->path, v.name, MAX_TENSORS, MAX_NAME);
	status = read_view(s, tensor, &v, &bytes);
	if (!status)
		status = phiz_tensor_create(s->ctx, v.dtype, &v.shape, &t);
	if (status)
		return status;
	s->copied += bytes;
	copy_view(&v, t);
	copy = phiz_strndup(s->ctx, name, name_size);
	if (!copy) {
		phiz_tensor_free(s->ctx, &t);
		return PHIZ_E_NOMEM;
	}
	status = phiz_tensors_add(s->ctx, out, copy, t);
	phiz_free(s->ctx, copy);
	return status;
}

static size_t count_tensors(const struct phiz_pickle *p, const struct phiz_pickle_value *dict)
{
	size_t n = 0;
	uint32_t i;

	for (i = 0; i + 1 < dict->size; i += 2)
		n += phiz_pickle_at(p, dict->u.item[i])->kind == PHIZ_PICKLE_TEXT &&
		     phiz_pickle_at(p, dict->u.item[i + 1])->kind == PHIZ_PICKLE_TENSOR;
	return n;
}

/* The root itself, or what it holds under one of the usual names. */
static const struct phiz_pickle_value *find_state_dict(const struct phiz_pickle *p)
{
	static const char *const names[] = {"state_dict", "model_state_dict", "model"};
	const struct phiz_pickle_value *root = phiz_pickle_at(p, p->root);
	size_t i;

	if (root->kind != PHIZ_PICKLE_DICT)
		return NULL;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct phiz_pickle_value *v = phiz_pickle_get(p, root, names[i]);

		if (v && v->kind == PHIZ_PICKLE_DICT && count_tensors(p, v) > 0)
			return v;
	}
	return count_tensors(p, root) > 0 ? root : NULL;
}

static enum phiz_status read_objects(struct source *s, struct phiz_tensors *out)
{
	const struct phiz_pickle *p = &s->pickle;
	const struct phiz_pickle_value *dict = find_state_dict(p);
	enum phiz_status status = PHIZ_OK;
	uint32_t i;

	if (!dict)
		return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: holds no named tensors, at its top or under 'state_dict', "
		                 "'model_state_dict' or 'model'; save model.state_dict()", s->path);
	for (i = 0; !status && i + 1 < dict->size; i += 2) {
		const struct phiz_pickle_value *key = phiz_pickle_at(p, dict->u.item[i]);
		const struct phiz_pickle_value *v = phiz_pickle_at(p, dict->u.item[i + 1]);

		if (key->kind == PHIZ_PICKLE_TEXT && v->kind == PHIZ_PICKLE_TENSOR)
			status = read_tensor(s, key->u.text, key->size, v, out);
	}
	phiz_tensors_drop_prefix(out, "module."); /* of DataParallel */
	return status ? status : phiz_tensors_check(s->ctx, out, s->path);
}

/* ---- The zip format ---- */

static bool ends_with(const struct phiz_zip_entry *e, const char *text)
{
	size_t n = strlen(text);

	return e->name_size >= n && memcmp(e->name + e->name_size - n, text, n) == 0;
}

static enum phiz_status find_objects(struct source *s, struct phiz_zip_entry **out)
{
	bool script = false;
	size_t i;

	*out = NULL;
	for (i = 0; i < s->zip.count; i++) {
		struct phiz_zip_entry *e = &s->zip.entry[i];

		script = script || ends_with(e, "/constants.pkl");
		if (!ends_with(e, "/data.pkl") && !(e->name_size == 8 && ends_with(e, "data.pkl")))
			continue;
		if (*out)
			return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: more than one data.pkl in the zip archive", s->path);
		*out = e;
	}
	if (!*out)
		return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: a zip archive, but not one of torch.save: no data.pkl in it",
		                 s->path);
	if (script)
		return phiz_fail(s->ctx, PHIZ_E_UNSUPPORTED,
		                 "%s: a TorchScript archive (a program); save model.state_dict() instead", s->path);
	s->prefix = (*out)->name;
	s->prefix_size = (*out)->name_size - 8;
	return PHIZ_OK;
}

static enum phiz_status check_byte_order(struct source *s)
{
	struct phiz_zip_entry *e;
	const unsigned char *data;
	enum phiz_status status;
	char *name = phiz_asprintf(s->ctx, "%.*sbyteorder", (int)s->prefix_size, s->prefix);

	if (!name)
		return PHIZ_E_NOMEM;
	e = phiz_zip_find(&s->zip, name, strlen(name));
	phiz_free(s->ctx, name);
	if (!e)
		return PHIZ_OK;
	status = phiz_zip_data(s->ctx, &s->zip, e, &data);
	if (!status && (e->size != 6 || memcmp(data, "little", 6) != 0))
		status = phiz_fail(s->ctx, PHIZ_E_UNSUPPORTED, "%s: written on a big-endian machine", s->path);
	return status;
}

static enum phiz_status parse_zip(struct source *s, const void *data, size_t size, struct phiz_tensors *out)
{
	struct phiz_zip_entry *objects;
	struct phiz_reader r = {NULL, 0, 0};
	enum phiz_status status;

	status = phiz_zip_open(s->ctx, data, size, s->path, &s->zip);
	if (!status)
		status = find_objects(s, &objects);
	if (!status)
		status = check_byte_order(s);
	if (!status)
		status = phiz_zip_data(s->ctx, &s->zip, objects, &r.data);
	if (status)
		return status;
	r.size = objects->size;
	status = phiz_pickle_run(s->ctx, &r, s->path, &s->pickle);
	return status ? status : read_objects(s, out);
}

/* ---- The legacy format ---- */

/* Runs one pickle and keeps nothing but whether its root passes. */
static enum phiz_status check_pickle(struct source *s, struct phiz_reader *r,
                                     bool (*passes)(const struct phiz_pickle *, const struct phiz_pickle_value *),
                                     const char *otherwise)
{
	struct phiz_pickle p;
	enum phiz_status status;
	bool passed;

	status = phiz_pickle_run(s->ctx, r, s->path, &p);
	if (status)
		return status;
	passed = passes(&p, phiz_pickle_at(&p, p.root));
	phiz_pickle_free(&p);
	return passed ? PHIZ_OK : phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: %s", s->path, otherwise);
}

static bool is_magic(const struct phiz_pickle *p, const struct phiz_pickle_value *v)
{
	static const unsigned char magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

	(void)p;
	return v->kind == PHIZ_PICKLE_LONG && v->size == sizeof(magic) && memcmp(v->u.text, magic, sizeof(magic)) == 0;
}

static bool is_version(const struct phiz_pickle *p, const struct phiz_pickle_value *v)
{
	(void)p;
	return v->kind == PHIZ_PICKLE_INT && v->u.i == LEGACY_VERSION;
}

static bool is_little_endian(const struct phiz_pickle *p, const struct phiz_pickle_value *v)
{
	const struct phiz_pickle_value *little = v->kind == PHIZ_PICKLE_DICT ? phiz_pickle_get(p, v, "little_endian")
	                                                                     : NULL;

	return little && little->kind == PHIZ_PICKLE_BOOL && little->u.i;
}

/* The storages that the objects name, sorted by key, each once. */
static enum phiz_status list_records(struct source *s)
{
	const struct phiz_pickle *p = &s->pickle;
	enum phiz_status status;
	size_t i, n = 0;

	for (i = 0; i < p->count; i++) {
		const struct phiz_pickle_value *id, *key, *v = &p->value[i];
		struct record r = {0};

		if (v->kind != PHIZ_PICKLE_STORAGE)
			continue;
		id = phiz_pickle_at(p, (uint32_t)v->u.i);
		key = phiz_pickle_at(p, id->u.item[2]);
		if (key->kind != PHIZ_PICKLE_TEXT || !phiz_pickle_storage_dtype(phiz_pickle_at(p, id->u.item[1]), &r.dtype))
			return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: a storage is not described as torch.save does", s->path);
		r.key = key->u.text;
		r.key_size = key->size;
		status = phiz_grow(s->ctx, &s->record, &s->record_capacity, s->n_records + 1, sizeof(r));
		if (status)
			return status;
		s->record[s->n_records++] = r;
	}
	if (s->n_records > 1)
		qsort(s->record, s->n_records, sizeof(*s->record), by_key);
	for (i = 0; i < s->n_records; i++) {
		if (n == 0 || by_key(&s->record[n - 1], &s->record[i]) != 0)
			s->record[n++] = s->record[i];
		else if (s->record[n - 1].dtype != s->record[i].dtype)
			return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: a storage has two dtypes", s->path);
	}
	s->n_records = n;
	return PHIZ_OK;
}

static enum phiz_status read_record(struct source *s, struct phiz_reader *r, const struct phiz_pickle_value *key)
{
	char shown[PHIZ_SHOWN];
	struct record *to = NULL;
	size_t left, bytes;

	if (key->kind == PHIZ_PICKLE_TEXT)
		to = find_record(s, key->u.text, key->size);
	if (!to || to->data)
		return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: a storage in the file belongs to no tensor, or comes twice",
		                 s->path);
	phiz_shown(key->u.text, key->size, shown);
	if (!phiz_reader_u64(r, &to->elements))
		return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: the file ends before storage '%s': it is cut", s->path, shown);
	left = phiz_reader_left(r);
	if (to->elements > left || !phiz_size_mul((size_t)to->elements, phiz_dtype_size(to->dtype), &bytes) ||
	    !phiz_reader_take(r, bytes, &to->data))
		return phiz_fail(s->ctx, PHIZ_E_FORMAT,
		                 "%s: storage '%s' claims %llu elements, but the file has %zu bytes left: it is "
		                 "cut",
		                 s->path, shown, (unsigned long long)to->elements, left);
	return PHIZ_OK;
}

static enum phiz_status read_records(struct source *s, struct phiz_reader *r)
{
	const struct phiz_pickle_value *list;
	enum phiz_status status;
	uint32_t i;

	status = phiz_pickle_run(s->ctx, r, s->path, &s->keys);
	if (status)
		return status;
	list = phiz_pickle_at(&s->keys, s->keys.root);
	if (list->kind != PHIZ_PICKLE_LIST)
		return phiz_fail(s->ctx, PHIZ_E_FORMAT, "%s: no list of storages behind the objects", s->path);
	status = list_records(s);
	for (i = 0; !status && i < list->size; i++)
		status = read_record(s, r, phiz_pickle_at(&s->keys, list->u.item[i]));
	return status;
}

static enum phiz_status parse_legacy(struct source *s, const void *data, size_t size, struct phiz_tensors *out)
{
	struct phiz_reader r = {data, size, 0};
	enum phiz_status status;

	s->legacy = true;
	status = check_pickle(s, &r, is_magic, "a pickle, but not one of torch.save");
	if (!status)
		status = check_pickle(s, &r, is_version, "a torch.save file of an unknown version");
	if (!status)
		status = check_pickle(s, &r, is_little_endian, "not written on a little-endian machine");
	if (!status)
		status = phiz_pickle_run(s->ctx, &r, s->path, &s->pickle);
	if (!status)
		status = read_records(s, &r);
	return status ? status : read_objects(s, out);
}

/* ---- */

enum phiz_status phiz_pth_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *path,
                                struct phiz_tensors *out)
{
	const char *kind = phiz_foreign_kind(data, size);
	const unsigned char *bytes = data;
	enum phiz_status status;
	struct source s;

	memset(out, 0, sizeof(*out));
	memset(&s, 0, sizeof(s));
	s.ctx = ctx;
	s.path = path;
	s.copy_limit = ((size_t)1 << 20) + (size < SIZE_MAX / 128 ? 64 * size : SIZE_MAX / 2);
	if (size >= 2 && bytes[0] == 'P' && bytes[1] == 'K')
		status = parse_zip(&s, data, size, out);
	else if (size >= 2 && bytes[0] == 0x80)
		status = parse_legacy(&s, data, size, out);
	else
		status = phiz_fail(ctx, PHIZ_E_FORMAT, "%s: %s", path, kind ? kind : "not a PyTorch file");
	phiz_pickle_free(&s.pickle);
	phiz_pickle_free(&s.keys);
	phiz_free(ctx, s.record);
	phiz_zip_close(ctx, &s.zip);
	if (status)
		phiz_tensors_free(ctx, out);
	return status;
}

enum phiz_status phiz_pth_read(struct phiz_ctx *ctx, const char *path, struct phiz_tensors *out)
{
	struct phiz_map map;
	enum phiz_status status;

	memset(out, 0, sizeof(*out));
	status = phiz_map_open(ctx, path, &map);
	if (status)
		return status;
	status = phiz_pth_parse(ctx, map.data, map.size, path, out);
	phiz_map_close(&map);
	return status;
}
