/* The pickle machine. Python's pickletools.py documents the opcodes; those of protocol 2 and later are taken, which is
 * all that torch.save ever wrote. Everything it makes is bounded: values, items, stack, marks and memo have fixed
 * limits, text is never copied, and nothing recurses. */
#include "core/io/pickle.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/parse.h"
#include "core/io/json.h"

#define MAX_VALUES (1u << 22)
#define MAX_ITEMS (1u << 23)
#define MAX_STACK 65536u /* Python writes long lists in pieces of 1000 */
#define MAX_MARKS 1024u
#define MAX_MEMO (1u << 22)

enum global {
	GLOBAL_ORDERED_DICT,
	GLOBAL_REBUILD_TENSOR,
	GLOBAL_REBUILD_PARAMETER,
	GLOBAL_STORAGE /* and, behind it, the dtypes */
};

static const struct {
	const char *module, *name;
	int global;
} globals[] = {
	{"collections", "OrderedDict", GLOBAL_ORDERED_DICT},
	{"torch._utils", "_rebuild_tensor", GLOBAL_REBUILD_TENSOR},
	{"torch._utils", "_rebuild_tensor_v2", GLOBAL_REBUILD_TENSOR},
	{"torch._utils", "_rebuild_parameter", GLOBAL_REBUILD_PARAMETER},
	{"torch.nn.parameter", "Parameter", GLOBAL_REBUILD_PARAMETER}, /* before PyTorch 1.0: torchvision's first weights */
	{"torch", "FloatStorage", GLOBAL_STORAGE + PHIZ_F32},
	{"torch", "DoubleStorage", GLOBAL_STORAGE + PHIZ_F64},
	{"torch", "HalfStorage", GLOBAL_STORAGE + PHIZ_F16},
	{"torch", "BFloat16Storage", GLOBAL_STORAGE + PHIZ_BF16},
	{"torch", "CharStorage", GLOBAL_STORAGE + PHIZ_I8},
	{"torch", "ByteStorage", GLOBAL_STORAGE + PHIZ_U8},
	{"torch", "BoolStorage", GLOBAL_STORAGE + PHIZ_U8},
	{"torch", "IntStorage", GLOBAL_STORAGE + PHIZ_I32},
	{"torch", "LongStorage", GLOBAL_STORAGE + PHIZ_I64},
};
#define N_GLOBALS (sizeof(globals) / sizeof(globals[0]))

static enum phiz_status fail_truncated(struct phiz_pickle *p)
{
	return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s: the pickle ends early: the file is cut or damaged", p->path);
}

static enum phiz_status fail_limit(struct phiz_pickle *p, const char *what, size_t limit)
{
	return phiz_fail(p->ctx, PHIZ_E_LIMIT, "%s: the pickle has more than %zu %s: no state dict looks like that",
	                 p->path, limit, what);
}

static enum phiz_status fail_damaged(struct phiz_pickle *p, const char *what)
{
	return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s: damaged pickle: %s", p->path, what);
}

/* ---- Values, stack, memo ---- */

static enum phiz_status push(struct phiz_pickle *p, uint32_t v)
{
	enum phiz_status status;

	if (p->depth >= MAX_STACK)
		return fail_limit(p, "values on its stack", MAX_STACK);
	status = phiz_grow(p->ctx, &p->stack, &p->stack_capacity, p->depth + 1, sizeof(*p->stack));
	if (!status)
		p->stack[p->depth++] = v;
	return status;
}

/* Makes a value and pushes it. */
static enum phiz_status push_new(struct phiz_pickle *p, enum phiz_pickle_kind kind, struct phiz_pickle_value **out)
{
	enum phiz_status status;

	*out = NULL;
	if (p->count >= MAX_VALUES)
		return fail_limit(p, "values", MAX_VALUES);
	status = phiz_grow(p->ctx, &p->value, &p->capacity, p->count + 1, sizeof(*p->value));
	if (!status)
		status = push(p, (uint32_t)p->count);
	if (status)
		return status;
	*out = &p->value[p->count++];
	memset(*out, 0, sizeof(**out));
	(*out)->kind = kind;
	return PHIZ_OK;
}

