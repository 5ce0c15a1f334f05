#include "support/op_case.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/alloc.h"

enum { GUARD = 64, GUARD_BYTE = 0xA5 };

void op_case_init(struct op_case *c, const struct phiz_op *op)
{
	memset(c, 0, sizeof(*c));
	c->node.op = op;
	c->node.name = (char *)"node";
	c->node.n_outputs = op->n_outputs;
	for (int i = 0; i < op->n_attrs; i++) {
		if (op->attrs[i].kind == PHIZ_ATTR_INT)
			c->node.attr[i].i = (int64_t)op->attrs[i].initial;
		else
			c->node.attr[i].f = op->attrs[i].initial;
	}
	for (int i = 0; i < PHIZ_MAX_INPUTS; i++) {
		c->node.input[i] = PHIZ_NONE;
		c->in[i].shape.ndim = -1;
	}
}

void op_case_attr(struct op_case *c, const char *name, double value)
{
	const struct phiz_op *op = c->node.op;

	for (int i = 0; i < op->n_attrs; i++)
		if (strcmp(op->attrs[i].name, name) == 0) {
			if (op->attrs[i].kind == PHIZ_ATTR_INT)
				c->node.attr[i].i = (int64_t)value;
			else
				c->node.attr[i].f = value;
			return;
		}
	fail_msg("%s has no attribute %s", op->name, name);
}

void op_case_input(struct op_case *c, int i, enum phiz_dtype dtype, struct phiz_shape shape)
{
	assert_true(i < c->node.op->max_inputs);
	c->in[i].dtype = dtype;
	c->in[i].shape = shape;
	c->node.input[i] = i;
	if (c->node.n_inputs < i + 1)
		c->node.n_inputs = i + 1;
}

static void append(char *text, size_t size, const char *more)
{
	size_t used = strlen(text);

	snprintf(text + used, size - used, "%s", more);
}

static void append_input(char *text, size_t size, const struct phiz_type *type)
{
	char number[32];

	append(text, size, type->shape.ndim < 0 ? " -" : type->dtype == PHIZ_F32 ? " [" : " ");
	if (type->shape.ndim >= 0 && type->dtype != PHIZ_F32) {
		append(text, size, phiz_dtype_name(type->dtype));
		append(text, size, "[");
	}
	for (int d = 0; d < type->shape.ndim; d++) {
		snprintf(number, sizeof(number), "%s%lld", d ? "," : "", (long long)type->shape.dim[d]);
		append(text, size, number);
	}
	if (type->shape.ndim >= 0)
		append(text, size, "]");
}

void op_case_describe(struct op_case *c)
{
	const struct phiz_op *op = c->node.op;
	char part[160];

	snprintf(c->text, sizeof(c->text), "%s", op->name);
	for (int i = 0; i < c->node.n_inputs; i++)
		append_input(c->text, sizeof(c->text), &c->in[i]);
	for (int i = 0; i < op->n_attrs; i++) {
		const struct phiz_attr_desc *d = &op->attrs[i];
		double v = d->kind == PHIZ_ATTR_INT ? (double)c->node.attr[i].i : c->node.attr[i].f;

		snprintf(part, sizeof(part), " %s=%g", d->name, v);
		if (v < d->initial || v > d->initial)
			append(c->text, sizeof(c->text), part);
	}
	if (c->training)
		append(c->text, sizeof(c->text), " training=1");
}

static void parse_input(struct op_case *c, int i, const char *word)
{
	enum phiz_dtype dtype = PHIZ_F32;
	struct phiz_shape shape = {0};
	char name[8] = {0};

	if (*word != '[') {
		memcpy(name, word, strcspn(word, "[") < 7 ? strcspn(word, "[") : 7);
		assert_true(phiz_dtype_parse(name, &dtype));
	}
	for (const char *at = strchr(word, '['); at && at[1] != ']' && *at != ']'; shape.ndim++) {
		char *end;

		assert_true(shape.ndim < PHIZ_MAX_DIMS);
		shape.dim[shape.ndim] = strtoll(at + 1, &end, 10);
		assert_true(end != at + 1 && (*end == ',' || *end == ']'));
		at = end;
	}
	op_case_input(c, i, dtype, shape);
}

