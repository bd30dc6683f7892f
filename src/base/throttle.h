/* Rate limits: token buckets for many keys in a table of fixed size.
 *
 * Kept as GCRA does (ITU-T I.371): of a key only the time is stored at which its bucket
 * will be full again. A key whose time has passed is the same as one never seen, so
 * that forgetting it loses nothing. When a row of the table is taken by others that all
 * still count, the one that is full soonest is forgotten: a limit may then be too
 * generous to a few, and never too strict to anybody. One thread's own. */
#ifndef DEBRIEF_BASE_THROTTLE_H
#define DEBRIEF_BASE_THROTTLE_H

#include "base/span.h"

struct throttle;

/* An address (struct inet) or a user (the bytes of a UUID). */
struct throttle_key {
	uint8_t bytes[16];
};

/* `per_sec` on average and `burst` at once; both at least 1. */
struct throttle *throttle_new(int64_t per_sec, int64_t burst);
void throttle_free(struct throttle *throttle);

/* Takes one token. 0 if there was one, else how long it takes until there is, in ms and
 * at least 1: then nothing was taken. */
int64_t throttle_take(struct throttle *throttle, const struct throttle_key *key, int64_t now_ms)
	__attribute__((warn_unused_result));
/* As throttle_take(), but takes nothing. */
int64_t throttle_peek(const struct throttle *throttle, const struct throttle_key *key, int64_t now_ms);

#endif
