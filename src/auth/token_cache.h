/* Tokens that were verified not long ago: verifying a signature costs far more than a poll.
 *
 * Keyed by a tag of the token under a secret key (base/hash.h), so that no token is kept in memory. A token is
 * remembered until it expires and for TOKEN_CACHE_SECS at most; a slot holds the latest
 * of those that fall into it, so the cache is bounded. One thread's own. */
#ifndef DEBRIEF_AUTH_TOKEN_CACHE_H
#define DEBRIEF_AUTH_TOKEN_CACHE_H

#include "auth/bearer.h"

enum { TOKEN_CACHE_SECS = 300, TOKEN_CACHE_SLOTS = 8192 };

struct token_cache;

struct token_cache *token_cache_new(void);
void token_cache_free(struct token_cache *cache);
void token_cache_clear(struct token_cache *cache); /* when the keys change */

/* Whether the last verification was answered from memory. */
bool token_cache_was_hit(const struct token_cache *cache);
/* Whether verifying this token would cost nothing. */
bool token_cache_holds(const struct token_cache *cache, struct span token_text, int64_t now_secs);

/* As auth_verify(); asks it only for what is not remembered, and remembers AUTH_OK alone. */
enum auth_result token_cache_verify(struct token_cache *cache, const struct auth_keys *keys, struct span token_text,
				    int64_t now_secs, struct auth_token *token) __attribute__((warn_unused_result));

#endif
