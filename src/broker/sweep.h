/* A sweep: one fact that was kept without being finished, and what is left to do for it. */
#ifndef DEBRIEF_BROKER_SWEEP_H
#define DEBRIEF_BROKER_SWEEP_H

#include "broker/ledger.h"
#include "broker/strikes.h"

enum sweep_kind {
	SWEEP_JOURNALED_SAVE,        /* fact: of the session */
	SWEEP_JOURNALED_WEBHOOK,     /* body: its name; hash: its digest; fact, once it is read: the body */
	SWEEP_UNDECIDED_SESSION,     /* fact: of the session; user */
	SWEEP_UNDECIDED_CONVERSATION
};

struct sweep {
	struct job job; /* first */
	/* set by sweep_start(); copies in the job's arena */
	struct worker *worker;
	enum sweep_kind kind;
	struct span id, user, fact;
	unsigned partition; /* of the journal, and */
	struct span entry;  /* where it is in there */
	struct span body, hash; /* hash: undecided conversation: of its content, once that is read */
	int64_t read_ms;    /* when it was read there, by the clock of Redis */
	size_t bytes;       /* what its fact takes */
	struct strikes *strikes;
	/* called once, before the sweep is freed; unless it is finished a store was away, and it must be done again */
	void (*done)(void *arg, const struct sweep *sweep);
	void *arg;
	bool finished;
	/* between steps */
	struct conversation conversation;
	struct link link;
	struct ledger_write ledger;
	bool confirm;       /* when its entry is struck */
	struct strike strike;
};

/* Begins one; `what` holds its kind, spans (copied), and what else is set there. */
void sweep_start(struct worker *worker, const struct sweep *what);

#endif
