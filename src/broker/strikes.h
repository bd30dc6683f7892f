/* Strikes: entries that the ledger has, to be struck out of the journals.
 *
 * A batch of the ledger ends in one turn of the loop for all that were in it; their entries are struck at the end
 * of the turn, with one call a partition. */
#ifndef DEBRIEF_BROKER_STRIKES_H
#define DEBRIEF_BROKER_STRIKES_H

#include "base/job.h"

struct worker;
struct strikes;

/* What came of one. */
struct strike_reply {
	enum call_status status;
	bool found;          /* CALL_OK: it was there until now */
	struct span emptied; /* CALL_OK: when its partition was found empty */
};
typedef enum step strike_step(void *ctx, const struct strike_reply *reply);

/* An entry; within a job's own struct, which waits for nothing else meanwhile. */
struct strike {
	/* set by who asks */
	struct job *job;
	unsigned partition;
	struct span entry, body; /* of a save it has none */
	strike_step *next;
	void *ctx;
	/* private */
	struct strike *after;
};

struct strikes *strikes_new(struct worker *worker);
/* Parks its job until it was struck. */
STEP strikes_add(struct strikes *strikes, struct strike *strike);
/* After Redis has been freed; what was not struck yet gets CALL_DOWN. */
void strikes_free(struct strikes *strikes);

#endif
