#include "broker/worker_parts.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/request_log.h"
#include "broker/routes.h"
#include "broker/agent_lag.h"
#include "broker/health.h"
#include "broker/journal.h"
#include "broker/result_cache.h"
#include "broker/sessions.h"
#include "broker/survey.h"
#include "broker/sweeper.h"
#include "http/server.h"

enum {
	DRAIN_CHECK_MS = 20,
	DRAIN_SPREAD_MS = 500,
};

/* What other threads ask of a worker. They set it and write to `wake`. */
struct worker_control {
	pthread_t thread;
	bool started;
	int wake;                                /* eventfd */
	struct event *on_wake;
	struct event *on_drain_check;
	struct event *on_beat;
	struct timeval drain_until;
	_Atomic(const struct config *) reload;   /* taken once */
	_Atomic bool drain;
};

/* Of worker_new(), which runs on one thread. */
static char worker_error[256];

int64_t worker_window_ms(const struct worker *worker)
{
	return worker->config->match_window_secs * 1000;
}

const char *worker_window_param(const struct worker *worker, struct arena *arena)
{
	return arena_strdup(arena, SPAN_DIGITS(worker_window_ms(worker)));
}

const char *worker_claim_unowned_param(const struct worker *worker)
{
	return worker->config->claim_unowned ? "true" : "false";
}

/* ── orders from other threads ──────────────────────────────────────────────────────── */

struct auth_keys *worker_load_keys(const struct config *config, char *error, size_t error_size)
{
	struct auth_options options = {
		.secret = config->jwt_secret,
		.public_key_file = config->jwt_public_key_file,
		.jwks_file = config->jwt_jwks_file,
		.audience = config->jwt_audience,
		.issuer = config->jwt_issuer,
	};

	return auth_keys_load(&options, error, error_size);
}

static void worker_take_reload(struct worker *worker, const struct config *config)
{
	char error[256];
	struct auth_keys *keys = worker_load_keys(config, error, sizeof(error));

	if (!keys) {
		log_event(LOG_ERROR, "reload_failed", "worker=%d reason=%s", worker->index, LOG_TEXT(span_of(error)));
		return;
	}
	auth_keys_free(worker->keys);
	worker->keys = keys;
	token_cache_clear(worker->tokens);
	http_server_set_cors_origins(worker->http, &config->cors_origins);
	worker->config = config;
	sessions_forget(worker->sessions);
}

/* All end together: who is connected to an idle one would else ask it, and wait for the last of the others. */
static void worker_on_drain_check(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;
	const struct admin *admin = worker->admin;
	bool busy = http_server_pending(worker->http) > 0 || (worker->sweeper && sweeper_is_busy(worker->sweeper));
	struct timeval now;

	(void)fd;
	(void)what;
	event_base_gettimeofday_cached(worker->base, &now);
	worker->phase = busy ? WORKER_BUSY : WORKER_IDLE;
	for (size_t i = 0; i < admin->worker_count; i++)
		busy = busy || admin->workers[i]->phase == WORKER_BUSY;
	if (!busy || evutil_timercmp(&now, &worker->control->drain_until, >=))
		event_base_loopbreak(worker->base);
}

/* Over how long those who wait are sent away: they all come back, to whoever is left. */
static int64_t worker_drain_spread_ms(const struct config *config)
{
	int64_t half_ms = config->drain_timeout_secs * 1000 / 2;

	return half_ms < DRAIN_SPREAD_MS ? half_ms : DRAIN_SPREAD_MS;
}

static void worker_take_drain(struct worker *worker)
{
	struct worker_control *control = worker->control;
	struct timeval every = {.tv_usec = DRAIN_CHECK_MS * 1000};

	if (worker->draining)
		return;
	worker->draining = true;
	if (worker->sweeper)
		sweeper_stop(worker->sweeper);
	http_server_drain(worker->http);
	sessions_drain(worker->sessions, worker_drain_spread_ms(worker->config));
	event_base_gettimeofday_cached(worker->base, &control->drain_until);
	control->drain_until.tv_sec += worker->config->drain_timeout_secs;
	event_add(control->on_drain_check, &every);
}

static void worker_on_beat(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;

	(void)fd;
	(void)what;
	worker->beat_ms = clock_monotonic_ms();
	metrics_set(&worker->metrics, GAUGE_CONNECTIONS, (int64_t)http_server_connections(worker->http));
	metrics_set(&worker->metrics, GAUGE_HELD_BYTES, (int64_t)http_server_held_bytes(worker->http));
}

static void worker_on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct worker *worker = arg;
	const struct config *config;
	eventfd_t count;

	(void)what;
	(void)eventfd_read(fd, &count);
	config = atomic_exchange(&worker->control->reload, NULL);
	if (config)
		worker_take_reload(worker, config);
	if (worker->control->drain)
		worker_take_drain(worker);
}

