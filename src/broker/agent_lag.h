/* How long after a call's end its webhook comes, lately and by agent: when it is worth asking again.
 *
 * The latest lags of each agent, and of all together (the agent ""), stand in Redis; a worker keeps what
 * it has read of them in a few slots for some seconds. Nothing waits for any of this: where nothing is
 * known, a poll a second it is. */
#ifndef DEBRIEF_BROKER_AGENT_LAG_H
#define DEBRIEF_BROKER_AGENT_LAG_H

#include "broker/worker.h"

enum { AGENT_LAG_NAME_MAX = 64, AGENT_LAGS_MAX = 16 };

/* What a slot knew when it was looked up: it may be another agent's by now. */
struct agent_lag_ref {
	uint32_t slot;
	uint32_t use;
};

struct agent_lags;
struct agent_lags *agent_lags_new(struct worker *worker);
void agent_lags_free(struct agent_lags *lags); /* after Redis */

/* A webhook has come: to Redis, without waiting. */
void agent_lag_note(struct worker *worker, struct span agent, int64_t lag_ms);

/* "" is an agent too: of sessions that name none. */
struct agent_lag_ref agent_lag_look_up(struct worker *worker, struct span agent);

/* 1 to 5, for a session that waits for its webhook and ended at `ended_ms` (-1: it hasn't). */
int agent_lag_retry_secs(struct worker *worker, struct agent_lag_ref ref, int64_t ended_ms, int64_t now_ms);

/* The same from the bare lags, of which `count` are known; they get sorted. */
int retry_secs_of_lags(int64_t *lags_ms, size_t count, int64_t ended_ms, int64_t now_ms);

#endif