static enum phiz_status push_int(struct phiz_pickle *p, enum phiz_pickle_kind kind, int64_t i)
{
	struct phiz_pickle_value *v;
	enum phiz_status status = push_new(p, kind, &v);

	if (!status)
		v->u.i = i;
	return status;
}

static enum phiz_status push_text(struct phiz_pickle *p, struct phiz_reader *r, enum phiz_pickle_kind kind,
                                  uint64_t size)
{
	struct phiz_pickle_value *v;
	const unsigned char *text;
	enum phiz_status status;

	if (size > UINT32_MAX || !phiz_reader_take(r, (size_t)size, &text))
		return phiz_fail(p->ctx, PHIZ_E_FORMAT,
		                 "%s: the pickle holds a text of %llu bytes, but only %zu are left: cut or damaged", p->path,
		                 (unsigned long long)size, phiz_reader_left(r));
	if (kind == PHIZ_PICKLE_TEXT && !phiz_utf8_valid((const char *)text, (size_t)size))
		return fail_damaged(p, "text that is not UTF-8");
	status = push_new(p, kind, &v);
	if (!status) {
		v->u.text = (const char *)text;
		v->size = (uint32_t)size;
	}
	return status;
}

/* What may be popped lies above the last mark. */
static size_t floor_of(const struct phiz_pickle *p)
{
	return p->n_marks > 0 ? p->mark[p->n_marks - 1] : 0;
}

static enum phiz_status pop(struct phiz_pickle *p, uint32_t *v)
{
	if (p->depth <= floor_of(p))
		return fail_damaged(p, "it takes a value from an empty stack");
	*v = p->stack[--p->depth];
	return PHIZ_OK;
}

static enum phiz_status top(struct phiz_pickle *p, uint32_t *v)
{
	if (p->depth <= floor_of(p))
		return fail_damaged(p, "it reads a value from an empty stack");
	*v = p->stack[p->depth - 1];
	return PHIZ_OK;
}

static enum phiz_status push_mark(struct phiz_pickle *p)
{
	enum phiz_status status;

	if (p->n_marks >= MAX_MARKS)
		return fail_limit(p, "marks, one within another", MAX_MARKS);
	status = phiz_grow(p->ctx, &p->mark, &p->mark_capacity, p->n_marks + 1, sizeof(*p->mark));
	if (!status)
		p->mark[p->n_marks++] = p->depth;
	return status;
}

/* Takes the last mark off; the values above it are stack[*first] and on. */
static enum phiz_status pop_mark(struct phiz_pickle *p, size_t *first)
{
	if (p->n_marks == 0)
		return fail_damaged(p, "it looks for a mark that was never set");
	*first = p->mark[--p->n_marks];
	return PHIZ_OK;
}

static enum phiz_status memo_put(struct phiz_pickle *p, uint64_t at)
{
	enum phiz_status status;
	uint32_t v = 0;

	if (at >= MAX_MEMO)
		return fail_limit(p, "memo entries", MAX_MEMO);
	/* The memo is an array, but a file of ten bytes must not make it a large one: Python counts up from 0. */
	if (at > p->count + 256)
		return fail_damaged(p, "it numbers a memo entry far beyond those that it made");
	status = top(p, &v);
	if (!status)
		status = phiz_grow(p->ctx, &p->memo, &p->memo_capacity, (size_t)at + 1, sizeof(*p->memo));
	if (status)
		return status;
	while (p->memo_size <= at)
		p->memo[p->memo_size++] = 0;
	p->memo[at] = v + 1;
	return PHIZ_OK;
}

static enum phiz_status memo_get(struct phiz_pickle *p, uint64_t at)
{
	if (at >= p->memo_size || p->memo[at] == 0)
		return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s: damaged pickle: it asks for memo entry %llu, which was never put",
		                 p->path, (unsigned long long)at);
	return push(p, p->memo[at] - 1);
}

