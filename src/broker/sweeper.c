#include "broker/sweeper.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/journal.h"
#include "broker/sessions.h"
#include "broker/sweeper_parts.h"
#include "http/server.h"

enum {
	ROUND_EVERY_MS = 1000,
	ROUND_AGAIN_MS = 20,       /* after one that found something */
	BURST_REQUESTS = 8,        /* under way at once */
	/* Sweeps under way: some in Redis and a batch full in the ledger, and as many waiting to be its next. */
	SWEEPS_MAX = 256,
	SWEEPS_YIELDING = 8,       /* in a burst */
	SWEEP_BYTES_MAX = 8 << 20, /* of their facts, each of which is in memory three or four times */
	PAGES_MAX = 4,             /* read at a time */
	PAGE_ROWS = 64,
	PAGE_BYTES = 1 << 20,
};

/* ── rounds ─────────────────────────────────────────────────────────────────────────── */

static void round_schedule(struct sweeper *sweeper, int delay_ms)
{
	struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};

	event_add(sweeper->timer, &delay);
}

static void round_end(struct sweeper *sweeper)
{
	struct metrics *metrics = &sweeper->worker->metrics;
	struct page *page;

	while ((page = STAILQ_FIRST(&sweeper->begun))) {
		STAILQ_REMOVE_HEAD(&sweeper->begun, link);
		free(page);
	}
	if (worker_ledger_is_away(sweeper->worker) && sweeper->worker->was_up)
		sweeper->worker->journal->ledger_lost_ms = clock_monotonic_ms();
	else if (!sweeper->trouble && redis_ready(sweeper->worker->redis) && sweeper->length == 0)
		sweeper->worker->journal->clean_ms = sweeper->began_ms;
	if (!sweeper->trouble) {
		metrics_set(metrics, GAUGE_JOURNAL_ENTRIES, sweeper->length);
		metrics_set(metrics, GAUGE_JOURNAL_OLDEST, sweeper->length > 0 ? clock_wall_ms() - sweeper->oldest_ms : 0);
	}
	metrics_set(metrics, GAUGE_JOURNAL_BYTES, atomic_load(&sweeper->worker->journal->total_bytes));
	if (sweeper->swept > 0)
		log_event(LOG_INFO, "swept", "facts=%llu left_in_journal=%lld", (unsigned long long)sweeper->swept,
			  (long long)sweeper->length);
	if (!sweeper->stopped)
		round_schedule(sweeper, sweeper->swept > 0 && !sweeper->trouble ? ROUND_AGAIN_MS : ROUND_EVERY_MS);
}

static bool round_may_go_on(const struct sweeper *sweeper)
{
	return !sweeper->stopped && !sweeper->trouble && redis_ready(sweeper->worker->redis);
}

/* A burst is answered before what it left is swept, unless that could fill the journal. */
static bool sweeper_yields(const struct sweeper *sweeper)
{
	const struct worker *worker = sweeper->worker;

	/* those that wait for news are no work */
	return http_server_pending(worker->http) >= BURST_REQUESTS + worker->sessions->waiter_count &&
	       atomic_load(&worker->journal->total_bytes) < worker->config->journal_max_bytes / 2;
}