static void worker_wake(struct worker *worker)
{
	(void)eventfd_write(worker->control->wake, 1);
}

void worker_reload(struct worker *worker, const struct config *config)
{
	atomic_store(&worker->control->reload, config);
	worker_wake(worker);
}

void worker_drain(struct worker *worker)
{
	worker->control->drain = true;
	worker_wake(worker);
}

/* ── life ───────────────────────────────────────────────────────────────────────────── */

static struct event_base *worker_base_new(void)
{
	struct event_config *options = event_config_new();
	struct event_base *base;

	if (!options)
		return NULL;
	/* no fd here is a dup of another, and nothing crosses threads but the eventfd */
	event_config_set_flag(options, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST | EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(options);
	event_config_free(options);
	return base;
}

static bool worker_open_control(struct worker *worker)
{
	struct worker_control *control = xcalloc(1, sizeof(*control));
	const struct timeval second = {.tv_sec = 1};

	worker->control = control;
	control->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (control->wake < 0)
		return false;
	control->on_wake = event_new(worker->base, control->wake, EV_READ | EV_PERSIST, worker_on_wake, worker);
	control->on_drain_check = event_new(worker->base, -1, EV_PERSIST, worker_on_drain_check, worker);
	control->on_beat = event_new(worker->base, -1, EV_PERSIST, worker_on_beat, worker);
	worker->beat_ms = clock_monotonic_ms();
	return control->on_wake && control->on_drain_check && control->on_beat && event_add(control->on_wake, NULL) == 0 &&
	       event_add(control->on_beat, &second) == 0;
}

static bool worker_open_http(struct worker *worker, int listen_fd)
{
	struct http_server_options options = {
		.cors_origins = &worker->config->cors_origins,
		.request_timeout_ms = worker->config->request_timeout_ms,
		.app = worker,
		.answered = request_log,
		.refused = request_log_refused,
	};

	limits_of_http(worker->config, &options);
	options.routes = routes_public(&options.route_count);
	options.fallback = routes_public_fallback;
	worker->http = http_server_new(worker->base, listen_fd, &options);
	return worker->http != NULL;
}

struct worker *worker_new(int index, const struct config *config, struct journal_size *journal, int listen_fd,
			  const char **error)
{
	struct worker *worker = xcalloc(1, sizeof(*worker));
	worker->index = index;
	worker->config = config;
	worker->journal = journal;
	worker->journal_trouble = "";
	worker->tokens = token_cache_new();
	worker->limits = limits_new(config);
	*error = worker_error;
	worker->keys = worker_load_keys(config, worker_error, sizeof(worker_error));
	if (!worker->keys)
		goto fail;
	*error = "out of resources";
	worker->base = worker_base_new();
	if (!worker->base || !worker_open_control(worker) || !worker_open_stores(worker, error) ||
	    !worker_open_http(worker, listen_fd))
		goto fail;
	worker->sessions = sessions_new(worker);
	worker->lags = agent_lags_new(worker);
	worker->results = result_cache_new((size_t)config->result_cache_max);
	if (index == 0 && (!(worker->sweeper = sweeper_new(worker)) || !(worker->survey = survey_new(worker))))
		goto fail;
	return worker;
fail:
	if (!worker->http)
		close(listen_fd);
	worker_free(worker);
	return NULL;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	event_base_dispatch(worker->base);
	worker->phase = WORKER_STOPPED;
	return NULL;
}

bool worker_start(struct worker *worker)
{
	sigset_t all, before;

	/* signals are the main thread's */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	worker->phase = WORKER_BUSY;
	worker->control->started = pthread_create(&worker->control->thread, NULL, worker_main, worker) == 0;
	if (!worker->control->started)
		worker->phase = WORKER_STOPPED;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return worker->control->started;
}

void worker_join(struct worker *worker)
{
	if (worker->control && worker->control->started)
		pthread_join(worker->control->thread, NULL);
}

/* Stores first: whoever still waits for one is answered now. */
void worker_free(struct worker *worker)
{
	if (worker->sessions)
		sessions_stop(worker->sessions);
	worker_close_stores(worker);
	sessions_free(worker->sessions);
	result_cache_free(worker->results);
	agent_lags_free(worker->lags);
	if (worker->sweeper)
		sweeper_free(worker->sweeper);
	if (worker->survey)
		survey_free(worker->survey);
	if (worker->http)
		http_server_free(worker->http);
	if (worker->control) {
		if (worker->control->on_wake)
			event_free(worker->control->on_wake);
		if (worker->control->on_drain_check)
			event_free(worker->control->on_drain_check);
		if (worker->control->on_beat)
			event_free(worker->control->on_beat);
		if (worker->control->wake >= 0)
			close(worker->control->wake);
		free(worker->control);
	}
	if (worker->base)
		event_base_free(worker->base);
	auth_keys_free(worker->keys);
	token_cache_free(worker->tokens);
	limits_free(worker->limits);
	free(worker);
}
