/* The connection for invalidations: RESTING → CONNECTING → SUBSCRIBING → PROVING → ON, and back to
 * RESTING on the loss of either connection. */
#include "redis/tracking.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/uuid.h"
#include "redis/connection.h"

enum {
	SETUP_MAX_MS = 5000, /* from the connect until tracking is on */
	BEAT_EVERY_MS = 200,
	BEATS_MISSED_MAX = 3,
	PROOF_TTL_MS = 10000
};

#define INVALIDATE_CHANNEL "__redis__:invalidate"

enum tracking_state {
	TRACKING_RESTING,     /* no connection; the timer starts the next try, if the first connection is ready */
	TRACKING_CONNECTING,  /* the socket is being connected; the timer gives up */
	TRACKING_SUBSCRIBING, /* AUTH, CLIENT ID, SUBSCRIBE are under way; the timer gives up */
	TRACKING_PROVING,     /* a key was read and written, its invalidation is awaited; the timer gives up */
	TRACKING_ON           /* the timer sends heartbeats */
};

struct redis_tracking {
	struct event_base *base;
	struct redis_tracking_options options; /* without its url */
	struct redis_url url;
	enum tracking_state state;
	unsigned failures; /* since tracking was on, for the back-off */
	unsigned attempt;  /* a proof of an earlier one proves nothing */
	char reason[160];  /* why the last try failed; "" if it didn't */
	redisAsyncContext *ac;
	struct event *timer;
	char client_id[24];
	unsigned subscriptions;  /* confirmed */
	char beat_channel[64];
	char proof_key[80];
	unsigned beats_missed;
	struct job beat;
};

static void set_timer(struct redis_tracking *tracking, int64_t delay_ms)
{
	struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};

	event_add(tracking->timer, &delay);
}

/* The only place where the state changes. */
static void set_state(struct redis_tracking *tracking, enum tracking_state state, const char *reason)
{
	bool was_on = tracking->state == TRACKING_ON, on = state == TRACKING_ON;

	tracking->state = state;
	switch (state) {
	case TRACKING_RESTING:
		set_timer(tracking, redis_backoff_ms(tracking->failures++));
		break;
	case TRACKING_CONNECTING:
		tracking->attempt++;
		tracking->subscriptions = 0;
		tracking->client_id[0] = '\0';
		set_timer(tracking, SETUP_MAX_MS);
		break;
	case TRACKING_SUBSCRIBING:
	case TRACKING_PROVING:
		break; /* within the same time */
	case TRACKING_ON:
		tracking->failures = 0;
		tracking->reason[0] = '\0';
		tracking->beats_missed = 0;
		set_timer(tracking, BEAT_EVERY_MS);
		break;
	}
	if (on != was_on)
		tracking->options.changed(tracking->options.arg, on, reason);
}

static void tracking_break(struct redis_tracking *tracking, const char *reason)
{
	redisAsyncContext *ac = tracking->ac;

	/* the loss itself is told by changed(); this is for what never comes on */
	if (tracking->state != TRACKING_ON && tracking->state != TRACKING_RESTING && strcmp(reason, tracking->reason) != 0) {
		snprintf(tracking->reason, sizeof(tracking->reason), "%s", reason);
		log_event(LOG_WARN, "tracking_refused", "reason=%s", LOG_TEXT(span_of(reason)));
	}
	tracking->ac = NULL;
	set_state(tracking, TRACKING_RESTING, reason);
	if (ac)
		redisAsyncFree(ac);
}

/* ── the proof: a job on the first connection: tracking on → read → write → invalidation ── */

struct proof {
	struct job job;
	struct redis_tracking *tracking;
	unsigned attempt;
};

static void proof_end(struct job *job)
{
	arena_deinit(&job->arena);
	free(job);
}

static bool proof_holds(struct proof *proof, const struct redis_reply *reply)
{
	struct redis_tracking *tracking = proof->tracking;

	if (tracking->attempt != proof->attempt || tracking->state != TRACKING_PROVING)
		return false;
	if (reply->status != CALL_OK)
		tracking_break(tracking, arena_strdup(&proof->job.arena, reply->error));
	return reply->status == CALL_OK;
}

static enum step proof_on_tracking(void *ctx, const struct redis_reply *reply);
static enum step proof_on_read(void *ctx, const struct redis_reply *reply);
static enum step proof_on_written(void *ctx, const struct redis_reply *reply);

static STEP proof_start(struct proof *proof)
{
	struct redis_tracking *tracking = proof->tracking;
	struct span words[] = {SPAN("CLIENT"), SPAN("TRACKING"), SPAN("ON"), SPAN("REDIRECT"),
			       span_of(tracking->client_id), SPAN("OPTIN")};

	return redis_command(tracking->options.redis, &proof->job, 6, words, proof_on_tracking, proof);
}

