#include "base/tally.h"

#include <stdlib.h>

#include "base/arena.h"

enum { CAPACITY_MIN = 64 };

/* Open addressing, linear probing; a count of 0 is a free slot. */
struct tally_slot {
	struct throttle_key key;
	size_t count;
};

void tally_init(struct tally *tally)
{
	*tally = (struct tally){.hash = hash_key_random()};
}

void tally_deinit(struct tally *tally)
{
	free(tally->slots);
	tally->slots = NULL;
}

static size_t home_of(const struct tally *tally, const struct throttle_key *key)
{
	struct span bytes = {(const char *)key->bytes, sizeof(key->bytes)};

	return hash_slot(&tally->hash, bytes) & (tally->capacity - 1);
}

/* The key's slot, or the free one where it belongs. */
static struct tally_slot *find(const struct tally *tally, const struct throttle_key *key)
{
	size_t i = home_of(tally, key);

	while (tally->slots[i].count > 0 && memcmp(&tally->slots[i].key, key, sizeof(*key)) != 0)
		i = (i + 1) & (tally->capacity - 1);
	return &tally->slots[i];
}

static void grow(struct tally *tally)
{
	struct tally bigger = *tally;

	bigger.capacity = tally->capacity ? tally->capacity * 2 : CAPACITY_MIN;
	bigger.slots = xcalloc(bigger.capacity, sizeof(*bigger.slots));
	for (size_t i = 0; i < tally->capacity; i++)
		if (tally->slots[i].count > 0)
			*find(&bigger, &tally->slots[i].key) = tally->slots[i];
	free(tally->slots);
	*tally = bigger;
}

size_t tally_add(struct tally *tally, const struct throttle_key *key)
{
	struct tally_slot *slot;

	if (tally->used * 2 >= tally->capacity)
		grow(tally);
	slot = find(tally, key);
	if (slot->count == 0) {
		slot->key = *key;
		tally->used++;
	}
	return ++slot->count;
}

/* Closes the gap, so that those behind it are still found. */
static void close_gap(struct tally *tally, size_t gap)
{
	size_t mask = tally->capacity - 1;

	for (size_t i = (gap + 1) & mask; tally->slots[i].count > 0; i = (i + 1) & mask) {
		size_t home = home_of(tally, &tally->slots[i].key);

		if (((i - home) & mask) < ((i - gap) & mask))
			continue; /* it would stand before its home */
		tally->slots[gap] = tally->slots[i];
		tally->slots[i].count = 0;
		gap = i;
	}
}

void tally_drop(struct tally *tally, const struct throttle_key *key)
{
	struct tally_slot *slot;

	if (tally->capacity == 0)
		return;
	slot = find(tally, key);
	if (slot->count == 0 || --slot->count > 0)
		return;
	tally->used--;
	close_gap(tally, (size_t)(slot - tally->slots));
}

size_t tally_of(const struct tally *tally, const struct throttle_key *key)
{
	return tally->capacity ? find(tally, key)->count : 0;
}
