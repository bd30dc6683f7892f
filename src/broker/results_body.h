/* The representation of an interview's results, from its row. */
#ifndef DEBRIEF_BROKER_RESULTS_BODY_H
#define DEBRIEF_BROKER_RESULTS_BODY_H

#include "base/config.h"
#include "base/uuid.h"

/* The columns of sql/results.sql. */
enum results_column {
	COL_CONVERSATION, COL_USER, COL_VERSION, COL_AGENT, COL_SESSION, COL_STATUS, COL_STARTED, COL_ENDED,
	COL_DURATION, COL_RECEIVED, COL_FAILURE, COL_EVALUATION, COL_REASON, COL_COMPLETED, COL_SUMMARY,
	COL_TRANSCRIPT, COL_METADATA, COL_RESULT, COL_COUNT
};

/* JSON, as of `now_ms`, in the arena. *turns_ms: when it will read otherwise by itself (the deadline of the
 * evaluation); INT64_MAX: never. */
struct span results_body(struct arena *arena, const struct config *config, const char *id,
			 const struct span columns[COL_COUNT], int64_t now_ms, int64_t *turns_ms);

#endif