static void parse_attr(struct op_case *c, char *word)
{
	char *equals = strchr(word, '=');

	if (!equals)
		fail_msg("%s: want attribute=value", word);
	*equals = 0;
	if (strcmp(word, "training") == 0)
		c->training = equals[1] == '1';
	else
		op_case_attr(c, word, strtod(equals + 1, NULL));
}

void op_case_parse(struct op_case *c, const char *text)
{
	char copy[400], *next = copy;
	const struct phiz_op *op;
	int input = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	next = strchr(copy, ' ');
	if (next)
		*next++ = 0;
	op = phiz_op_find(copy);
	if (!op)
		fail_msg("no operator %s", copy);
	op_case_init(c, op);
	while (next && *next) {
		char *word = next;

		next = strchr(word, ' ');
		if (next)
			*next++ = 0;
		if (strcmp(word, "-") == 0)
			input++;
		else if (strchr(word, '['))
			parse_input(c, input++, word);
		else
			parse_attr(c, word);
	}
	snprintf(c->text, sizeof(c->text), "%s", text);
}

/* Where element i lies. */
static int64_t place_of(const struct phiz_tensor *t, int64_t i)
{
	if (t->layout == PHIZ_PLAIN)
		return i;
	int64_t area = t->shape.dim[2] * t->shape.dim[3], plane = i / area, channel = plane % t->shape.dim[1];
	int64_t block = phiz_block(t->dtype);
	return ((plane - channel % block) * area + i % area * block) + channel % block;
}

double op_get(const struct phiz_tensor *t, int64_t i)
{
	i = place_of(t, i);
	switch (t->dtype) {
	case PHIZ_F32: return (double)((const float *)t->data)[i];
	case PHIZ_F64: return ((const double *)t->data)[i];
	case PHIZ_F16: return (double)phiz_f16_to_f32(((const uint16_t *)t->data)[i]);
	case PHIZ_BF16: return (double)phiz_bf16_to_f32(((const uint16_t *)t->data)[i]);
	case PHIZ_I8: return (double)((const int8_t *)t->data)[i];
	case PHIZ_U8: return (double)((const uint8_t *)t->data)[i];
	case PHIZ_I32: return (double)((const int32_t *)t->data)[i];
	case PHIZ_I64: return (double)((const int64_t *)t->data)[i];
	default: fail_msg("no %s here", phiz_dtype_name(t->dtype)); return 0;
	}
}

void op_set(const struct phiz_tensor *t, int64_t i, double v)
{
	i = place_of(t, i);
	switch (t->dtype) {
	case PHIZ_F32: ((float *)t->data)[i] = (float)v; break;
	case PHIZ_F64: ((double *)t->data)[i] = v; break;
	case PHIZ_F16: ((uint16_t *)t->data)[i] = phiz_f32_to_f16((float)v); break;
	case PHIZ_BF16: ((uint16_t *)t->data)[i] = phiz_f32_to_bf16((float)v); break;
	case PHIZ_I8: ((int8_t *)t->data)[i] = (int8_t)v; break;
	case PHIZ_U8: ((uint8_t *)t->data)[i] = (uint8_t)fabs(v); break;
	case PHIZ_I32: ((int32_t *)t->data)[i] = (int32_t)v; break;
	case PHIZ_I64: ((int64_t *)t->data)[i] = (int64_t)v; break;
	default: fail_msg("no %s here", phiz_dtype_name(t->dtype));
	}
}

void *op_run_memory(struct op_run *r, size_t n)
{
	struct op_block *b = &r->block[r->n_blocks++];

	assert_true(r->n_blocks <= (int)(sizeof(r->block) / sizeof(r->block[0])));
	b->bytes = n;
	b->memory = phiz_alloc(r->ctx, n + 2 * GUARD, 1);
	assert_non_null(b->memory);
	memset(b->memory, GUARD_BYTE, n + 2 * GUARD);
	memset(b->memory + GUARD, 0xFF, n);
	return b->memory + GUARD;
}

