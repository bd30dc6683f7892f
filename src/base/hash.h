/* Keyed hashes (SipHash): for tables whose keys come from outside, and for telling secrets
 * apart without keeping them.
 *
 * Who doesn't know the key can neither aim at a slot nor find two texts of one tag. */
#ifndef DEBRIEF_BASE_HASH_H
#define DEBRIEF_BASE_HASH_H

#include "base/span.h"

struct hash_key {
	uint64_t k[2];
};

struct hash_tag {
	uint64_t h[2];
};

struct hash_key hash_key_random(void);

/* SipHash-1-3: for slots of a table. */
uint64_t hash_slot(const struct hash_key *key, struct span data);

/* SipHash-2-4-128: 16 bytes that stand for the text. */
struct hash_tag hash_tag_of(const struct hash_key *key, struct span data);

#endif
