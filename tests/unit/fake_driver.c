/* In place of NVIDIA's driver, where there is no GPU. */
#include <phiz/status.h>

PHIZ_API int cuInit(unsigned flags);

int cuInit(unsigned flags)
{
	(void)flags;
	return 100; /* CUDA_ERROR_NO_DEVICE */
}