/* Appends n values, which must not lie among v's own items, to the items of value v. */
static enum phiz_status add_items(struct phiz_pickle *p, uint32_t v, const uint32_t *item, size_t n)
{
	struct phiz_pickle_value *to = &p->value[v];
	size_t capacity = to->capacity;
	enum phiz_status status;

	if (n > MAX_ITEMS - p->n_items)
		return fail_limit(p, "items in its containers", MAX_ITEMS);
	if (n == 0)
		return PHIZ_OK;
	status = phiz_grow(p->ctx, &to->u.item, &capacity, to->size + n, sizeof(*to->u.item));
	if (status)
		return status;
	to->capacity = (uint32_t)capacity;
	memcpy(to->u.item + to->size, item, n * sizeof(*item));
	to->size += (uint32_t)n;
	p->n_items += n;
	return PHIZ_OK;
}

/* Replaces the values from stack[first] on by one container of them. */
static enum phiz_status collect(struct phiz_pickle *p, enum phiz_pickle_kind kind, size_t first)
{
	size_t n = p->depth - first;
	struct phiz_pickle_value *v;
	enum phiz_status status;
	uint32_t made;

	if (kind == PHIZ_PICKLE_DICT && n % 2)
		return fail_damaged(p, "a dict with a key without a value");
	status = push_new(p, kind, &v);
	if (status)
		return status;
	made = (uint32_t)(v - p->value);
	status = add_items(p, made, p->stack + first, n);
	p->stack[first] = made;
	p->depth = first + 1;
	return status;
}

static enum phiz_status collect_marked(struct phiz_pickle *p, enum phiz_pickle_kind kind)
{
	enum phiz_status status;
	size_t first = 0;

	status = pop_mark(p, &first);
	return status ? status : collect(p, kind, first);
}

static enum phiz_status collect_last(struct phiz_pickle *p, enum phiz_pickle_kind kind, size_t n)
{
	if (p->depth - floor_of(p) < n)
		return fail_damaged(p, "it takes a value from an empty stack");
	return collect(p, kind, p->depth - n);
}

/* Moves the values from stack[first] on into the container below them. */
static enum phiz_status extend(struct phiz_pickle *p, enum phiz_pickle_kind kind, size_t first)
{
	enum phiz_status status;
	size_t n = p->depth - first;
	uint32_t to;

	if (first <= floor_of(p))
		return fail_damaged(p, "it takes a value from an empty stack");
	to = p->stack[first - 1];
	if (p->value[to].kind != kind || (kind == PHIZ_PICKLE_DICT && n % 2))
		return fail_damaged(p, "it adds items to what cannot take them");
	status = add_items(p, to, p->stack + first, n);
	p->depth = first;
	return status;
}

static enum phiz_status extend_marked(struct phiz_pickle *p, enum phiz_pickle_kind kind)
{
	enum phiz_status status;
	size_t first = 0;

	status = pop_mark(p, &first);
	return status ? status : extend(p, kind, first);
}

static enum phiz_status extend_last(struct phiz_pickle *p, enum phiz_pickle_kind kind, size_t n)
{
	if (p->depth - floor_of(p) < n)
		return fail_damaged(p, "it takes a value from an empty stack");
	return extend(p, kind, p->depth - n);
}

/* ---- Callables ---- */

static bool span_is(const char *text, size_t size, const char *want)
{
	return strlen(want) == size && memcmp(text, want, size) == 0;
}

static bool begins_with(const char *text, size_t size, const char *want)
{
	return size >= strlen(want) && memcmp(text, want, strlen(want)) == 0;
}