static void make_tensor(struct op_run *r, struct phiz_tensor *t, const struct phiz_type *type)
{
	size_t bytes;

	assert_ok(r->ctx, phiz_shape_bytes(r->ctx, type->dtype, &type->shape, &bytes));
	phiz_tensor_view(t, type->dtype, &type->shape, op_run_memory(r, bytes));
}

/* Parameters stay f32 beside activations of 16 bits. */
static bool is_parameter(const char *name)
{
	return strcmp(name, "weight") == 0 || strcmp(name, "bias") == 0 || strncmp(name, "running_", 8) == 0 ||
	       strcmp(name, "class_weight") == 0 || strcmp(name, "lambda") == 0 || strcmp(name, "share") == 0;
}

static void widen(enum op_wide wide, struct phiz_type *in, int n_inputs, struct phiz_type *out)
{
	for (int i = 0; i < n_inputs; i++) {
		bool like_output = i > 0 && phiz_shape_equal(&in[i].shape, &out[0].shape);
		if (wide == (like_output ? OP_WIDE_OUT : OP_WIDE_IN) && phiz_dtype_size(in[i].dtype) == 2)
			in[i].dtype = PHIZ_F32;
	}
	if (wide == OP_WIDE_OUT)
		out[0].dtype = PHIZ_F32;
}

void op_run_start(struct op_run *r, struct phiz_ctx *ctx, const struct op_case *c, enum phiz_dtype real)
{
	struct phiz_type in[PHIZ_MAX_INPUTS], out[PHIZ_MAX_OUTPUTS], saved[PHIZ_MAX_SAVED];
	struct phiz_call *call = &r->call;
	const struct phiz_op *op = c->node.op;

	memset(r, 0, sizeof(*r));
	r->ctx = call->ctx = ctx;
	r->node = c->node;
	r->real = real;
	for (int i = 0; i < PHIZ_MAX_INPUTS; i++) {
		in[i] = c->in[i];
		if (real == PHIZ_U8) /* quantised operators say their inputs' dtypes; others have one */
			in[i].dtype = in[i].dtype == PHIZ_F32 && i == 0 ? PHIZ_U8 : in[i].dtype;
		else if (in[i].dtype == PHIZ_F32 &&
		    (phiz_dtype_size(real) >= 4 || (i < op->max_inputs && !is_parameter(op->input_names[i]))))
			in[i].dtype = real;
	}
	assert_ok(ctx, op->infer(ctx, &r->node, in, out));
	call->n_saved = op->saved ? op->saved(&r->node, in, out, saved) : 0;
	if (phiz_dtype_size(real) < 4)
		widen(c->wide, in, c->node.n_inputs, out);
	call->node = &r->node;
	call->training = c->training;
	call->seed = 0x1234567890ABCDEFu;
	call->step = 17;
	call->rng_stream = 3;
	call->n_in = c->node.n_inputs;
	call->n_out = op->n_outputs;
	for (int i = 0; i < call->n_in; i++) {
		call->in[i].shape = in[i].shape;
		if (in[i].shape.ndim < 0)
			continue;
		make_tensor(r, &call->in[i], &in[i]);
		if (op->diff_mask >> i & 1u)
			make_tensor(r, &call->din[i], &in[i]);
	}
	for (int i = 0; i < call->n_out; i++) {
		make_tensor(r, &call->out[i], &out[i]);
		make_tensor(r, &call->dout[i], &out[i]);
	}
	for (int i = 0; i < call->n_saved; i++)
		make_tensor(r, &call->saved[i], &saved[i]);
}

/* Away from 0, where activations bend, and exact in f32. */
static double normal(struct phiz_rng *rng)
{
	double v = phiz_rng_normal(rng);

	return (double)(float)(fabs(v) < 1e-2 ? 0.5 : v);
}

void op_fill_normal(const struct phiz_tensor *t, struct phiz_rng *rng)
{
	int64_t n = phiz_tensor_count(t);

	for (int64_t i = 0; i < n; i++)
		op_set(t, i, normal(rng));
}

void op_poison(const struct phiz_tensor *t)
{
	int64_t n = t->dtype <= PHIZ_BF16 ? phiz_tensor_count(t) : 0; /* floats come first in enum phiz_dtype */

	for (int64_t i = 0; i < n; i++)
		op_set(t, i, (double)NAN);
}

