/* Keys: which are refused when they are loaded, and which one verifies a token. */
#include "auth_fixture.h"

static void chooses_the_key_by_kid(void **state)
{
	char set[2048];
	int n = snprintf(set, sizeof(set), "{\"keys\":[%s,", ec_jwk(by_ec.pkey, ",\"kid\":\"a\""));

	(void)state;
	snprintf(set + n, sizeof(set) - (size_t)n, "%s]}", ec_jwk(by_other_ec.pkey, ",\"kid\":\"b\""));
	struct auth_keys *keys = load(SECRET, rsa_pem, set);

	assert_token(keys, &by_ec, "{\"alg\":\"ES256\",\"kid\":\"a\"}", CLAIMS, AUTH_OK);
	assert_token(keys, &by_other_ec, "{\"alg\":\"ES256\",\"kid\":\"b\"}", CLAIMS, AUTH_OK);
	assert_token(keys, &by_ec, "{\"alg\":\"ES256\",\"kid\":\"b\"}", CLAIMS, AUTH_BAD_SIGNATURE);
	assert_token(keys, &by_ec, "{\"alg\":\"ES256\",\"kid\":\"A\"}", CLAIMS, AUTH_NO_KEY);
	/* two could have made it */
	assert_token(keys, &by_ec, ES256, CLAIMS, AUTH_NO_KEY);
	/* the unnamed keys verify what has no kid, and only that */
	assert_token(keys, &by_secret, HS256, CLAIMS, AUTH_OK);
	assert_token(keys, &by_rsa, RS256, CLAIMS, AUTH_OK);
	assert_token(keys, &by_secret, "{\"alg\":\"HS256\",\"kid\":\"unknown\"}", CLAIMS, AUTH_NO_KEY);
	assert_token(keys, &by_secret, "{\"alg\":\"HS256\",\"kid\":\"a\"}", CLAIMS, AUTH_NO_KEY);
	auth_keys_free(keys);

	snprintf(set, sizeof(set), "{\"keys\":[%s]}", ec_jwk(by_ec.pkey, ",\"kid\":\"a\""));
	keys = load(NULL, NULL, set);
	assert_token(keys, &by_ec, ES256, CLAIMS, AUTH_OK);
	assert_token(keys, &by_ec, "{\"alg\":\"ES256\",\"kid\":\"\"}", CLAIMS, AUTH_NO_KEY);
	auth_keys_free(keys);
}

static void refuses_weak_secrets(void **state)
{
	static const char *const secrets[] = {"", "0123456789abcdef0123456789abcde",
		"-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", "\n -----BEGIN CERTIFICATE-----\nMIIBIjANBg"};
	struct auth_options none = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		assert_null(try_load(secrets[i], NULL, NULL));
		assert_int_equal(strncmp(load_error, "jwt_secret: ", 12), 0);
		assert_null(strstr(load_error, "MIIB"));
		assert_null(strstr(load_error, "abcde"));
	}
	assert_null(auth_keys_load(&none, load_error, sizeof(load_error)));
	assert_non_null(strstr(load_error, "jwt_secret, jwt_public_key_file or jwt_jwks_file"));
}

static void assert_pem_refused(EVP_PKEY *pkey, const char *reason)
{
	char *pem = pem_of(pkey);

	assert_null(try_load(NULL, pem, NULL));
	assert_non_null(strstr(load_error, reason));
	EVP_PKEY_free(pkey);
	free(pem);
}

static void refuses_unusable_public_keys(void **state)
{
	struct auth_options missing = {.public_key_file = "no/such.pem"};
	char twice[2048];

	(void)state;
	assert_pem_refused(EVP_RSA_gen(1024), "2048");
	assert_pem_refused(EVP_EC_gen("P-384"), "P-256");
	assert_pem_refused(EVP_EC_gen("secp256k1"), "P-256");
	assert_pem_refused(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), "RS256");
	assert_null(try_load(NULL, "", NULL));
	assert_null(try_load(NULL, SECRET, NULL));
	snprintf(twice, sizeof(twice), "%s%s", ec_pem, rsa_pem);
	assert_null(try_load(NULL, twice, NULL));
	assert_non_null(strstr(load_error, "more than one key"));
	assert_null(auth_keys_load(&missing, load_error, sizeof(load_error)));
	assert_string_equal(load_error, "jwt_public_key_file no/such.pem: No such file or directory");
}

/* RFC 7515, appendix A.1 to A.3: signed by others, with keys written by others. */
#define RFC_CLAIMS "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define RFC_OCT "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwj" \
	"AzZr1Z9CAow\"}"
#define RFC_RSA_N "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR" \
	"T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo" \
	"7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91" \
	"kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define RFC_RSA "{\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQAB\"}"
#define RFC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define RFC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define RFC_EC "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X "\",\"y\":\"" RFC_Y "\"}"

static void verifies_the_examples_of_rfc_7515(void **state)
{
	static const char *const tokens[] = {
		"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_CLAIMS ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
		"eyJhbGciOiJSUzI1NiJ9." RFC_CLAIMS
		".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9"
		"CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6"
		"_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0"
		"igcN_IoypGlUPQGe77Rw",
		"eyJhbGciOiJFUzI1NiJ9." RFC_CLAIMS
		".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
	};
	struct auth_keys *keys = load(NULL, NULL, "{\"keys\":[" RFC_OCT "," RFC_RSA "," RFC_EC "]}");
	struct auth_token token;

	(void)state;
	/* the signatures hold; the claims have no `sub` and expired in 2011 */
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		assert_int_equal(auth_verify(keys, span_of(tokens[i]), 1300819380, &token), AUTH_BAD_CLAIM);
		assert_int_equal(auth_verify(keys, span_of(tokens[i]), NOW, &token), AUTH_EXPIRED);
	}
	auth_keys_free(keys);
}

