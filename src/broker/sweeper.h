/* The sweeper: finishes what was answered before it was finished.
 *
 * Facts stay in the journal when the ledger was away or slow, and undecided in the ledger
 * when Redis was away, or when whoever kept them died. Every second, and on any node,
 * somebody looks for them (page by page, a page being some of a partition's
 * journal or some undecided rows) and does the rest for each, many at a time, so
 * that the ledger gets batches. Leases in Redis keep nodes from doing the same at once; they
 * are hints only, since each step is idempotent. */
#ifndef DEBRIEF_BROKER_SWEEPER_H
#define DEBRIEF_BROKER_SWEEPER_H

#include "broker/worker.h"

struct sweeper;

struct sweeper *sweeper_new(struct worker *worker);
/* Begins nothing more; what is under way ends by itself. */
void sweeper_stop(struct sweeper *sweeper);
bool sweeper_is_busy(const struct sweeper *sweeper);
/* After the stores have been freed, which ends what is under way. */
void sweeper_free(struct sweeper *sweeper);

#endif
