/* Results of an interview that only the journal has. */
#ifndef DEBRIEF_BROKER_RESULTS_JOURNAL_H
#define DEBRIEF_BROKER_RESULTS_JOURNAL_H

#include "broker/caller.h"

/* Replies, or goes on with `missed` if neither has it. `ledger_trouble`: why the ledger could not be asked;
 * NULL: it has no such interview. */
STEP results_ask_journal(struct request *req, const struct caller *caller, const struct uuid *id,
			 const char *ledger_trouble, enum step (*missed)(void *ctx), void *ctx);

#endif
