/* All public headers of libphiz's core. */
#ifndef PHIZ_PHIZ_H
#define PHIZ_PHIZ_H

#include <phiz/align.h>
#include <phiz/ctx.h>
#include <phiz/graph.h>
#include <phiz/image.h>
#include <phiz/model.h>
#include <phiz/op.h>
#include <phiz/plan.h>
#include <phiz/preproc.h>
#include <phiz/status.h>
#include <phiz/tensor.h>
#include <phiz/tune.h>

#endif
