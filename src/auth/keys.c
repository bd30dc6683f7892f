#include "auth/keys.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PEM_FILE_MAX = 64 * 1024, GROUP_NAME_MAX = 64 };

bool key_refuse(const struct key_source *source, const char *format, ...)
{
	char reason[256], number[32] = "";
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	if (source->number > 0)
		snprintf(number, sizeof(number), "key %u: ", source->number);
	snprintf(source->error, source->error_size, "%s%s%s: %s%s", source->option, source->file ? " " : "",
		 source->file ? source->file : "", number, reason);
	return false;
}

/* Takes `bytes` over only if it returns true. */
static bool add_key(struct auth_keys *keys, const struct key_source *source, jwt_alg_t alg, struct span kid,
		    unsigned char *bytes, size_t len)
{
	struct auth_key *key;

	for (size_t i = 0; i < keys->count; i++) {
		const struct auth_key *other = &keys->keys[i];

		if (kid.p && other->kid && span_is(kid, other->kid))
			return key_refuse(source, "two keys have the same kid");
		if (!kid.p && !other->kid && other->alg == alg)
			return key_refuse(source,
					  "a second %s key without a kid can't be told from the first",
					  jwt_alg_str(alg));
	}
	if (keys->count == KEYS_MAX)
		return key_refuse(source, "more than %d keys", KEYS_MAX);
	key = &keys->keys[keys->count++];
	*key = (struct auth_key){.alg = alg, .bytes = bytes, .len = len};
	if (kid.p) {
		key->kid = xcalloc(1, kid.n + 1);
		memcpy(key->kid, kid.p, kid.n);
		keys->named++;
	}
	return true;
}

const char *key_secret_problem(struct span secret)
{
	struct span start = secret;

	if (!secret.p || secret.n == 0)
		return "the secret is empty";
	/* A public key taken for a secret lets everyone who has read it sign tokens. */
	while (start.n > 0 && (unsigned char)*start.p <= ' ')
		start = (struct span){start.p + 1, start.n - 1};
	if (span_starts_with(start, SPAN("-----BEGIN")))
		return "this is a PEM file, not a secret; a public key belongs in jwt_public_key_file";
	if (secret.n < AUTH_SECRET_MIN)
		return "an HS256 secret needs at least 32 bytes (RFC 7518, 3.2)";
	return NULL;
}

bool keys_add_secret(struct auth_keys *keys, const struct key_source *source, struct span kid,
		     struct span secret)
{
	const char *problem = key_secret_problem(secret);
	unsigned char *bytes;

	if (problem)
		return key_refuse(source, "%s", problem);
	bytes = xmalloc(secret.n);
	memcpy(bytes, secret.p, secret.n);
	if (add_key(keys, source, JWT_ALG_HS256, kid, bytes, secret.n))
		return true;
	OPENSSL_cleanse(bytes, secret.n);
	free(bytes);
	return false;
}

/* The algorithm that a public key is for; JWT_ALG_INVAL, and said why, if none. */
static jwt_alg_t public_key_alg(const struct key_source *source, EVP_PKEY *pkey)
{
	char group[GROUP_NAME_MAX] = "";
	int bits = EVP_PKEY_get_bits(pkey);
	jwt_alg_t alg = JWT_ALG_INVAL;

	if (EVP_PKEY_is_a(pkey, "RSA")) {
		if (bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX)
			alg = JWT_ALG_RS256;
		else
			key_refuse(source, "an RSA key needs %d to %d bits, this one has %d", RSA_BITS_MIN,
				   RSA_BITS_MAX, bits);
	} else if (EVP_PKEY_is_a(pkey, "EC")) {
		if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) == 1 &&
		    strcmp(group, "prime256v1") == 0)
			alg = JWT_ALG_ES256;
		else
			key_refuse(source, "an EC key must be on the curve P-256");
	} else {
		key_refuse(source, "neither an RSA key (RS256) nor an EC key on P-256 (ES256)");
	}
	return alg;
}

static bool public_key_is_sound(EVP_PKEY *pkey)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	bool sound = context && EVP_PKEY_public_check(context) == 1;

	EVP_PKEY_CTX_free(context);
	return sound;
}

bool keys_add_public(struct auth_keys *keys, const struct key_source *source, struct span kid, EVP_PKEY *pkey)
{
	jwt_alg_t alg = public_key_alg(source, pkey);
	unsigned char *bytes;
	char *pem = NULL;
	long len = 0;
	BIO *bio;
	bool added;

	if (alg == JWT_ALG_INVAL)
		return false;
	if (!public_key_is_sound(pkey))
		return key_refuse(source, "the public key is not a valid one");
	bio = BIO_new(BIO_s_mem());
	if (bio && PEM_write_bio_PUBKEY(bio, pkey) == 1)
		len = BIO_get_mem_data(bio, &pem);
	if (len <= 0) {
		BIO_free(bio);
		return key_refuse(source, "the public key can't be written as PEM");
	}
	bytes = xmalloc((size_t)len);
	memcpy(bytes, pem, (size_t)len);
	BIO_free(bio);
	added = add_key(keys, source, alg, kid, bytes, (size_t)len);
	if (!added)
		free(bytes);
	return added;
}