static void fill_uniform(const struct phiz_tensor *t, struct phiz_rng *rng, double low, double high)
{
	int64_t n = phiz_tensor_count(t);

	for (int64_t i = 0; i < n; i++)
		op_set(t, i, (double)(float)phiz_rng_uniform(rng, low, high));
}

/* The first counts; of the others one in eight does not. */
static void fill_labels(const struct phiz_tensor *t, struct phiz_rng *rng, int64_t classes)
{
	int64_t n = phiz_tensor_count(t);

	for (int64_t i = 0; i < n; i++)
		op_set(t, i, i > 0 && phiz_rng_below(rng, 8) == 0 ? -1 : (double)phiz_rng_below(rng, (uint32_t)classes));
}

static void fill_bytes(const struct phiz_tensor *t, struct phiz_rng *rng)
{
	bool sign = t->dtype == PHIZ_I8;

	for (int64_t i = 0; i < phiz_tensor_count(t); i++)
		op_set(t, i, sign ? (double)phiz_rng_below(rng, 255) - 127 : (double)phiz_rng_below(rng, 256));
}

/* Scale, bias and slope such that most outputs are neither the least nor the largest byte. */
static void fill_quantized(const struct phiz_call *call, int i, struct phiz_rng *rng)
{
	double terms = (double)phiz_tensor_count(&call->in[1]) / (double)call->in[1].shape.dim[0];

	if (i == PHIZ_QUANTIZED_SCALE)
		fill_uniform(&call->in[i], rng, 0.005 / sqrt(terms), 0.02 / sqrt(terms));
	else
		fill_uniform(&call->in[i], rng, i == PHIZ_QUANTIZED_BIAS ? -20 : -0.5, i == PHIZ_QUANTIZED_BIAS ? 90 : 1);
}

/* Classes are the logits' columns, or the rows of the tensor that has one for each; triplets may have any number. */
static int64_t classes_of(const struct op_run *r)
{
	const struct phiz_op *op = r->node.op;

	if (op == &phiz_op_triplet_loss)
		return 3;
	return op == &phiz_op_margin_linear  ? r->call.in[PHIZ_MARGIN_WEIGHT].shape.dim[0]
	       : op == &phiz_op_center_loss ? r->call.in[PHIZ_CENTER_CENTERS].shape.dim[0]
	                                    : r->call.in[0].shape.dim[1];
}

void op_run_fill(struct op_run *r, uint64_t seed)
{
	const struct phiz_call *call = &r->call;
	struct phiz_rng rng;

	phiz_rng_init(&rng, seed, 0, 0, PHIZ_STREAM_TEST);
	for (int i = 0; i < call->n_in; i++) {
		const char *name = r->node.op->input_names[i];

		if (!call->in[i].data)
			continue;
		if (strncmp(name, "labels", 6) == 0)
			fill_labels(&call->in[i], &rng, classes_of(r));
		else if (strcmp(name, "erased") == 0)
			fill_labels(&call->in[i], &rng, 6); /* boxes, some of them partly outside */
		else if (call->in[i].dtype == PHIZ_U8 || call->in[i].dtype == PHIZ_I8)
			fill_bytes(&call->in[i], &rng);
		else if (call->in[0].dtype == PHIZ_U8)
			fill_quantized(call, i, &rng);
		else if (strcmp(name, "running_var") == 0 || strcmp(name, "class_weight") == 0)
			fill_uniform(&call->in[i], &rng, 0.3, 2);
		else if (strcmp(name, "lambda") == 0 || strcmp(name, "share") == 0)
			fill_uniform(&call->in[i], &rng, 0, 1);
		else
			op_fill_normal(&call->in[i], &rng);
	}
	for (int i = 0; i < call->n_out; i++)
		op_fill_normal(&call->dout[i], &rng);
}

static void round_tensor(const struct phiz_tensor *t, enum phiz_dtype dtype)
{
	int64_t n = t->data && t->dtype <= PHIZ_BF16 ? phiz_tensor_count(t) : 0; /* floats come first in enum phiz_dtype */

	for (int64_t i = 0; i < n; i++) {
		float v = (float)op_get(t, i);
		op_set(t, i, (double)(dtype == PHIZ_BF16 ? phiz_bf16_to_f32(phiz_f32_to_bf16(v))
		                                         : phiz_f16_to_f32(phiz_f32_to_f16(v))));
	}
}

