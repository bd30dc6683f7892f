#include "broker/sweeper.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/journal.h"
#include "broker/sessions.h"
#include "broker/sweep.h"
#include "http/server.h"

enum {
	ROUND_EVERY_MS = 1000,
	ROUND_AGAIN_MS = 20,       /* after one that found something */
	PAGES_MAX = 4,             /* read at a time */
	PAGE_ROWS = 64,
	YIELDING_ROWS = 8,         /* of one page at a time, in a burst */
	BURST_REQUESTS = 8,        /* under way at once */
	PAGE_BYTES = 1 << 20,
	PAGE_DEADLINE_MS = 60000,
	JOURNAL_GRACE_MS = 3000,   /* so long whoever wrote an entry may still be at it, */
	JOURNAL_ONLY_GRACE_MS = 500, /* but not where the journal is all that an answer waits for */
	LEASE_MS = 5000,
	UNDECIDED_LEASE_MS = 900,
};
/* Undecided rows come after the journals of all partitions. */
enum { UNDECIDED_CONVERSATIONS, UNDECIDED_SESSIONS, UNDECIDED_COUNT };

/* Where the next page of undecided rows begins. */
struct cursor {
	char micros[24], id[UUID_TEXT_LEN + 1]; /* "": from the start */
};

struct sweeper {
	struct worker *worker;
	struct event *timer;
	char holder[UUID_TEXT_LEN + 1]; /* of leases */
	bool stopped;
	/* the round under way */
	unsigned pages;      /* being read or worked on */
	unsigned next;       /* source: a partition, or behind the last of them UNDECIDED_… */
	int64_t began_ms;
	uint64_t swept;
	bool trouble;        /* a store was away: the rest waits for the next round */
	int64_t length, oldest_ms; /* entries in the journals and the age of the oldest, so far */
	struct cursor cursors[UNDECIDED_COUNT];
};

/* Some facts of one source: a job while they are read. */
struct page {
	struct job job; /* first */
	struct sweeper *sweeper;
	unsigned source;
	size_t count, under_way;
	bool read; /* and so the job is over */
};

static unsigned source_count(const struct sweeper *sweeper)
{
	return (unsigned)sweeper->worker->config->partitions + UNDECIDED_COUNT;
}

static void page_start(struct sweeper *sweeper, unsigned source);

/* ── rounds ─────────────────────────────────────────────────────────────────────────── */

static void round_schedule(struct sweeper *sweeper, int delay_ms)
{
	struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};

	event_add(sweeper->timer, &delay);
}

