/* Bearer tokens (RFC 6750) that are JWTs (RFC 7519, RFC 8725). The only room that
 * knows libjwt.
 *
 * Keys are read-only once loaded; a reload makes a new set. The key is chosen by the
 * token's `kid` (or the only one of its algorithm), and a key verifies its own
 * algorithm alone: HS256, RS256 or ES256. */
#ifndef DEBRIEF_AUTH_BEARER_H
#define DEBRIEF_AUTH_BEARER_H

#include "base/arena.h"
#include "base/uuid.h"

struct auth_keys;

struct auth_options {
	const char *secret;          /* HS256, at least 32 bytes; or NULL */
	const char *public_key_file; /* PEM, RSA or P-256; or NULL */
	const char *jwks_file;       /* RFC 7517; or NULL */
	const char *audience;        /* required `aud`, or NULL */
	const char *issuer;          /* required `iss`, or NULL */
};

enum { AUTH_TOKEN_MAX = 8192, AUTH_LEEWAY_SECS = 30, AUTH_SECRET_MIN = 32 };

/* NULL and a message in `error` (names the option and the file) if a key can't be
 * used; also NULL if there is no key at all. Free with auth_keys_free(). */
struct auth_keys *auth_keys_load(const struct auth_options *options, char *error, size_t error_size)
	__attribute__((warn_unused_result));
void auth_keys_free(struct auth_keys *keys);

enum auth_result {
	AUTH_OK,
	AUTH_MISSING,   /* no Authorization: Bearer at all */
	AUTH_MALFORMED, /* not a JWT, too long, no usable header */
	AUTH_NO_KEY,    /* algorithm or kid that we have no key for */
	AUTH_BAD_SIGNATURE,
	AUTH_EXPIRED,
	AUTH_NOT_YET,
	AUTH_BAD_CLAIM  /* exp missing or mistyped, sub not a UUID, aud or iss wrong */
};
/* For `error_description` (RFC 6750, 3.1): static, without content of the token. */
const char *auth_result_text(enum auth_result result);

struct auth_token {
	struct uuid user;
	int64_t expires_secs; /* `exp` */
};

/* The token of an Authorization header's value; absent if it isn't "Bearer …". */
struct span auth_bearer_token(struct span authorization);

/* now_secs: seconds since 1970. `token` is filled on AUTH_OK only. */
enum auth_result auth_verify(const struct auth_keys *keys, struct span token_text, int64_t now_secs,
			     struct auth_token *token) __attribute__((warn_unused_result));

/* Mints an HS256 token for tests and demos. NULL on failure; free() it. */
char *auth_mint(const char *secret, const struct uuid *user, const char *audience, const char *issuer,
		int64_t now_secs, int64_t lifetime_secs);

#endif
