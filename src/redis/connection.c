/* The connection: RESTING → CONNECTING → PREPARING → READY, and back to RESTING on any failure. */
#include <event2/event.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "redis/connection.h"

enum {
	CONNECT_MAX_MS = 5000, /* for CONNECTING and PREPARING together */
	BACKOFF_MIN_MS = 50,
	BACKOFF_MAX_MS = 2000
};

/* What is asked of a new connection, in this order and in one pipeline. */
enum preparation { PREPARE_AUTH, PREPARE_SELECT, PREPARE_INFO, PREPARE_SCRIPT /* + enum script */ };

/* Doubles with each failure, ±50 %, so that nodes don't come back all at once. */
int64_t redis_backoff_ms(unsigned failures)
{
	int64_t delay_ms = failures < 6 ? BACKOFF_MIN_MS << failures : BACKOFF_MAX_MS;
	uint32_t random;

	if (delay_ms > BACKOFF_MAX_MS)
		delay_ms = BACKOFF_MAX_MS;
	evutil_secure_rng_get_bytes(&random, sizeof(random));
	return delay_ms / 2 + (int64_t)(random % (uint32_t)delay_ms);
}

void redis_arm(struct redis *redis, int64_t at_ms)
{
	int64_t delay_ms = at_ms - clock_monotonic_ms();
	struct timeval delay;

	if (at_ms >= redis->timer_at_ms)
		return;
	if (delay_ms < 0)
		delay_ms = 0;
	delay = (struct timeval){.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
	redis->timer_at_ms = at_ms;
	event_add(redis->timer, &delay);
}

static void redis_disarm(struct redis *redis)
{
	event_del(redis->timer);
	redis->timer_at_ms = INT64_MAX;
}

/* The only place where the state changes. A NULL reason keeps the last one. */
static void redis_set_state(struct redis *redis, enum redis_state state, const char *reason)
{
	bool was_ready = redis->state == REDIS_READY;
	bool ready = state == REDIS_READY;
	bool news = reason && strcmp(reason, redis->reason) != 0;

	redis->state = state;
	if (news)
		snprintf(redis->reason, sizeof(redis->reason), "%s", reason);
	switch (state) {
	case REDIS_RESTING:
		redis_disarm(redis);
		redis_arm(redis, clock_monotonic_ms() + redis_backoff_ms(redis->failures++));
		break;
	case REDIS_CONNECTING:
		redis_disarm(redis);
		redis_arm(redis, clock_monotonic_ms() + CONNECT_MAX_MS);
		break;
	case REDIS_PREPARING:
		return; /* within the same time */
	case REDIS_READY:
		redis->failures = 0;
		redis_disarm(redis);
		break;
	case REDIS_STOPPED:
		redis_disarm(redis);
		return;
	}
	if (ready)
		log_event(LOG_INFO, "redis_ready", "replid=%s", redis->replid);
	else if (news)
		log_event(LOG_WARN, "redis_down", "reason=%s", LOG_TEXT(span_of(redis->reason)));
	if (ready != was_ready && redis->options.changed)
		redis->options.changed(redis->options.arg, ready, redis->reason);
}

/* From inside a reply's callback hiredis frees the context a little later, but
 * delivers nothing more from it. */
static void redis_drop(struct redis *redis)
{
	redisAsyncContext *ac = redis->ac;

	redis->ac = NULL;
	redis_defer_sent(redis);
	if (ac)
		redisAsyncFree(ac);
}

void redis_break(struct redis *redis, const char *reason)
{
	redis_drop(redis);
	redis_set_state(redis, REDIS_RESTING, reason);
}

bool redis_error_breaks(const redisReply *reply)
{
	static const struct span codes[] = {SPAN("LOADING "), SPAN("READONLY "), SPAN("MASTERDOWN "),
					    SPAN("NOAUTH ")};
	struct span text = {reply->str, reply->len};

	if (reply->type != REDIS_REPLY_ERROR)
		return false;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (span_starts_with(text, codes[i]))
			return true;
	}
	return false;
}

/* The value of "name:value\r\n" in INFO's text. */
static struct span info_value(struct span info, const char *name)
{
	while (info.p) {
		struct span line = span_cut(&info, '\n');
		struct span value = line;
		struct span key = span_cut(&value, ':');

		if (span_is(key, name) && value.p) {
			if (value.n && value.p[value.n - 1] == '\r')
				value.n--;
			return value;
		}
	}
	return SPAN_ABSENT;
}

