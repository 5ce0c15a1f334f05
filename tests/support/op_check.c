#include "support/op_check.h"

#include <stdio.h>

struct phiz_tensor op_copy(struct op_run *r, const struct phiz_tensor *t)
{
	struct phiz_tensor copy = *t;

	copy.data = op_run_memory(r, phiz_tensor_bytes(t));
	memcpy(copy.data, t->data, phiz_tensor_bytes(t));
	return copy;
}

bool op_same_bytes(const struct phiz_tensor *a, const struct phiz_tensor *b)
{
	return memcmp(a->data, b->data, phiz_tensor_bytes(a)) == 0;
}

unsigned op_wanted(const struct op_run *r)
{
	unsigned mask = 0;

	for (int i = 0; i < r->call.n_in; i++)
		if (r->call.din[i].data)
			mask |= 1u << i;
	return mask;
}

void op_poison_unread(struct op_run *r, unsigned want)
{
	unsigned in_mask = 0, out_mask = 0;

	if (r->node.op->reads)
		r->node.op->reads(&r->node, want, &in_mask, &out_mask);
	for (int i = 0; i < r->call.n_in; i++)
		if (r->call.in[i].data && !(in_mask >> i & 1u))
			op_poison(&r->call.in[i]);
	for (int o = 0; o < r->call.n_out; o++)
		if (!(out_mask >> o & 1u))
			op_poison(&r->call.out[o]);
}

void op_compare_forward(struct tolerance_use *use, enum precision precision, const struct op_run *got,
                        const struct op_run *want, const char *text)
{
	const struct phiz_op *op = want->node.op;
	char what[500];

	for (int o = 0; o < want->call.n_out; o++) {
		snprintf(what, sizeof(what), "%s: output %d", text, o);
		tolerance_check(use, op, precision, what, &got->call.out[o], &want->call.out[o]);
	}
	for (int s = 0; s < want->call.n_saved; s++) {
		snprintf(what, sizeof(what), "%s: saved %d", text, s);
		tolerance_check(use, op, precision, what, &got->call.saved[s], &want->call.saved[s]);
	}
	for (int i = 0; i < want->call.n_in; i++) {
		snprintf(what, sizeof(what), "%s: %s afterwards", text, op->input_names[i]);
		if (op->state_mask >> i & 1u)
			tolerance_check(use, op, precision, what, &got->call.in[i], &want->call.in[i]);
	}
}

void op_compare_backward(struct tolerance_use *use, enum precision precision, const struct op_run *got,
                         const struct op_run *want, const char *text)
{
	char what[500];

	for (int i = 0; i < want->call.n_in; i++) {
		snprintf(what, sizeof(what), "%s: gradient of %s", text, want->node.op->input_names[i]);
		if (got->call.din[i].data && want->call.din[i].data)
			tolerance_check(use, want->node.op, precision, what, &got->call.din[i], &want->call.din[i]);
	}
}
