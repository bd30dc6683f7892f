#include "base/throttle.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"

enum { ROWS = 2048, WAYS = 4 };

#define USECS_PER_MS INT64_C(1000)
#define USECS_PER_SEC INT64_C(1000000)

struct slot {
	struct throttle_key key;
	int64_t full_us; /* when its bucket is full again; 0: no key */
};

struct throttle {
	int64_t interval_us; /* one token */
	int64_t depth_us;    /* an empty bucket fills up in this time */
	struct hash_key hash;
	struct slot slots[ROWS][WAYS];
};

struct throttle *throttle_new(int64_t per_sec, int64_t burst)
{
	struct throttle *throttle = xcalloc(1, sizeof(*throttle));

	if (per_sec < 1)
		per_sec = 1;
	if (burst < 1)
		burst = 1;
	throttle->interval_us = per_sec < USECS_PER_SEC ? USECS_PER_SEC / per_sec : 1;
	throttle->depth_us = throttle->interval_us * burst;
	throttle->hash = hash_key_random();
	return throttle;
}

void throttle_free(struct throttle *throttle)
{
	free(throttle);
}

static size_t row_of(const struct throttle *throttle, const struct throttle_key *key)
{
	return hash_slot(&throttle->hash, (struct span){(const char *)key->bytes, sizeof(key->bytes)}) % ROWS;
}

/* The key's slot, or the one of its row that is the least loss. */
static const struct slot *find(const struct throttle *throttle, const struct throttle_key *key)
{
	const struct slot *row = throttle->slots[row_of(throttle, key)], *best = &row[0];

	for (int i = 0; i < WAYS; i++) {
		if (row[i].full_us != 0 && memcmp(&row[i].key, key, sizeof(*key)) == 0)
			return &row[i];
		if (row[i].full_us < best->full_us)
			best = &row[i];
	}
	return best;
}

/* What is to wait, in ms; *full_us is what the slot must hold if a token is taken now. */
static int64_t wait_ms(const struct throttle *throttle, const struct slot *slot, const struct throttle_key *key,
		       int64_t now_us, int64_t *full_us)
{
	bool known = slot->full_us > now_us && memcmp(&slot->key, key, sizeof(*key)) == 0;

	*full_us = (known ? slot->full_us : now_us) + throttle->interval_us;
	if (*full_us - now_us <= throttle->depth_us)
		return 0;
	return (*full_us - now_us - throttle->depth_us + USECS_PER_MS - 1) / USECS_PER_MS;
}

int64_t throttle_peek(const struct throttle *throttle, const struct throttle_key *key, int64_t now_ms)
{
	int64_t full_us;

	return wait_ms(throttle, find(throttle, key), key, now_ms * USECS_PER_MS, &full_us);
}

int64_t throttle_take(struct throttle *throttle, const struct throttle_key *key, int64_t now_ms)
{
	struct slot *slot = (struct slot *)find(throttle, key);
	int64_t full_us, wait = wait_ms(throttle, slot, key, now_ms * USECS_PER_MS, &full_us);

	if (wait == 0)
		*slot = (struct slot){*key, full_us};
	return wait;
}