static void refuses_unusable_key_sets(void **state)
{
	static const struct {
		const char *set, *reason;
	} cases[] = {
		{"", "not JSON"},
		{"{\"keys\":[" RFC_EC "]", "not JSON"},
		{"[" RFC_EC "]", "no array"},
		{"{\"keys\":{}}", "no array"},
		{"{\"keys\":[]}", "no key in it"},
		{"{\"keys\":[1,null,[],{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}]}", "no key in it"},
		{"{\"keys\":[{\"use\":\"enc\",\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQAB\"}]}", "no key in it"},
		{"{\"keys\":[{\"alg\":\"PS256\",\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQAB\"}]}", "no key in it"},
		{"{\"keys\":[{\"key_ops\":[\"encrypt\"],\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQAB\"}]}",
		 "no key in it"},
		{"{\"keys\":[{\"kty\":\"oct\",\"alg\":\"HS512\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"}]}",
		 "no key in it"},
		{"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" RFC_X "\",\"y\":\"" RFC_Y "\"}]}", "no key in it"},
		{"{\"keys\":[{\"kty\":\"OKP\"},{\"kty\":\"oct\",\"k\":\"\"}]}", "key 2: the secret is empty"},
		{"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZl\"}]}", "key 1: an HS256 secret needs at least 32"},
		{"{\"keys\":[{\"kty\":\"oct\",\"k\":\"LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS1NSUlCSWpBTkJn\"}]}", "PEM"},
		{"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\"}]}", "key 1: n and e"},
		{"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}", "2048"},
		{"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AA\"}]}", "not a valid one"},
		{"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "==\",\"e\":\"AQAB\"}]}", "n and e"},
		{"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X "\"}]}", "x and y"},
		{"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_Y "\",\"y\":\"" RFC_X "\"}]}", "x and y"},
		{"{\"keys\":[{\"kid\":5,\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X "\",\"y\":\"" RFC_Y "\"}]}", "kid"},
		{"{\"keys\":[" RFC_EC "," RFC_EC "]}", "key 2: a second ES256 key without a kid"},
		{"{\"keys\":[{\"kid\":\"a\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" RFC_X "\",\"y\":\"" RFC_Y "\"},"
		 "{\"kid\":\"\\u0061\",\"kty\":\"RSA\",\"n\":\"" RFC_RSA_N "\",\"e\":\"AQAB\"}]}", "key 2: two keys have the same"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (try_load(NULL, NULL, cases[i].set))
			fail_msg("loaded: %s", cases[i].set);
		if (!strstr(load_error, cases[i].reason))
			fail_msg("%s: %s", cases[i].set, load_error);
	}
}

static void skips_keys_of_other_kinds(void **state)
{
	char set[2048];

	(void)state;
	snprintf(set, sizeof(set), "{\"keys\":[{\"kty\":\"OKP\",\"kid\":\"a\"},{\"kty\":\"EC\",\"crv\":\"P-521\"},%s],\"x\":1}",
		 ec_jwk(by_ec.pkey, ",\"kid\":\"a\",\"use\":\"sig\",\"alg\":\"ES256\",\"key_ops\":[\"verify\"]"));
	struct auth_keys *keys = load(NULL, NULL, set);

	assert_token(keys, &by_ec, "{\"alg\":\"ES256\",\"kid\":\"a\"}", CLAIMS, AUTH_OK);
	auth_keys_free(keys);
}

static void bounds_key_sets(void **state)
{
	static char set[300 * 1024];

	(void)state;
	for (int keys_wanted = 64; keys_wanted <= 65; keys_wanted++) {
		size_t n = (size_t)snprintf(set, sizeof(set), "{\"keys\":[");

		for (int i = 0; i < keys_wanted; i++)
			n += (size_t)snprintf(set + n, sizeof(set) - n,
					      "%s{\"kty\":\"oct\",\"kid\":\"%d\",\"k\":\"%043d\"}", i ? "," : "", i, 0);
		snprintf(set + n, sizeof(set) - n, "]}");
		struct auth_keys *keys = try_load(NULL, NULL, set);

		assert_true((keys != NULL) == (keys_wanted == 64));
		auth_keys_free(keys);
	}
	assert_non_null(strstr(load_error, "more than 64 keys"));
	memset(set, ' ', sizeof(set) - 1);
	memcpy(set, "{\"keys\":[" RFC_EC "]}", sizeof("{\"keys\":[" RFC_EC "]}") - 1);
	assert_null(try_load(NULL, NULL, set));
	assert_non_null(strstr(load_error, "larger than 262144 bytes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chooses_the_key_by_kid),
		cmocka_unit_test(refuses_weak_secrets),
		cmocka_unit_test(refuses_unusable_public_keys),
		cmocka_unit_test(verifies_the_examples_of_rfc_7515),
		cmocka_unit_test(refuses_unusable_key_sets),
		cmocka_unit_test(skips_keys_of_other_kinds),
		cmocka_unit_test(bounds_key_sets),
	};

	return cmocka_run_group_tests(tests, make_keys, free_keys);
}
