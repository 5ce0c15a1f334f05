/* The sums that a model file carries over itself (model_file.c says why there are three). */
#ifndef PHIZ_IO_MODEL_SUMS_H
#define PHIZ_IO_MODEL_SUMS_H

#include "core/io/safetensors.h"

#define PHIZ_DIGEST_BYTES 32

/* A tensor in a file with its sums. */
struct phiz_summed {
	struct phiz_st_tensor file; /* as stored */
	uint32_t crc;
	unsigned char digest[PHIZ_DIGEST_BYTES];
};

struct phiz_text_pair {
	const char *key, *text;
};

/* Puts tensors into bytewise order of their names: that of all sums, whatever their order in the file. */
void phiz_sums_sort(struct phiz_summed *tensor, size_t count);

/* CRC-32 of a piece, going on from the piece before it (0 at the beginning). */
uint32_t phiz_crc32(uint32_t crc, const void *data, size_t size);
/* BLAKE2b-256 of a tensor's bytes, which lie in memory or are read in pieces. */
void phiz_digest(const void *data, size_t size, unsigned char out[PHIZ_DIGEST_BYTES]);
typedef bool (*phiz_read_fn)(void *user, size_t offset, void *to, size_t n);
bool phiz_digest_read(phiz_read_fn read, void *user, size_t size, unsigned char out[PHIZ_DIGEST_BYTES]);

/* The metadata "crc32": eight hex digits a tensor; out holds 8 * count + 1 bytes. */
void phiz_sums_crc_text(const struct phiz_summed *tensor, size_t count, char *out);
/* Sets each tensor's crc from that text; false if it is not of that form. */
bool phiz_sums_crc_read(struct phiz_summed *tensor, size_t count, const char *text);
/* The metadata "blake2b": the digest of all digests, in hex. */
void phiz_sums_digest_text(const struct phiz_summed *tensor, size_t count, char out[2 * PHIZ_DIGEST_BYTES + 1]);
/* The metadata "sha256": over all other metadata and the tensors' names, dtypes and shapes. Sorts pair. */
void phiz_sums_root_text(struct phiz_text_pair *pair, size_t n_pairs, const struct phiz_summed *tensor, size_t count,
                         char out[65]);

#endif
