/* TensorBoard's event files: TFRecords (length, masked CRC-32C, data, masked CRC-32C) of Event messages with scalars.
 */
#ifndef PHIZ_TRAIN_EVENTS_H
#define PHIZ_TRAIN_EVENTS_H

#include "core/base/bytes.h"

/* CRC-32C (Castagnoli) of data, and TensorFlow's mask of it. */
uint32_t phiz_crc32c(const void *data, size_t size);
uint32_t phiz_crc32c_masked(const void *data, size_t size);

/* The record that opens a file: Event{wall_time, file_version "brain.Event:2"}. */
void phiz_events_header(struct phiz_bytes *out, double wall_time);
/* One record: Event{wall_time, step, summary{value{tag, simple_value}}}. wall_time: seconds since 1970. */
void phiz_events_scalar(struct phiz_bytes *out, double wall_time, int64_t step, const char *tag, double value);

#endif
