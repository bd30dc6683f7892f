/* A worker's stores: their connections, and what their states mean. */
#include <stdio.h>

#include "base/clock.h"
#include "broker/health.h"
#include "broker/journal.h"
#include "broker/sessions.h"
#include "broker/worker_parts.h"
#include "postgres/migrate.h"

enum {
	REDIS_CALLS_MAX = 32768,
	LEDGER_QUEUE_BYTES_MAX = 16 << 20,
	READ_STALLED_MS = 2000,
	SLOW_BATCH_MS = 50, /* behind a megabyte of transcript, or somebody's lock */
};

/* Of worker_open_stores(), which runs on one thread. */
static char redis_error[256];

struct postgres *worker_ledger_writer(struct worker *worker)
{
	size_t count = worker->ledger_writer_count;

	for (size_t i = 0; i < count; i++) {
		struct postgres *writer = worker->ledger_writers[i];

		if (!postgres_is_crowded(writer) && !postgres_is_stalled(writer, SLOW_BATCH_MS))
			return writer;
	}
	return worker->ledger_writers[worker->ledger_turn++ % count];
}

bool worker_ledger_is_away(const struct worker *worker)
{
	int64_t patience_ms = worker->config->ledger_patience_ms;

	if (!worker->ledger_up || postgres_is_stalled(worker->ledger_reader, patience_ms))
		return true;
	for (size_t i = 0; i < worker->ledger_writer_count; i++)
		if (postgres_is_stalled(worker->ledger_writers[i], patience_ms))
			return true;
	return false;
}

/* Not ledger_patience_ms, which may be 0: what a read waits for nobody else has. */
int64_t worker_read_until_ms(const struct worker *worker)
{
	return postgres_is_stalled(worker->ledger_reader, READ_STALLED_MS) ? clock_monotonic_ms() : INT64_MAX;
}

/* ── states of the stores ───────────────────────────────────────────────────────────── */

static void worker_on_redis(void *arg, bool ready, const char *reason)
{
	struct worker *worker = arg;

	worker->redis_up = ready;
	worker->was_up = worker->was_up || (worker->redis_up && worker->ledger_up);
	worker->journal_trouble = worker->config->durability == DURABILITY_LEDGER_ONLY ? "durability is ledger-only"
										       : redis_undurable(worker->redis);
	redis_tracking_on_redis(worker->tracking, ready);
	log_event(ready ? LOG_INFO : LOG_WARN, ready ? "redis_up" : "redis_away", "worker=%d reason=%s", worker->index,
		  LOG_TEXT(span_of(reason)));
}

/* Without it each poll is read from Redis: slower, and right. */
static void worker_on_tracking(void *arg, bool on, const char *reason)
{
	struct worker *worker = arg;

	log_event(on ? LOG_INFO : LOG_WARN, on ? "tracking_on" : "tracking_off", "worker=%d reason=%s", worker->index,
		  LOG_TEXT(span_of(reason)));
	if (!on)
		metrics_count(&worker->metrics, METRIC_TRACKING_LOST);
	sessions_on_tracking(worker->sessions, on);
}

static void worker_on_changed(void *arg, struct span key)
{
	struct worker *worker = arg;

	metrics_count(&worker->metrics, METRIC_INVALIDATION);
	sessions_on_changed(worker->sessions, key);
}

/* The ledger is up when a fact can be both kept and read. */
static void worker_on_ledger(void *arg, bool ready, const char *reason)
{
	struct worker *worker = arg;
	bool up = postgres_ready(worker->ledger_reader);

	for (size_t i = 0; i < worker->ledger_writer_count; i++)
		up = up && worker->ledger_writers[i] && postgres_ready(worker->ledger_writers[i]);
	if (up == worker->ledger_up && ready)
		return;
	if (!up && worker->ledger_up)
		worker->journal->ledger_lost_ms = clock_monotonic_ms();
	worker->ledger_up = up;
	worker->was_up = worker->was_up || (worker->redis_up && worker->ledger_up);
	log_event(ready ? LOG_INFO : LOG_WARN, ready ? "ledger_up" : "ledger_away", "worker=%d reason=%s",
		  worker->index, LOG_TEXT(span_of(reason)));
}

/* A node that has served the ledger it was set up for stays. */
static void worker_on_refused(void *arg, const char *reason)
{
	struct worker *worker = arg;

	if (!worker->was_up)
		admin_refuse(worker->admin, reason);
}

static void worker_on_batch(void *arg, const struct postgres *postgres, size_t calls, int64_t duration_us)
{
	struct worker *worker = arg;
	bool read = postgres == worker->ledger_reader;

	metrics_observe(&worker->metrics, read ? HISTOGRAM_LEDGER_READ : HISTOGRAM_LEDGER_WRITE, duration_us);
	metrics_observe(&worker->metrics, read ? HISTOGRAM_LEDGER_READ_CALLS : HISTOGRAM_LEDGER_WRITE_CALLS, (int64_t)calls);
}

/* ── their connections ──────────────────────────────────────────────────────────────── */

bool worker_open_stores(struct worker *worker, const char **error)
{
	const struct config *config = worker->config;
	struct redis_options redis = {
		.url = config->redis_url,
		.timeout_ms = config->request_timeout_ms / 2, /* who finds it frozen has time left for the ledger */
		.calls_max = REDIS_CALLS_MAX,
		.changed = worker_on_redis,
		.arg = worker,
	};
	struct redis_tracking_options tracking = {
		.url = config->redis_url,
		.changed = worker_on_tracking,
		.invalidated = worker_on_changed,
		.arg = worker,
	};
	struct postgres_options postgres = {
		.conninfo = config->database_url,
		.timeout_ms = config->request_timeout_ms,
		.bytes_max = LEDGER_QUEUE_BYTES_MAX,
		.schema_version = migrate_newest_version(),
		.partitions = config->partitions,
		.changed = worker_on_ledger,
		.refused = worker_on_refused,
		.committed = worker_on_batch,
		.arg = worker,
	};

	worker->redis = redis_new(worker->base, &redis, error);
	if (!worker->redis) {
		snprintf(redis_error, sizeof(redis_error), "redis_url: %s", *error);
		*error = redis_error;
		return false;
	}
	tracking.redis = worker->redis;
	worker->tracking = redis_tracking_new(worker->base, &tracking, error);
	if (!worker->tracking)
		return false;
	worker->ledger_reader = postgres_new(worker->base, &postgres);
	while (worker->ledger_writer_count < (size_t)config->database_connections) {
		worker->ledger_writers[worker->ledger_writer_count] = postgres_new(worker->base, &postgres);
		worker->ledger_writer_count++;
	}
	return true;
}

void worker_close_stores(struct worker *worker)
{
	if (worker->redis)
		redis_free(worker->redis);
	worker->redis = NULL;
	redis_tracking_free(worker->tracking);
	if (worker->ledger_reader)
		postgres_free(worker->ledger_reader);
	for (size_t i = 0; i < worker->ledger_writer_count; i++)
		postgres_free(worker->ledger_writers[i]);
}
