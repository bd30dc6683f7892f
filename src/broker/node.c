#include "broker/node.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/health.h"
#include "broker/journal.h"
#include "broker/routes.h"
#include "broker/systemd.h"
#include "broker/worker.h"

enum { SIGNALS = 5, NAME_MAX_LEN = 128, DRAIN_CHECK_MS = 20 };

struct node {
	struct event_base *base;
	struct worker **workers;
	size_t worker_count;
	struct journal_size *journal;
	struct admin admin;
	struct http_server *admin_http;
	struct event *on_signal[SIGNALS];
	struct systemd_sockets sockets; /* handed over by systemd */
	struct event *on_watchdog;
	struct event *on_drain_check;
	/* requests hold on to the configuration they began with: old ones stay until the end */
	struct config **configs;
	size_t config_count;
	node_reload_cb *reload;
	void *reload_arg;
};

static const struct config *node_config(const struct node *node)
{
	return node->configs[node->config_count - 1];
}

static void node_add_config(struct node *node, struct config *config)
{
	node->configs = xrealloc(node->configs, (node->config_count + 1) * sizeof(*node->configs));
	node->configs[node->config_count++] = config;
}

static void node_set_log(const struct config *config)
{
	log_set_level((enum log_level)config->log_level);
	log_set_format((enum log_format)config->log_format);
}

/* One level more, one level less; a reload restores the configured one. */
static void node_on_log_level(evutil_socket_t signal_number, short what, void *arg)
{
	int level = (int)log_level() + (signal_number == SIGUSR1 ? -1 : 1);

	(void)what;
	(void)arg;
	if (level >= LOG_DEBUG && level <= LOG_ERROR)
		log_set_level((enum log_level)level);
	/* whatever it is now, this is to be seen */
	log_event(LOG_ERROR, "log_level", "now=%s", log_level_name(log_level()));
}

/* The admin listener goes last: until then /readyz says that we stop, /livez that we live, and /metrics what is left. */
static void node_on_drain_check(evutil_socket_t fd, short what, void *arg)
{
	struct node *node = arg;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < node->worker_count; i++)
		if (node->workers[i]->phase != WORKER_STOPPED)
			return;
	event_base_loopbreak(node->base);
}

static void node_on_stop(evutil_socket_t signal_number, short what, void *arg)
{
	struct timeval every = {.tv_usec = DRAIN_CHECK_MS * 1000};
	struct node *node = arg;

	(void)what;
	if (node->admin.draining && signal_number == SIGINT) /* a second Ctrl-C: at once */
		_exit(1);
	if (node->admin.draining)
		return;
	log_event(LOG_INFO, "stopping", "signal=%d", (int)signal_number);
	systemd_notify("STOPPING=1");
	node->admin.draining = true;
	for (size_t i = 0; i < node->worker_count; i++)
		worker_drain(node->workers[i]);
	event_add(node->on_drain_check, &every);
}

static void node_reload_config(struct node *node)
{
	struct config *config = node->reload(node->reload_arg);
	struct auth_keys *keys;
	char error[256];

	if (!config)
		return;
	keys = worker_load_keys(config, error, sizeof(error));
	if (!keys) {
		log_event(LOG_ERROR, "reload_failed", "reason=%s", LOG_TEXT(span_of(error)));
		config_deinit(config);
		free(config);
		return;
	}
	auth_keys_free(keys);
	node_add_config(node, config);
	node_set_log(config);
	for (size_t i = 0; i < node->worker_count; i++)
		worker_reload(node->workers[i], config);
	log_event(LOG_INFO, "reloaded", NULL);
}

static void node_on_reload(evutil_socket_t signal_number, short what, void *arg)
{
	char state[64];

	(void)signal_number;
	(void)what;
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_monotonic_us());
	systemd_notify(state);
	node_reload_config(arg);
	systemd_notify("READY=1");
}

/* systemd hears that we live only while every worker's loop turns. */
static void node_on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	struct node *node = arg;
	int64_t oldest_ms = clock_monotonic_ms() - systemd_watchdog_us() / 1000;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < node->worker_count; i++) {
		if (node->workers[i]->beat_ms >= oldest_ms || node->workers[i]->phase == WORKER_STOPPED)
			continue;
		log_event(LOG_ERROR, "worker_stuck", "worker=%zu", i);
		return;
	}
	systemd_notify("WATCHDOG=1");
}

static bool node_start_watchdog(struct node *node)
{
	int64_t every_us = systemd_watchdog_us() / 4;
	struct timeval every = {.tv_sec = every_us / 1000000, .tv_usec = every_us % 1000000};

	if (every_us == 0)
		return true;
	node->on_watchdog = event_new(node->base, -1, EV_PERSIST, node_on_watchdog, node);
	return node->on_watchdog && event_add(node->on_watchdog, &every) == 0;
}

static bool node_watch_signals(struct node *node)
{
	static const struct {
		int number;
		event_callback_fn on_signal;
	} signals[SIGNALS] = {{SIGTERM, node_on_stop},
			      {SIGINT, node_on_stop},
			      {SIGHUP, node_on_reload},
			      {SIGUSR1, node_on_log_level},
			      {SIGUSR2, node_on_log_level}};

	signal(SIGPIPE, SIG_IGN);
	node->on_drain_check = event_new(node->base, -1, EV_PERSIST, node_on_drain_check, node);
	if (!node->on_drain_check)
		return false;
	for (size_t i = 0; i < SIGNALS; i++) {
		node->on_signal[i] = evsignal_new(node->base, signals[i].number, signals[i].on_signal, node);
		if (!node->on_signal[i] || event_add(node->on_signal[i], NULL) != 0)
			return false;
	}
	return true;
}