static enum phiz_status push_global(struct phiz_pickle *p, const char *module, size_t module_size, const char *name,
                                    size_t name_size)
{
	char a[PHIZ_SHOWN], b[PHIZ_SHOWN];
	size_t i;

	for (i = 0; i < N_GLOBALS; i++)
		if (span_is(module, module_size, globals[i].module) && span_is(name, name_size, globals[i].name))
			return push_int(p, PHIZ_PICKLE_GLOBAL, globals[i].global);
	phiz_shown(module, module_size, a);
	phiz_shown(name, name_size, b);
	if (begins_with(module, module_size, "torch.nn.") || begins_with(module, module_size, "__torch__") ||
	    begins_with(module, module_size, "torchvision.") || begins_with(module, module_size, "__main__"))
		return phiz_fail(p->ctx, PHIZ_E_UNSUPPORTED,
		                 "%s: holds an object of %s.%s: a pickled module or program object; save "
		                 "model.state_dict() instead",
		                 p->path, a, b);
	return phiz_fail(p->ctx, PHIZ_E_UNSUPPORTED, "%s: its pickle names %s.%s, which phiz neither knows nor calls; save "
	                 "model.state_dict() alone", p->path, a, b);
}

/* A line of the pickle without its newline. */
static enum phiz_status take_line(struct phiz_pickle *p, struct phiz_reader *r, const char **text, size_t *size)
{
	size_t left = phiz_reader_left(r);
	const unsigned char *begin = r->data + r->pos, *end = left > 0 ? memchr(begin, '\n', left) : NULL;

	if (!end)
		return fail_truncated(p);
	*text = (const char *)begin;
	*size = (size_t)(end - begin);
	phiz_reader_seek(r, r->pos + *size + 1);
	return PHIZ_OK;
}

static enum phiz_status op_global(struct phiz_pickle *p, struct phiz_reader *r)
{
	const char *module, *name;
	size_t module_size, name_size;
	enum phiz_status status;

	status = take_line(p, r, &module, &module_size);
	if (!status)
		status = take_line(p, r, &name, &name_size);
	return status ? status : push_global(p, module, module_size, name, name_size);
}

static enum phiz_status op_stack_global(struct phiz_pickle *p)
{
	const struct phiz_pickle_value *module, *name;
	enum phiz_status status;
	uint32_t m = 0, n = 0;

	status = pop(p, &n);
	if (!status)
		status = pop(p, &m);
	if (status)
		return status;
	module = &p->value[m];
	name = &p->value[n];
	if (module->kind != PHIZ_PICKLE_TEXT || name->kind != PHIZ_PICKLE_TEXT)
		return fail_damaged(p, "a callable without a name");
	return push_global(p, module->u.text, module->size, name->u.text, name->size);
}

/* torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, ...): the first four matter. */
static bool is_tensor(const struct phiz_pickle *p, const struct phiz_pickle_value *args)
{
	static const enum phiz_pickle_kind want[] = {PHIZ_PICKLE_STORAGE, PHIZ_PICKLE_INT, PHIZ_PICKLE_TUPLE,
	                                             PHIZ_PICKLE_TUPLE};
	size_t i;

	for (i = 0; i < 4; i++)
		if (args->size <= i || p->value[args->u.item[i]].kind != want[i])
			return false;
	return true;
}

/* OrderedDict(), or as Python 2 wrote it, OrderedDict([[key, value], ...]). */
static enum phiz_status make_dict(struct phiz_pickle *p, const struct phiz_pickle_value *args)
{
	uint32_t list = args->size > 0 ? args->u.item[0] : 0, size = args->size > 0 ? p->value[list].size : 0, made, i;
	struct phiz_pickle_value *v;
	enum phiz_status status;

	if (args->size > 1 || (args->size == 1 && p->value[list].kind != PHIZ_PICKLE_LIST))
		return fail_damaged(p, "a call that no state dict needs");
	made = (uint32_t)p->count;
	status = push_new(p, PHIZ_PICKLE_DICT, &v);
	for (i = 0; !status && i < size; i++) {
		const struct phiz_pickle_value *pair = &p->value[p->value[list].u.item[i]];

		if ((pair->kind != PHIZ_PICKLE_LIST && pair->kind != PHIZ_PICKLE_TUPLE) || pair->size != 2)
			return fail_damaged(p, "an OrderedDict of what are no pairs");
		status = add_items(p, made, pair->u.item, 2);
	}
	return status;
}