/* Managed servers may hide a section: then nothing is known to be durable. */
static const char *info_undurable(struct span info)
{
	if (!span_is(info_value(info, "aof_enabled"), "1"))
		return "appendonly is not yes";
	if (!span_is(info_value(info, "maxmemory_policy"), "noeviction"))
		return "maxmemory-policy is not noeviction";
	return "";
}

/* Takes INFO's answer: NULL, or why this server won't do. */
static const char *prepare_take_info(struct redis *redis, const redisReply *reply)
{
	struct span info = {reply->str, reply->len};
	struct span replid;

	if (reply->type != REDIS_REPLY_STRING)
		return "INFO was answered with something else";
	replid = info_value(info, "master_replid");
	if (!span_is(info_value(info, "role"), "master"))
		return "read-only replica";
	if (replid.n == 0 || replid.n >= sizeof(redis->replid))
		return "INFO names no master_replid";
	memcpy(redis->replid, replid.p, replid.n);
	redis->replid[replid.n] = '\0';
	redis->undurable = info_undurable(info);
	return NULL;
}

static void prepare_on_reply(redisAsyncContext *ac, void *r, void *privdata)
{
	struct redis *redis = ac->data;
	const redisReply *reply = r;
	int preparation = (int)(intptr_t)privdata;
	const char *trouble = NULL;

	if (!reply)
		return; /* the context is going, and whoever ended it said why */
	if (reply->type == REDIS_REPLY_ERROR) {
		trouble = reply->str;
	} else if (preparation == PREPARE_INFO) {
		trouble = prepare_take_info(redis, reply);
	} else if (preparation >= PREPARE_SCRIPT) {
		const struct script_text *script = &script_texts[preparation - PREPARE_SCRIPT];

		if (reply->type != REDIS_REPLY_STRING ||
		    !span_is((struct span){reply->str, reply->len}, script->sha1))
			trouble = "SCRIPT LOAD answered with another SHA-1 than the script's";
	}
	if (trouble)
		redis_break(redis, trouble);
	else if (preparation == PREPARE_SCRIPT + SCRIPT_COUNT - 1)
		redis_set_state(redis, REDIS_READY, "");
}

static bool prepare_send(struct redis *redis, int preparation, int argc, const char **argv)
{
	void *privdata = (void *)(intptr_t)preparation;

	return redisAsyncCommandArgv(redis->ac, prepare_on_reply, privdata, argc, argv, NULL) == REDIS_OK;
}

static bool prepare_send_all(struct redis *redis)
{
	const struct redis_url *url = &redis->url;
	char db[24];
	bool ok = true;

	snprintf(db, sizeof(db), "%lld", (long long)url->db);
	if (url->user[0])
		ok = prepare_send(redis, PREPARE_AUTH, 3, (const char *[]){"AUTH", url->user, url->password});
	else if (url->password[0])
		ok = prepare_send(redis, PREPARE_AUTH, 2, (const char *[]){"AUTH", url->password});
	if (ok && url->db)
		ok = prepare_send(redis, PREPARE_SELECT, 2, (const char *[]){"SELECT", db});
	if (ok)
		ok = prepare_send(redis, PREPARE_INFO, 1, (const char *[]){"INFO"});
	for (int i = 0; ok && i < SCRIPT_COUNT; i++)
		ok = prepare_send(redis, PREPARE_SCRIPT + i, 3,
				  (const char *[]){"SCRIPT", "LOAD", script_texts[i].text});
	return ok;
}

static void connection_on_disconnect(const redisAsyncContext *ac, int status)
{
	struct redis *redis = ac->data;
	const char *reason = status == REDIS_OK ? "the connection was closed" : ac->errstr;

	if (redis->ac != ac)
		return; /* redis_drop() */
	redis->ac = NULL;
	if (ac->c.err == REDIS_ERR_OOM)
		reason = "the server sent a reply that nobody asked for, or that is too large";
	redis_break(redis, reason);
}

