/* The operators' inputs, outputs and attributes, by index. One row per operator stands in ops.def; the meaning of
 * each stands here; shape rule, reference forward and backward stand in the operator's own file.
 *
 * PyTorch's semantics throughout. Shapes: N C H W for images, [N, F] for features. R S: filter height and width.
 * Activations are of any float dtype, the same for all inputs of a node; parameters beside them are of that dtype
 * too, or f32 beside 16-bit activations. */
#ifndef PHIZ_OPS_OPS_H
#define PHIZ_OPS_OPS_H

#include <phiz/op.h>

/* Fused activations: attribute `act` with `act_slope` (leaky_relu) of conv2d, batch_norm, linear, add. */
enum phiz_act { PHIZ_ACT_NONE = 0, PHIZ_ACT_RELU = 1, PHIZ_ACT_LEAKY_RELU = 2 };

/* conv2d: input [N,C,H,W], weight [K,C/groups,R,S], bias [K] or absent, residual [N,K,P,Q] or absent ->
 * act(conv + bias + residual) [N,K,P,Q], P = (H + pad_top + pad_bottom - dilation_h*(R-1) - 1)/stride_h + 1 (floor).
 * Backward exists for residual absent only when act is none too (fused forms are made for inference). */
enum { PHIZ_CONV2D_INPUT, PHIZ_CONV2D_WEIGHT, PHIZ_CONV2D_BIAS, PHIZ_CONV2D_RESIDUAL, PHIZ_CONV2D_INPUTS };
enum { PHIZ_CONV2D_STRIDE_H, PHIZ_CONV2D_STRIDE_W, PHIZ_CONV2D_PAD_TOP, PHIZ_CONV2D_PAD_LEFT, PHIZ_CONV2D_PAD_BOTTOM,
       PHIZ_CONV2D_PAD_RIGHT, PHIZ_CONV2D_DILATION_H, PHIZ_CONV2D_DILATION_W, PHIZ_CONV2D_GROUPS, PHIZ_CONV2D_ACT,
       PHIZ_CONV2D_ACT_SLOPE, PHIZ_CONV2D_ATTRS };

/* batch_norm: input [N,C,H,W] or [N,C], weight [C], bias [C], running_mean [C], running_var [C] -> act(...) of the
 * same shape. Training and not frozen: batch statistics (biased variance to normalise), running <- (1-momentum)*running
 * + momentum*batch (unbiased variance). Else: running statistics, which stay. saved: mean [C] and 1/sqrt(var+eps)
 * [C] (f64 beside f64, else f32). Weight and bias may be absent. */
enum { PHIZ_BATCH_NORM_INPUT, PHIZ_BATCH_NORM_WEIGHT, PHIZ_BATCH_NORM_BIAS, PHIZ_BATCH_NORM_MEAN, PHIZ_BATCH_NORM_VAR,
       PHIZ_BATCH_NORM_INPUTS };
enum { PHIZ_BATCH_NORM_EPS, PHIZ_BATCH_NORM_MOMENTUM, PHIZ_BATCH_NORM_FROZEN, PHIZ_BATCH_NORM_ACT,
       PHIZ_BATCH_NORM_ACT_SLOPE, PHIZ_BATCH_NORM_ATTRS };

/* relu, sigmoid: no attributes. leaky_relu: slope >= 0. prelu: input, weight [C] or [1]. */
enum { PHIZ_LEAKY_RELU_SLOPE };
enum { PHIZ_PRELU_INPUT, PHIZ_PRELU_WEIGHT };
/* softmax: over dim `axis` (default 1), which may be negative. */
enum { PHIZ_SOFTMAX_AXIS };

/* max_pool2d: input [N,C,H,W]; padding counts as minus infinity; saved: I32 [N,C,P,Q], h*W+w of the chosen element
 * (the first of equals). avg_pool2d: count_include_pad as PyTorch. ceil_mode as PyTorch (the last window must
 * begin inside the input or its left padding). Kernel and stride have no default; the padding is at most kernel/2. */
enum { PHIZ_POOL_KERNEL_H, PHIZ_POOL_KERNEL_W, PHIZ_POOL_STRIDE_H, PHIZ_POOL_STRIDE_W, PHIZ_POOL_PAD_H, PHIZ_POOL_PAD_W,
       PHIZ_POOL_CEIL, PHIZ_POOL_COUNT_INCLUDE_PAD /* avg only */, PHIZ_POOL_ATTRS };