static enum phiz_status op_reduce(struct phiz_pickle *p)
{
	const struct phiz_pickle_value *args, *callable;
	enum phiz_status status;
	uint32_t a = 0, c = 0;

	status = pop(p, &a);
	if (!status)
		status = pop(p, &c);
	if (status)
		return status;
	args = &p->value[a];
	callable = &p->value[c];
	if (callable->kind != PHIZ_PICKLE_GLOBAL || args->kind != PHIZ_PICKLE_TUPLE)
		return fail_damaged(p, "it calls what is no callable");
	if (callable->u.i == GLOBAL_ORDERED_DICT)
		return make_dict(p, args);
	if (callable->u.i == GLOBAL_REBUILD_TENSOR && is_tensor(p, args))
		return push_int(p, PHIZ_PICKLE_TENSOR, a);
	if (callable->u.i == GLOBAL_REBUILD_PARAMETER && args->size >= 1 &&
	    p->value[args->u.item[0]].kind == PHIZ_PICKLE_TENSOR)
		return push(p, args->u.item[0]);
	return fail_damaged(p, "a call that no state dict needs");
}

/* A state dict carries its version numbers as attributes of the OrderedDict, an old Parameter whether it wants a
 * gradient; they are dropped. */
static enum phiz_status op_build(struct phiz_pickle *p)
{
	enum phiz_status status;
	uint32_t state, target = 0;

	status = pop(p, &state);
	if (!status)
		status = top(p, &target);
	if (!status && p->value[target].kind != PHIZ_PICKLE_DICT && p->value[target].kind != PHIZ_PICKLE_TENSOR)
		status = fail_damaged(p, "it gives attributes to what can have none");
	return status;
}

static enum phiz_status op_persistent_id(struct phiz_pickle *p)
{
	const struct phiz_pickle_value *id, *what;
	enum phiz_status status;
	uint32_t at = 0;

	status = pop(p, &at);
	if (status)
		return status;
	id = &p->value[at];
	if (id->kind != PHIZ_PICKLE_TUPLE || id->size < 5)
		return fail_damaged(p, "a persistent id that is no storage");
	what = &p->value[id->u.item[0]];
	if (phiz_pickle_is_text(what, "module"))
		return phiz_fail(p->ctx, PHIZ_E_UNSUPPORTED, "%s: a pickled module; save model.state_dict() instead", p->path);
	if (!phiz_pickle_is_text(what, "storage"))
		return fail_damaged(p, "a persistent id that is no storage");
	return push_int(p, PHIZ_PICKLE_STORAGE, at);
}

/* ---- Numbers ---- */

static enum phiz_status op_binint(struct phiz_pickle *p, struct phiz_reader *r, int bytes)
{
	const unsigned char *b;

	if (!phiz_reader_take(r, (size_t)bytes, &b))
		return fail_truncated(p);
	if (bytes == 1)
		return push_int(p, PHIZ_PICKLE_INT, b[0]);
	if (bytes == 2)
		return push_int(p, PHIZ_PICKLE_INT, b[0] | b[1] << 8);
	return push_int(p, PHIZ_PICKLE_INT,
	                (int32_t)((uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24));
}

static enum phiz_status op_binfloat(struct phiz_pickle *p, struct phiz_reader *r)
{
	struct phiz_pickle_value *v;
	const unsigned char *b;
	enum phiz_status status;
	uint64_t bits = 0;
	int i;

	if (!phiz_reader_take(r, 8, &b))
		return fail_truncated(p);
	for (i = 0; i < 8; i++)
		bits = bits << 8 | b[i];
	status = push_new(p, PHIZ_PICKLE_FLOAT, &v);
	if (!status)
		memcpy(&v->u.f, &bits, sizeof(bits));
	return status;
}

/* Two's complement, little endian, as few bytes as it takes. */
static enum phiz_status op_long(struct phiz_pickle *p, struct phiz_reader *r, uint64_t size)
{
	const unsigned char *b;
	uint64_t bits;
	size_t i;