static void connection_on_connect(const redisAsyncContext *ac, int status)
{
	struct redis *redis = ac->data;

	if (status != REDIS_OK) {
		redis->ac = NULL; /* hiredis frees it behind us */
		redis_break(redis, ac->c.errstr);
		return;
	}
	redis_set_socket_options(redis->ac, &redis->url);
	redis_set_state(redis, REDIS_PREPARING, NULL);
	if (!prepare_send_all(redis))
		redis_arm(redis, 0); /* the context can't be freed in here */
}

void redis_set_socket_options(redisAsyncContext *ac, const struct redis_url *url)
{
	int on = 1;

	if (url->host[0] && (setsockopt(ac->c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
			     redisEnableKeepAlive(&ac->c) != REDIS_OK))
		log_event(LOG_DEBUG, "redis_socket_options", "error=%s", LOG_TEXT(span_of(ac->c.errstr)));
}

redisAsyncContext *redis_open(struct event_base *base, const struct redis_url *url, void *data,
			      redisConnectCallback *on_connect, redisDisconnectCallback *on_disconnect)
{
	redisAsyncContext *ac = url->path[0] ? redisAsyncConnectUnix(url->path) : redisAsyncConnect(url->host, url->port);

	if (!ac || ac->err)
		return ac;
	ac->data = data;
	redis_events_attach(ac, base);
	if (redisAsyncSetDisconnectCallback(ac, on_disconnect) != REDIS_OK ||
	    redisAsyncSetConnectCallback(ac, on_connect) != REDIS_OK) {
		redisAsyncFree(ac);
		return NULL;
	}
	return ac;
}

static void redis_connect(struct redis *redis)
{
	redis_set_state(redis, REDIS_CONNECTING, NULL);
	redis->ac = redis_open(redis->base, &redis->url, redis, connection_on_connect, connection_on_disconnect);
	if (!redis->ac || redis->ac->err)
		redis_break(redis, redis->ac ? redis->ac->errstr : "out of memory");
}

static void redis_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct redis *redis = arg;

	(void)fd, (void)what;
	redis->timer_at_ms = INT64_MAX;
	switch (redis->state) {
	case REDIS_RESTING:
		redis_connect(redis);
		break;
	case REDIS_CONNECTING:
		redis_break(redis, "the server can't be reached in time");
		break;
	case REDIS_PREPARING:
		redis_break(redis, "the server doesn't answer");
		break;
	case REDIS_READY:
		redis_expire_calls(redis);
		break;
	case REDIS_STOPPED:
		break;
	}
}

static void redis_on_deferred(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	redis_run_deferred(arg);
}

struct redis *redis_new(struct event_base *base, const struct redis_options *options, const char **error)
{
	struct redis *redis = xcalloc(1, sizeof(*redis));

	if (!redis_url_parse(options->url, &redis->url, error)) {
		free(redis);
		return NULL;
	}
	redis->base = base;
	redis->options = *options;
	redis->options.url = NULL;
	redis->state = REDIS_RESTING;
	snprintf(redis->reason, sizeof(redis->reason), "not connected yet");
	redis->undurable = "not connected yet";
	redis->timer_at_ms = INT64_MAX;
	STAILQ_INIT(&redis->sent);
	STAILQ_INIT(&redis->deferred);
	redis->timer = evtimer_new(base, redis_on_timer, redis);
	redis->deferred_event = evtimer_new(base, redis_on_deferred, redis);
	if (!redis->timer || !redis->deferred_event)
		abort();
	redis_arm(redis, 0);
	return redis;
}

void redis_free(struct redis *redis)
{
	if (!redis)
		return;
	redis_set_state(redis, REDIS_STOPPED, "shutting down");
	redis_drop(redis);
	while (!STAILQ_EMPTY(&redis->deferred))
		redis_run_deferred(redis);
	event_free(redis->timer);
	event_free(redis->deferred_event);
	explicit_bzero(&redis->url, sizeof(redis->url));
	free(redis->values);
	free(redis->digits);
	free(redis->command);
	free(redis);
}

bool redis_ready(const struct redis *redis)
{
	return redis->state == REDIS_READY;
}

const char *redis_reason(const struct redis *redis)
{
	return redis->reason;
}

const char *redis_undurable(const struct redis *redis)
{
	return redis->undurable;
}

const char *redis_replid(const struct redis *redis)
{
	return redis->replid;
}