/* global_avg_pool: [N,C,H,W] -> [N,C,1,1]. No attributes. */

/* linear: input [N,F], weight [G,F], bias [G] or absent -> act(input weight^T + bias) [N,G]. */
enum { PHIZ_LINEAR_INPUT, PHIZ_LINEAR_WEIGHT, PHIZ_LINEAR_BIAS, PHIZ_LINEAR_INPUTS };
enum { PHIZ_LINEAR_ACT, PHIZ_LINEAR_ACT_SLOPE, PHIZ_LINEAR_ATTRS };

/* add: a, b of the same shape -> act(a + b). mul: a, b of the same shape, or b [N,C,1,1] beside a [N,C,H,W]. */
enum { PHIZ_ADD_ACT, PHIZ_ADD_ACT_SLOPE, PHIZ_ADD_ATTRS };
/* concat: 1..PHIZ_MAX_INPUTS inputs, equal but for dim `axis` (default 1). */
enum { PHIZ_CONCAT_AXIS };
/* flatten: dims from `start` (default 1) on become one. */
enum { PHIZ_FLATTEN_START };
/* reshape: attributes ndim and d0..d5 give the new shape; 0 copies the dim of the input, -1 (once) is the
 * rest. */
enum { PHIZ_RESHAPE_NDIM, PHIZ_RESHAPE_D0, PHIZ_RESHAPE_D1, PHIZ_RESHAPE_D2, PHIZ_RESHAPE_D3, PHIZ_RESHAPE_D4,
       PHIZ_RESHAPE_D5 };
/* dropout: training: each element is 0 with probability p, else x/(1-p); the mask is a function of (seed, step,
 * stream) and the element's index, so it needs no memory. Else identity. 0 <= p < 1. */
enum { PHIZ_DROPOUT_P };
/* l2_normalize: input [N,F] (or over dim 1 of any shape): x / max(||x||_2, eps). saved: the norm before
 * max, [N,...]. */
enum { PHIZ_L2_NORMALIZE_EPS };
/* cast: attribute dtype (enum phiz_dtype). The gradient is cast back. */
enum { PHIZ_CAST_DTYPE };

/* exp: no attributes. clamp: min, max; no bound where one is not given. */
enum { PHIZ_CLAMP_MIN, PHIZ_CLAMP_MAX };
/* affine: input * scale + shift; scale and shift have the input's number of dims, each the input's or 1, or are
 * absent. */
enum { PHIZ_AFFINE_INPUT, PHIZ_AFFINE_SCALE, PHIZ_AFFINE_SHIFT, PHIZ_AFFINE_INPUTS };
/* permute: attributes p0..p5: the dim of the input that comes to place 0..5. */
/* slice: elements start..end-1 of dim `axis` (default 1), negative: from the end; an end beyond it is the end. */
enum { PHIZ_SLICE_AXIS, PHIZ_SLICE_START, PHIZ_SLICE_END };
/* pad2d: [N,C,H,W] with so many rows and columns of `value` (default 0) around. */
enum { PHIZ_PAD2D_TOP, PHIZ_PAD2D_LEFT, PHIZ_PAD2D_BOTTOM, PHIZ_PAD2D_RIGHT, PHIZ_PAD2D_VALUE, PHIZ_PAD2D_ATTRS };
/* resize_nearest: [N,C,H,W] -> [N,C,H*scale_h,W*scale_w], each element repeated. */
enum { PHIZ_RESIZE_SCALE_H, PHIZ_RESIZE_SCALE_W };
/* lp_pool2d: the pools' attributes, and norm (default 2) in the place of count_include_pad: (sum |x|^norm)^(1/norm)
 * over the part of the window that lies in the input. */
enum { PHIZ_LP_POOL2D_NORM = PHIZ_POOL_COUNT_INCLUDE_PAD };
/* local_response_norm: x / (k + alpha/size * sum of squares over `size` (odd) channels around)^beta. saved: what stands
 * in the brackets, of the input's shape. */
