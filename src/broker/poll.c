/* GET /api/interviews/by-session/:sessionId: has my interview arrived?
 *
 *   start → this worker knows → 200 or 304
 *             │ it doesn't, or the client wants to wait for news
 *             ▼
 *           parked: read, changed, time is up → 200, 304, 404          no store can be asked → 503 */
#include "base/clock.h"
#include "broker/caller.h"
#include "broker/handlers.h"
#include "broker/sessions.h"
#include "provider/provider.h"

struct poll {
	struct request *req;
	/* poll_start */
	struct waiter waiter;
};

static STEP poll_reply(struct request *req, const struct session_entry *entry)
{
	switch (entry->answer) {
	case SESSION_FOUND:
		if (!entry->final)
			reply_header(req, "Retry-After", "1");
		return reply_json_etag(req, (struct span){entry->body, entry->body_len}, entry->etag);
	case SESSION_NONE:
		return reply_problem(req, 404, "sessionId", "no such session");
	case SESSION_UNREAD:
	case SESSION_UNAVAILABLE:
		break;
	}
	return reply_unavailable(req, entry->store ? entry->store : "the session store", "no store could be asked");
}

static enum step poll_look(struct waiter *waiter, enum waiter_call call);

enum step poll_start(struct request *req)
{
	struct worker *worker = worker_of(req);
	struct session_entry *entry;
	struct caller caller;
	struct poll *poll;
	struct span sid;

	if (!caller_of(req, CALLER_USER, &caller))
		return reply_unauthorized(req);
	sid = request_param(req, "sessionId");
	if (!session_id_valid(sid))
		return reply_problem(req, 400, "sessionId",
				     "sessionId must be 1 to 128 characters of A-Z a-z 0-9 . _ : - "
				     "and not begin with \"fallback:\"");
	req->session = arena_strdup(&req->job.arena, sid);

	entry = session_cache_find(worker->sessions->cache, &caller.user, sid);
	if (entry && session_entry_holds_good(entry, clock_wall_ms())) {
		metrics_count(&worker->metrics, METRIC_VIEW_CACHE_HIT);
		return poll_reply(req, entry);
	}
	metrics_count(&worker->metrics, METRIC_VIEW_CACHE_MISS);
	poll = ARENA_NEW(&req->job.arena, struct poll);
	poll->req = req;
	if (!entry)
		entry = session_cache_get(worker->sessions->cache, &caller.user, sid);
	return waiter_park(&poll->waiter, worker->sessions, entry, req, true, poll_look);
}

static enum step poll_look(struct waiter *waiter, enum waiter_call call)
{
	enum step step;

	if (call == WAITER_LEFT)
		return PARKED;
	step = poll_reply(waiter->req, waiter->entry);
	waiter_leave(waiter);
	return step;
}
