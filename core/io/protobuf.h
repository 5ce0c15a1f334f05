/* Writing protobuf messages, field by field. A message within another is made on its own and then added. */
#ifndef PHIZ_IO_PROTOBUF_H
#define PHIZ_IO_PROTOBUF_H

#include "core/base/bytes.h"

void phiz_pb_int(struct phiz_bytes *out, int field, int64_t v);
void phiz_pb_float(struct phiz_bytes *out, int field, float v);
void phiz_pb_bytes(struct phiz_bytes *out, int field, const void *data, size_t size);
void phiz_pb_text(struct phiz_bytes *out, int field, const char *text);
/* Adds the message and empties it. */
void phiz_pb_message(struct phiz_bytes *out, int field, struct phiz_bytes *message);
/* The beginning of a field of `size` bytes that the caller appends. */
void phiz_pb_begin(struct phiz_bytes *out, int field, uint64_t size);

#endif
