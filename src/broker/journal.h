/* The journal: facts that were accepted and that the ledger has not committed yet, in one
 * Redis stream a partition (lua/journal*.lua).
 *
 * A save's fact is appended by the script that stamps it (lua/session_index.lua), a
 * webhook's body by journal_append(). Whoever gets it into the ledger strikes it out;
 * what nobody did is found by the sweeper. An entry counts as kept only on a Redis that
 * appends to a file and evicts nothing. */
#ifndef DEBRIEF_BROKER_JOURNAL_H
#define DEBRIEF_BROKER_JOURNAL_H

#include "broker/partition.h"
#include "broker/worker.h"
#include "provider/provider.h"

/* What the node last heard of the journals: shared by its workers, nothing but counters. */
struct journal_size {
	unsigned partitions;
	_Atomic int64_t clean_ms; /* monotonic: when all of them were last seen empty */
	_Atomic int64_t ledger_lost_ms; /* monotonic: when the ledger was last seen to be away */
	_Atomic int64_t total_bytes;
	_Atomic int64_t *bytes; /* of each partition */
};

struct journal_size *journal_size_new(unsigned partitions);
void journal_size_free(struct journal_size *size);
/* What a script said of a partition's journal; `bytes` are digits. */
void journal_size_note(struct journal_size *size, unsigned partition, struct span bytes);

/* Whether facts may be answered 200 once they are in the journal: NULL, or why not. */
const char *journal_refusal(const struct worker *worker);

/* When Redis could not be asked: whether it may hold facts that the ledger lacks, since this node has never seen the
 * journals empty, or there was a need for them afterwards. Then "the ledger has none" is no proof that there is none. */
bool journal_may_hide(const struct worker *worker);

/* Calls; the replies are the scripts' (lua/journal_*.lua). */
STEP journal_append(struct worker *worker, struct job *job, const struct conversation *conversation, struct span body,
		    redis_step *next, void *ctx);
/* At most JOURNAL_STRIKES_MAX at once; `bodies`: their names, empty of saves. */
enum { JOURNAL_STRIKES_MAX = 64 };
STEP journal_strike(struct worker *worker, struct job *job, unsigned partition, size_t count, const struct span *entries,
		    const struct span *bodies, redis_step *next, void *ctx);
STEP journal_find(struct worker *worker, struct job *job, const struct uuid *interview_id, redis_step *next, void *ctx);
/* The body of that name, as lz4_frame_unpack() takes it; absent when its entry was struck. */
STEP journal_body(struct worker *worker, struct job *job, unsigned partition, struct span name, redis_step *next, void *ctx);

/* When an entry was heard: the ms that its id begins with; 0 if it is none. */
int64_t journal_entry_ms(struct span entry);

#endif
