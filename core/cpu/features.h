/* What the processor can do is asked in core/base, for photographs too. */
#ifndef PHIZ_CPU_FEATURES_H
#define PHIZ_CPU_FEATURES_H

#include "core/base/features.h"

#endif