enum { PHIZ_LRN_SIZE, PHIZ_LRN_ALPHA, PHIZ_LRN_BETA, PHIZ_LRN_K, PHIZ_LRN_ATTRS };

/* softmax_cross_entropy: logits [N,C], labels I32 [N], class_weight [C] or absent, labels_b I32 [N] or absent,
 * lambda [N] or absent -> loss [] (scalar, dtype of logits), mean as PyTorch's cross_entropy(label_smoothing,
 * weight):
 *   l(y) = sum_n ( (1-s) w[y_n] nll_n(y_n) + s/C sum_c w[c] nll_n(c) ) / sum_n w[y_n]
 * With labels_b and lambda (MixUp): sample n's numerator and weight are lambda_n times those of labels plus
 * (1-lambda_n) times those of labels_b. A label outside 0..C-1 is an error when running (PHIZ_E_ARG) except -1 (that
 * sample does not count). No sample that counts: NaN, as in PyTorch; with allow_none 0. saved: probabilities [N,C], and
 * the sum of weights []. */
enum { PHIZ_CE_LOGITS, PHIZ_CE_LABELS, PHIZ_CE_WEIGHT, PHIZ_CE_LABELS_B, PHIZ_CE_LAMBDA, PHIZ_CE_INPUTS };
enum { PHIZ_CE_SMOOTHING, PHIZ_CE_ALLOW_NONE, PHIZ_CE_ATTRS };

/* margin_linear: input [N,D], weight [C,D], labels I32 [N] or absent, share [N] or absent -> logits [N,C],
 * scale * cos(theta), theta the angle between the input's and the weight's row. Training, and class c is the sample's
 * label: scale * (cos(theta + angle) - cosine), which is ArcFace (Deng et al. 2019: scale 64, angle 0.5) and CosFace
 * (Wang et al. 2018: cosine 0.35). Where theta + angle > pi, cos(theta) - angle * sin(pi - angle) stands for
 * cos(theta + angle), as in insightface, so that the logit still falls as theta grows. angle and cosine count times the
 * sample's share, 0 to 1, with which a margin grows as training goes on; it gets no gradient. Labels as in
 * softmax_cross_entropy. saved: cos(theta) [N,C], norms of the input's rows [N], of the weight's [C]. */
enum { PHIZ_MARGIN_INPUT, PHIZ_MARGIN_WEIGHT, PHIZ_MARGIN_LABELS, PHIZ_MARGIN_SHARE, PHIZ_MARGIN_INPUTS };
enum { PHIZ_MARGIN_SCALE, PHIZ_MARGIN_ANGLE, PHIZ_MARGIN_COSINE, PHIZ_MARGIN_ATTRS };

/* triplet_loss: input [N,D], labels I32 [N] -> loss []: with d squared distances of the L2-normalised rows, the mean of
 * max(0, d(anchor, positive) - d(anchor, negative) + margin) (Schroff et al. 2015) over, by `mining`:
 *   all: the triplets above 0; semi_hard: each anchor and positive with the nearest negative that is farther than the
 *   positive (where none is, the farthest); hard: each anchor with its farthest positive and nearest negative.
 * Samples of label -1 take no part; without a triplet the loss is 0. saved: d [N,N], the loss's derivative by it
 * [N,N], norms of the rows [N]. */
enum phiz_mining { PHIZ_MINE_ALL, PHIZ_MINE_SEMI_HARD, PHIZ_MINE_HARD };
enum { PHIZ_TRIPLET_INPUT, PHIZ_TRIPLET_LABELS, PHIZ_TRIPLET_INPUTS };
enum { PHIZ_TRIPLET_MARGIN, PHIZ_TRIPLET_MINING, PHIZ_TRIPLET_ATTRS };

/* center_loss: input [N,D], labels I32 [N], centers [C,D] -> loss []: half the mean squared distance of the samples
 * that have a label to their class's centre. Training, the centres move towards their samples by `rate`, after the
 * loss; they get no gradient. saved: differences [N,D]. */
enum { PHIZ_CENTER_INPUT, PHIZ_CENTER_LABELS, PHIZ_CENTER_CENTERS, PHIZ_CENTER_INPUTS };
enum { PHIZ_CENTER_RATE };

