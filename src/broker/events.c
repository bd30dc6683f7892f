/* GET /api/interviews/by-session/:sessionId/events: the poll's representation as server-sent events, one
 * for each change, until it is final.
 *
 *   start → parked until it is read → 204 (final, and the client has it)     no store can be asked → 503
 *             │
 *             ▼
 *           stream: event, heartbeat, event … → ended: final, token expired, drained, client gone or slow */
#include <stdlib.h>

#include "base/clock.h"
#include "broker/caller.h"
#include "broker/handlers.h"
#include "broker/sessions.h"
#include "http/server.h"
#include "provider/provider.h"

enum {
	HEARTBEAT_MS = 10000, /* shorter than what proxies take for silence */
	NO_PLACE_MS = 5000,
};

struct events {
	struct waiter waiter; /* first */
	/* events_start */
	int64_t expires_ms; /* monotonic: the token's end */
	struct uuid user;   /* who has a place to wait */
	/* events_on_read */
	bool started;
	char sent[ETAG_SIZE]; /* what the client has; "" if nothing */
	int64_t heartbeat_ms;
};

static enum step events_look(struct waiter *waiter, enum waiter_call call);

enum step events_start(struct request *req)
{
	struct worker *worker = worker_of(req);
	struct sessions *sessions = worker->sessions;
	struct span sid = request_param(req, "sessionId"), last = request_header(req, "Last-Event-ID");
	struct session_entry *entry;
	struct events *events;
	struct caller caller;

	if (!caller_of(req, CALLER_USER, &caller))
		return reply_unauthorized(req);
	if (!session_id_valid(sid))
		return reply_session_id_malformed(req);
	if (sessions->draining)
		return reply_unavailable(req, "this node", "stopping");
	if (req->method == HTTP_HEAD)
		return reply_body(req, 200, "text/event-stream", SPAN(""));
	req->session = arena_strdup(&req->job.arena, sid);
	if (!limits_park(worker->limits, &caller.user))
		return reply_too_many(req, NO_PLACE_MS, "too many clients are waiting");
	req->held = true;
	events = ARENA_NEW(&req->job.arena, struct events);
	events->user = caller.user;
	events->expires_ms = clock_monotonic_ms() + caller.expires_secs * 1000 - clock_wall_ms();
	if (last.n == ETAG_SIZE - 1)
		memcpy(events->sent, last.p, last.n);
	events->waiter.kind = WAITER_STREAM;
	entry = session_cache_get(sessions->cache, &caller.user, sid);
	waiter_park(&events->waiter, sessions, entry, req, true, events_look);
	return PARKED;
}

static STEP events_leave(struct events *events, enum step step)
{
	limits_unpark(events->waiter.sessions->worker->limits, &events->user);
	waiter_leave(&events->waiter);
	return step;
}

static STEP events_end(struct events *events)
{
	limits_unpark(events->waiter.sessions->worker->limits, &events->user);
	waiter_leave(&events->waiter);
	return stream_end(events->waiter.req);
}

static bool send_event(struct events *events)
{
	const struct session_entry *entry = events->waiter.entry;
	char text[1024];
	int n = snprintf(text, sizeof(text), "id: %s\ndata: %.*s\n\n", entry->etag, (int)entry->body_len, entry->body);

	memcpy(events->sent, entry->etag, ETAG_SIZE);
	return n > 0 && n < (int)sizeof(text) && stream_send(events->waiter.req, (struct span){text, (size_t)n});
}

/* Until the next heartbeat, the token's end, or a deadline of the session. */
static STEP events_wait(struct events *events)
{
	const struct session_entry *entry = events->waiter.entry;
	int64_t at_ms = events->heartbeat_ms, now_ms = clock_monotonic_ms(), turns_ms;

	if (events->expires_ms < at_ms)
		at_ms = events->expires_ms;
	if (entry->answer == SESSION_FOUND && entry->turns_ms < INT64_MAX) {
		turns_ms = now_ms + entry->turns_ms - clock_wall_ms();
		at_ms = turns_ms > now_ms && turns_ms < at_ms ? turns_ms : at_ms;
	}
	waiter_set_time(&events->waiter, at_ms);
	return PARKED;
}

static void events_begin(struct events *events)
{
	reply_header(events->waiter.req, "X-Accel-Buffering", "no"); /* nginx would hold events back */
	stream_start(events->waiter.req, "text/event-stream");
	events->started = true;
	events->heartbeat_ms = clock_monotonic_ms() + HEARTBEAT_MS;
}

static STEP events_on_read(struct events *events)
{
	struct waiter *waiter = &events->waiter;
	const struct session_entry *entry = waiter->entry;
	bool found = entry->answer == SESSION_FOUND, news = found && strcmp(entry->etag, events->sent) != 0;

	if (!events->started) {
		if (entry->answer == SESSION_UNAVAILABLE)
			return events_leave(events, reply_unavailable(waiter->req, entry->store, "no store could be asked"));
		if (found && entry->final && !news)
			return events_leave(events, reply_empty(waiter->req, 204)); /* the client need not come back */
		events_begin(events);
	}
	if (news && !send_event(events))
		return events_end(events);
	if (found && entry->final)
		return events_end(events);
	waiter_set_hasty(waiter, false);
	return events_wait(events);
}

static STEP events_on_time(struct events *events)
{
	struct waiter *waiter = &events->waiter;
	const struct session_entry *entry = waiter->entry;
	int64_t now_ms = clock_monotonic_ms();

	if (now_ms >= events->expires_ms)
		return events_end(events);
	if (now_ms >= events->heartbeat_ms) {
		events->heartbeat_ms = now_ms + HEARTBEAT_MS;
		if (!stream_send(waiter->req, SPAN(":\n\n")))
			return events_end(events);
	}
	if (entry->answer == SESSION_FOUND && clock_wall_ms() >= entry->turns_ms)
		waiter_set_hasty(waiter, true);
	return events_wait(events);
}

/* Tells the client when to come back: not all at once. */
static STEP events_drained(struct events *events)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "retry: %d\n\n", 200 + (int)(random() % 800));

	(void)stream_send(events->waiter.req, (struct span){text, (size_t)n});
	return events_end(events);
}

static enum step events_look(struct waiter *waiter, enum waiter_call call)
{
	struct events *events = (struct events *)waiter;

	if (call == WAITER_STOP && !events->started)
		return events_leave(events, reply_unavailable(waiter->req, "this node", "stopping"));
	if (call == WAITER_STOP || (call == WAITER_LEFT && events->started))
		return events_end(events);
	if (waiter->sessions->draining && events->started)
		return events_drained(events);
	if (call == WAITER_READ)
		return events_on_read(events);
	if (call == WAITER_TIME && events->started)
		return events_on_time(events);
	return PARKED; /* until it is read: whoever has left is noticed then */
}
