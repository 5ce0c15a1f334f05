/* The model file (.phiz) from inside: its parts as JSON, and reading from memory. model_file.c describes the format. */
#ifndef PHIZ_IO_MODEL_FILE_H
#define PHIZ_IO_MODEL_FILE_H

#include <jansson.h>

#include <phiz/model.h>

#include "core/base/bytes.h"

/* What a graph in a file may have at most; far beyond any network, so that reading stays quick whatever the file. */
#define PHIZ_MODEL_MAX_NODES 4096
#define PHIZ_MODEL_MAX_TENSORS 8192
#define PHIZ_MODEL_MAX_META 1024
#define PHIZ_MODEL_MAX_INOUT 64 /* inputs of a detector, and its outputs */

/* Is the model what model.h promises: one input "image" [1,3,S,S] f32, one output [1, ...], the graph's tensors its
 * own, as many labels as classes or none, preprocessing and threshold in range? ARG, or FORMAT where `path` brought it.
 */
enum phiz_status phiz_model_check(struct phiz_model *model, const char *path, enum phiz_status status);

/* graph_json.c. Appends the graph as JSON. */
enum phiz_status phiz_graph_to_json(const struct phiz_model *model, struct phiz_bytes *out);
/* The names and kinds of the model's tensors, in the model's order: calls add for each. */
typedef enum phiz_status (*phiz_graph_tensor_fn)(void *user, const char *name, bool trainable);
enum phiz_status phiz_graph_json_tensors(struct phiz_ctx *ctx, const json_t *graph, const char *path,
                                         phiz_graph_tensor_fn add, void *user);
/* Builds model->graph, which must be empty, over the model's entries, and verifies it. */
enum phiz_status phiz_graph_from_json(struct phiz_model *model, const json_t *graph, const char *path);

/* model_json.c. The rest of the metadata. Readers take the text of a metadata key. */
void phiz_labels_to_json(const struct phiz_model *model, struct phiz_bytes *out);
void phiz_preproc_to_json(const struct phiz_preproc *preproc, struct phiz_bytes *out);
void phiz_threshold_to_json(const struct phiz_threshold *threshold, struct phiz_bytes *out);
void phiz_meta_to_json(const struct phiz_model *model, struct phiz_bytes *out);
enum phiz_status phiz_labels_from_json(struct phiz_model *model, const char *text, const char *path);
enum phiz_status phiz_preproc_from_json(struct phiz_model *model, const char *text, const char *path);
enum phiz_status phiz_threshold_from_json(struct phiz_model *model, const char *text, const char *path);
enum phiz_status phiz_meta_from_json(struct phiz_model *model, const char *text, const char *path);

enum phiz_model_checks {
	PHIZ_MODEL_CHECK_NONE, /* no sums: for fuzzing what lies behind them */
	PHIZ_MODEL_CHECK_FAST, /* as phiz_model_read */
	PHIZ_MODEL_CHECK_ALL   /* as phiz_model_verify */
};
enum phiz_status phiz_model_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *path,
                                  enum phiz_model_checks checks, struct phiz_model **out, struct phiz_extra *extra);

#endif
