/* The keys that verify tokens, and how one is chosen. Known to this room alone.
 *
 * Invariant: a key verifies exactly one algorithm, decided when it was loaded and
 * never by a token; an RSA or EC key is a public one that was parsed, checked and
 * written again as PEM, and an HMAC key is never text that could be such a PEM.
 *
 * The choice. A token's `kid` means something only where keys have kids:
 *   - kid, and some key has a kid: that very key, or none;
 *   - otherwise the key without kid (jwt_secret, jwt_public_key_file, a JWK that
 *     has none) of the token's algorithm, of which there is at most one;
 *   - otherwise, for a token without kid, the only key of its algorithm. */
#ifndef DEBRIEF_AUTH_KEYS_H
#define DEBRIEF_AUTH_KEYS_H

#include <jwt.h>
#include <openssl/evp.h>

#include "auth/bearer.h"

enum { KEYS_MAX = 64, JWKS_FILE_MAX = 256 * 1024, RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192 };

struct auth_key {
	jwt_alg_t alg;
	char *kid;	      /* or NULL */
	unsigned char *bytes; /* the HMAC secret, or a public key in PEM */
	size_t len;
};

struct auth_keys {
	struct auth_key keys[KEYS_MAX];
	size_t count;
	size_t named;	/* how many of them have a kid */
	char *audience; /* or NULL */
	char *issuer;	/* or NULL */
};

/* Where a key comes from, and where to say why it can't be used. */
struct key_source {
	const char *option;
	const char *file; /* or NULL */
	unsigned number;  /* of the key in that file, from 1; 0 where that says nothing */
	char *error;
	size_t error_size;
};

/* Writes "option file: key number: reason" to the source's error; returns false. The
 * reason never holds content of a key. */
bool key_refuse(const struct key_source *source, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Both copy what they take. `kid` is absent for a key without one. */
bool keys_add_secret(struct auth_keys *keys, const struct key_source *source, struct span kid,
		     struct span secret) __attribute__((warn_unused_result));
bool keys_add_public(struct auth_keys *keys, const struct key_source *source, struct span kid, EVP_PKEY *pkey)
	__attribute__((warn_unused_result));

/* Why this can't be an HMAC secret; NULL if it can. */
const char *key_secret_problem(struct span secret);

/* NULL if no key fits. `kid` is absent for a token without one. */
const struct auth_key *keys_choose(const struct auth_keys *keys, jwt_alg_t alg, struct span kid);

/* Adds the usable keys of a JWK set (RFC 7517, 5). */
bool jwks_parse(struct auth_keys *keys, const struct key_source *source, struct span text)
	__attribute__((warn_unused_result));

/* RFC 7515, 2: no padding, no other characters, no stray bits. `out` has room for
 * 3/4 of the text. */
bool base64url_decode(struct span text, unsigned char *out, size_t *out_len)
	__attribute__((warn_unused_result));

#endif
