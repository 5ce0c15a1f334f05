/* Models as the verbs name them. */
#ifndef PHIZ_TOOLS_MODELS_H
#define PHIZ_TOOLS_MODELS_H

#include <phiz/model.h>

#include "core/io/tensors.h"

/* what: a .phiz file (a checkpoint too), the folder of a run (its best.phiz, else last.phiz), a network's .cfg file,
 * the name of a built-in network ("resnet18"), of a model in the models folder ("yunet") or of a trunk. classes and
 * size (0: as it says) apply to networks without weights. */
enum phiz_status phiz_open_model(struct phiz_ctx *ctx, const char *what, int64_t classes, int size,
                                 struct phiz_model **out);
/* The network for the tensors of a file: net as phiz_open_model takes it, or, where that is NULL, as names and shapes
 * say. classes 0: as many as fc.weight has; size 0: the network's. */
enum phiz_status phiz_network_for(struct phiz_ctx *ctx, const struct phiz_tensors *t, const char *path, const char *net,
                                  int64_t classes, int size, struct phiz_model **out);
/* Weights to begin with: what phiz_open_model takes, a .pth or .safetensors file of a known network (which one is told
 * by names and shapes, or by net where that is not NULL), or an .onnx file. size: of the input, 0: the network's. */
enum phiz_status phiz_open_weights(struct phiz_ctx *ctx, const char *path, const char *net, int size,
                                   struct phiz_model **out);
/* The file that phiz_open_model would read, as a new string: a path, the folder of a run, or the name of a model in the
 * models folder ("yunet"). NOTFOUND with a message that says what was looked for and how to get it. */
enum phiz_status phiz_find_model_file(struct phiz_ctx *ctx, const char *what, char **path);

/* Where fetched models lie, as a new string: $PHIZ_MODELS, else $XDG_DATA_HOME/phiz/models, else
 * ~/.local/share/phiz/models; it need not exist. NOTFOUND if none of the variables is set. */
enum phiz_status phiz_models_folder(struct phiz_ctx *ctx, char **path);
/* May a model be called so? Letters, digits, '.', '_' and '-', not a dot first; 64 at most. */
bool phiz_model_name_ok(const char *name);
/* FOLDER/NAME.phiz as a new string, whether it is there or not. */
enum phiz_status phiz_model_name_path(struct phiz_ctx *ctx, const char *name, char **path);

/* The embedders that phiz was trained to be and brings along (deploy/trunks), best first; NULL ends them. Each is known
 * by name wherever a model is, but for one of that name in the models folder, which goes before. */
extern const char *const phiz_trunks[];
/* The file of one of them, as a new string: in $PHIZ_TRUNKS, else where phiz was installed, else in the source tree
 * that it was built from. NULL in path where the name is no trunk's or the file is not there. */
enum phiz_status phiz_find_trunk(struct phiz_ctx *ctx, const char *name, char **path);

/* ---- What --detector and --model are where they are not given (tools/model_choice.c) ---- */

enum phiz_model_kind { PHIZ_MODEL_DETECTOR, PHIZ_MODEL_EMBEDDER };

/* The file of the model that was asked for, as phiz_find_model_file finds it; with asked NULL the best of its kind in
 * the models folder, which is said by a note (that --quiet keeps back). Best is the first that is there of: yunet,
 * mtcnn, ultralight; mobilefacenet, sface; then, by name, whatever else in the folder is of that kind; then the trunks
 * that come with phiz. NOTFOUND where there is none, saying how to get one. */
enum phiz_status phiz_choose_model(struct phiz_ctx *ctx, enum phiz_model_kind kind, const char *asked, char **path);

#endif
