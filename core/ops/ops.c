/* The table of operators, from ops.def. */
#include "core/ops/ops.h"

#include <string.h>

static const struct phiz_op *const table[] = {
#define PHIZ_OP(name) &phiz_op_##name,
#include "core/ops/ops.def"
#undef PHIZ_OP
};

int phiz_op_count(void)
{
	return (int)(sizeof(table) / sizeof(table[0]));
}

const struct phiz_op *phiz_op_at(int i)
{
	return i >= 0 && i < phiz_op_count() ? table[i] : NULL;
}

const struct phiz_op *phiz_op_find(const char *name)
{
	for (int i = 0; i < phiz_op_count(); i++)
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	return NULL;
}
