#include "auth/token_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

struct token_slot {
	unsigned char digest[SHA256_LEN];
	int64_t until_secs; /* 0: empty */
	struct auth_token token;
};

struct token_cache {
	struct token_slot slots[TOKEN_CACHE_SLOTS];
	bool hit; /* the last time */
};

struct token_cache *token_cache_new(void)
{
	return xcalloc(1, sizeof(struct token_cache));
}

void token_cache_free(struct token_cache *cache)
{
	free(cache);
}

void token_cache_clear(struct token_cache *cache)
{
	memset(cache, 0, sizeof(*cache));
}

bool token_cache_was_hit(const struct token_cache *cache)
{
	return cache->hit;
}

enum auth_result token_cache_verify(struct token_cache *cache, const struct auth_keys *keys, struct span token_text,
				    int64_t now_secs, struct auth_token *token)
{
	unsigned char digest[SHA256_LEN];
	struct token_slot *slot;
	enum auth_result result;

	cache->hit = false;
	if (token_text.n > AUTH_TOKEN_MAX)
		return AUTH_MALFORMED;
	digest_sha256(token_text, digest);
	slot = &cache->slots[(digest[0] | digest[1] << 8) % TOKEN_CACHE_SLOTS];
	if (now_secs <= slot->until_secs && memcmp(slot->digest, digest, sizeof(digest)) == 0) {
		cache->hit = true;
		*token = slot->token;
		return AUTH_OK;
	}
	result = auth_verify(keys, token_text, now_secs, token);
	if (result != AUTH_OK)
		return result;
	memcpy(slot->digest, digest, sizeof(digest));
	slot->token = *token;
	slot->until_secs = now_secs + TOKEN_CACHE_SECS;
	if (slot->until_secs > token->expires_secs + AUTH_LEEWAY_SECS)
		slot->until_secs = token->expires_secs + AUTH_LEEWAY_SECS;
	return AUTH_OK;
}
