/* Counts by key: how many of something each client holds at the moment.
 *
 * Holds only keys whose count is not 0, and grows with them; whoever counts bounds the
 * sum. One thread's own. */
#ifndef DEBRIEF_BASE_TALLY_H
#define DEBRIEF_BASE_TALLY_H

#include "base/hash.h"
#include "base/throttle.h"

struct tally {
	struct tally_slot *slots;
	size_t capacity; /* a power of 2, or 0 */
	size_t used;     /* keys */
	struct hash_key hash;
};

void tally_init(struct tally *tally);
void tally_deinit(struct tally *tally);
/* The count of this key, the new one included. */
size_t tally_add(struct tally *tally, const struct throttle_key *key);
void tally_drop(struct tally *tally, const struct throttle_key *key); /* one that was added */
size_t tally_of(const struct tally *tally, const struct throttle_key *key);

#endif
