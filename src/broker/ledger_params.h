/* A conversation as the parameters of the statements that keep it. */
#ifndef DEBRIEF_BROKER_LEDGER_PARAMS_H
#define DEBRIEF_BROKER_LEDGER_PARAMS_H

#include "base/config.h"
#include "provider/provider.h"

enum {
	LEDGER_CONTENT_PARAMS = 22,
	LEDGER_EVALUATION_PARAMS = 7,
	LEDGER_CONVERSATION_PARAMS = LEDGER_CONTENT_PARAMS + LEDGER_EVALUATION_PARAMS + 2 /* its receipt */
};

/* Of sql/keep_conversation.sql and sql/keep_evaluation.sql, in the arena. received_ms 0: now. `body` is kept
 * where the documents lost something of it. */
void ledger_conversation_params(struct arena *arena, const struct config *config,
				const struct conversation *conversation, struct span body,
				int64_t received_ms, const char **content, const char **evaluation);

/* Bytes as bytea's text form. */
const char *ledger_bytea(struct arena *arena, struct span bytes);
/* NULL for a negative one. */
const char *ledger_number(struct arena *arena, int64_t number);

#endif
