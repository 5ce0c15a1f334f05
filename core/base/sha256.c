#include "core/base/sha256.h"

#include <sodium.h>

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(struct phiz_sha256), "phiz_sha256 is too small");
_Static_assert(_Alignof(crypto_hash_sha256_state) <= _Alignof(struct phiz_sha256), "phiz_sha256 is not aligned");

static crypto_hash_sha256_state *state_of(struct phiz_sha256 *h)
{
	return (void *)&h->u;
}

void phiz_sha256_init(struct phiz_sha256 *h)
{
	crypto_hash_sha256_init(state_of(h));
}

void phiz_sha256_add(struct phiz_sha256 *h, const void *data, size_t size)
{
	if (size)
		crypto_hash_sha256_update(state_of(h), data, size);
}

void phiz_sha256_hex(struct phiz_sha256 *h, char out[65])
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_final(state_of(h), hash);
	sodium_bin2hex(out, 65, hash, sizeof(hash));
}
