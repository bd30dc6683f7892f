/* The sweeper: finishes what was kept without being decided.
 *
 * Facts stay undecided in the ledger when Redis was away, or when whoever kept them died
 * before they were decided. Every second, and on any node, somebody looks for such
 * rows and runs them through the scripts as their request would have. A lease in
 * Redis keeps nodes from doing the same at once; it is a hint only, since
 * each step is idempotent. */
#ifndef DEBRIEF_BROKER_SWEEPER_H
#define DEBRIEF_BROKER_SWEEPER_H

#include "broker/worker.h"

struct sweeper;

struct sweeper *sweeper_new(struct worker *worker);
/* Begins no more sweeps; the one under way ends by itself. */
void sweeper_stop(struct sweeper *sweeper);
bool sweeper_is_busy(const struct sweeper *sweeper);
/* After the stores have been freed, which ends the sweep under way. */
void sweeper_free(struct sweeper *sweeper);

#endif
