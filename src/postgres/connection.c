/* The connection: RESTING → CONNECTING → CHECKING → PREPARING → READY, and back to
 * RESTING on any failure. */
#include <event2/event.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "postgres/connection.h"

enum {
	CONNECT_MAX_MS = 5000, /* for CONNECTING, and again for what follows */
	BACKOFF_MIN_MS = 50,
	BACKOFF_MAX_MS = 2000
};

uint32_t postgres_random(uint32_t below)
{
	uint32_t random;

	evutil_secure_rng_get_bytes(&random, sizeof(random));
	return random % below;
}

/* Doubles with each failure, ±50 %, so that nodes don't come back all at once. */
static int64_t backoff_ms(unsigned failures)
{
	int64_t delay_ms = failures < 6 ? BACKOFF_MIN_MS << failures : BACKOFF_MAX_MS;

	if (delay_ms > BACKOFF_MAX_MS)
		delay_ms = BACKOFF_MAX_MS;
	return delay_ms / 2 + postgres_random((uint32_t)delay_ms);
}

void postgres_arm(struct postgres *postgres, int64_t at_ms)
{
	int64_t delay_ms = at_ms - clock_monotonic_ms();
	struct timeval delay;

	if (at_ms >= postgres->timer_at_ms)
		return;
	if (delay_ms < 0)
		delay_ms = 0;
	delay = (struct timeval){.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
	postgres->timer_at_ms = at_ms;
	event_add(postgres->timer, &delay);
}

static void postgres_disarm(struct postgres *postgres)
{
	event_del(postgres->timer);
	postgres->timer_at_ms = INT64_MAX;
}

/* libpq's messages have several lines; a reason is the first. */
static void reason_set(char *reason, size_t size, const char *text)
{
	snprintf(reason, size, "%.*s", (int)strcspn(text, "\n"), text);
}

/* The only place where the state changes. A NULL reason keeps the last one. */
void postgres_set_state(struct postgres *postgres, enum postgres_state state, const char *reason)
{
	bool was_ready = postgres->state == POSTGRES_READY;
	bool ready = state == POSTGRES_READY;
	char text[sizeof(postgres->reason)];
	bool news = false;

	postgres->state = state;
	if (reason) {
		reason_set(text, sizeof(text), reason);
		news = strcmp(text, postgres->reason) != 0;
		memcpy(postgres->reason, text, sizeof(text));
	}
	postgres_disarm(postgres);
	switch (state) {
	case POSTGRES_RESTING:
		postgres_arm(postgres, clock_monotonic_ms() + backoff_ms(postgres->failures++));
		break;
	case POSTGRES_CONNECTING:
	case POSTGRES_CHECKING:
	case POSTGRES_PREPARING:
		postgres_arm(postgres, clock_monotonic_ms() + CONNECT_MAX_MS);
		return;
	case POSTGRES_READY:
		postgres->failures = 0;
		break;
	case POSTGRES_STOPPED:
		return;
	}
	if (ready)
		log_event(LOG_INFO, "postgres_ready", "backend=%d", PQbackendPID(postgres->conn));
	else if (news)
		log_event(LOG_WARN, "postgres_down", "reason=%s", LOG_TEXT(span_of(postgres->reason)));
	if (ready != was_ready && postgres->options.changed)
		postgres->options.changed(postgres->options.arg, ready, postgres->reason);
}

static void postgres_drop(struct postgres *postgres)
{
	postgres_defer_all(postgres);
	if (postgres->socket)
		event_free(postgres->socket);
	postgres->socket = NULL;
	PQfinish(postgres->conn);
	postgres->conn = NULL;
}

void postgres_break(struct postgres *postgres, const char *reason)
{
	char text[sizeof(postgres->reason)];

	snprintf(text, sizeof(text), "%s", reason); /* it may be libpq's */
	postgres_drop(postgres);
	postgres_set_state(postgres, POSTGRES_RESTING, text);
}

bool postgres_sqlstate_breaks(const char *sqlstate)
{
	static const char *const codes[] = {
		"08",    /* connection exception */
		"57P",   /* shutdown, crash, starting up, database dropped, idle timeout */
		"25006", /* read-only: the primary was demoted */
		"53300", /* too many connections */
		"26000"  /* the prepared statements are gone */
	};

	if (!sqlstate)
		return true;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strncmp(sqlstate, codes[i], strlen(codes[i])) == 0)
			return true;
	}
	return false;
}

