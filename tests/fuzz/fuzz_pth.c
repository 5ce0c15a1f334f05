/* Any bytes as a file of torch.save: zip archive, inflating, pickle machine, views of storages. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/io/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Makes the CRCs of stored zip entries right again, so that what the fuzzer changed behind them is read. */
static void mend(uint8_t *data, size_t size)
{
	size_t at, begin, packed, i;

	for (at = 0; at + 46 <= size; at++) {
		uLong crc;

		if (memcmp(data + at, "PK\1\2", 4) != 0)
			continue;
		begin = u32(data + at + 42);
		packed = u32(data + at + 20);
		if (begin > size - 30)
			continue;
		begin += 30 + (u32(data + begin + 26) & 0xffff) + (u32(data + begin + 26) >> 16);
		if (begin > size || packed > size - begin)
			continue;
		crc = crc32(0, data + begin, (uInt)packed);
		for (i = 0; i < 4; i++)
			data[at + 16 + i] = (uint8_t)(crc >> (8 * i));
	}
}

static void parse(const uint8_t *data, size_t size)
{
	static volatile unsigned char sink;
	struct phiz_ctx_options options = {1, NULL, NULL, (size_t)1 << 30};
	struct phiz_memory_stats stats;
	struct phiz_tensors t;
	struct phiz_ctx *ctx;
	size_t i, k;

	if (phiz_ctx_create(&options, &ctx))
		abort();
	if (!phiz_pth_parse(ctx, data, size, "fuzz", &t)) {
		if (phiz_tensors_check(ctx, &t, "fuzz"))
			abort();
		for (i = 0; i < t.count; i++)
			for (k = 0; k < phiz_tensor_bytes(t.entry[i].tensor); k++)
				sink = ((const unsigned char *)t.entry[i].tensor->data)[k];
	} else if (t.count > 0 || !*phiz_ctx_message(ctx) || strchr(phiz_ctx_message(ctx), '\n')) {
		abort();
	}
	(void)sink;
	phiz_tensors_free(ctx, &t);
	phiz_ctx_memory(ctx, &stats);
	/* What is asked for is bounded by what is there: of pickles some 60 bytes a byte, of deflated entries more. */
	if (stats.live_blocks || stats.peak_bytes > ((size_t)200 << 20) + 160 * size)
		abort();
	phiz_ctx_free(&ctx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	parse(data, size);
	if (size < 30 || memcmp(data, "PK", 2) != 0)
		return 0;
	copy = malloc(size);
	if (!copy)
		abort();
	memcpy(copy, data, size);
	mend(copy, size);
	parse(copy, size);
	free(copy);
	return 0;
}
