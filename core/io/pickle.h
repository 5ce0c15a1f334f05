/* A pickle machine that executes nothing. It knows None, booleans, numbers, text, bytes, lists, tuples, dicts,
 * collections.OrderedDict, and how torch.save writes a tensor. Any other callable is refused by its name when the
 * pickle names it, before anything could be done with it. */
#ifndef PHIZ_IO_PICKLE_H
#define PHIZ_IO_PICKLE_H

#include <stdbool.h>

#include <phiz/tensor.h>

#include "core/base/reader.h"

enum phiz_pickle_kind {
	PHIZ_PICKLE_NONE,
	PHIZ_PICKLE_BOOL,    /* i */
	PHIZ_PICKLE_INT,     /* i */
	PHIZ_PICKLE_LONG,    /* text: little-endian bytes of a number beyond int64_t */
	PHIZ_PICKLE_FLOAT,   /* f */
	PHIZ_PICKLE_TEXT,    /* text */
	PHIZ_PICKLE_BYTES,   /* text */
	PHIZ_PICKLE_LIST,    /* items */
	PHIZ_PICKLE_TUPLE,   /* items */
	PHIZ_PICKLE_DICT,    /* items: key, value, key, value ... */
	PHIZ_PICKLE_GLOBAL,  /* i: one of the machine's own list */
	PHIZ_PICKLE_STORAGE, /* i: number of the tuple ("storage", type, key, location, number of elements, ...) */
	PHIZ_PICKLE_TENSOR   /* i: number of the tuple (storage, offset, size, stride, ...), the kinds of which are right */
};

/* Text points into the pickle and is not terminated. Values are numbered in the order of their making. */
struct phiz_pickle_value {
	enum phiz_pickle_kind kind;
	uint32_t size; /* of text, bytes or items */
	union {
		int64_t i;
		double f;
		const char *text;
		uint32_t *item;
	} u;
	uint32_t capacity; /* of items */
};

struct phiz_pickle {
	struct phiz_ctx *ctx;
	const char *path; /* for messages; borrowed */
	struct phiz_pickle_value *value;
	size_t count, capacity;
	size_t n_items; /* of all values together */
	uint32_t *stack;
	size_t depth, stack_capacity;
	size_t *mark; /* heights of the stack */
	size_t n_marks, mark_capacity;
	uint32_t *memo; /* number of the value + 1; 0: none */
	size_t memo_size, memo_capacity;
	uint32_t root; /* after a run */
};

/* Runs one pickle from where r stands to behind its STOP. path begins the messages. On failure *out holds nothing. */
enum phiz_status phiz_pickle_run(struct phiz_ctx *ctx, struct phiz_reader *r, const char *path,
                                 struct phiz_pickle *out);
void phiz_pickle_free(struct phiz_pickle *p);

/* Value number v. */
const struct phiz_pickle_value *phiz_pickle_at(const struct phiz_pickle *p, uint32_t v);
bool phiz_pickle_is_text(const struct phiz_pickle_value *v, const char *text);
/* The value of a dict under a text key, or NULL. */
const struct phiz_pickle_value *phiz_pickle_get(const struct phiz_pickle *p, const struct phiz_pickle_value *dict,
                                                const char *key);
/* The dtype of a storage's type (a GLOBAL such as torch.FloatStorage); false if it is none. */
bool phiz_pickle_storage_dtype(const struct phiz_pickle_value *v, enum phiz_dtype *out);

#endif
