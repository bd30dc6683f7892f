/* Keys, and tokens made without libjwt, for the tests of src/auth. */
#ifndef TESTS_UNIT_AUTH_FIXTURE_H
#define TESTS_UNIT_AUTH_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "auth/bearer.h"
#include "base/digest.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define USER "6f1b6a8e-7c5e-4a36-9d6c-0a4c9b1d2e3f"
#define NOW 1763870400
#define CLAIMS "{\"sub\":\"" USER "\",\"exp\":1763874000}"
#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define RS256 "{\"alg\":\"RS256\"}"
#define ES256 "{\"alg\":\"ES256\"}"

enum { TEXT_MAX = 16384 };

/* Signs with the private key if there is one, else with the secret. */
struct signer {
	const char *secret;
	EVP_PKEY *pkey;
};

static const struct signer by_secret = {.secret = SECRET};
static struct signer by_rsa, by_ec, by_other_ec;
static char *rsa_pem, *ec_pem;

static size_t base64url(const unsigned char *bytes, size_t n, char *out)
{
	size_t len = (size_t)EVP_EncodeBlock((unsigned char *)out, bytes, (int)n);

	while (len > 0 && out[len - 1] == '=')
		len--;
	for (size_t i = 0; i < len; i++)
		out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
	out[len] = '\0';
	return len;
}

static size_t public_key_signature(EVP_PKEY *pkey, struct span input, unsigned char *out)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char der[1024];
	const unsigned char *p = der;
	size_t n = sizeof(der);
	ECDSA_SIG *pair;

	assert_int_equal(EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, pkey), 1);
	assert_int_equal(EVP_DigestSign(context, der, &n, (const unsigned char *)input.p, input.n), 1);
	EVP_MD_CTX_free(context);
	if (EVP_PKEY_is_a(pkey, "RSA")) {
		memcpy(out, der, n);
		return n;
	}
	pair = d2i_ECDSA_SIG(NULL, &p, (long)n); /* JWS wants r and s side by side (RFC 7518, 3.4) */
	assert_non_null(pair);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, 32), 32);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + 32, 32), 32);
	ECDSA_SIG_free(pair);
	return 64;
}

/* A token made without libjwt; valid until the next one in this thread. */
static struct span make_token(const struct signer *signer, const char *header, const char *claims)
{
	static _Thread_local char token[2 * TEXT_MAX];
	unsigned char signature[1024];
	size_t n = base64url((const unsigned char *)header, strlen(header), token), signature_len = SHA256_LEN;

	assert_true(strlen(claims) < TEXT_MAX);
	token[n++] = '.';
	n += base64url((const unsigned char *)claims, strlen(claims), token + n);
	struct span input = {token, n};

	if (signer->pkey)
		signature_len = public_key_signature(signer->pkey, input, signature);
	else
		digest_hmac_sha256(span_of(signer->secret), &input, 1, signature);
	token[n++] = '.';
	n += base64url(signature, signature_len, token + n);
	return (struct span){token, n};
}

static char *pem_of(EVP_PKEY *pkey)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *pem;
	long n;

	assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
	n = BIO_get_mem_data(bio, &data);
	pem = strndup(data, (size_t)n);
	BIO_free(bio);
	return pem;
}

/* {"kty":"EC",…} of a P-256 key, with `more` members; valid until the next one. */
static const char *ec_jwk(EVP_PKEY *pkey, const char *more)
{
	static char jwk[1024];
	unsigned char point[128];
	char x[64], y[64];
	size_t n;

	assert_int_equal(EVP_PKEY_get_octet_string_param(pkey, "pub", point, sizeof(point), &n), 1);
	assert_int_equal(n, 65);
	base64url(point + 1, 32, x);
	base64url(point + 33, 32, y);
	snprintf(jwk, sizeof(jwk), "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"%s}", x, y, more);
	return jwk;
}

static int make_keys(void **state)
{
	(void)state;
	by_rsa.pkey = EVP_RSA_gen(2048);
	by_ec.pkey = EVP_EC_gen("P-256");
	by_other_ec.pkey = EVP_EC_gen("P-256");
	rsa_pem = pem_of(by_rsa.pkey);
	ec_pem = pem_of(by_ec.pkey);
	return 0;
}

static int free_keys(void **state)
{
	(void)state;
	EVP_PKEY_free(by_rsa.pkey);
	EVP_PKEY_free(by_ec.pkey);
	EVP_PKEY_free(by_other_ec.pkey);
	free(rsa_pem);
	free(ec_pem);
	return 0;
}

static char load_error[512];

/* Loads with the files' contents given; each may be NULL. */
static struct auth_keys *try_load(const char *secret, const char *pem, const char *jwks)
{
	const char *contents[2] = {pem, jwks};
	char paths[2][32] = {"test_auth.pem.XXXXXX", "test_auth.jwks.XXXXXX"};
	struct auth_options options = {.secret = secret};
	struct auth_keys *keys;

	for (int i = 0; i < 2; i++) {
		if (!contents[i])
			continue;
		int fd = mkstemp(paths[i]);

		assert_true(fd >= 0);
		assert_int_equal(write(fd, contents[i], strlen(contents[i])), strlen(contents[i]));
		close(fd);
		*(i == 0 ? &options.public_key_file : &options.jwks_file) = paths[i];
	}
	load_error[0] = '\0';
	keys = auth_keys_load(&options, load_error, sizeof(load_error));
	/* whatever is refused, the message names the option and the file */
	for (int i = 0; i < 2; i++)
		if (contents[i]) {
			if (!keys && !secret && !contents[1 - i]) {
				assert_non_null(strstr(load_error, paths[i]));
				assert_non_null(strstr(load_error, i == 0 ? "jwt_public_key_file" : "jwt_jwks_file"));
			}
			unlink(paths[i]);
		}
	return keys;
}

static struct auth_keys *load(const char *secret, const char *pem, const char *jwks)
{
	struct auth_keys *keys = try_load(secret, pem, jwks);

	if (!keys)
		fail_msg("%s", load_error);
	return keys;
}

static enum auth_result check(const struct auth_keys *keys, struct span token_text)
{
	struct auth_token token;

	return auth_verify(keys, token_text, NOW, &token);
}

#define assert_token(keys, signer, header, claims, result) \
	assert_string_equal(auth_result_text(check(keys, make_token(signer, header, claims))), \
			    auth_result_text(result))

#endif
