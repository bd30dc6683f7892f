/* A conversation as the parameters of the statements that keep it. */
#ifndef DEBRIEF_BROKER_LEDGER_PARAMS_H
#define DEBRIEF_BROKER_LEDGER_PARAMS_H

#include "base/config.h"
#include "provider/provider.h"

enum {
	LEDGER_CONVERSATION_PARAMS = 26,
	LEDGER_EVALUATION_PARAMS = 7
};

/* Of sql/keep_conversation.sql, in the arena. received_ms 0: now. `body` is kept where the documents lost
 * something of it. */
void ledger_conversation_params(struct arena *arena, const struct config *config,
				const struct conversation *conversation, struct span body,
				int64_t received_ms, const char **params);
/* Of sql/keep_evaluation.sql, for the same evaluation: from those. */
void ledger_evaluation_params(const char *const *conversation, const char **params);

/* A decision as lua/decide.lua words it, as rows of sql/apply_decision.sql. In the arena. *count: of all parameters. */
const char *const *ledger_decision_rows(struct arena *arena, const char *user, struct span revision, struct span decision,
					size_t *count);

/* Bytes as bytea's text form. */
const char *ledger_bytea(struct arena *arena, struct span bytes);
/* NULL for a negative one. */
const char *ledger_number(struct arena *arena, int64_t number);

#endif
