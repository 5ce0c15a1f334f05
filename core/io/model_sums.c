#include "core/io/model_sums.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/sha256.h"

static int by_name(const void *a, const void *b)
{
	const struct phiz_summed *x = a, *y = b;

	return strcmp(x->file.name, y->file.name);
}

void phiz_sums_sort(struct phiz_summed *tensor, size_t count)
{
	if (count > 1)
		qsort(tensor, count, sizeof(*tensor), by_name);
}

uint32_t phiz_crc32(uint32_t crc, const void *data, size_t size)
{
	const unsigned char *p = data;
	uLong c = crc;

	while (size > 0) {
		uInt n = size < ((size_t)1 << 30) ? (uInt)size : (uInt)1 << 30; /* zlib counts in uInt */

		c = crc32(c, p, n);
		p += n;
		size -= n;
	}
	return (uint32_t)c;
}

void phiz_digest(const void *data, size_t size, unsigned char out[PHIZ_DIGEST_BYTES])
{
	crypto_generichash(out, PHIZ_DIGEST_BYTES, data, size, NULL, 0);
}

bool phiz_digest_read(phiz_read_fn read, void *user, size_t size, unsigned char out[PHIZ_DIGEST_BYTES])
{
	crypto_generichash_state state;
	unsigned char piece[32768];
	size_t done, n;

	crypto_generichash_init(&state, NULL, 0, PHIZ_DIGEST_BYTES);
	for (done = 0; done < size; done += n) {
		n = size - done < sizeof(piece) ? size - done : sizeof(piece);
		if (!read(user, done, piece, n))
			return false;
		crypto_generichash_update(&state, piece, n);
	}
	crypto_generichash_final(&state, out, PHIZ_DIGEST_BYTES);
	return true;
}

void phiz_sums_crc_text(const struct phiz_summed *tensor, size_t count, char *out)
{
	static const char digit[] = "0123456789abcdef";
	size_t i;
	int k;

	for (i = 0; i < count; i++)
		for (k = 0; k < 8; k++)
			*out++ = digit[tensor[i].crc >> (28 - 4 * k) & 15];
	*out = 0;
}

static int digit_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool phiz_sums_crc_read(struct phiz_summed *tensor, size_t count, const char *text)
{
	size_t i;
	int k;

	if (strlen(text) / 8 != count || strlen(text) % 8 != 0)
		return false;
	for (i = 0; i < count; i++) {
		tensor[i].crc = 0;
		for (k = 0; k < 8; k++, text++) {
			if (digit_value(*text) < 0)
				return false;
			tensor[i].crc = tensor[i].crc << 4 | (uint32_t)digit_value(*text);
		}
	}
	return true;
}

void phiz_sums_digest_text(const struct phiz_summed *tensor, size_t count, char out[2 * PHIZ_DIGEST_BYTES + 1])
{
	unsigned char digest[PHIZ_DIGEST_BYTES];
	crypto_generichash_state state;
	size_t i;

	crypto_generichash_init(&state, NULL, 0, sizeof(digest));
	for (i = 0; i < count; i++)
		crypto_generichash_update(&state, tensor[i].digest, sizeof(tensor[i].digest));
	crypto_generichash_final(&state, digest, sizeof(digest));
	sodium_bin2hex(out, 2 * PHIZ_DIGEST_BYTES + 1, digest, sizeof(digest));
}

static int by_key(const void *a, const void *b)
{
	const struct phiz_text_pair *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static void add_text(struct phiz_sha256 *h, const char *text)
{
	phiz_sha256_add(h, text, strlen(text) + 1);
}

void phiz_sums_root_text(struct phiz_text_pair *pair, size_t n_pairs, const struct phiz_summed *tensor, size_t count,
                         char out[65])
{
	struct phiz_sha256 h;
	char shape[128];
	size_t i;

	if (n_pairs > 1)
		qsort(pair, n_pairs, sizeof(*pair), by_key);
	phiz_sha256_init(&h);
	for (i = 0; i < n_pairs; i++) {
		if (strcmp(pair[i].key, "sha256") == 0)
			continue;
		add_text(&h, pair[i].key);
		add_text(&h, pair[i].text);
	}
	for (i = 0; i < count; i++) {
		add_text(&h, tensor[i].file.name);
		add_text(&h, phiz_dtype_name(tensor[i].file.dtype));
		add_text(&h, phiz_shape_text(&tensor[i].file.shape, shape));
	}
	phiz_sha256_hex(&h, out);
}
