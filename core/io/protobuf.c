#include "core/io/protobuf.h"

#include <string.h>

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
	add_key(out, field, PHIZ_PB_VARINT);
	add_varint(out, (uint64_t)v);
}

void phiz_pb_float(struct phiz_bytes *out, int field, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, sizeof(bits));
	add_key(out, field, PHIZ_PB_FIXED32);
	phiz_bytes_u32le(out, bits);
}

void phiz_pb_begin(struct phiz_bytes *out, int field, uint64_t size)
{
	add_key(out, field, PHIZ_PB_LENGTH);
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

/* ---- Reading ---- */

struct phiz_reader phiz_pb_reader(struct phiz_span message)
{
	struct phiz_reader r = {message.data, message.size, 0};

	return r;
}

bool phiz_pb_varint(struct phiz_reader *r, uint64_t *v)
{
	size_t begin = r->pos;
	uint8_t byte = 0x80;
	int shift;

	*v = 0;
	for (shift = 0; shift < 70 && (byte & 0x80); shift += 7) {
		if (!phiz_reader_u8(r, &byte) || (shift == 63 && byte > 1)) {
			r->pos = begin;
			return false;
		}
		*v |= (uint64_t)(byte & 0x7f) << shift;
	}
	return true;
}

static bool read_field(struct phiz_reader *r, struct phiz_pb_field *f)
{
	uint32_t narrow;
	bool ok;

	switch (f->kind) {
	case PHIZ_PB_VARINT:
		return phiz_pb_varint(r, &f->value);
	case PHIZ_PB_FIXED64:
		return phiz_reader_u64(r, &f->value);
	case PHIZ_PB_FIXED32:
		ok = phiz_reader_u32(r, &narrow);
		f->value = ok ? narrow : 0;
		return ok;
	case PHIZ_PB_LENGTH:
		if (!phiz_pb_varint(r, &f->value) || f->value > phiz_reader_left(r))
			return false;
		f->span.size = (size_t)f->value;
		return phiz_reader_take(r, f->span.size, &f->span.data);
	}
	return false; /* groups, which nobody writes any more, and what is no kind */
}

enum phiz_pb_result phiz_pb_next(struct phiz_reader *r, struct phiz_pb_field *field)
{
	uint64_t key;

	memset(field, 0, sizeof(*field));
	if (phiz_reader_left(r) == 0)
		return PHIZ_PB_END;
	if (!phiz_pb_varint(r, &key) || key >> 3 == 0 || key >> 3 > 536870911)
		return PHIZ_PB_DAMAGED;
	field->number = (int)(key >> 3);
	field->kind = (enum phiz_pb_kind)(key & 7);
	return read_field(r, field) ? PHIZ_PB_FIELD : PHIZ_PB_DAMAGED;
}
