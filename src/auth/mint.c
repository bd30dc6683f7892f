/* Tokens for tests and demos. */
#include "auth/keys.h"

/* jwt_set_alg() copies the secret. */
static bool fill(jwt_t *jwt, struct span secret, const struct uuid *user, const char *audience,
		 const char *issuer, int64_t now_secs, int64_t expires_secs)
{
	return jwt_add_grant(jwt, "sub", user->text) == 0 && jwt_add_grant_int(jwt, "iat", now_secs) == 0 &&
	       jwt_add_grant_int(jwt, "exp", expires_secs) == 0 &&
	       (!audience || jwt_add_grant(jwt, "aud", audience) == 0) &&
	       (!issuer || jwt_add_grant(jwt, "iss", issuer) == 0) &&
	       jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)secret.p, (int)secret.n) == 0;
}

char *auth_mint(const char *secret, const struct uuid *user, const char *audience, const char *issuer,
		int64_t now_secs, int64_t lifetime_secs)
{
	struct span key = span_of(secret);
	int64_t expires_secs;
	jwt_t *jwt = NULL;
	char *token = NULL;

	if (key_secret_problem(key) || __builtin_add_overflow(now_secs, lifetime_secs, &expires_secs))
		return NULL;
	if (jwt_new(&jwt) == 0 && fill(jwt, key, user, audience, issuer, now_secs, expires_secs))
		token = jwt_encode_str(jwt);
	if (jwt)
		jwt_free(jwt);
	return token;
}
