#include "core/io/protobuf.h"

#include <string.h>

/* Wire types. */
enum { VARINT = 0, LENGTH = 2, FIXED32 = 5 };

static void add_varint(struct phiz_bytes *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		phiz_bytes_u8(out, (unsigned)(v & 0x7f) | 0x80);
	phiz_bytes_u8(out, (unsigned)v);
}

static void add_key(struct phiz_bytes *out, int field, int wire)
{
	add_varint(out, (uint64_t)field << 3 | (uint64_t)wire);
}

void phiz_pb_int(struct phiz_bytes *out, int field, int64_t v)
{
	add_key(out, field, VARINT);
	add_varint(out, (uint64_t)v);
}

void phiz_pb_float(struct phiz_bytes *out, int field, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, sizeof(bits));
	add_key(out, field, FIXED32);
	phiz_bytes_u32le(out, bits);
}

void phiz_pb_begin(struct phiz_bytes *out, int field, uint64_t size)
{
	add_key(out, field, LENGTH);
	add_varint(out, size);
}

void phiz_pb_bytes(struct phiz_bytes *out, int field, const void *data, size_t size)
{
	phiz_pb_begin(out, field, size);
	phiz_bytes_add(out, data, size);
}

void phiz_pb_text(struct phiz_bytes *out, int field, const char *text)
{
	phiz_pb_bytes(out, field, text, strlen(text));
}

void phiz_pb_message(struct phiz_bytes *out, int field, struct phiz_bytes *message)
{
	phiz_pb_bytes(out, field, message->data, message->size);
	out->failed = out->failed || message->failed;
	phiz_bytes_clear(message);
}
