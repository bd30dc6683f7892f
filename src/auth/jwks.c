/* JWK sets (RFC 7517): the keys that can verify HS256, RS256 or ES256 become keys of
 * ours. Keys for anything else are skipped, so that an issuer may publish more than
 * we use; a key of our kinds that is broken is an error. */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/param_build.h>
#include <stdlib.h>

#include "auth/keys.h"
#include "base/json.h"

enum { P256_COORDINATE_LEN = 32, P256_POINT_LEN = 1 + 2 * P256_COORDINATE_LEN };

static int base64url_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool base64url_decode(struct span text, unsigned char *out, size_t *out_len)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	if (!text.p || text.n % 4 == 1)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		int value = base64url_value(text.p[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (unsigned char)(bits >> have);
			bits &= (1U << have) - 1;
		}
	}
	*out_len = n;
	return bits == 0;
}

/* The bytes of a base64url member, in the arena; absent if it isn't one or is empty. */
static struct span bytes_member(struct arena *arena, struct span jwk, const char *name)
{
	struct span text = json_decode_string(arena, json_member(jwk, name));
	unsigned char *bytes;
	size_t n;

	if (!text.p || text.n == 0)
		return SPAN_ABSENT;
	bytes = arena_alloc(arena, text.n);
	if (!base64url_decode(text, bytes, &n))
		return SPAN_ABSENT;
	return (struct span){(const char *)bytes, n};
}

/* True if the member is that string, or is not there. */
static bool member_allows(struct arena *arena, struct span jwk, const char *name, const char *wanted)
{
	struct span value = json_member(jwk, name);

	return json_type(value) == JSON_ABSENT || span_is(json_decode_string(arena, value), wanted);
}

/* RFC 7517, 4.2 and 4.3: `use` is "sig", `key_ops` has "verify", where they are given. */
static bool may_verify(struct arena *arena, struct span jwk)
{
	struct span operations = json_member(jwk, "key_ops"), name, operation;
	struct json_iter iter = json_iter(operations);

	if (!member_allows(arena, jwk, "use", "sig"))
		return false;
	if (json_type(operations) == JSON_ABSENT)
		return true;
	if (json_type(operations) != JSON_ARRAY)
		return false;
	while (json_next(&iter, &name, &operation))
		if (span_is(json_decode_string(arena, operation), "verify"))
			return true;
	return false;
}

static EVP_PKEY *key_of_params(const char *type, OSSL_PARAM_BLD *builder)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	if (!params || !context || EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_free(params);
	return pkey;
}

/* RFC 7518, 6.3.1. NULL if the parameters are missing or make no key. */
static EVP_PKEY *rsa_key(struct arena *arena, struct span jwk)
{
	struct span n = bytes_member(arena, jwk, "n"), e = bytes_member(arena, jwk, "e");
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *modulus = NULL, *exponent = NULL;
	EVP_PKEY *pkey = NULL;

	if (n.p && e.p) {
		modulus = BN_bin2bn((const unsigned char *)n.p, (int)n.n, NULL);
		exponent = BN_bin2bn((const unsigned char *)e.p, (int)e.n, NULL);
	}
	if (builder && modulus && exponent &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
		pkey = key_of_params("RSA", builder);
	BN_free(modulus);
	BN_free(exponent);
	OSSL_PARAM_BLD_free(builder);
	return pkey;
}

/* RFC 7518, 6.2.1: both coordinates have their full length. */
static EVP_PKEY *p256_key(struct arena *arena, struct span jwk)
{
	struct span x = bytes_member(arena, jwk, "x"), y = bytes_member(arena, jwk, "y");
	unsigned char point[P256_POINT_LEN] = {0x04}; /* uncompressed (SEC 1, 2.3.3) */
	OSSL_PARAM_BLD *builder;
	EVP_PKEY *pkey = NULL;

	if (x.n != P256_COORDINATE_LEN || y.n != P256_COORDINATE_LEN)
		return NULL;
	memcpy(point + 1, x.p, x.n);
	memcpy(point + 1 + x.n, y.p, y.n);
	builder = OSSL_PARAM_BLD_new();
	if (builder &&
	    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) == 1)
		pkey = key_of_params("EC", builder);
	OSSL_PARAM_BLD_free(builder);
	return pkey;
}

enum key_kind { KIND_OTHER, KIND_SECRET, KIND_RSA, KIND_P256 };

static enum key_kind key_kind(struct arena *arena, struct span jwk)
{
	struct span type = json_decode_string(arena, json_member(jwk, "kty"));

	if (!may_verify(arena, jwk))
		return KIND_OTHER;
	if (span_is(type, "oct") && member_allows(arena, jwk, "alg", "HS256"))
		return KIND_SECRET;
	if (span_is(type, "RSA") && member_allows(arena, jwk, "alg", "RS256"))
		return KIND_RSA;
	if (span_is(type, "EC") && member_allows(arena, jwk, "alg", "ES256") &&
	    span_is(json_decode_string(arena, json_member(jwk, "crv")), "P-256"))
		return KIND_P256;
	return KIND_OTHER;
}

static bool add_jwk(struct auth_keys *keys, const struct key_source *source, struct arena *arena,
		    struct span jwk)
{
	struct span kid_value = json_member(jwk, "kid");
	struct span kid = json_decode_string(arena, kid_value);
	enum key_kind kind = key_kind(arena, jwk);
	EVP_PKEY *pkey;
	bool added;

	if (kind == KIND_OTHER)
		return true;
	if (json_type(kid_value) != JSON_ABSENT && !kid.p)
		return key_refuse(source, "its kid is not a string");
	if (kind == KIND_SECRET)
		return keys_add_secret(keys, source, kid, bytes_member(arena, jwk, "k"));
	pkey = kind == KIND_RSA ? rsa_key(arena, jwk) : p256_key(arena, jwk);
	if (!pkey)
		return key_refuse(source, kind == KIND_RSA ? "n and e make no RSA key"
							   : "x and y make no point on P-256");
	added = keys_add_public(keys, source, kid, pkey);
	EVP_PKEY_free(pkey);
	return added;
}

static bool add_set(struct auth_keys *keys, const struct key_source *source, struct arena *arena,
		    struct span set)
{
	struct span members = json_member(set, "keys"), name, jwk;
	struct json_iter iter = json_iter(members);
	struct key_source key = *source;
	size_t before = keys->count;

	if (json_type(members) != JSON_ARRAY)
		return key_refuse(source, "not a JWK set: it has no array `keys`");
	for (key.number = 1; json_next(&iter, &name, &jwk); key.number++)
		if (!add_jwk(keys, &key, arena, jwk))
			return false;
	if (keys->count == before)
		return key_refuse(source, "no key in it can verify HS256, RS256 or ES256");
	return true;
}

bool jwks_parse(struct auth_keys *keys, const struct key_source *source, struct span text)
{
	struct arena arena;
	struct text clean;
	size_t error_at = 0;
	bool lossy, parsed;

	arena_init(&arena);
	text_init(&clean, &arena, text.n + 1);
	if (json_clean(text, &clean, &lossy, &error_at))
		parsed = add_set(keys, source, &arena, text_span(&clean));
	else
		parsed = key_refuse(source, "not JSON, at byte %zu", error_at);
	if (clean.p)
		OPENSSL_cleanse(clean.p, clean.n);
	arena_deinit(&arena);
	return parsed;
}
