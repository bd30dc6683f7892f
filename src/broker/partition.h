/* Partitions: which slice of Redis a thing is in, and the names of its keys.
 *
 * An id belongs to partition FNV-1a-64(id) mod `partitions`. The hash tag {pN} keeps a
 * partition's keys on one node of a Redis Cluster. */
#ifndef DEBRIEF_BROKER_PARTITION_H
#define DEBRIEF_BROKER_PARTITION_H

#include "base/arena.h"

unsigned partition_of(struct span id, int64_t partitions);

/* Holds when the partition of `id` was last found empty. */
struct span key_of_emptied(struct arena *arena, int64_t partitions, struct span id);

struct span key_of_user(struct arena *arena, int64_t partitions, const char *user);
struct span key_of_session(struct arena *arena, int64_t partitions, struct span sid);
struct span key_of_conversation(struct arena *arena, int64_t partitions, struct span cid);

/* The journal of a partition, and what stands beside it (lua/journal*.lua). */
struct journal_keys {
	struct span stream, bytes, interviews, lease, emptied;
};
struct journal_keys keys_of_journal(struct arena *arena, unsigned partition);
/* The body of a journaled webhook. */
struct span key_of_body(struct arena *arena, unsigned partition, struct span name);
/* The latest lags of an agent's webhooks. */
struct span key_of_lag(struct arena *arena, int64_t partitions, struct span agent);

#endif
