/* An interview as its results page shows it, made from the ledger's row or, while only the
 * journal has it, from the webhook's body. */
#ifndef DEBRIEF_BROKER_INTERVIEW_H
#define DEBRIEF_BROKER_INTERVIEW_H

#include "base/config.h"
#include "base/text.h"
#include "postgres/postgres.h"
#include "provider/provider.h"

/* Spans borrow from what it was made of. Times are ms since 1970, -1 if unknown. */
struct interview {
	const char *id;
	struct span conversation_id, agent_id;
	struct span user;          /* its owner; absent: nobody, or to be asked for */
	struct span session;       /* the sid it is linked to, or absent */
	struct span status;        /* the provider's */
	struct span failure;       /* of a call that never began, or absent */
	int64_t started_ms, ended_ms, received_ms;
	struct span duration_secs; /* digits, or absent */
	struct span summary;       /* decoded, or absent */
	struct span transcript, metadata; /* raw JSON, or absent */
	struct span evaluation_status, evaluation_reason; /* decoded, or absent */
	struct span evaluation_result; /* raw JSON, or absent */
	int64_t evaluated_ms;
};

/* Of the first row of sql/results.sql. */
struct interview interview_of_row(const char *id, const struct postgres_rows *rows);
struct interview interview_of_conversation(struct arena *arena, const struct config *config,
					   const struct conversation *conversation, int64_t received_ms);

/* The body of GET /api/interviews/:id/results, as of now: an evaluation that nobody makes times out. */
void interview_write(const struct interview *interview, const struct config *config, int64_t now_ms, struct text *out);

#endif