static size_t less(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How much the next page may bring: most of a full one, or nothing yet. */
static bool round_has_room(const struct sweeper *sweeper, size_t *rows, size_t *bytes)
{
	size_t sweeps_max = sweeper_yields(sweeper) ? SWEEPS_YIELDING : SWEEPS_MAX, rows_max = less(PAGE_ROWS, sweeps_max);
	size_t sweeps = sweeper->sweeps + sweeper->rows_asked, all_bytes = sweeper->sweep_bytes + sweeper->bytes_asked;

	*rows = sweeps < sweeps_max ? less(sweeps_max - sweeps, rows_max) : 0;
	*bytes = all_bytes < SWEEP_BYTES_MAX ? less(SWEEP_BYTES_MAX - all_bytes, PAGE_BYTES) : 0;
	return sweeper->reading < PAGES_MAX && *rows >= rows_max / 2 && *bytes >= PAGE_BYTES / 2;
}

/* The next to be read: one that has been begun, before another source. NULL: none. Undecided rows want both
 * stores; of a journal its size is of interest at any time. */
static struct page *round_next_page(struct sweeper *sweeper)
{
	unsigned partitions = sweeper_partitions(sweeper);
	struct page *page = STAILQ_FIRST(&sweeper->begun);

	if (page) {
		STAILQ_REMOVE_HEAD(&sweeper->begun, link);
		return page;
	}
	if (sweeper->next == partitions && !sweeper->worker->ledger_up)
		sweeper->next += UNDECIDED_COUNT;
	return sweeper->next < partitions + UNDECIDED_COUNT ? sweeper_page_new(sweeper, sweeper->next++) : NULL;
}

/* Reads on while the sweeps of what was read before are under way. */
static void round_go_on(struct sweeper *sweeper)
{
	size_t rows, bytes;
	struct page *page;

	while (round_may_go_on(sweeper) && round_has_room(sweeper, &rows, &bytes) && (page = round_next_page(sweeper))) {
		page->rows = rows;
		page->bytes = bytes;
		sweeper->reading++;
		sweeper->rows_asked += rows;
		sweeper->bytes_asked += bytes;
		sweeper_page_read(page);
	}
	if (sweeper->reading == 0 && sweeper->sweeps == 0)
		round_end(sweeper);
}

static void round_on_time(evutil_socket_t fd, short what, void *arg)
{
	struct sweeper *sweeper = arg;

	(void)fd;
	(void)what;
	sweeper->next = 0;
	sweeper->began_ms = clock_monotonic_ms();
	sweeper->swept = sweeper->left_undecided = 0;
	sweeper->trouble = false;
	sweeper->length = sweeper->oldest_ms = 0;
	round_go_on(sweeper);
}

/* ── what ends in a round ───────────────────────────────────────────────────────────── */

void sweeper_page_end(struct page *page)
{
	struct sweeper *sweeper = page->sweeper;

	sweeper->reading--;
	sweeper->rows_asked -= page->rows;
	sweeper->bytes_asked -= page->bytes;
	if (page->more)
		STAILQ_INSERT_HEAD(&sweeper->begun, page, link);
	else
		free(page);
	round_go_on(sweeper);
}

static void sweep_on_done(void *arg, const struct sweep *sweep)
{
	struct sweeper *sweeper = arg;

	sweeper->sweeps--;
	sweeper->sweep_bytes -= sweep->bytes;
	if (sweep->entry.n == 0 && sweep->link.result != LINK_DECIDED)
		sweeper->left_undecided++;
	if (sweep->finished)
		sweeper->swept++;
	else
		sweeper->trouble = true;
	round_go_on(sweeper);
}

void sweeper_begin(struct sweeper *sweeper, struct sweep *what)
{
	what->done = sweep_on_done;
	what->arg = sweeper;
	what->strikes = sweeper->strikes;
	sweeper->sweeps++;
	sweeper->sweep_bytes += what->bytes;
	sweep_start(sweeper->worker, what);
}

/* ── life ───────────────────────────────────────────────────────────────────────────── */

struct sweeper *sweeper_new(struct worker *worker)
{
	struct sweeper *sweeper = xcalloc(1, sizeof(*sweeper));

	sweeper->worker = worker;
	STAILQ_INIT(&sweeper->begun);
	snprintf(sweeper->holder, sizeof(sweeper->holder), "%s", uuid_random().text);
	sweeper->timer = evtimer_new(worker->base, round_on_time, sweeper);
	sweeper->strikes = strikes_new(worker);
	if (!sweeper->timer || !sweeper->strikes) {
		sweeper_free(sweeper);
		return NULL;
	}
	round_schedule(sweeper, ROUND_EVERY_MS);
	return sweeper;
}

void sweeper_stop(struct sweeper *sweeper)
{
	sweeper->stopped = true;
	event_del(sweeper->timer);
}

bool sweeper_is_busy(const struct sweeper *sweeper)
{
	return sweeper->reading > 0 || sweeper->sweeps > 0;
}

void sweeper_free(struct sweeper *sweeper)
{
	strikes_free(sweeper->strikes);
	if (sweeper->timer)
		event_free(sweeper->timer);
	free(sweeper);
}
