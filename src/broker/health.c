#include "broker/health.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "broker/handlers.h"
#include "broker/worker.h"

static STEP reply_live(struct request *req)
{
	return reply_body(req, 200, "text/plain; charset=utf-8", SPAN("ok\n"));
}

/* What is up for all workers. */
struct readiness {
	bool redis_up, ledger_up, was_up, draining;
	const char *journal_trouble;
};

static void readiness_add(struct readiness *readiness, const struct worker *worker)
{
	/* Once, and as it is written: gcc reads an atomic pointer that is subscripted as if it were none. */
	const char *journal_trouble = atomic_load(&worker->journal_trouble);

	readiness->redis_up = readiness->redis_up && worker->redis_up;
	readiness->ledger_up = readiness->ledger_up && worker->ledger_up;
	readiness->was_up = readiness->was_up && worker->was_up;
	if (journal_trouble[0])
		readiness->journal_trouble = journal_trouble;
}

/* 200 as long as facts can be taken: a balancer that dropped every node while one store is away would
 * lose what they can still keep. Before both stores were there once, something may be set up wrong. */
static STEP reply_ready(struct request *req, const struct readiness *state)
{
	bool can_keep = state->ledger_up || (state->redis_up && !state->journal_trouble);
	bool ready = can_keep && state->was_up && !state->draining;
	struct text body;

	text_init(&body, &req->job.arena, 256);
	text_addf(&body, "{\"ready\":%s,\"redis\":\"%s\",\"ledger\":\"%s\",\"journal\":\"%s\",\"draining\":%s}",
		  ready ? "true" : "false", state->redis_up ? "up" : "away", state->ledger_up ? "up" : "away",
		  state->journal_trouble ? state->journal_trouble : "ok", state->draining ? "true" : "false");
	return reply_json(req, ready ? 200 : 503, text_span(&body));
}

enum step livez_start(struct request *req)
{
	return reply_live(req);
}

/* All workers, whichever was asked: a balancer's next request may reach another. */
static STEP readiness_reply(struct request *req, const struct admin *admin)
{
	struct readiness state = {.redis_up = true, .ledger_up = true, .was_up = true, .draining = admin->draining};

	for (size_t i = 0; i < admin->worker_count; i++)
		readiness_add(&state, admin->workers[i]);
	return reply_ready(req, &state);
}

enum step readyz_start(struct request *req)
{
	return readiness_reply(req, worker_of(req)->admin);
}

enum step admin_livez_start(struct request *req)
{
	return reply_live(req);
}

enum step admin_readyz_start(struct request *req)
{
	return readiness_reply(req, request_app(req));
}

void admin_refuse(struct admin *admin, const char *reason)
{
	if (atomic_exchange(&admin->refused, true))
		return;
	log_event(LOG_ERROR, "start_failed", "what=partitions reason=%s", LOG_TEXT(span_of(reason)));
	kill(getpid(), SIGTERM);
}