/* distill_loss: student [N,D], teacher [N,D] -> loss [], with s and t the L2-normalised rows:
 *   1/N sum_n (1 - s_n t_n) + similarity/N^2 sum_nm (s_n s_m - t_n t_m)^2
 * The teacher gets no gradient. saved: s_n s_m - t_n t_m [N,N], norms of the student's rows [N]. */
enum { PHIZ_DISTILL_STUDENT, PHIZ_DISTILL_TEACHER, PHIZ_DISTILL_INPUTS };
enum { PHIZ_DISTILL_SIMILARITY };

/* --- Quantised values: u8 q stands for the number scale * (q - zero). What has passed a ReLU has zero 0, the rest lies
 * around its zero. Each reader's node says what its inputs stand for. max_pool2d takes them as they are. --- */

/* normalize_bytes: input u8 [N,3,H,W], erased i32 [N,4] (x, y, width, height in pixels) or absent -> f32 [N,3,H,W],
 * (input / 255 - mean[c]) / std[c], and 0 in the sample's box: a picture as preprocessing and erasing leave it, from
 * the bytes before. mean and std are three attributes each. */
enum { PHIZ_NORMALIZE_INPUT, PHIZ_NORMALIZE_ERASED, PHIZ_NORMALIZE_INPUTS };
enum { PHIZ_NORMALIZE_MEAN, PHIZ_NORMALIZE_STD = PHIZ_NORMALIZE_MEAN + 3,
       PHIZ_NORMALIZE_ATTRS = PHIZ_NORMALIZE_STD + 3 };

/* quantize: f32 of any shape -> u8. dequantize: u8 -> f32. */
enum { PHIZ_QUANTIZE_SCALE, PHIZ_QUANTIZE_ZERO, PHIZ_QUANTIZE_ATTRS };
/* quantized_conv2d: input u8 [N,C,H,W], weight i8 [K,C/groups,R,S], scale f32 [K], bias f32 [K], residual u8 [N,K,P,Q]
 * or absent, slope f32 [K] or absent -> u8 [N,K,P,Q]. The first attributes are conv2d's. In units of the output's
 * scale:
 *   t = scale[k] * sum (input - input_zero) * weight + bias[k] + residual_scale * (residual - residual_zero)
 *   y = to_u8(act(t)) + output_zero,  act(t) = t, or slope[k] * t where t <= 0; then max(t, 0) with relu
 * so scale[k] is the input's scale times the filter's through the output's. Padding stands for 0. C/groups*R*S is at
 * most PHIZ_QUANTIZED_TERMS, which keeps the sum in 32 bits. */
enum { PHIZ_QUANTIZED_INPUT, PHIZ_QUANTIZED_WEIGHT, PHIZ_QUANTIZED_SCALE, PHIZ_QUANTIZED_BIAS, PHIZ_QUANTIZED_RESIDUAL,
       PHIZ_QUANTIZED_SLOPE, PHIZ_QUANTIZED_CONV2D_INPUTS };
enum { PHIZ_QUANTIZED_CONV2D_INPUT_ZERO = PHIZ_CONV2D_GROUPS + 1, PHIZ_QUANTIZED_CONV2D_RESIDUAL_SCALE,
       PHIZ_QUANTIZED_CONV2D_RESIDUAL_ZERO, PHIZ_QUANTIZED_CONV2D_OUTPUT_ZERO, PHIZ_QUANTIZED_CONV2D_RELU,
       PHIZ_QUANTIZED_CONV2D_ATTRS };
#define PHIZ_QUANTIZED_TERMS 65536
/* quantized_linear: input u8 [N,F], weight i8 [G,F], scale f32 [G], bias f32 [G] -> f32 [N,G],
 * scale[g] * sum (input - input_zero) * weight + bias[g]. F is at most PHIZ_QUANTIZED_TERMS. */
enum { PHIZ_QUANTIZED_LINEAR_INPUT_ZERO, PHIZ_QUANTIZED_LINEAR_ATTRS };
/* quantized_global_avg_pool: u8 [N,C,H,W] -> f32 [N,C,1,1]; attributes as quantize. */

/* The function of ops.def's rows: conv2d etc. each define `const struct phiz_op phiz_op_conv2d`. */
#define PHIZ_OP(name) extern const struct phiz_op phiz_op_##name;
#include "core/ops/ops.def"
#undef PHIZ_OP

#endif
