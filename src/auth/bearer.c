/* token → three parts → header, key → signature (libjwt) → claims
 *
 * libjwt is asked for the signature and for nothing else: which algorithm, which key
 * and what the claims say is decided on our own parse of the same bytes. */
#include "auth/bearer.h"

#include <stdlib.h>

#include "auth/keys.h"
#include "base/json.h"

/* The end of the year 9999. Times beyond it are milliseconds taken for seconds. */
static const double claim_secs_max = 253402300799.0;

const char *auth_result_text(enum auth_result result)
{
	switch (result) {
	case AUTH_OK:
		return "ok";
	case AUTH_MISSING:
		return "no bearer token";
	case AUTH_MALFORMED:
		return "not a signed JWT that can be used here";
	case AUTH_NO_KEY:
		return "no key for the algorithm and kid of this token";
	case AUTH_BAD_SIGNATURE:
		return "the signature is wrong";
	case AUTH_EXPIRED:
		return "the token has expired";
	case AUTH_NOT_YET:
		return "the token is not valid yet";
	case AUTH_BAD_CLAIM:
		return "a claim (exp, nbf, sub, aud or iss) is missing or wrong";
	}
	return "unknown";
}

struct span auth_bearer_token(struct span authorization)
{
	struct span rest = span_trim(authorization);
	struct span scheme = span_cut(&rest, ' ');

	if (!rest.p || !span_ieq(scheme, SPAN("Bearer")))
		return SPAN_ABSENT;
	return span_trim(rest);
}

/* A base64url part that holds a JSON object: its cleaned text; else absent. What
 * cleaning would have to change is refused, so that libjwt reads the same. */
static struct span read_part(struct arena *arena, struct span part)
{
	unsigned char *bytes = arena_alloc(arena, part.n + 1);
	struct text clean;
	size_t n, error_at;
	bool lossy;

	if (!base64url_decode(part, bytes, &n))
		return SPAN_ABSENT;
	text_init(&clean, arena, n + 1);
	if (!json_clean((struct span){(const char *)bytes, n}, &clean, &lossy, &error_at) || lossy ||
	    json_type(text_span(&clean)) != JSON_OBJECT)
		return SPAN_ABSENT;
	return text_span(&clean);
}

/* The three algorithms, compared with case; JWT_ALG_INVAL for all others and `none`. */
static jwt_alg_t known_alg(struct span name)
{
	if (span_is(name, "HS256"))
		return JWT_ALG_HS256;
	if (span_is(name, "RS256"))
		return JWT_ALG_RS256;
	if (span_is(name, "ES256"))
		return JWT_ALG_ES256;
	return JWT_ALG_INVAL;
}

static enum auth_result choose_key(const struct auth_keys *keys, struct arena *arena, struct span header,
				   const struct auth_key **key)
{
	struct span alg = json_decode_string(arena, json_member(header, "alg"));
	struct span typ_value = json_member(header, "typ");
	struct span kid_value = json_member(header, "kid");
	struct span kid = json_decode_string(arena, kid_value);

	/* RFC 7515, 4.1.11: an extension that isn't understood must not be passed over. */
	if (!alg.p || json_type(json_member(header, "crit")) != JSON_ABSENT)
		return AUTH_MALFORMED;
	if (json_type(kid_value) != JSON_ABSENT && !kid.p)
		return AUTH_MALFORMED;
	/* libjwt verifies no token of another type. */
	if (json_type(typ_value) != JSON_ABSENT && !span_ieq(json_decode_string(arena, typ_value), SPAN("JWT")))
		return AUTH_MALFORMED;
	if (known_alg(alg) == JWT_ALG_INVAL)
		return AUTH_NO_KEY;
	*key = keys_choose(keys, known_alg(alg), kid);
	return *key ? AUTH_OK : AUTH_NO_KEY;
}

