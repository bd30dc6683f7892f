/* Those who wait for sessions.
 *
 *   changed, tracking lost ─▶ sessions_on_stale ─▶ session_read ─▶ sessions_on_read ─▶ each waiter: look
 *                                    └─ too many, or changes can't be heard of ─▶ queue ─▶ timer ─┘ */
#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/sessions.h"

enum {
	READS_MAX = 1024, /* under way because of a change; the others queue */
	QUEUE_EVERY_MS = 50,
	/* What is waited for while changes can't be heard of is read this often, */
	REST_REDIS_MS = 200,
	REST_LEDGER_MS = 1000,
	/* and no more than so many in QUEUE_EVERY_MS. */
	TURN_REDIS_MAX = 500,
	TURN_LEDGER_MAX = 25
};

/* ── the queue ──────────────────────────────────────────────────────────────────────── */

static void queue_arm(struct sessions *sessions)
{
	struct timeval every = {.tv_usec = QUEUE_EVERY_MS * 1000};

	if (!TAILQ_EMPTY(&sessions->queue) && !event_pending(sessions->queue_timer, EV_TIMEOUT, NULL))
		event_add(sessions->queue_timer, &every);
}

static void queue_add(struct sessions *sessions, struct session_entry *entry)
{
	if (entry->queued)
		return;
	entry->queued = true;
	TAILQ_INSERT_TAIL(&sessions->queue, entry, queue);
	queue_arm(sessions);
}

static void queue_remove(struct sessions *sessions, struct session_entry *entry)
{
	if (!entry->queued)
		return;
	entry->queued = false;
	TAILQ_REMOVE(&sessions->queue, entry, queue);
}

static void read_now(struct sessions *sessions, struct session_entry *entry)
{
	queue_remove(sessions, entry);
	session_read(sessions, entry);
}

static void queue_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct sessions *sessions = arg;
	const struct worker *worker = sessions->worker;
	bool redis = redis_ready(worker->redis);
	int64_t rest_ms = redis ? REST_REDIS_MS : REST_LEDGER_MS, now_ms = clock_monotonic_ms();
	int left = redis ? TURN_REDIS_MAX : TURN_LEDGER_MAX;
	struct session_entry *entry;

	(void)fd;
	(void)what;
	if (redis_tracking_on(worker->tracking))
		rest_ms = 0;
	while (left-- > 0 && sessions->reading < READS_MAX && (entry = TAILQ_FIRST(&sessions->queue)) &&
	       entry->read_ms + rest_ms <= now_ms)
		read_now(sessions, entry);
	queue_arm(sessions);
}

/* ── what becomes of an entry ───────────────────────────────────────────────────────── */

/* Somebody holds it: reads it, or waits for it. */
static void sessions_on_stale(void *arg, struct session_entry *entry)
{
	struct sessions *sessions = arg;

	if (entry->reading || TAILQ_EMPTY(&entry->waiters) || sessions->stopped)
		return;
	if (sessions->reading < READS_MAX && redis_tracking_on(sessions->worker->tracking))
		read_now(sessions, entry);
	else
		queue_add(sessions, entry);
}

void sessions_on_read(struct sessions *sessions, struct session_entry *entry, bool again)
{
	struct waiter *waiter = TAILQ_FIRST(&entry->waiters);

	while (waiter) {
		struct waiter *next = TAILQ_NEXT(waiter, of_entry);

		/* what was read before it came may be older than what it knows */
		if (entry->reads > waiter->after || entry->fresh) {
			struct job *job = &waiter->req->job;

			job_run(job, waiter->look(waiter, WAITER_READ));
		}
		waiter = next;
	}
	if (sessions->stopped || TAILQ_EMPTY(&entry->waiters))
		return;
	if (entry->hasty > 0 || again)
		read_now(sessions, entry);
	else if (!entry->fresh)
		queue_add(sessions, entry);
}

void sessions_on_changed(struct sessions *sessions, struct span key)
{
	static const char before_user[] = ":user:";
	const char *at;

	if (!key.p) {
		sessions_forget(sessions);
		return;
	}
	at = memmem(key.p, key.n, before_user, sizeof(before_user) - 1);
	if (at) {
		at += sizeof(before_user) - 1;
		session_cache_user_changed(sessions->cache, (struct span){at, (size_t)(key.p + key.n - at)});
	}
}

void sessions_on_tracking(struct sessions *sessions, bool on)
{
	/* what is waited for stands in the queue, and is read once more when tracking is back */
	if (!on)
		session_cache_forget(sessions->cache);
}

void sessions_forget(struct sessions *sessions)
{
	session_cache_forget(sessions->cache);
}

/* ── waiters ────────────────────────────────────────────────────────────────────────── */

static void waiter_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct waiter *waiter = arg;
	struct job *job = &waiter->req->job;

	(void)fd;
	(void)what;
	job_run(job, waiter->look(waiter, WAITER_TIME));
}

