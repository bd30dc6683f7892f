/* GET /api/interviews/by-session/:sessionId: has my interview arrived?
 *
 *   start → view in Redis → 200 or 304
 *             │ not there
 *             ▼
 *           session in the ledger → none: 404
 *             │
 *             ▼
 *           link (fills the bucket) → 200 or 304
 *
 *   Redis away → view in the ledger → 200, 304 or 404                   the ledger away too → 503 */
#include "base/clock.h"
#include "base/json.h"
#include "broker/caller.h"
#include "broker/handlers.h"
#include "broker/link.h"
#include "broker/partition.h"
#include "broker/view.h"
#include "provider/provider.h"

struct poll {
	struct request *req;
	struct caller caller;
	/* poll_start */
	struct span sid;
	/* poll_on_session */
	struct link link;
};

/* How soon it is worth asking again: seldom long after the end. */
static int retry_after_secs(const struct poll_view *view)
{
	if (view->age_ms < 60 * 1000)
		return 1;
	return view->age_ms < 10 * 60 * 1000 ? 2 : 5;
}

static STEP poll_reply(struct poll *poll, struct span json)
{
	struct request *req = poll->req;
	struct arena *arena = &req->job.arena;
	struct poll_view view = poll_view_read(arena, json, worker_of(req)->config, clock_wall_ms());
	struct text body;

	text_init(&body, arena, 256);
	poll_view_write(&view, &body);
	if (!view.final)
		reply_headerf(req, "Retry-After", "%d", retry_after_secs(&view));
	return reply_json_etag(req, text_span(&body), etag_of(arena, text_span(&body)));
}

static enum step poll_on_view(void *ctx, const struct redis_reply *reply);
static enum step poll_on_session(void *ctx, const struct postgres_reply *reply);
static enum step poll_on_linked(void *ctx);
static STEP poll_ledger(struct poll *poll);
static enum step poll_on_ledger(void *ctx, const struct postgres_reply *reply);

enum step poll_start(struct request *req)
{
	struct poll *poll = ARENA_NEW(&req->job.arena, struct poll);
	struct worker *worker = worker_of(req);
	struct arena *arena = &req->job.arena;

	poll->req = req;
	if (!caller_of(req, CALLER_USER, &poll->caller))
		return reply_unauthorized(req);
	poll->sid = request_param(req, "sessionId");
	if (!session_id_valid(poll->sid))
		return reply_problem(req, 400, "sessionId",
				     "sessionId must be 1 to 128 characters of A-Z a-z 0-9 . _ : - "
				     "and not begin with \"fallback:\"");
	req->session = arena_strdup(arena, poll->sid);

	/* the bucket is the caller's own: another user's session can't be found in it */
	struct span words[] = {
		SPAN("HMGET"),
		key_of_user(arena, worker->config->partitions, poll->caller.user.text),
		SPAN("r"),
		span_of(arena_printf(arena, "v:%.*s", SPAN_ARG(poll->sid))),
	};
	return redis_command(worker->redis, &req->job, 4, words, poll_on_view, poll);
}

static enum step poll_on_view(void *ctx, const struct redis_reply *reply)
{
	struct poll *poll = ctx;
	struct request *req = poll->req;
	struct worker *worker = worker_of(req);

	if (reply->status != CALL_OK)
		return poll_ledger(poll);
	/* a bucket of another generation of Redis may lack what that one lost */
	if (reply->n == 2 && reply->v[1].p && span_is(reply->v[0], redis_replid(worker->redis)))
		return poll_reply(poll, reply->v[1]);

	const char **params = arena_alloc(&req->job.arena, 2 * sizeof(*params));

	params[0] = poll->caller.user.text;
	params[1] = req->session;
	struct postgres_query query = {STATEMENT_SESSION_OF_USER, 2, params};
	return postgres_submit(worker->ledger_reader, &req->job, NULL, 1, &query, poll_on_session, poll);
}

static enum step poll_on_session(void *ctx, const struct postgres_reply *reply)
{
	struct poll *poll = ctx;
	struct request *req = poll->req;
	struct arena *arena = &req->job.arena;

	if (reply->status != CALL_OK)
		return reply_unavailable(req, "the ledger", arena_strdup(arena, span_of(reply->error)));
	if (postgres_row_count(reply->rows[0]) == 0)
		return reply_problem(req, 404, "sessionId", "no such session");
	link_init(&poll->link, worker_of(req), &req->job, poll_on_linked, poll);
	return link_session(&poll->link, poll->caller.user.text, poll->sid,
			    arena_span(arena, postgres_value(reply->rows[0], 0, 0)));
}

static enum step poll_on_linked(void *ctx)
{
	struct poll *poll = ctx;

	if (poll->link.result == LINK_DECIDED && poll->link.view.n > 0)
		return poll_reply(poll, poll->link.view);
	if (poll->link.result == LINK_LEDGER_AWAY)
		return reply_unavailable(poll->req, "the ledger", poll->link.error);
	return poll_ledger(poll);
}

static STEP poll_ledger(struct poll *poll)
{
	struct request *req = poll->req;
	const char *params[] = {poll->caller.user.text, req->session};
	struct postgres_query query = {STATEMENT_SESSION_VIEW, 2, params};

	return postgres_submit(worker_of(req)->ledger_reader, &req->job, NULL, 1, &query, poll_on_ledger, poll);
}

static enum step poll_on_ledger(void *ctx, const struct postgres_reply *reply)
{
	struct poll *poll = ctx;
	struct request *req = poll->req;

	if (reply->status != CALL_OK)
		return reply_unavailable(req, "the ledger", arena_strdup(&req->job.arena, span_of(reply->error)));
	if (postgres_row_count(reply->rows[0]) == 0)
		return reply_problem(req, 404, "sessionId", "no such session");
	return poll_reply(poll, arena_span(&req->job.arena, postgres_value(reply->rows[0], 0, 0)));
}