	if (size > 8)
		return push_text(p, r, PHIZ_PICKLE_LONG, size);
	if (!phiz_reader_take(r, (size_t)size, &b))
		return fail_truncated(p);
	bits = size > 0 && b[size - 1] >= 0x80 ? UINT64_MAX : 0;
	for (i = (size_t)size; i-- > 0;)
		bits = bits << 8 | b[i];
	return push_int(p, PHIZ_PICKLE_INT, (int64_t)bits);
}

/* ---- The machine ---- */

/* A little-endian count of `bytes` bytes, as operand. */
static bool take_count(struct phiz_reader *r, int bytes, uint64_t *out)
{
	const unsigned char *b;
	int i;

	*out = 0;
	if (!phiz_reader_take(r, (size_t)bytes, &b))
		return false;
	for (i = bytes - 1; i >= 0; i--)
		*out = *out << 8 | b[i];
	return true;
}

/* Are the next n bytes there, and UTF-8? Python 2 wrote names as strings of bytes. */
static bool is_utf8(const struct phiz_reader *r, uint64_t n)
{
	return n <= phiz_reader_left(r) && phiz_utf8_valid((const char *)r->data + r->pos, (size_t)n);
}

/* Opcodes whose operand is a count of 1, 4 or 8 bytes. */
static enum phiz_status step_counted(struct phiz_pickle *p, struct phiz_reader *r, unsigned op)
{
	static const struct {
		unsigned char op, bytes;
		char what; /* t text, s Python 2's text, b bytes, l long, g memo get, p memo put, x ignored */
	} table[] = {
		{'X', 4, 't'}, {0x8c, 1, 't'}, {0x8d, 8, 't'}, {'T', 4, 's'}, {'U', 1, 's'}, {'B', 4, 'b'},
		{'C', 1, 'b'}, {0x8e, 8, 'b'}, {0x8a, 1, 'l'}, {0x8b, 4, 'l'}, {'h', 1, 'g'}, {'j', 4, 'g'},
		{'q', 1, 'p'}, {'r', 4, 'p'}, {0x80, 1, 'x'}, {0x95, 8, 'x'},
	};
	uint64_t n;
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]) && table[i].op != op; i++)
		;
	if (i == sizeof(table) / sizeof(table[0]))
		return phiz_fail(p->ctx, PHIZ_E_FORMAT, "%s: not a pickle of tensors: opcode 0x%02x", p->path, op);
	if (!take_count(r, table[i].bytes, &n))
		return fail_truncated(p);
	switch (table[i].what) {
	case 't':
		return push_text(p, r, PHIZ_PICKLE_TEXT, n);
	case 's':
		return push_text(p, r, is_utf8(r, n) ? PHIZ_PICKLE_TEXT : PHIZ_PICKLE_BYTES, n);
	case 'b':
		return push_text(p, r, PHIZ_PICKLE_BYTES, n);
	case 'l':
		return op_long(p, r, n);
	case 'g':
		return memo_get(p, n);
	case 'p':
		return memo_put(p, n);
	default: /* PROTO and FRAME say nothing that is needed */
		return PHIZ_OK;
	}
}

static enum phiz_status op_pop(struct phiz_pickle *p)
{
	uint32_t v = 0;

	/* As Python does: POP takes a mark off where one lies on top. */
	if (p->n_marks > 0 && p->depth == floor_of(p)) {
		p->n_marks--;
		return PHIZ_OK;
	}
	return pop(p, &v);
}

static enum phiz_status op_pop_mark(struct phiz_pickle *p)
{
	enum phiz_status status;
	size_t first = 0;

	status = pop_mark(p, &first);
	if (!status)
		p->depth = first;
	return status;
}

static enum phiz_status op_dup(struct phiz_pickle *p)
{
	enum phiz_status status;
	uint32_t v = 0;

	status = top(p, &v);
	return status ? status : push(p, v);
}

