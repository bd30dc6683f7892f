/* A conversation as the scripts take it: the JSON of lua/facts.lua. */
#ifndef DEBRIEF_BROKER_FACT_H
#define DEBRIEF_BROKER_FACT_H

#include "base/config.h"
#include "provider/provider.h"

/* An evaluator outside has its word on whatever can be evaluated at all. */
bool conversation_awaits_evaluation(const struct config *config, const struct conversation *conversation);

/* In the arena; received_ms 0: without the time of its receipt. */
struct span conversation_fact(struct arena *arena, const struct config *config, const struct conversation *conversation,
			      int64_t received_ms);

#endif