static void postgres_on_socket(evutil_socket_t fd, short what, void *arg);

static void postgres_watch(struct postgres *postgres, short what)
{
	if (postgres->socket && postgres->watched == what)
		return;
	if (postgres->socket)
		event_free(postgres->socket);
	postgres->watched = what;
	postgres->socket = event_new(postgres->base, PQsocket(postgres->conn), (short)(what | EV_PERSIST),
				     postgres_on_socket, postgres);
	if (!postgres->socket)
		abort();
	event_add(postgres->socket, NULL);
}

void postgres_flush(struct postgres *postgres)
{
	int left = PQflush(postgres->conn);

	if (left < 0)
		postgres_break(postgres, PQerrorMessage(postgres->conn));
	else
		postgres_watch(postgres, left ? EV_READ | EV_WRITE : EV_READ);
}

static void connect_poll(struct postgres *postgres)
{
	switch (PQconnectPoll(postgres->conn)) {
	case PGRES_POLLING_READING:
		postgres_watch(postgres, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
		postgres_watch(postgres, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		if (PQsetnonblocking(postgres->conn, 1) != 0) {
			postgres_break(postgres, PQerrorMessage(postgres->conn));
			break;
		}
		postgres_set_state(postgres, POSTGRES_CHECKING, NULL);
		postgres_start_checks(postgres);
		break;
	default:
		postgres_break(postgres, PQerrorMessage(postgres->conn));
	}
}

static void postgres_on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct postgres *postgres = arg;

	(void)fd;
	if (postgres->state == POSTGRES_CONNECTING) {
		/* libpq may close this socket, and the next one may get its number. */
		event_free(postgres->socket);
		postgres->socket = NULL;
		connect_poll(postgres);
		return;
	}
	if ((what & EV_READ) && !PQconsumeInput(postgres->conn)) {
		postgres_break(postgres, PQerrorMessage(postgres->conn));
		return;
	}
	if (what & EV_WRITE)
		postgres_flush(postgres);
	if (postgres->state == POSTGRES_CHECKING)
		postgres_read_checks(postgres);
	else if (postgres->state == POSTGRES_PREPARING)
		postgres_read_prepared(postgres);
	else if (postgres->state == POSTGRES_READY)
		postgres_read_batch(postgres);
}

static void notice_ignore(void *arg, const char *message)
{
	(void)arg, (void)message;
}

/* A host's name is looked up by libpq, which blocks; `hostaddr` avoids it. */
static void postgres_connect(struct postgres *postgres)
{
	const struct postgres_conninfo *conninfo = &postgres->conninfo;

	postgres_set_state(postgres, POSTGRES_CONNECTING, NULL);
	if (conninfo->count == 0) {
		postgres_break(postgres, "database_url is neither a connection string nor a URI of libpq");
		return;
	}
	postgres->conn = PQconnectStartParams((const char *const *)conninfo->keywords,
					      (const char *const *)conninfo->values, 0);
	if (!postgres->conn || PQstatus(postgres->conn) == CONNECTION_BAD) {
		postgres_break(postgres, postgres->conn ? PQerrorMessage(postgres->conn) : "out of memory");
		return;
	}
	PQsetNoticeProcessor(postgres->conn, notice_ignore, NULL);
	postgres_watch(postgres, EV_WRITE);
}

static void postgres_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct postgres *postgres = arg;

	(void)fd, (void)what;
	postgres->timer_at_ms = INT64_MAX;
	switch (postgres->state) {
	case POSTGRES_RESTING:
		postgres_connect(postgres);
		break;
	case POSTGRES_CONNECTING:
		postgres_break(postgres, "the server can't be reached in time");
		break;
	case POSTGRES_CHECKING:
	case POSTGRES_PREPARING:
		postgres_break(postgres, "the server doesn't answer");
		break;
	case POSTGRES_READY:
		postgres_expire_calls(postgres);
		break;
	case POSTGRES_STOPPED:
		break;
	}
}

