/* A cursor over bytes that never reads past their end. Little endian. */
#ifndef PHIZ_BASE_READER_H
#define PHIZ_BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct phiz_reader {
	const unsigned char *data;
	size_t size, pos;
};

/* Each returns false, and leaves the position, where fewer bytes are left than asked for. */
bool phiz_reader_u8(struct phiz_reader *r, uint8_t *v);
bool phiz_reader_u16(struct phiz_reader *r, uint16_t *v);
bool phiz_reader_u32(struct phiz_reader *r, uint32_t *v);
bool phiz_reader_u64(struct phiz_reader *r, uint64_t *v);
/* Points *p at n bytes and moves past them. */
bool phiz_reader_take(struct phiz_reader *r, size_t n, const unsigned char **p);
bool phiz_reader_seek(struct phiz_reader *r, size_t pos);
size_t phiz_reader_left(const struct phiz_reader *r);

#endif