static void round_end(struct sweeper *sweeper)
{
	struct metrics *metrics = &sweeper->worker->metrics;

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

/* Undecided rows want both stores; of a journal its size is of interest at any time. */
static void round_go_on(struct sweeper *sweeper)
{
	unsigned count = source_count(sweeper), pages_max = sweeper_yields(sweeper) ? 1 : PAGES_MAX;

	while (round_may_go_on(sweeper) && sweeper->pages < pages_max && sweeper->next < count) {
		unsigned source = sweeper->next++;

		if (source < count - UNDECIDED_COUNT || sweeper->worker->ledger_up)
			page_start(sweeper, source);
	}
	if (sweeper->pages == 0)
		round_end(sweeper);
}

static void round_on_time(evutil_socket_t fd, short what, void *arg)
{
	struct sweeper *sweeper = arg;

	(void)fd;
	(void)what;
	sweeper->next = 0;
	sweeper->began_ms = clock_monotonic_ms();
	sweeper->swept = 0;
	sweeper->trouble = false;
	sweeper->length = sweeper->oldest_ms = 0;
	round_go_on(sweeper);
}

/* ── pages: read → sweeps → the next page of this source, if this one was full ──────── */

static void page_end(struct page *page)
{
	struct sweeper *sweeper = page->sweeper;
	bool again = page->count > 0 && page->source < source_count(sweeper) - UNDECIDED_COUNT;
	unsigned source = page->source;

	sweeper->pages--;
	arena_deinit(&page->job.arena);
	free(page);
	if (again && round_may_go_on(sweeper))
		page_start(sweeper, source);
	else
		round_go_on(sweeper);
}

/* The page was read, and its sweeps have begun. */
static void page_on_read(struct job *job)
{
	struct page *page = (struct page *)job;

	page->read = true;
	if (page->under_way == 0)
		page_end(page);
}

static void page_on_swept(void *arg, bool finished)
{
	struct page *page = arg;

	page->under_way--;
	if (finished)
		page->sweeper->swept++;
	else
		page->sweeper->trouble = true;
	if (page->read && page->under_way == 0)
		page_end(page);
}

static void page_sweep(struct page *page, struct sweep *what)
{
	what->done = page_on_swept;
	what->arg = page;
	page->count++;
	page->under_way++;
	sweep_start(page->sweeper->worker, what);
}

/* {length, bytes, age of the oldest, (entry, kind, subject, fact, body) …} */
static enum step page_on_journal(void *ctx, const struct redis_reply *reply)
{
	struct page *page = ctx;
	struct sweeper *sweeper = page->sweeper;
	int64_t length, oldest_ms;

	if (reply->status != CALL_OK || reply->n < 3 || !span_to_int64(reply->v[0], &length) ||
	    !span_to_int64(reply->v[2], &oldest_ms)) {
		sweeper->trouble = true;
		return DONE;
	}
	journal_size_note(sweeper->worker->journal, page->source, reply->v[1]);
	sweeper->length += length - (int64_t)(reply->n - 3) / 5;
	if (oldest_ms > sweeper->oldest_ms)
		sweeper->oldest_ms = oldest_ms;
	for (size_t i = 3; i + 4 < reply->n; i += 5) {
		struct sweep what = {
			.kind = span_is(reply->v[i + 1], "save") ? SWEEP_JOURNALED_SAVE : SWEEP_JOURNALED_WEBHOOK,
			.partition = page->source,
			.entry = reply->v[i],
			.id = reply->v[i + 2],
			.fact = reply->v[i + 3],
			.body = reply->v[i + 4],
		};

		page_sweep(page, &what);
	}
	return DONE;
}

static STEP page_read_journal(struct page *page)
{
	struct sweeper *sweeper = page->sweeper;
	struct worker *worker = sweeper->worker;
	struct arena *arena = &page->job.arena;
	struct journal_keys journal = keys_of_journal(arena, page->source);
	/* without the ledger there is nothing to do but to look */
	bool work = !worker_ledger_is_away(worker);
	bool journal_only = worker->config->durability == DURABILITY_JOURNAL;
	struct span keys[] = {journal.stream, journal.bytes, journal.lease};
	struct span args[] = {
		span_of(sweeper->holder),
		span_of(arena_printf(arena, "%d", LEASE_MS)),
		span_of(arena_printf(arena, "%d", journal_only ? JOURNAL_ONLY_GRACE_MS : JOURNAL_GRACE_MS)),
		span_of(arena_printf(arena, "%d", !work ? 0 : sweeper_yields(sweeper) ? YIELDING_ROWS : PAGE_ROWS)),
		span_of(arena_printf(arena, "%d", PAGE_BYTES)),
	};

	return redis_script(worker->redis, &page->job, SCRIPT_JOURNAL_PAGE, 3, keys, 5, args, page_on_journal, page);
}

static unsigned undecided_of(const struct page *page)
{
	return page->source - (source_count(page->sweeper) - UNDECIDED_COUNT);
}

static enum step page_on_undecided(void *ctx, const struct postgres_reply *reply)
{
	struct page *page = ctx;
	unsigned undecided = undecided_of(page);
	struct cursor *cursor = &page->sweeper->cursors[undecided];
	const struct postgres_rows *rows;
	size_t count;

	if (reply->status != CALL_OK) {
		page->sweeper->trouble = true;
		return DONE;
	}
	rows = reply->rows[0];
	count = postgres_row_count(rows);
	cursor->id[0] = '\0';
	if (count == PAGE_ROWS) { /* there may be more: the next page begins behind this one */
		snprintf(cursor->micros, sizeof(cursor->micros), "%.*s", SPAN_ARG(postgres_value(rows, count - 1, 1)));
		snprintf(cursor->id, sizeof(cursor->id), "%.*s", SPAN_ARG(postgres_value(rows, count - 1, 2)));
	}
	for (size_t i = 0; i < count; i++) {
		struct sweep what = {
			.kind = undecided == UNDECIDED_SESSIONS ? SWEEP_UNDECIDED_SESSION : SWEEP_UNDECIDED_CONVERSATION,
			.id = postgres_value(rows, i, 0),
			.user = postgres_value(rows, i, 3),
			.fact = postgres_value(rows, i, 4),
		};

		page_sweep(page, &what);
	}
	return DONE;
}

static enum step page_on_lease(void *ctx, const struct redis_reply *reply)
{
	struct page *page = ctx;
	unsigned undecided = undecided_of(page);
	const struct cursor *cursor = &page->sweeper->cursors[undecided];
	bool from_start = cursor->id[0] == '\0';
	const char *params[] = {from_start ? NULL : cursor->micros, from_start ? NULL : cursor->id,
				arena_printf(&page->job.arena, "%d", PAGE_ROWS)};
	struct postgres_query query = {
		undecided == UNDECIDED_SESSIONS ? STATEMENT_UNDECIDED_SESSIONS : STATEMENT_UNDECIDED_CONVERSATIONS, 3, params};

	if (reply->status != CALL_OK)
		page->sweeper->trouble = true;
	if (reply->status != CALL_OK || !reply->v[0].p)
		return DONE;
	return postgres_submit(page->sweeper->worker->ledger_reader, &page->job, NULL, 1, &query, page_on_undecided, page);
}

static STEP page_read_undecided(struct page *page)
{
	struct span lease = undecided_of(page) == UNDECIDED_SESSIONS ? SPAN("debrief:{p0}:sweeper:sessions")
								     : SPAN("debrief:{p0}:sweeper:conversations");
	struct span words[] = {SPAN("SET"), lease, span_of(page->sweeper->holder), SPAN("NX"), SPAN("PX"),
			       span_of(arena_printf(&page->job.arena, "%d", UNDECIDED_LEASE_MS))};

	return redis_command(page->sweeper->worker->redis, &page->job, 6, words, page_on_lease, page);
}

static void page_start(struct sweeper *sweeper, unsigned source)
{
	struct page *page = xcalloc(1, sizeof(*page));

	job_init(&page->job, clock_monotonic_ms() + PAGE_DEADLINE_MS, page_on_read);
	page->sweeper = sweeper;
	page->source = source;
	sweeper->pages++;
	job_run(&page->job, source < source_count(sweeper) - UNDECIDED_COUNT ? page_read_journal(page)
									     : page_read_undecided(page));
}

/* ── life ───────────────────────────────────────────────────────────────────────────── */

struct sweeper *sweeper_new(struct worker *worker)
{
	struct sweeper *sweeper = xcalloc(1, sizeof(*sweeper));

	sweeper->worker = worker;
	snprintf(sweeper->holder, sizeof(sweeper->holder), "%s", uuid_random().text);
	sweeper->timer = evtimer_new(worker->base, round_on_time, sweeper);
	if (!sweeper->timer) {
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
	return sweeper->pages > 0;
}

void sweeper_free(struct sweeper *sweeper)
{
	if (sweeper->timer)
		event_free(sweeper->timer);
	free(sweeper);
}
