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
/* Adds a tensor, taking it over, also on failure. Does not look for duplicates (phiz_tensors_check does). */
enum phiz_status phiz_tensors_add(struct phiz_ctx *ctx, struct phiz_tensors *t, const char *name,
                                  struct phiz_tensor *tensor);
enum phiz_status phiz_tensors_add_meta(struct phiz_ctx *ctx, struct phiz_tensors *t, const char *key, const char *text);
/* FORMAT if two tensors have one name. */
enum phiz_status phiz_tensors_check(struct phiz_ctx *ctx, const struct phiz_tensors *t, const char *path);
/* Takes the prefix off all names, if all have it. */
void phiz_tensors_drop_prefix(struct phiz_tensors *t, const char *prefix);
struct phiz_tensor *phiz_tensors_find(const struct phiz_tensors *t, const char *name);

/* path is for messages. Follows the format to the letter: no holes, no overlaps, no trailing bytes, header at most
 * 100 MB, nesting bounded, duplicate names refused. Tensors are copied out of data. */
enum phiz_status phiz_safetensors_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *path,
                                        struct phiz_tensors *out);
enum phiz_status phiz_safetensors_read(struct phiz_ctx *ctx, const char *path, struct phiz_tensors *out);
/* Writes atomically. The data starts at a multiple of 64 bytes (the header is padded with spaces), tensors of larger
 * elements first, so that each is aligned; otherwise in the order given. Tensors must be contiguous. */
enum phiz_status phiz_safetensors_write(struct phiz_ctx *ctx, const char *path, const struct phiz_tensors *t);

/* torch.save files, zip and legacy. Knows tensors, dicts, lists, numbers and text, and nothing else: a pickle that
 * names any other callable is refused by that name, and nothing is executed. A dict under "state_dict", "model" or
 * "model_state_dict" is looked into; the prefix "module." is dropped. */
enum phiz_status phiz_pth_parse(struct phiz_ctx *ctx, const void *data, size_t size, const char *path,
                                struct phiz_tensors *out);
enum phiz_status phiz_pth_read(struct phiz_ctx *ctx, const char *path, struct phiz_tensors *out);

/* What these bytes are that hold no tensors for us, in words ("a Git LFS pointer ..."); NULL: no idea. */
const char *phiz_foreign_kind(const void *bytes, size_t size);
/* Any of the above, by content. A Git LFS pointer, an HTML page, an ONNX file, a bare zip ... are refused as what they
 * are. The prefix "module." that DataParallel puts before all names is dropped here too. */
enum phiz_status phiz_tensors_read(struct phiz_ctx *ctx, const char *path, struct phiz_tensors *out);

#endif
