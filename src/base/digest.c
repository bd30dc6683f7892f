#include "base/digest.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>

/* Fetched once: OpenSSL 3 otherwise looks the algorithm up, under locks, at every use. */
static EVP_MD *sha256;
static EVP_MAC *hmac;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void fetch_algorithms(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	if (!sha256 || !hmac)
		abort();
}

void digest_sha256(struct span data, unsigned char out[SHA256_LEN])
{
	pthread_once(&fetched, fetch_algorithms);
	if (!EVP_Digest(data.p, data.n, out, NULL, sha256, NULL))
		abort();
}

void digest_hmac_sha256(struct span key, const struct span *parts, size_t count, unsigned char out[SHA256_LEN])
{
	static char algorithm[] = "SHA2-256";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, algorithm, 0),
		OSSL_PARAM_construct_end(),
	};
	size_t out_len;

	pthread_once(&fetched, fetch_algorithms);
	EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
	/* A NULL key would mean "keep the last one", not "empty". */
	const char *key_bytes = key.p ? key.p : "";
	if (!context || !EVP_MAC_init(context, (const unsigned char *)key_bytes, key.n, params))
		abort();
	for (size_t i = 0; i < count; i++)
		if (!EVP_MAC_update(context, (const unsigned char *)parts[i].p, parts[i].n))
			abort();
	if (!EVP_MAC_final(context, out, &out_len, SHA256_LEN))
		abort();
	EVP_MAC_CTX_free(context);
}

void digest_hex(const unsigned char *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 0x0f];
	}
	*out = '\0';
}

bool digest_equal(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
