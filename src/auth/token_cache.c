#include "auth/token_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct token_slot {
	struct hash_tag tag;
	int64_t until_secs; /* 0: empty */
	struct auth_token token;
};

struct token_cache {
	struct hash_key key;
	struct token_slot slots[TOKEN_CACHE_SLOTS];
	bool hit; /* the last time */
};

struct token_cache *token_cache_new(void)
{
	struct token_cache *cache = xcalloc(1, sizeof(*cache));

	cache->key = hash_key_random();
	return cache;
}

void token_cache_free(struct token_cache *cache)
{
	free(cache);
}

void token_cache_clear(struct token_cache *cache)
{
	memset(cache->slots, 0, sizeof(cache->slots));
}

bool token_cache_was_hit(const struct token_cache *cache)
{
	return cache->hit;
}

bool token_cache_holds(const struct token_cache *cache, struct span token_text, int64_t now_secs)
{
	struct hash_tag tag = hash_tag_of(&cache->key, token_text);
	const struct token_slot *slot = &cache->slots[tag.h[0] % TOKEN_CACHE_SLOTS];

	return now_secs <= slot->until_secs && slot->tag.h[0] == tag.h[0] && slot->tag.h[1] == tag.h[1];
}

enum auth_result token_cache_verify(struct token_cache *cache, const struct auth_keys *keys, struct span token_text,
				    int64_t now_secs, struct auth_token *token)
{
	struct token_slot *slot;
	struct hash_tag tag;
	enum auth_result result;

	cache->hit = false;
	if (token_text.n > AUTH_TOKEN_MAX)
		return AUTH_MALFORMED;
	tag = hash_tag_of(&cache->key, token_text);
	slot = &cache->slots[tag.h[0] % TOKEN_CACHE_SLOTS];
	if (now_secs <= slot->until_secs && slot->tag.h[0] == tag.h[0] && slot->tag.h[1] == tag.h[1]) {
		cache->hit = true;
		*token = slot->token;
		return AUTH_OK;
	}
	result = auth_verify(keys, token_text, now_secs, token);
	if (result != AUTH_OK)
		return result;
	slot->tag = tag;
	slot->token = *token;
	slot->until_secs = now_secs + TOKEN_CACHE_SECS;
	if (slot->until_secs > token->expires_secs + AUTH_LEEWAY_SECS)
		slot->until_secs = token->expires_secs + AUTH_LEEWAY_SECS;
	return AUTH_OK;
}
