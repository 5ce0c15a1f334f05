/* Models as ONNX, opset 13: for runtimes of others (onnxruntime, TensorRT, OpenVINO). phiz does not read ONNX. */
#ifndef PHIZ_IO_ONNX_H
#define PHIZ_IO_ONNX_H

#include <phiz/model.h>

/* Writes the model as inference runs it: dropout does nothing, batch norm uses its running statistics, fused
 * activations and residuals become nodes of their own. The batch is dynamic (dim "batch"). Input "image" wants what
 * phiz_preproc_normalize gives; labels, preprocessing, threshold and the model's texts go into metadata_props.
 * Errors: UNSUPPORTED (an operator of training), LIMIT (2 GiB, which protobuf cannot pass), IO, NOMEM. */
enum phiz_status phiz_onnx_write(struct phiz_ctx *ctx, const struct phiz_model *model, const char *path);

#endif