static enum step proof_on_tracking(void *ctx, const struct redis_reply *reply)
{
	struct proof *proof = ctx;
	struct redis_tracking *tracking = proof->tracking;
	struct span words[] = {SPAN("GET"), span_of(tracking->proof_key)};

	if (!proof_holds(proof, reply))
		return DONE;
	return redis_command_tracked(tracking->options.redis, &proof->job, 2, words, proof_on_read, proof);
}

static enum step proof_on_read(void *ctx, const struct redis_reply *reply)
{
	struct proof *proof = ctx;
	struct redis_tracking *tracking = proof->tracking;
	struct span words[] = {SPAN("SET"), span_of(tracking->proof_key), SPAN("1"), SPAN("PX"),
			       span_of(arena_printf(&proof->job.arena, "%d", PROOF_TTL_MS))};

	if (!proof_holds(proof, reply))
		return DONE;
	return redis_command(tracking->options.redis, &proof->job, 5, words, proof_on_written, proof);
}

static enum step proof_on_written(void *ctx, const struct redis_reply *reply)
{
	(void)proof_holds(ctx, reply); /* what remains is to hear of it: on_invalidation() */
	return DONE;
}

static void proof_begin(struct redis_tracking *tracking)
{
	struct proof *proof = xcalloc(1, sizeof(*proof));

	set_state(tracking, TRACKING_PROVING, NULL);
	job_init(&proof->job, INT64_MAX, proof_end);
	proof->tracking = tracking;
	proof->attempt = tracking->attempt;
	job_run(&proof->job, proof_start(proof));
}

/* ── what the second connection hears ───────────────────────────────────────────────── */

static void on_invalidation(struct redis_tracking *tracking, struct span key)
{
	if (tracking->state == TRACKING_PROVING && span_is(key, tracking->proof_key))
		set_state(tracking, TRACKING_ON, "");
	else if (tracking->state == TRACKING_ON && !span_is(key, tracking->proof_key))
		tracking->options.invalidated(tracking->options.arg, key);
}

static void tracking_on_message(redisAsyncContext *ac, void *r, void *privdata)
{
	struct redis_tracking *tracking = ac->data;
	const redisReply *reply = r, *content;

	(void)privdata;
	if (!reply || tracking->ac != ac)
		return;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3) {
		tracking_break(tracking, reply->type == REDIS_REPLY_ERROR ? reply->str : "no message of a channel");
		return;
	}
	content = reply->element[2];
	if (strcmp(reply->element[0]->str, "subscribe") == 0) {
		if (++tracking->subscriptions == 2 && tracking->client_id[0])
			proof_begin(tracking);
	} else if (strcmp(reply->element[1]->str, INVALIDATE_CHANNEL) != 0) {
		tracking->beats_missed = 0;
	} else if (content->type == REDIS_REPLY_ARRAY) {
		for (size_t i = 0; i < content->elements && tracking->ac == ac; i++)
			if (content->element[i]->type == REDIS_REPLY_STRING)
				on_invalidation(tracking,
						(struct span){content->element[i]->str, content->element[i]->len});
	} else {
		on_invalidation(tracking, SPAN_ABSENT); /* FLUSHALL */
	}
}

static void tracking_on_setup(redisAsyncContext *ac, void *r, void *privdata)
{
	struct redis_tracking *tracking = ac->data;
	const redisReply *reply = r;

	(void)privdata;
	if (!reply || tracking->ac != ac)
		return;
	if (reply->type == REDIS_REPLY_ERROR)
		tracking_break(tracking, reply->str);
	else if (reply->type == REDIS_REPLY_INTEGER)
		snprintf(tracking->client_id, sizeof(tracking->client_id), "%lld", reply->integer);
}

static bool setup_send(redisAsyncContext *ac, int argc, const char **argv)
{
	return redisAsyncCommandArgv(ac, tracking_on_setup, NULL, argc, argv, NULL) == REDIS_OK;
}

static bool setup_send_all(struct redis_tracking *tracking)
{
	const struct redis_url *url = &tracking->url;
	redisAsyncContext *ac = tracking->ac;
	bool ok = true;

	if (url->user[0])
		ok = setup_send(ac, 3, (const char *[]){"AUTH", url->user, url->password});
	else if (url->password[0])
		ok = setup_send(ac, 2, (const char *[]){"AUTH", url->password});
	ok = ok && setup_send(ac, 2, (const char *[]){"CLIENT", "ID"});
	/* one command each: hiredis 0.14 looks a message up by its channel, and both must be known before any comes */
	return ok &&
	       redisAsyncCommandArgv(ac, tracking_on_message, NULL, 2,
				     (const char *[]){"SUBSCRIBE", INVALIDATE_CHANNEL}, NULL) == REDIS_OK &&
	       redisAsyncCommandArgv(ac, tracking_on_message, NULL, 2,
				     (const char *[]){"SUBSCRIBE", tracking->beat_channel}, NULL) == REDIS_OK;
}

