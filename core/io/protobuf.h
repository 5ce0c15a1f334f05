/* protobuf messages, field by field: writing, and reading within bounds. */
#ifndef PHIZ_IO_PROTOBUF_H
#define PHIZ_IO_PROTOBUF_H

#include <stdbool.h>

#include "core/base/bytes.h"
#include "core/base/reader.h"

/* Writing. A message within another is made on its own and then added. */
void phiz_pb_int(struct phiz_bytes *out, int field, int64_t v);
void phiz_pb_float(struct phiz_bytes *out, int field, float v);
void phiz_pb_bytes(struct phiz_bytes *out, int field, const void *data, size_t size);
void phiz_pb_text(struct phiz_bytes *out, int field, const char *text);
/* Adds the message and empties it. */
void phiz_pb_message(struct phiz_bytes *out, int field, struct phiz_bytes *message);
/* The beginning of a field of `size` bytes that the caller appends. */
void phiz_pb_begin(struct phiz_bytes *out, int field, uint64_t size);

/* Reading. A message is a run of bytes; nothing is copied, and nothing recurses. */
struct phiz_span {
	const unsigned char *data;
	size_t size;
};

enum phiz_pb_kind { PHIZ_PB_VARINT = 0, PHIZ_PB_FIXED64 = 1, PHIZ_PB_LENGTH = 2, PHIZ_PB_FIXED32 = 5 };

struct phiz_pb_field {
	int number;
	enum phiz_pb_kind kind;
	uint64_t value;        /* VARINT, FIXED64, FIXED32 */
	struct phiz_span span; /* LENGTH: within the message */
};

enum phiz_pb_result { PHIZ_PB_END, PHIZ_PB_FIELD, PHIZ_PB_DAMAGED };
/* The next field of the message that r stands in. DAMAGED: it reaches beyond the end, its number or kind is none. */
enum phiz_pb_result phiz_pb_next(struct phiz_reader *r, struct phiz_pb_field *field);
struct phiz_reader phiz_pb_reader(struct phiz_span message);
/* At most ten bytes; false, at the same place, if they do not end or give more than 64 bits. */
bool phiz_pb_varint(struct phiz_reader *r, uint64_t *v);

#endif
