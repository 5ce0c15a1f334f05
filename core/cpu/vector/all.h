/* Every kernel of this folder; see vector.h. */
#include "core/cpu/vector/elementwise.h"
#include "core/cpu/vector/shared.h"
#include "core/cpu/vector/batch_norm_blocked.h"
#include "core/cpu/vector/pool_blocked.h"
#include "core/cpu/vector/depthwise_blocked.h"
#include "core/cpu/vector/resize_blocked.h"
#if defined(PHIZ_VECTOR_BF16)
#include "core/cpu/vector/bf16_product.h"
#else
#include "core/cpu/vector/gates.h"
#include "core/cpu/vector/batch_norm.h"
#include "core/cpu/vector/pool.h"
#include "core/cpu/vector/depthwise.h"
#include "core/cpu/vector/quantized.h"
#include "core/cpu/vector/depthwise_bytes.h"
#endif
