/* Models as the verbs name them. */
#ifndef PHIZ_TOOLS_MODELS_H
#define PHIZ_TOOLS_MODELS_H

#include <phiz/model.h>

/* what: a .phiz file (a checkpoint too), the folder of a run (its best.phiz, else last.phiz), a network's .cfg file, or
 * the name of a built-in network ("resnet18"). classes and size (0: as it says) apply to networks without weights. */
enum phiz_status phiz_open_model(struct phiz_ctx *ctx, const char *what, int64_t classes, int size,
                                 struct phiz_model **out);
/* Weights to begin with: what phiz_open_model takes, or a .pth or .safetensors file of a torchvision network (which one
 * is told by names and shapes, or by net where that is not NULL). size: of the input, 0: the network's. */
enum phiz_status phiz_open_weights(struct phiz_ctx *ctx, const char *path, const char *net, int size,
                                   struct phiz_model **out);
/* The file that phiz_open_model would read, as a new string; NOTFOUND with a message that says what was looked for. */
enum phiz_status phiz_find_model_file(struct phiz_ctx *ctx, const char *what, char **path);

#endif