/* ── the connection ─────────────────────────────────────────────────────────────────── */

static void tracking_on_disconnect(const redisAsyncContext *ac, int status)
{
	struct redis_tracking *tracking = ac->data;

	if (tracking->ac != ac)
		return;
	tracking->ac = NULL;
	tracking_break(tracking, status == REDIS_OK ? "the connection was closed" : ac->errstr);
}

static void tracking_on_connect(const redisAsyncContext *ac, int status)
{
	struct redis_tracking *tracking = ac->data;

	if (status != REDIS_OK) {
		tracking->ac = NULL; /* hiredis frees it behind us */
		tracking_break(tracking, ac->c.errstr);
		return;
	}
	redis_set_socket_options(tracking->ac, &tracking->url);
	set_state(tracking, TRACKING_SUBSCRIBING, NULL);
	if (!setup_send_all(tracking))
		set_timer(tracking, 0); /* the context can't be freed in here */
}

static void tracking_connect(struct redis_tracking *tracking)
{
	if (!redis_ready(tracking->options.redis))
		return; /* redis_tracking_on_redis() will come */
	set_state(tracking, TRACKING_CONNECTING, NULL);
	tracking->ac = redis_open(tracking->base, &tracking->url, tracking, tracking_on_connect, tracking_on_disconnect);
	if (!tracking->ac || tracking->ac->err)
		tracking_break(tracking, tracking->ac ? tracking->ac->errstr : "out of memory");
}

static void beat_end(struct job *job)
{
	(void)job; /* part of the tracking */
}

static enum step beat_on_published(void *ctx, const struct redis_reply *reply)
{
	(void)ctx;
	(void)reply; /* if it didn't arrive, that is noticed by its silence */
	return DONE;
}

static void tracking_beat(struct redis_tracking *tracking)
{
	struct span words[] = {SPAN("PUBLISH"), span_of(tracking->beat_channel), SPAN("1")};

	if (tracking->beats_missed++ >= BEATS_MISSED_MAX) {
		tracking_break(tracking, "no heartbeat comes back");
		return;
	}
	set_timer(tracking, BEAT_EVERY_MS);
	job_run(&tracking->beat, redis_command(tracking->options.redis, &tracking->beat, 3, words, beat_on_published, tracking));
}

static void tracking_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct redis_tracking *tracking = arg;

	(void)fd;
	(void)what;
	switch (tracking->state) {
	case TRACKING_RESTING:
		tracking_connect(tracking);
		break;
	case TRACKING_CONNECTING:
	case TRACKING_SUBSCRIBING:
		tracking_break(tracking, "the server doesn't answer");
		break;
	case TRACKING_PROVING:
		tracking_break(tracking, "the change of a tracked key was not reported");
		break;
	case TRACKING_ON:
		tracking_beat(tracking);
		break;
	}
}

void redis_tracking_on_redis(struct redis_tracking *tracking, bool ready)
{
	if (!ready) {
		tracking_break(tracking, "the first connection was lost");
	} else if (tracking->state == TRACKING_RESTING) {
		tracking->failures = 0;
		set_timer(tracking, 0);
	}
}

struct redis_tracking *redis_tracking_new(struct event_base *base, const struct redis_tracking_options *options,
					  const char **error)
{
	struct redis_tracking *tracking = xcalloc(1, sizeof(*tracking));
	struct uuid name = uuid_random();

	if (!redis_url_parse(options->url, &tracking->url, error)) {
		free(tracking);
		return NULL;
	}
	tracking->base = base;
	tracking->options = *options;
	tracking->options.url = NULL;
	snprintf(tracking->beat_channel, sizeof(tracking->beat_channel), "debrief:beat:%s", name.text);
	snprintf(tracking->proof_key, sizeof(tracking->proof_key), "debrief:{p0}:tracking:%s", name.text);
	job_init(&tracking->beat, INT64_MAX, beat_end);
	tracking->timer = evtimer_new(base, tracking_on_timer, tracking);
	if (!tracking->timer)
		abort();
	return tracking;
}

void redis_tracking_free(struct redis_tracking *tracking)
{
	redisAsyncContext *ac;

	if (!tracking)
		return;
	ac = tracking->ac;
	tracking->ac = NULL;
	if (ac)
		redisAsyncFree(ac);
	event_free(tracking->timer);
	explicit_bzero(&tracking->url, sizeof(tracking->url));
	free(tracking);
}

bool redis_tracking_on(const struct redis_tracking *tracking)
{
	return tracking->state == TRACKING_ON;
}