static enum phiz_status step(struct phiz_pickle *p, struct phiz_reader *r, unsigned op)
{
	switch (op) {
	case '(':
		return push_mark(p);
	case '0':
		return op_pop(p);
	case '1':
		return op_pop_mark(p);
	case '2':
		return op_dup(p);
	case 'N':
		return push_int(p, PHIZ_PICKLE_NONE, 0);
	case 0x88:
	case 0x89:
		return push_int(p, PHIZ_PICKLE_BOOL, op == 0x88);
	case 'J':
		return op_binint(p, r, 4);
	case 'K':
		return op_binint(p, r, 1);
	case 'M':
		return op_binint(p, r, 2);
	case 'G':
		return op_binfloat(p, r);
	case ']':
		return collect(p, PHIZ_PICKLE_LIST, p->depth);
	case '}':
		return collect(p, PHIZ_PICKLE_DICT, p->depth);
	case ')':
		return collect(p, PHIZ_PICKLE_TUPLE, p->depth);
	case 't':
		return collect_marked(p, PHIZ_PICKLE_TUPLE);
	case 0x85:
	case 0x86:
	case 0x87:
		return collect_last(p, PHIZ_PICKLE_TUPLE, op - 0x84);
	case 'a':
		return extend_last(p, PHIZ_PICKLE_LIST, 1);
	case 'e':
		return extend_marked(p, PHIZ_PICKLE_LIST);
	case 's':
		return extend_last(p, PHIZ_PICKLE_DICT, 2);
	case 'u':
		return extend_marked(p, PHIZ_PICKLE_DICT);
	case 0x94:
		return memo_put(p, p->memo_size);
	case 'c':
		return op_global(p, r);
	case 0x93:
		return op_stack_global(p);
	case 'R':
		return op_reduce(p);
	case 'b':
		return op_build(p);
	case 'Q':
		return op_persistent_id(p);
	default:
		return step_counted(p, r, op);
	}
}

static enum phiz_status run(struct phiz_pickle *p, struct phiz_reader *r)
{
	enum phiz_status status;
	uint8_t op;

	for (;;) {
		if (!phiz_reader_u8(r, &op))
			return fail_truncated(p);
		if (op == '.')
			return pop(p, &p->root);
		status = step(p, r, op);
		if (status)
			return status;
	}
}

enum phiz_status phiz_pickle_run(struct phiz_ctx *ctx, struct phiz_reader *r, const char *path, struct phiz_pickle *out)
{
	enum phiz_status status;

	memset(out, 0, sizeof(*out));
	out->ctx = ctx;
	out->path = path;
	status = run(out, r);
	if (status)
		phiz_pickle_free(out);
	return status;
}

void phiz_pickle_free(struct phiz_pickle *p)
{
	size_t i;

	for (i = 0; i < p->count; i++)
		if (p->value[i].capacity > 0)
			phiz_free(p->ctx, p->value[i].u.item);
	phiz_free(p->ctx, p->value);
	phiz_free(p->ctx, p->stack);
	phiz_free(p->ctx, p->mark);
	phiz_free(p->ctx, p->memo);
	memset(p, 0, sizeof(*p));
}

const struct phiz_pickle_value *phiz_pickle_at(const struct phiz_pickle *p, uint32_t v)
{
	return &p->value[v];
}

bool phiz_pickle_is_text(const struct phiz_pickle_value *v, const char *text)
{
	return v->kind == PHIZ_PICKLE_TEXT && span_is(v->u.text, v->size, text);
}

const struct phiz_pickle_value *phiz_pickle_get(const struct phiz_pickle *p, const struct phiz_pickle_value *dict,
                                                const char *key)
{
	uint32_t i;

	for (i = 0; i + 1 < dict->size; i += 2)
		if (phiz_pickle_is_text(&p->value[dict->u.item[i]], key))
			return &p->value[dict->u.item[i + 1]];
	return NULL;
}

bool phiz_pickle_storage_dtype(const struct phiz_pickle_value *v, enum phiz_dtype *out)
{
	if (v->kind != PHIZ_PICKLE_GLOBAL || v->u.i < GLOBAL_STORAGE)
		return false;
	*out = (enum phiz_dtype)(v->u.i - GLOBAL_STORAGE);
	return true;
}
