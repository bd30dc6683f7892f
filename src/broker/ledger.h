/* The ledger's writes: facts, and the decisions that follow from them. */
#ifndef DEBRIEF_BROKER_LEDGER_H
#define DEBRIEF_BROKER_LEDGER_H

#include "broker/link.h"
#include "provider/provider.h"

enum ledger_result {
	LEDGER_KEPT,
	LEDGER_REJECTED, /* refused for its content; kept in rejected_facts */
	LEDGER_TAKEN,    /* another user owns the sid */
	LEDGER_AWAY
};

struct ledger_write {
	/* set by ledger_init() */
	struct worker *worker;
	struct job *job;
	enum step (*done)(void *ctx);
	void *ctx;
	int64_t until_ms;         /* monotonic; may be set after it: the ledger is not waited for any longer */
	/* what came of it */
	enum ledger_result result;
	const char *error;        /* for the log */
	struct span facts;        /* conversation: the row of sql/conversation_facts.sql */
	bool repeated;            /* conversation: the ledger had this content, or one that counts more */
	/* between steps */
	const char *kind;
	struct span subject, fact;
	struct link *link;
	bool with_session;        /* a save's fact goes before the decisions, */
	const struct conversation *conversation; /* or a conversation's does, */
	int64_t received_ms;      /* heard then */
	const char *const *params; /* of its statement */
	size_t decisions_at;      /* index of the first decision's statement */
	struct span unowned_hash;
	unsigned rounds;
};

void ledger_init(struct ledger_write *write, struct worker *worker, struct job *job, enum step (*done)(void *ctx),
		 void *ctx);

/* What a statement that keeps a conversation locks first, for postgres_submit(). */
const char *ledger_lock_of_conversation(struct arena *arena, struct span cid);

/* Keeps a conversation, heard at received_ms (0: now), and the evaluation it came with, undecided; then
 * write->facts is set. `body` is what goes to rejected_facts if it must. */
STEP ledger_keep_conversation(struct ledger_write *write, const struct conversation *conversation, struct span body,
			      int64_t received_ms);

/* Keeps a save's merged fact and the decisions of its link, as one. */
STEP ledger_keep_session(struct ledger_write *write, struct link *link);

/* Keeps a save while Redis is away: `fact` is stamped by Postgres, and decided by whoever finds
 * Redis again (sweeper.c). `link` says whose session it is. */
STEP ledger_keep_undecided(struct ledger_write *write, struct link *link, struct span fact);

/* Keeps a conversation that only the journal had, heard at received_ms, and the decisions of its link, as
 * one. `body` as above. */
STEP ledger_keep_decided(struct ledger_write *write, const struct conversation *conversation, struct span body,
			 int64_t received_ms, struct link *link);

/* Puts a fact that can't be kept into rejected_facts, so that nothing is dropped silently. */
STEP ledger_reject(struct ledger_write *write, const char *kind, struct span subject, struct span fact,
		   const char *sqlstate, const char *error);

/* Keeps the decisions of a conversation's link. `hash` names the content they were made on. */
STEP ledger_keep_decisions(struct ledger_write *write, struct link *link, struct span cid, struct span hash);

#endif
