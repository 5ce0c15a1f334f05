/* The one EXIF field that matters here: Orientation, tag 0x0112 of the first directory of a TIFF block. */
#include "core/image/codec.h"

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4, ENTRY_SIZE = 12 };

struct tiff {
	const unsigned char *data;
	size_t size;
	bool big_endian;
};

static bool tiff_u16(const struct tiff *t, size_t at, unsigned *value)
{
	if (at > t->size || t->size - at < 2)
		return false;
	unsigned a = t->data[at], b = t->data[at + 1];
	*value = t->big_endian ? a << 8 | b : b << 8 | a;
	return true;
}

static bool tiff_u32(const struct tiff *t, size_t at, uint32_t *value)
{
	unsigned first, second;
	if (!tiff_u16(t, at, &first) || !tiff_u16(t, at + 2, &second))
		return false;
	*value = t->big_endian ? (uint32_t)first << 16 | second : (uint32_t)second << 16 | first;
	return true;
}

/* The value of the entry if it is an orientation, else 0. */
static int entry_orientation(const struct tiff *t, size_t at)
{
	unsigned tag, type, small = 0;
	uint32_t count, value = 0;
	if (!tiff_u16(t, at, &tag) || tag != TAG_ORIENTATION || !tiff_u16(t, at + 2, &type) ||
	    !tiff_u32(t, at + 4, &count) || count != 1)
		return 0;
	if (type == TYPE_SHORT && tiff_u16(t, at + 8, &small))
		value = small;
	else if (type == TYPE_LONG && !tiff_u32(t, at + 8, &value))
		return 0;
	return value >= 1 && value <= 8 ? (int)value : 0;
}

int phiz_exif_orientation(const unsigned char *data, size_t size)
{
	struct tiff t = { data, size, false };
	unsigned magic, entries;
	uint32_t directory;
	if (size < 8 || data[0] != data[1] || (data[0] != 'I' && data[0] != 'M'))
		return 1;
	t.big_endian = data[0] == 'M';
	if (!tiff_u16(&t, 2, &magic) || magic != 42 || !tiff_u32(&t, 4, &directory) ||
	    !tiff_u16(&t, directory, &entries))
		return 1;
	for (unsigned i = 0; i < entries; i++) {
		size_t at = (size_t)directory + 2 + (size_t)i * ENTRY_SIZE;
		if (at > size || size - at < ENTRY_SIZE)
			return 1;
		int orientation = entry_orientation(&t, at);
		if (orientation)
			return orientation;
	}
	return 1;
}
