/* Files of named tensors: safetensors in and out, PyTorch .pth in. All of it is hostile until checked. */
#ifndef PHIZ_IO_TENSORS_H
#define PHIZ_IO_TENSORS_H

#include <phiz/model.h>

/* What a file of tensors held, in the order of the file. bool tensors come as U8. */
struct phiz_tensors {
	struct phiz_entry *entry;
	size_t count, capacity;
	struct phiz_meta *meta; /* safetensors __metadata__ */
	size_t n_meta, meta_capacity;
};
void phiz_tensors_free(struct phiz_ctx *ctx, struct phiz_tensors *t);
struct phiz_tensor *phiz_tensors_find(const struct phiz_tensors *t, const char *name);

/* path is for messages. Follows the format to the letter: no holes, no overlaps, no trailing bytes, header at most
 * 100 MB, nesting bounded, duplicate names refused. Tensors are copied out of data. */
enum phiz_status phiz_safetensors_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *path,
                                        struct phiz_tensors *out);
enum phiz_status phiz_safetensors_read(struct phiz_ctx *ctx, const char *path, struct phiz_tensors *out);
/* Writes atomically; data starts are aligned to 64 bytes by padding the header with spaces. */
enum phiz_status phiz_safetensors_write(struct phiz_ctx *ctx, const char *path, const struct phiz_tensors *t);

/* torch.save files, zip and legacy. Knows tensors, dicts, lists, numbers and text, and nothing else: a pickle that
 * names any other callable is refused by that name, and nothing is executed. A dict under "state_dict", "model" or
 * "model_state_dict" is looked into; the prefix "module." is dropped. */
enum phiz_status phiz_pth_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *path,
                                struct phiz_tensors *out);
enum phiz_status phiz_pth_read(struct phiz_ctx *ctx, const char *path, struct phiz_tensors *out);

/* Any of the above, by content. */
enum phiz_status phiz_tensors_read(struct phiz_ctx *ctx, const char *path, struct phiz_tensors *out);

#endif
