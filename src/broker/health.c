#include "broker/health.h"

#include "broker/handlers.h"
#include "broker/worker.h"

static STEP reply_live(struct request *req)
{
	return reply_body(req, 200, "text/plain; charset=utf-8", SPAN("ok\n"));
}

/* 200, or 503 that names what is away. */
static STEP reply_ready(struct request *req, bool redis_up, bool ledger_up, bool draining)
{
	struct text body;

	text_init(&body, &req->job.arena, 128);
	text_addf(&body, "{\"ready\":%s,\"redis\":\"%s\",\"ledger\":\"%s\",\"draining\":%s}",
		  redis_up && ledger_up && !draining ? "true" : "false", redis_up ? "up" : "away",
		  ledger_up ? "up" : "away", draining ? "true" : "false");
	return reply_json(req, redis_up && ledger_up && !draining ? 200 : 503, text_span(&body));
}

enum step livez_start(struct request *req)
{
	return reply_live(req);
}

enum step readyz_start(struct request *req)
{
	struct worker *worker = worker_of(req);

	return reply_ready(req, worker->redis_up, worker->ledger_up, worker->draining);
}

enum step admin_livez_start(struct request *req)
{
	return reply_live(req);
}

enum step admin_readyz_start(struct request *req)
{
	struct admin *admin = request_app(req);
	bool redis_up = true, ledger_up = true;

	for (size_t i = 0; i < admin->worker_count; i++) {
		redis_up = redis_up && admin->workers[i]->redis_up;
		ledger_up = ledger_up && admin->workers[i]->ledger_up;
	}
	return reply_ready(req, redis_up, ledger_up, admin->draining);
}
