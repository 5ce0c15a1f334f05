#include "core/base/reader.h"

/* Little endian whatever the machine is. */
static bool read_int(struct phiz_reader *r, size_t bytes, uint64_t *v)
{
	const unsigned char *p;
	if (!phiz_reader_take(r, bytes, &p))
		return false;
	*v = 0;
	for (size_t i = 0; i < bytes; i++)
		*v |= (uint64_t)p[i] << (8 * i);
	return true;
}

bool phiz_reader_u8(struct phiz_reader *r, uint8_t *v)
{
	uint64_t wide;
	if (!read_int(r, 1, &wide))
		return false;
	*v = (uint8_t)wide;
	return true;
}

bool phiz_reader_u16(struct phiz_reader *r, uint16_t *v)
{
	uint64_t wide;
	if (!read_int(r, 2, &wide))
		return false;
	*v = (uint16_t)wide;
	return true;
}

bool phiz_reader_u32(struct phiz_reader *r, uint32_t *v)
{
	uint64_t wide;
	if (!read_int(r, 4, &wide))
		return false;
	*v = (uint32_t)wide;
	return true;
}

bool phiz_reader_u64(struct phiz_reader *r, uint64_t *v)
{
	return read_int(r, 8, v);
}

bool phiz_reader_take(struct phiz_reader *r, size_t n, const unsigned char **p)
{
	if (n > phiz_reader_left(r))
		return false;
	*p = r->data + r->pos;
	r->pos += n;
	return true;
}

bool phiz_reader_seek(struct phiz_reader *r, size_t pos)
{
	if (pos > r->size)
		return false;
	r->pos = pos;
	return true;
}

size_t phiz_reader_left(const struct phiz_reader *r)
{
	return r->pos > r->size ? 0 : r->size - r->pos;
}
