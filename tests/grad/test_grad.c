/* Gradients of every operator of ops.def: an operator without a grad_NAME does not link. */
#include "grad/grad.h"

int main(void)
{
	const struct CMUnitTest tests[] = {
#define PHIZ_OP(name) cmocka_unit_test(grad_##name),
#include "core/ops/ops.def"
#undef PHIZ_OP
	};

	return cmocka_run_group_tests_name("grad", tests, NULL, NULL);
}