static bool node_fail(const char *what, const char *address, const char *error)
{
	log_event(LOG_ERROR, "start_failed", "what=%s address=%s reason=%s", what, address, LOG_TEXT(span_of(error)));
	return false;
}

/* Our own socket, or a copy of the one that was handed over: then all workers take from one queue, which
 * outlives us. */
static int node_listen(int handed_over, const char *address, bool shared, const char **error)
{
	int fd;

	if (handed_over < 0)
		return http_listen(address, shared, error);
	fd = fcntl(handed_over, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		*error = strerror(errno);
	return fd;
}

static bool node_open_workers(struct node *node)
{
	const struct config *config = node_config(node);
	char name[NAME_MAX_LEN];
	const char *error = NULL;
	int first = -1;

	if (node->sockets.listen < 0 && !http_address_is_free(config->listen, &error))
		return node_fail("listen", config->listen, error);
	node->workers = xcalloc((size_t)config->workers, sizeof(struct worker *));
	node->journal = journal_size_new((unsigned)config->partitions);
	snprintf(name, sizeof(name), "%s", config->listen);
	for (int i = 0; i < config->workers; i++) {
		int fd = node_listen(node->sockets.listen, name, true, &error);

		if (fd < 0)
			return node_fail("listen", name, error);
		if (first < 0) /* port 0 was any: the others join the one it became */
			http_listen_name(first = fd, name, sizeof(name));
		node->workers[i] = worker_new(i, config, node->journal, fd, &error);
		if (!node->workers[i])
			return node_fail("worker", name, error);
		node->worker_count++;
	}
	log_event(LOG_INFO, "listening", "address=%s workers=%zu", name, node->worker_count);
	return true;
}

static bool node_open_admin(struct node *node)
{
	const struct config *config = node_config(node);
	struct http_server_options options = {
		.body_max = 1024,
		.request_timeout_ms = config->request_timeout_ms,
		.app = &node->admin,
	};
	char name[NAME_MAX_LEN];
	const char *error = NULL;
	int fd = node_listen(node->sockets.admin, config->admin_listen, false, &error);

	if (fd < 0)
		return node_fail("admin_listen", config->admin_listen, error);
	http_listen_name(fd, name, sizeof(name));
	node->admin.workers = node->workers;
	node->admin.worker_count = node->worker_count;
	for (size_t i = 0; i < node->worker_count; i++)
		node->workers[i]->admin = &node->admin;
	options.routes = routes_admin(&options.route_count);
	node->admin_http = http_server_new(node->base, fd, &options);
	if (!node->admin_http)
		return node_fail("admin_listen", name, "out of resources");
	log_event(LOG_INFO, "listening_admin", "address=%s", name);
	return true;
}

static bool node_start(struct node *node)
{
	const char *error;

	if (!systemd_take_sockets(&node->sockets, &error))
		return node_fail("sockets", "-", error);
	node->base = event_base_new();
	if (!node->base || !node_open_workers(node) || !node_open_admin(node) || !node_watch_signals(node))
		return false;
	for (size_t i = 0; i < node->worker_count; i++)
		if (!worker_start(node->workers[i]))
			return node_fail("thread", "-", "pthread_create failed");
	return node_start_watchdog(node);
}

static void node_free(struct node *node)
{
	for (size_t i = 0; i < SIGNALS; i++)
		if (node->on_signal[i])
			event_free(node->on_signal[i]);
	if (node->on_watchdog)
		event_free(node->on_watchdog);
	if (node->on_drain_check)
		event_free(node->on_drain_check);
	if (node->sockets.listen >= 0)
		close(node->sockets.listen);
	if (node->sockets.admin >= 0)
		close(node->sockets.admin);
	if (node->admin_http)
		http_server_free(node->admin_http);
	for (size_t i = 0; i < node->worker_count; i++)
		worker_free(node->workers[i]);
	free(node->workers);
	journal_size_free(node->journal);
	if (node->base)
		event_base_free(node->base);
	for (size_t i = 0; i < node->config_count; i++) {
		config_deinit(node->configs[i]);
		free(node->configs[i]);
	}
	free(node->configs);
}

/* What we may have open without asking anybody: the usual soft limit, 1024, is for select(). */
static void node_raise_descriptors(const struct config *config)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < (rlim_t)config->connections_max)
		log_event(LOG_WARN, "few_descriptors", "limit=%lld connections_max=%lld", (long long)limit.rlim_cur,
			  (long long)config->connections_max);
}

/* A worker's heap would be given back to the kernel whenever a burst of bodies has been answered, page by page, and be
 * faulted in again by the next. */
static void node_set_heap(void)
{
#ifdef __GLIBC__
	enum { KEPT = 8 << 20, MAPPED_MIN = 4 << 20 };

	mallopt(M_TRIM_THRESHOLD, KEPT);
	mallopt(M_MMAP_THRESHOLD, MAPPED_MIN);
#endif
}

int node_run(struct config *config, node_reload_cb *reload, void *arg)
{
	struct node node = {.reload = reload, .reload_arg = arg, .sockets = {-1, -1}};
	bool started;

	/* before libevent has allocated anything */
	http_use_pool();
	node_set_heap();
	node.admin.started_ms = clock_wall_ms();
	node_add_config(&node, config);
	node_raise_descriptors(config);
	started = node_start(&node);
	if (started) {
		systemd_notify("READY=1");
		event_base_dispatch(node.base);
	} else {
		for (size_t i = 0; i < node.worker_count; i++)
			worker_drain(node.workers[i]);
	}
	for (size_t i = 0; i < node.worker_count; i++)
		worker_join(node.workers[i]);
	node_free(&node);
	if (started)
		log_event(LOG_INFO, "stopped", NULL);
	return started && !node.admin.refused ? 0 : 1;
}
