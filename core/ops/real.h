/* Reference kernels are written once in `real` and compiled twice: as they stand (float) and with PHIZ_REAL_F64
 * (double). Shape rules and the op's descriptor belong to the float build only (#ifndef PHIZ_REAL_F64). */
#ifndef PHIZ_OPS_REAL_H
#define PHIZ_OPS_REAL_H

#ifdef PHIZ_REAL_F64
typedef double real;
#define REF(name) name##_f64
#define REAL_DTYPE PHIZ_F64
#else
typedef float real;
#define REF(name) name##_f32
#define REAL_DTYPE PHIZ_F32
#endif

#endif