static bool signature_holds(const struct auth_key *key, const char *token_text)
{
	jwt_t *jwt = NULL;
	bool holds;

	/* A key without bytes would make libjwt accept everything. */
	if (!key->bytes || key->len == 0)
		return false;
	holds = jwt_decode(&jwt, token_text, key->bytes, (int)key->len) == 0 && jwt_get_alg(jwt) == key->alg;
	if (jwt)
		jwt_free(jwt);
	return holds;
}

/* A NumericDate (RFC 7519, 2), without its fraction. */
static bool claim_secs(struct arena *arena, struct span value, int64_t *secs)
{
	double number;

	if (json_type(value) != JSON_NUMBER)
		return false;
	number = strtod(arena_strdup(arena, value), NULL);
	if (number < -claim_secs_max || number > claim_secs_max)
		return false;
	*secs = (int64_t)number;
	return true;
}

/* RFC 7519, 4.1.3: one string, or an array of nothing but strings. */
static bool audience_matches(struct arena *arena, struct span value, const char *audience)
{
	struct json_iter iter = json_iter(value);
	struct span name, item;
	bool found = false;

	if (json_type(value) != JSON_ARRAY)
		return span_is(json_decode_string(arena, value), audience);
	while (json_next(&iter, &name, &item)) {
		struct span text = json_decode_string(arena, item);

		if (!text.p)
			return false;
		found = found || span_is(text, audience);
	}
	return found;
}

static enum auth_result check_claims(const struct auth_keys *keys, struct arena *arena, struct span claims,
				     int64_t now_secs, struct auth_token *token)
{
	struct span not_before = json_member(claims, "nbf");
	int64_t expires_secs, not_before_secs;
	struct uuid user;

	if (!claim_secs(arena, json_member(claims, "exp"), &expires_secs))
		return AUTH_BAD_CLAIM;
	if (now_secs > expires_secs + AUTH_LEEWAY_SECS)
		return AUTH_EXPIRED;
	if (json_type(not_before) != JSON_ABSENT) {
		if (!claim_secs(arena, not_before, &not_before_secs))
			return AUTH_BAD_CLAIM;
		if (now_secs < not_before_secs - AUTH_LEEWAY_SECS)
			return AUTH_NOT_YET;
	}
	if (keys->issuer && !span_is(json_decode_string(arena, json_member(claims, "iss")), keys->issuer))
		return AUTH_BAD_CLAIM;
	if (keys->audience && !audience_matches(arena, json_member(claims, "aud"), keys->audience))
		return AUTH_BAD_CLAIM;
	if (!uuid_parse(json_decode_string(arena, json_member(claims, "sub")), &user))
		return AUTH_BAD_CLAIM;
	*token = (struct auth_token){.user = user, .expires_secs = expires_secs};
	return AUTH_OK;
}

static enum auth_result verify(const struct auth_keys *keys, struct arena *arena, struct span token_text,
			       int64_t now_secs, struct auth_token *token)
{
	struct span signature = token_text;
	struct span header_part = span_cut(&signature, '.');
	struct span claims_part = span_cut(&signature, '.');
	struct span header = read_part(arena, header_part);
	struct span claims = read_part(arena, claims_part);
	const struct auth_key *key;
	enum auth_result result;
	size_t n;

	if (!header.p || !claims.p || signature.n == 0 ||
	    !base64url_decode(signature, arena_alloc(arena, signature.n), &n))
		return AUTH_MALFORMED;
	result = choose_key(keys, arena, header, &key);
	if (result != AUTH_OK)
		return result;
	if (!signature_holds(key, arena_strdup(arena, token_text)))
		return AUTH_BAD_SIGNATURE;
	return check_claims(keys, arena, claims, now_secs, token);
}

enum auth_result auth_verify(const struct auth_keys *keys, struct span token_text, int64_t now_secs,
			     struct auth_token *token)
{
	enum auth_result result;
	struct arena arena;

	if (!token_text.p)
		return AUTH_MISSING;
	if (token_text.n > AUTH_TOKEN_MAX)
		return AUTH_MALFORMED;
	arena_init(&arena);
	result = verify(keys, &arena, token_text, now_secs, token);
	arena_deinit(&arena);
	return result;
}
