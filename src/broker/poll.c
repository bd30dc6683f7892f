/* GET /api/interviews/by-session/:sessionId: has my interview arrived?
 *
 *   start → this worker knows, and there is news or no wish to wait → 200 or 304
 *             │ otherwise parked
 *             ▼
 *           read, changed, time is up → 200, 304 or 404                 no store can be asked → 503 */
#include "base/clock.h"
#include "broker/caller.h"
#include "broker/handlers.h"
#include "broker/sessions.h"
#include "provider/provider.h"

enum { WAIT_MAX_SECS = 55 };

struct poll {
	struct waiter waiter; /* first */
	/* poll_start */
	int64_t wait_secs; /* 0: doesn't wait */
	int64_t until_ms;  /* monotonic */
	bool over;         /* what is read next is the answer */
	struct uuid user;  /* who has a place to wait, if it waits */
};

/* How long the client wishes to wait; what can't be understood is as if it weren't there (RFC 7240, 2). */
static int64_t wished_secs(const struct request *req)
{
	struct span wish = request_preference(req, "wait");
	int64_t secs;

	if (!span_to_int64(wish, &secs) && !span_to_int64(request_query(req, "wait"), &secs))
		return 0;
	return secs < WAIT_MAX_SECS ? secs : WAIT_MAX_SECS;
}

/* ... but not longer than its token is good for. */
static int64_t honoured_secs(const struct request *req, const struct caller *caller, int64_t wall_ms)
{
	int64_t wait_secs = wished_secs(req), token_secs = caller->expires_secs - wall_ms / 1000;

	if (wait_secs > token_secs)
		wait_secs = token_secs > 0 ? token_secs : 0;
	return wait_secs;
}

static const char *retry_after(struct worker *worker, const struct session_entry *entry)
{
	static const char *const texts[] = {"0", "1", "2", "3", "4", "5"};

	if (entry->linked) /* what is missing is the evaluation */
		return texts[1];
	return texts[agent_lag_retry_secs(worker, entry->lag, entry->ended_ms, clock_wall_ms())];
}

static STEP poll_reply(struct request *req, const struct session_entry *entry, int64_t wait_secs)
{
	if (wait_secs > 0)
		reply_headerf(req, "Preference-Applied", "wait=%d", (int)wait_secs);
	switch (entry->answer) {
	case SESSION_FOUND:
		if (!entry->final && wait_secs == 0)
			reply_header(req, "Retry-After", retry_after(worker_of(req), entry));
		return reply_json_etag(req, (struct span){entry->body, entry->body_len}, entry->etag);
	case SESSION_NONE:
		return reply_problem(req, 404, "sessionId", "no such session");
	case SESSION_UNREAD:
	case SESSION_UNAVAILABLE:
		break;
	}
	return reply_unavailable(req, entry->store ? entry->store : "the session store", "no store could be asked");
}

/* Whether it is what the client waits for: other than what it has, or final if it has nothing. */
static bool is_news(const struct request *req, const struct session_entry *entry)
{
	if (entry->answer != SESSION_FOUND)
		return false;
	return request_header(req, "If-None-Match").p ? !request_has_etag(req, entry->etag) : entry->final;
}

static enum step poll_look(struct waiter *waiter, enum waiter_call call);
static STEP poll_wait(struct poll *poll);

enum step poll_start(struct request *req)
{
	struct worker *worker = worker_of(req);
	struct sessions *sessions = worker->sessions;
	int64_t wall_ms = clock_wall_ms(), wait_secs;
	struct session_entry *entry;
	struct caller caller;
	struct poll *poll;
	struct span sid;
	bool known;

	if (!caller_of(req, CALLER_USER, &caller))
		return reply_unauthorized(req);
	sid = request_param(req, "sessionId");
	if (!session_id_valid(sid))
		return reply_session_id_malformed(req);
	req->session = arena_strdup(&req->job.arena, sid);
	wait_secs = honoured_secs(req, &caller, wall_ms);

	entry = session_cache_find(sessions->cache, &caller.user, sid);
	known = entry && session_entry_holds_good(entry, wall_ms);
	metrics_count(&worker->metrics, known ? METRIC_VIEW_CACHE_HIT : METRIC_VIEW_CACHE_MISS);
	if (known && (wait_secs == 0 || sessions->draining || is_news(req, entry)))
		return poll_reply(req, entry, wait_secs);

	/* without a place it is answered as if it had not asked to wait (RFC 7240, 2) */
	if (wait_secs > 0 && !limits_park(worker->limits, &caller.user)) {
		wait_secs = 0;
		if (known)
			return poll_reply(req, entry, wait_secs);
	}
	poll = ARENA_NEW(&req->job.arena, struct poll);
	poll->user = caller.user;
	poll->wait_secs = wait_secs;
	poll->until_ms = clock_monotonic_ms() + wait_secs * 1000;
	poll->over = wait_secs == 0;
	req->job.deadline_ms += wait_secs * 1000;
	req->held = wait_secs > 0;
	if (!entry)
		entry = session_cache_get(sessions->cache, &caller.user, sid);
	waiter_park(&poll->waiter, sessions, entry, req, !known, poll_look);
	return known ? poll_wait(poll) : PARKED;
}

static STEP poll_end(struct poll *poll)
{
	struct waiter *waiter = &poll->waiter;
	enum step step = poll_reply(waiter->req, waiter->entry, poll->wait_secs);

	if (poll->wait_secs > 0)
		limits_unpark(waiter->sessions->worker->limits, &poll->user);
	waiter_leave(waiter);
	return step;
}

/* Until its time is up, or a deadline of the session passes. */
static STEP poll_wait(struct poll *poll)
{
	const struct session_entry *entry = poll->waiter.entry;
	int64_t at_ms = poll->until_ms, now_ms = clock_monotonic_ms(), turns_ms;

	if (entry->answer == SESSION_FOUND && entry->turns_ms < INT64_MAX) {
		turns_ms = now_ms + entry->turns_ms - clock_wall_ms();
		at_ms = turns_ms < at_ms ? turns_ms : at_ms;
	}
	waiter_set_time(&poll->waiter, at_ms > now_ms ? at_ms : now_ms);
	return PARKED;
}

static STEP poll_on_read(struct poll *poll)
{
	struct waiter *waiter = &poll->waiter;

	/* who is waiting already sits an outage out */
	if (poll->over || is_news(waiter->req, waiter->entry) ||
	    (waiter->hasty && waiter->entry->answer == SESSION_UNAVAILABLE))
		return poll_end(poll);
	waiter_set_hasty(waiter, false);
	return poll_wait(poll);
}

static enum step poll_look(struct waiter *waiter, enum waiter_call call)
{
	struct poll *poll = (struct poll *)waiter;

	poll->over = poll->over || call == WAITER_LEFT || waiter->sessions->draining ||
		     clock_monotonic_ms() >= poll->until_ms;
	switch (call) {
	case WAITER_STOP:
		waiter->entry->answer = SESSION_UNAVAILABLE;
		return poll_end(poll);
	case WAITER_READ:
		return poll_on_read(poll);
	case WAITER_TIME:
	case WAITER_LEFT:
		break;
	}
	if (waiter->hasty)
		return PARKED;
	if (!session_entry_holds_good(waiter->entry, clock_wall_ms())) {
		waiter_set_hasty(waiter, true); /* the answer must be of now */
		return PARKED;
	}
	return poll->over ? poll_end(poll) : poll_wait(poll);
}
