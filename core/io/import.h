/* Weights from a file of named tensors into a model of torchvision's names, and back out for PyTorch. */
#ifndef PHIZ_IO_IMPORT_H
#define PHIZ_IO_IMPORT_H

#include "core/base/bytes.h"
#include "core/io/tensors.h"

struct phiz_import_options {
	/* The file's head (the last linear layer) may have another number of classes, or be missing: the model keeps its
	 * own. The report says so. Else that is an error. */
	bool new_head;
	/* Other missing and unexpected tensors are only reported. A misshapen tensor is always an error. */
	bool partial;
};

/* What was found; text names each finding in a line of its own (at most 200), also when the call failed. */
struct phiz_import_report {
	size_t loaded, missing, unexpected, misshapen;
	size_t ignored;       /* num_batches_tracked, which nothing here needs */
	bool head_kept;       /* the model kept its own head */
	int64_t file_classes; /* of the head in the file; 0: it has none */
	struct phiz_bytes text;
};
void phiz_import_report_free(struct phiz_import_report *report);

/* A first convolution "conv1" of 7x7 with stride 2 also fits a network whose own is 3x3 with stride 1: each tap is the
 * sum of those that fall onto one pixel when the picture is shown at twice the size, so that the network begins with
 * what the other sees there (but for its outermost row and column of taps). The report says so.
 *
 * Loads t (converted to float32) into the model's entries of the same names; nothing is changed on failure. path is for
 * messages. Errors: FORMAT (the tensors do not fit the network; the message names the first of them), NUMERIC (a NaN or
 * Inf, by name), NOMEM. */
enum phiz_status phiz_import_weights(struct phiz_ctx *ctx, struct phiz_model *model, const struct phiz_tensors *t,
                                     const char *path, const struct phiz_import_options *options,
                                     struct phiz_import_report *report);

/* Which network of torchvision's is this, or insightface's MobileFaceNet, or facenet-pytorch's InceptionResnetV1? */
struct phiz_net_guess {
	const char *net;          /* "resnet18", "resnet34", "resnet50", "mobilefacenet" or "inception_resnet_v1", as
	                             phiz_net_builtin takes it */
	int64_t classes;          /* of fc; 0: there is no fc, or it makes an embedding */
	struct phiz_shape conv1, fc;
	bool bottleneck;
	int blocks[4];
};
/* UNSUPPORTED, saying what it looks like, if it is none of them. */
enum phiz_status phiz_import_guess_net(struct phiz_ctx *ctx, const struct phiz_tensors *t, const char *path,
                                       struct phiz_net_guess *out);

/* MTCNN (Zhang et al. 2016) from facenet-pytorch's pnet.pt, rnet.pt and onet.pt, in any order: t and path of
 * PHIZ_MTCNN_FILES. The model (task DETECT, meta "detector" = "mtcnn") has inputs pnet.image, rnet.image and onet.image
 * and outputs pnet.softmax4_1 (of no face, face), pnet.conv4_2 (box), rnet.softmax5_1, rnet.dense5_2, onet.softmax6_1,
 * onet.dense6_2 and onet.dense6_3 (x of five landmarks, then y). Errors: those of phiz_import_weights, UNSUPPORTED
 * (other networks), ARG (one network twice). */
enum { PHIZ_MTCNN_FILES = 3 };
enum phiz_status phiz_import_mtcnn(struct phiz_ctx *ctx, const struct phiz_tensors *t, const char *const *path,
                                   struct phiz_model **out);

/* Writes the model's tensors as .safetensors with a num_batches_tracked beside each running_var, so that a strict
 * load_state_dict of the torchvision network takes it. UNSUPPORTED if batch norms were folded away. */
enum phiz_status phiz_export_state_dict(struct phiz_ctx *ctx, const struct phiz_model *model, const char *path);

#endif