static void conninfo_add(struct postgres_conninfo *conninfo, const char *keyword, const char *value)
{
	for (size_t i = 0; i < conninfo->count; i++) {
		if (strcmp(conninfo->keywords[i], keyword) == 0)
			return;
	}
	if (conninfo->count + 1 >= sizeof(conninfo->keywords) / sizeof(conninfo->keywords[0]))
		return;
	conninfo->keywords[conninfo->count] = xstrdup(keyword);
	conninfo->values[conninfo->count++] = xstrdup(value);
}

bool postgres_conninfo_parse(const char *text, const char *application, struct postgres_conninfo *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(text, NULL);

	memset(conninfo, 0, sizeof(*conninfo));
	if (!options)
		return false;
	for (const PQconninfoOption *option = options; option->keyword; option++) {
		if (option->val)
			conninfo_add(conninfo, option->keyword, option->val);
	}
	PQconninfoFree(options);
	conninfo_add(conninfo, "application_name", application);
	conninfo_add(conninfo, "client_encoding", "UTF8");
	conninfo_add(conninfo, "keepalives_idle", "30");
	conninfo_add(conninfo, "keepalives_interval", "10");
	conninfo_add(conninfo, "keepalives_count", "3");
	conninfo_add(conninfo, "tcp_user_timeout", "10000");
	return true;
}

void postgres_conninfo_free(struct postgres_conninfo *conninfo)
{
	for (size_t i = 0; i < conninfo->count; i++) {
		free(conninfo->keywords[i]);
		explicit_bzero(conninfo->values[i], strlen(conninfo->values[i]));
		free(conninfo->values[i]);
	}
	conninfo->count = 0;
}

static void postgres_on_send(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	postgres_send_batch(arg);
}

static void postgres_on_answered(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	postgres_run_answered(arg);
}

struct postgres *postgres_new(struct event_base *base, const struct postgres_options *options)
{
	struct postgres *postgres = xcalloc(1, sizeof(*postgres));

	postgres->base = base;
	postgres->options = *options;
	postgres->options.conninfo = NULL;
	postgres->state = POSTGRES_RESTING;
	postgres->timer_at_ms = INT64_MAX;
	snprintf(postgres->reason, sizeof(postgres->reason), "not connected yet");
	TAILQ_INIT(&postgres->queued);
	TAILQ_INIT(&postgres->alone);
	TAILQ_INIT(&postgres->sent);
	TAILQ_INIT(&postgres->answered);
	postgres->timer = evtimer_new(base, postgres_on_timer, postgres);
	postgres->send_event = evtimer_new(base, postgres_on_send, postgres);
	postgres->answer_event = evtimer_new(base, postgres_on_answered, postgres);
	if (!postgres->timer || !postgres->send_event || !postgres->answer_event)
		abort();
	if (!postgres_conninfo_parse(options->conninfo, "debrief", &postgres->conninfo))
		postgres->conninfo.count = 0; /* postgres_connect() says so, each time */
	postgres_arm(postgres, 0);
	return postgres;
}

void postgres_free(struct postgres *postgres)
{
	if (!postgres)
		return;
	postgres_set_state(postgres, POSTGRES_STOPPED, "shutting down");
	postgres_drop(postgres);
	while (!TAILQ_EMPTY(&postgres->answered))
		postgres_run_answered(postgres);
	event_free(postgres->timer);
	event_free(postgres->send_event);
	event_free(postgres->answer_event);
	postgres_conninfo_free(&postgres->conninfo);
	postgres_arrays_deinit(&postgres->arrays);
	free(postgres->executions);
	free(postgres);
}

bool postgres_ready(const struct postgres *postgres)
{
	return postgres->state == POSTGRES_READY;
}

const char *postgres_reason(const struct postgres *postgres)
{
	return postgres->reason;
}