const struct auth_key *keys_choose(const struct auth_keys *keys, jwt_alg_t alg, struct span kid)
{
	const struct auth_key *only = NULL;
	size_t fitting = 0;

	for (size_t i = 0; i < keys->count; i++) {
		const struct auth_key *key = &keys->keys[i];

		if (kid.p && keys->named > 0) {
			if (key->kid && span_is(kid, key->kid))
				return key->alg == alg ? key : NULL;
		} else if (key->alg == alg) {
			if (!key->kid)
				return key;
			only = key;
			fitting++;
		}
	}
	return fitting == 1 ? only : NULL;
}

/* The whole file, overwritten and freed by drop_file(); absent, and said why, on failure. */
static struct span read_file(const struct key_source *source, size_t max)
{
	FILE *file = fopen(source->file, "rbe");
	char *bytes;
	size_t n;

	if (!file) {
		key_refuse(source, "%s", strerror(errno));
		return SPAN_ABSENT;
	}
	bytes = xmalloc(max + 1);
	n = fread(bytes, 1, max + 1, file);
	if (ferror(file))
		key_refuse(source, "%s", strerror(errno));
	else if (n > max)
		key_refuse(source, "larger than %zu bytes", max);
	if (ferror(file) || n > max) {
		free(bytes);
		bytes = NULL;
	}
	fclose(file);
	return (struct span){bytes, bytes ? n : 0};
}

static void drop_file(struct span bytes)
{
	if (bytes.p)
		OPENSSL_cleanse((char *)bytes.p, bytes.n);
	free((char *)bytes.p);
}

static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
	(void)buffer, (void)size, (void)writing, (void)arg;
	return 0;
}

/* A second key in the file would be ignored silently, so it is an error. */
static bool add_pem(struct auth_keys *keys, const struct key_source *source, struct span pem)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;
	EVP_PKEY *second = pkey ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;
	bool added = false;

	if (!pkey)
		key_refuse(source, "no public key in PEM (-----BEGIN PUBLIC KEY-----)");
	else if (second)
		key_refuse(source, "more than one key; use jwt_jwks_file for several");
	else
		added = keys_add_public(keys, source, SPAN_ABSENT, pkey);
	EVP_PKEY_free(second);
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	return added;
}

static bool load_file(struct auth_keys *keys, const struct key_source *source, size_t max,
		      bool (*parse)(struct auth_keys *, const struct key_source *, struct span))
{
	struct span bytes = read_file(source, max);
	bool loaded = bytes.p && parse(keys, source, bytes);

	drop_file(bytes);
	return loaded;
}

static bool load_all(struct auth_keys *keys, const struct auth_options *options, char *error,
		     size_t error_size)
{
	struct key_source secret = {"jwt_secret", NULL, 0, error, error_size};
	struct key_source pem = {"jwt_public_key_file", options->public_key_file, 0, error, error_size};
	struct key_source jwks = {"jwt_jwks_file", options->jwks_file, 0, error, error_size};

	if (options->secret && !keys_add_secret(keys, &secret, SPAN_ABSENT, span_of(options->secret)))
		return false;
	if (options->public_key_file && !load_file(keys, &pem, PEM_FILE_MAX, add_pem))
		return false;
	if (options->jwks_file && !load_file(keys, &jwks, JWKS_FILE_MAX, jwks_parse))
		return false;
	if (keys->count == 0)
		snprintf(error, error_size,
			 "no key to verify tokens with: set jwt_secret, jwt_public_key_file "
			 "or jwt_jwks_file");
	return keys->count > 0;
}

struct auth_keys *auth_keys_load(const struct auth_options *options, char *error, size_t error_size)
{
	struct auth_keys *keys = xcalloc(1, sizeof(*keys));

	keys->audience = options->audience ? xstrdup(options->audience) : NULL;
	keys->issuer = options->issuer ? xstrdup(options->issuer) : NULL;
	if (!load_all(keys, options, error, error_size)) {
		auth_keys_free(keys);
		keys = NULL;
	}
	ERR_clear_error();
	return keys;
}

void auth_keys_free(struct auth_keys *keys)
{
	if (!keys)
		return;
	for (size_t i = 0; i < keys->count; i++) {
		OPENSSL_cleanse(keys->keys[i].bytes, keys->keys[i].len);
		free(keys->keys[i].bytes);
		free(keys->keys[i].kid);
	}
	free(keys->audience);
	free(keys->issuer);
	free(keys);
}
