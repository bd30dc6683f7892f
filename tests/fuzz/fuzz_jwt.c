/* Tokens. "header\nclaims" is signed with the right key, so that what lies behind the
 * signature is reached too; an input without a line feed is a token as it stands. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/bearer.h"
#include "base/digest.h"
#include "base/text.h"

#define SECRET "0123456789abcdef0123456789abcdef"

enum { NOW_SECS = 1763870400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_base64url(struct text *token, struct span bytes)
{
	char *encoded = arena_alloc(token->arena, bytes.n / 3 * 4 + 5);
	int n = EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)bytes.p, (int)bytes.n);

	for (int i = 0; i < n && encoded[i] != '='; i++)
		text_addc(token, encoded[i] == '+' ? '-' : encoded[i] == '/' ? '_' : encoded[i]);
}

static struct span sign(struct arena *arena, struct span header, struct span claims)
{
	unsigned char signature[SHA256_LEN];
	struct span input;
	struct text token;

	text_init(&token, arena, 1024);
	add_base64url(&token, header);
	text_addc(&token, '.');
	add_base64url(&token, claims);
	input = text_span(&token);
	digest_hmac_sha256(SPAN(SECRET), &input, 1, signature);
	text_addc(&token, '.');
	add_base64url(&token, (struct span){(const char *)signature, sizeof(signature)});
	return text_span(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct auth_options options = {.secret = SECRET, .audience = "debrief"};
	static struct auth_keys *keys;
	struct span claims = {(const char *)data, size};
	struct span header = span_cut(&claims, '\n');
	struct auth_token token;
	struct uuid user;
	struct arena arena;
	char error[256];

	if (!keys && !(keys = auth_keys_load(&options, error, sizeof(error))))
		abort();
	arena_init(&arena);
	if (auth_verify(keys, claims.p ? sign(&arena, header, claims) : header, NOW_SECS, &token) ==
		AUTH_OK &&
	    (token.expires_secs < NOW_SECS - AUTH_LEEWAY_SECS ||
	     !uuid_parse(span_of(token.user.text), &user) || strcmp(user.text, token.user.text) != 0))
		abort();
	arena_deinit(&arena);
	return 0;
}
