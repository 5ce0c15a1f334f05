/* Calibration: what ranges a model's activations take on real pictures, and a model on bytes made from them. */
#ifndef PHIZ_DEPLOY_CALIBRATE_H
#define PHIZ_DEPLOY_CALIBRATE_H

#include <phiz/image.h>
#include <phiz/model.h>

/* How far out the range of an activation goes. */
enum phiz_clipping {
	PHIZ_CLIP_MSE,        /* where rounding inside and clipping outside together give the least squared error */
	PHIZ_CLIP_PERCENTILE, /* all but one of 10,000 values that are not 0 lie inside */
	PHIZ_CLIP_MAX         /* everything that was seen lies inside */
};
/* false if no method has this name ("mse", "percentile", "max"). */
bool phiz_clipping_parse(const char *name, enum phiz_clipping *out);

/* Begin with the inference form of a model (phiz_model_optimize), which must outlive the calibrator; add pictures, one
 * at a time; end puts the model on bytes, but for the nodes named in keep: convolutions, linear layers, pooling.
 * Errors: ARG (no picture was added, a name in keep is no node of the model), NUMERIC (an activation is not finite). */
struct phiz_calibrator;
enum phiz_status phiz_calibrator_begin(struct phiz_ctx *ctx, struct phiz_model *model, struct phiz_calibrator **out);
enum phiz_status phiz_calibrator_add(struct phiz_calibrator *calibrator, const struct phiz_image *image);
/* After a first round of pictures: the channels between a convolution and a depthwise one that alone reads it (with
 * ReLU, leaky ReLU or PReLU between) are scaled to one size, those filters by as much back, so that one range suits
 * all. The float model says the same but for rounding. What was gathered is forgotten: the pictures are to be added
 * once more. */
enum phiz_status phiz_calibrator_equalize(struct phiz_calibrator *calibrator);
enum phiz_status phiz_calibrator_end(struct phiz_calibrator *calibrator, enum phiz_clipping clipping,
                                     const char *const *keep, size_t n_keep);
void phiz_calibrator_free(struct phiz_calibrator **calibrator);

#endif