static void waiter_on_left(struct request *req, void *arg)
{
	struct waiter *waiter = arg;

	job_run(&req->job, waiter->look(waiter, WAITER_LEFT));
}

void waiter_set_time(struct waiter *waiter, int64_t at_ms)
{
	int64_t delay_ms = at_ms - clock_monotonic_ms();
	struct timeval delay;

	if (delay_ms < 0)
		delay_ms = 0;
	if (!waiter->timer) {
		waiter->timer = evtimer_new(waiter->sessions->worker->base, waiter_on_timer, waiter);
		if (!waiter->timer)
			abort();
	}
	delay = (struct timeval){.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
	event_add(waiter->timer, &delay);
}

static void count_parked(struct waiter *waiter, int change)
{
	static const enum metric_gauge gauges[WAITER_KINDS] = {GAUGE_PARKED_WAITS, GAUGE_PARKED_STREAMS};
	int64_t *count = &waiter->sessions->parked[waiter->kind];

	*count += change;
	metrics_set(&waiter->sessions->worker->metrics, gauges[waiter->kind], *count);
}

void waiter_set_hasty(struct waiter *waiter, bool hasty)
{
	struct session_entry *entry = waiter->entry;

	if (hasty) {
		waiter->after = entry->reads;
		if (!entry->reading && !waiter->sessions->stopped)
			read_now(waiter->sessions, entry);
	}
	if (hasty != waiter->hasty) {
		entry->hasty += hasty ? 1 : -1u;
		count_parked(waiter, hasty ? -1 : 1);
	}
	waiter->hasty = hasty;
	/* whoever waits long may leave without a word */
	request_watch(waiter->req, hasty && waiter->kind == WAITER_POLL ? NULL : waiter_on_left, waiter);
}

void waiter_park(struct waiter *waiter, struct sessions *sessions, struct session_entry *entry, struct request *req,
		 bool hasty, enum step (*look)(struct waiter *waiter, enum waiter_call call))
{
	waiter->req = req;
	waiter->look = look;
	waiter->sessions = sessions;
	waiter->entry = entry;
	waiter->after = entry->reads;
	count_parked(waiter, 1);
	session_entry_hold(entry);
	TAILQ_INSERT_TAIL(&entry->waiters, waiter, of_entry);
	TAILQ_INSERT_TAIL(&sessions->waiters, waiter, of_all);
	sessions->waiter_count++;
	waiter_set_hasty(waiter, hasty);
}

void waiter_leave(struct waiter *waiter)
{
	struct sessions *sessions = waiter->sessions;
	struct session_entry *entry = waiter->entry;

	request_watch(waiter->req, NULL, NULL);
	if (waiter->timer)
		event_free(waiter->timer);
	waiter->timer = NULL;
	if (waiter->hasty)
		entry->hasty--;
	else
		count_parked(waiter, -1);
	TAILQ_REMOVE(&entry->waiters, waiter, of_entry);
	TAILQ_REMOVE(&sessions->waiters, waiter, of_all);
	sessions->waiter_count--;
	if (TAILQ_EMPTY(&entry->waiters))
		queue_remove(sessions, entry);
	session_entry_let_go(sessions->cache, entry);
}

/* ── life ───────────────────────────────────────────────────────────────────────────── */

void sessions_drain(struct sessions *sessions, int64_t spread_ms)
{
	int64_t now_ms = clock_monotonic_ms();
	size_t number = 0, count = sessions->waiter_count;
	struct waiter *waiter;

	sessions->draining = true;
	TAILQ_FOREACH(waiter, &sessions->waiters, of_all)
		if (!waiter->hasty)
			waiter_set_time(waiter, now_ms + spread_ms * (int64_t)number++ / (int64_t)count);
}

void sessions_stop(struct sessions *sessions)
{
	struct waiter *waiter;

	sessions->stopped = true;
	while ((waiter = TAILQ_FIRST(&sessions->waiters))) {
		struct job *job = &waiter->req->job;

		job_run(job, waiter->look(waiter, WAITER_STOP));
	}
}

struct sessions *sessions_new(struct worker *worker)
{
	struct sessions *sessions = xcalloc(1, sizeof(*sessions));

	sessions->worker = worker;
	sessions->cache =
		session_cache_new((size_t)worker->config->session_cache_entries, sessions_on_stale, sessions);
	TAILQ_INIT(&sessions->queue);
	TAILQ_INIT(&sessions->waiters);
	sessions->queue_timer = evtimer_new(worker->base, queue_on_timer, sessions);
	if (!sessions->queue_timer)
		abort();
	return sessions;
}

void sessions_free(struct sessions *sessions)
{
	if (!sessions)
		return;
	event_free(sessions->queue_timer);
	session_cache_free(sessions->cache);
	free(sessions);
}
