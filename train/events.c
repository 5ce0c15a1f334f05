#include "train/events.h"

#include <string.h>

/* Reflected polynomial 0x82f63b78, bit by bit: a few hundred bytes an epoch need no table. */
uint32_t phiz_crc32c(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint32_t crc = 0xffffffffu;
	size_t i;
	int k;

	for (i = 0; i < size; i++) {
		crc ^= p[i];
		for (k = 0; k < 8; k++)
			crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1u)));
	}
	return ~crc;
}

uint32_t phiz_crc32c_masked(const void *data, size_t size)
{
	uint32_t crc = phiz_crc32c(data, size);

	return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* --- Protocol buffers, as much as is needed: varint, fixed64, fixed32, length-delimited. --- */

#define MESSAGE_MAX 512

struct message {
	unsigned char data[MESSAGE_MAX];
	size_t size;
};

static void put_byte(struct message *m, unsigned v)
{
	if (m->size < MESSAGE_MAX)
		m->data[m->size++] = (unsigned char)v;
}

static void put_varint(struct message *m, uint64_t v)
{
	for (; v >= 128; v >>= 7)
		put_byte(m, (unsigned)(v & 127) | 128);
	put_byte(m, (unsigned)v);
}

static void put_key(struct message *m, unsigned field, unsigned wire)
{
	put_varint(m, field << 3 | wire);
}

static void put_double(struct message *m, unsigned field, double value)
{
	uint64_t bits;
	int i;

	memcpy(&bits, &value, sizeof bits);
	put_key(m, field, 1);
	for (i = 0; i < 8; i++)
		put_byte(m, (unsigned)(bits >> (8 * i)) & 255);
}

static void put_float(struct message *m, unsigned field, float value)
{
	uint32_t bits;
	int i;

	memcpy(&bits, &value, sizeof bits);
	put_key(m, field, 5);
	for (i = 0; i < 4; i++)
		put_byte(m, (unsigned)(bits >> (8 * i)) & 255);
}

static void put_block(struct message *m, unsigned field, const void *data, size_t size)
{
	const unsigned char *p = data;
	size_t i;

	put_key(m, field, 2);
	put_varint(m, size);
	for (i = 0; i < size; i++)
		put_byte(m, p[i]);
}

static void add_record(struct phiz_bytes *out, const struct message *m)
{
	unsigned char length[8];
	int i;

	for (i = 0; i < 8; i++)
		length[i] = (unsigned char)((uint64_t)m->size >> (8 * i));
	phiz_bytes_add(out, length, sizeof length);
	phiz_bytes_u32le(out, phiz_crc32c_masked(length, sizeof length));
	phiz_bytes_add(out, m->data, m->size);
	phiz_bytes_u32le(out, phiz_crc32c_masked(m->data, m->size));
}

void phiz_events_header(struct phiz_bytes *out, double wall_time)
{
	static const char version[] = "brain.Event:2";
	struct message event;

	event.size = 0;
	put_double(&event, 1, wall_time);
	put_block(&event, 3, version, sizeof version - 1);
	add_record(out, &event);
}

void phiz_events_scalar(struct phiz_bytes *out, double wall_time, int64_t step, const char *tag, double value)
{
	struct message item, summary, event;
	size_t length = strlen(tag);

	item.size = summary.size = event.size = 0;
	put_block(&item, 1, tag, length < 200 ? length : 200);
	put_float(&item, 2, (float)value);
	put_block(&summary, 1, item.data, item.size);
	put_double(&event, 1, wall_time);
	put_key(&event, 2, 0);
	put_varint(&event, (uint64_t)step);
	put_block(&event, 5, summary.data, summary.size);
	add_record(out, &event);
}
