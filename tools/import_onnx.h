/* phiz import of ONNX files: what the file does not say, as options. */
#ifndef PHIZ_TOOLS_IMPORT_ONNX_H
#define PHIZ_TOOLS_IMPORT_ONNX_H

#include <phiz/model.h>

struct phiz_onnx_wishes {
	const char *task;       /* "classify", "embed", "detect"; NULL: as the file or its structure says */
	const char *preprocess; /* a name or "mean=...,std=...,size=...": NULL likewise */
	const char *align;      /* "arcface", "facenet:MARGIN", "box:MARGIN", "none"; NULL likewise */
};

/* Reads the file and sets what is known of it, then what is wished for. *known: the model that it was taken for, or
 * NULL. size: 0 as the file says. ARG with a message that lists what there is. */
enum phiz_status phiz_import_onnx(struct phiz_ctx *ctx, const char *path, int size,
                                  const struct phiz_onnx_wishes *wishes, const char **known, struct phiz_model **out);
/* Does the name end in .onnx? */
bool phiz_is_onnx_name(const char *path);
/* The names that --preprocess takes, with commas. */
#define PHIZ_PREPROC_NAMES "torchvision, mobilefacenet, arcface, facenet, ultralight, raw"

#endif