void op_run_round(struct op_run *r, enum phiz_dtype dtype)
{
	for (int i = 0; i < r->call.n_in && phiz_dtype_size(dtype) == 2; i++) {
		round_tensor(&r->call.in[i], dtype);
		round_tensor(&r->call.din[i], dtype);
	}
	for (int i = 0; i < r->call.n_out && phiz_dtype_size(dtype) == 2; i++)
		round_tensor(&r->call.dout[i], dtype);
}

static void block_tensor(struct op_run *r, struct phiz_tensor *t)
{
	const int64_t *dim = t->shape.dim;
	size_t size = phiz_dtype_size(t->dtype), bytes;
	if (!t->data || t->layout == PHIZ_BLOCKED || t->shape.ndim != 4 || dim[1] % phiz_block(t->dtype) ||
	    dim[2] * dim[3] < 2)
		return;
	bytes = phiz_tensor_bytes(t);
	unsigned char *copy = phiz_alloc(r->ctx, bytes + 1, 1);
	assert_non_null(copy);
	memcpy(copy, t->data, bytes);
	t->layout = PHIZ_BLOCKED;
	for (int64_t i = 0; i < phiz_tensor_count(t); i++)
		memcpy((unsigned char *)t->data + (size_t)place_of(t, i) * size, copy + (size_t)i * size, size);
	phiz_free(r->ctx, copy);
}

void op_run_block(struct op_run *r, enum op_blocks which)
{
	struct phiz_call *call = &r->call;
	bool inputs = which == OP_BLOCK_ALL || which == OP_BLOCK_IN;
	bool outputs = which == OP_BLOCK_ALL || which == OP_BLOCK_OUT;

	for (int i = 0; i < call->n_in; i++) {
		bool like_output = i > 0 && phiz_shape_equal(&call->in[i].shape, &call->out[0].shape);
		const char *name = r->node.op->input_names[i < r->node.op->max_inputs ? i : 0];
		if (is_parameter(name) || !(like_output ? outputs : inputs))
			continue;
		block_tensor(r, &call->in[i]);
		block_tensor(r, &call->din[i]);
	}
	for (int i = 0; outputs && i < call->n_out; i++) {
		block_tensor(r, &call->out[i]);
		block_tensor(r, &call->dout[i]);
	}
	for (int s = 0; s < call->n_saved; s++)
		if (outputs && phiz_shape_equal(&call->saved[s].shape, &call->out[0].shape))
			block_tensor(r, &call->saved[s]);
}

void op_run_workspace(struct op_run *r, const struct phiz_kernel *kernel, bool backward)
{
	r->call.workspace = NULL;
	r->call.workspace_bytes = 0;
	if (!kernel->workspace)
		return;
	r->call.workspace_bytes = kernel->workspace(&r->call, backward, phiz_ctx_threads(r->ctx));
	r->call.workspace = op_run_memory(r, r->call.workspace_bytes);
}

void op_run_forward(struct op_run *r, const struct phiz_kernel *kernel)
{
	assert_ok(r->ctx, kernel->forward(&r->call));
}

void op_run_backward(struct op_run *r, const struct phiz_kernel *kernel)
{
	assert_ok(r->ctx, kernel->backward(&r->call));
}

void op_run_guards(const struct op_run *r, const char *text)
{
	for (int b = 0; b < r->n_blocks; b++)
		for (size_t i = 0; i < GUARD; i++)
			if (r->block[b].memory[i] != GUARD_BYTE || r->block[b].memory[GUARD + r->block[b].bytes + i] != GUARD_BYTE)
				fail_msg("%s: wrote outside of block %d of %zu bytes", text, b, r->block[b].bytes);
}

void op_run_done(struct op_run *r)
{
	for (int b = 0; b < r->n_blocks; b++)
		phiz_free(r->ctx, r->block[b].memory);
	r->n_blocks = 0;
}
