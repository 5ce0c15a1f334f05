/* SHA-256 (libsodium's), incremental. */
#ifndef PHIZ_BASE_SHA256_H
#define PHIZ_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct phiz_sha256 {
	union {
		uint64_t align;
		unsigned char state[128];
	} u;
};
void phiz_sha256_init(struct phiz_sha256 *h);
void phiz_sha256_add(struct phiz_sha256 *h, const void *data, size_t size);
/* Lower-case hex and a NUL. */
void phiz_sha256_hex(struct phiz_sha256 *h, char out[65]);

#endif
