/* Models as ONNX: written as opset 13, for runtimes of others (onnxruntime, TensorRT, OpenVINO); read from opset 7 to
 * 21, as far as its operators are phiz's (onnx_layers.c, onnx_shapes.c and onnx_arith.c list them). */
#ifndef PHIZ_IO_ONNX_H
#define PHIZ_IO_ONNX_H

#include <phiz/model.h>

/* Writes the model as inference runs it: dropout does nothing, batch norm uses its running statistics, fused
 * activations and residuals become nodes of their own. The batch is dynamic (dim "batch"). Input "image" wants what
 * phiz_preproc_normalize gives; labels, preprocessing, threshold and the model's texts go into metadata_props.
 * Errors: UNSUPPORTED (an operator of training), LIMIT (2 GiB, which protobuf cannot pass), IO, NOMEM. */
enum phiz_status phiz_onnx_write(struct phiz_ctx *ctx, const struct phiz_model *model, const char *path);

/* The model in an ONNX file with one input [N, 3, H, W], which becomes "image"; outputs and tensors keep their names.
 * side: of the picture to build for, 0: as the file says (320 x 320 where it leaves that free). Shapes that a network
 * computes from the picture's size stay computed, so plans may take other sizes. Task, labels and preprocessing are
 * those that phiz wrote into the file, else the defaults (phiz_onnx_known sets them for files that are known). Data in
 * other files is read where they lie right beside the model. Nothing in the file is executed, and sizes are checked
 * before memory is asked for. Errors: FORMAT (damaged), UNSUPPORTED (an operator or form of one that phiz does not
 * have, by name), SHAPE, LIMIT, IO, NOMEM. */
enum phiz_status phiz_onnx_read(struct phiz_ctx *ctx, const char *path, int side, struct phiz_model **out);
/* The same from memory; path is for messages, and data in other files is refused. */
enum phiz_status phiz_onnx_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *path, int side,
                                 struct phiz_model **out);

/* Sets task, preprocessing and meta of a model that was read, if its structure and the names of its outputs are those
 * of a model that phiz knows; *name says which, NULL if none. MobileFaceNet (112 x 112 to 128) and InsightFace's layout
 * as SFace has it (output "fc1"): embedders, aligned as ArcFace's. YuNet, Ultra-Light (RFB, slim): detectors, meta
 * "detector" = "yunet", "ultralight". YuNet's input stays what it is, B, G, R from 0 to 255, which its detector knows;
 * all other models read R, G, B. */
enum phiz_status phiz_onnx_known(struct phiz_model *model, const char **name);
/* For models that read B, G, R: turns the channels in the convolutions that read "image". UNSUPPORTED if something else
 * reads it. */
enum phiz_status phiz_onnx_swap_channels(struct phiz_model *model);

#endif
