/* JWK sets: whatever loads is a key that can be used, and safely. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "auth/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_usable(const struct auth_key *key)
{
	BIO *bio;
	EVP_PKEY *pkey;
	bool usable;

	if (key->alg == JWT_ALG_HS256)
		return key_secret_problem((struct span){(const char *)key->bytes, key->len}) == NULL;
	bio = BIO_new_mem_buf(key->bytes, (int)key->len);
	pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	usable = pkey && EVP_PKEY_is_a(pkey, key->alg == JWT_ALG_RS256 ? "RSA" : "EC");
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	return usable;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[256] = "";
	const struct key_source source = {"jwt_jwks_file", "fuzz.json", 0, error, sizeof(error)};
	struct auth_keys *keys = xcalloc(1, sizeof(*keys));

	if (jwks_parse(keys, &source, (struct span){(const char *)data, size}) ? keys->count == 0 : !error[0])
		abort();
	for (size_t i = 0; i < keys->count; i++)
		if (!is_usable(&keys->keys[i]))
			abort();
	auth_keys_free(keys);
	ERR_clear_error();
	return 0;
}
