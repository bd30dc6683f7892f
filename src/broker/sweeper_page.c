/* Pages: what is to be swept, some at a time.
 *
 *   a partition's journal   the oldest entries, or those behind the page before → a sweep each
 *   undecided rows          lease → some rows → a sweep each */
#include <stdlib.h>

#include "base/clock.h"
#include "broker/journal.h"
#include "broker/sweeper_parts.h"

enum {
	PAGE_DEADLINE_MS = 60000,
	JOURNAL_GRACE_MS = 3000,   /* so long whoever wrote an entry may still be at it, */
	JOURNAL_ONLY_GRACE_MS = 500, /* but not where the journal is all that an answer waits for */
	LEASE_MS = 5000,
	UNDECIDED_LEASE_MS = 900,
};

static void page_on_read(struct job *job)
{
	struct page *page = (struct page *)job;

	arena_deinit(&job->arena);
	sweeper_page_end(page);
}

/* ── a journal ──────────────────────────────────────────────────────────────────────── */

enum { HEAD_VALUES = 5, ENTRY_VALUES = 7 };

static void page_sweep_entry(struct page *page, const struct span *v, int64_t now_ms)
{
	int64_t bytes;
	struct sweep what = {
		.kind = span_is(v[1], "save") ? SWEEP_JOURNALED_SAVE : SWEEP_JOURNALED_WEBHOOK,
		.partition = page->source,
		.entry = v[0],
		.id = v[2],
		.fact = v[3],
		.body = v[4],
		.hash = v[5],
		.read_ms = now_ms,
	};

	if (span_to_int64(v[6], &bytes) && bytes > 0)
		what.bytes = (size_t)bytes;
	sweeper_begin(page->sweeper, &what);
}

/* {length, bytes, age of the oldest, now, more, (entry, kind, subject, fact, body, hash, size) …} */
static enum step page_on_journal(void *ctx, const struct redis_reply *reply)
{
	struct page *page = ctx;
	struct sweeper *sweeper = page->sweeper;
	int64_t length, oldest_ms, now_ms;

	if (reply->status != CALL_OK || reply->n < HEAD_VALUES || !span_to_int64(reply->v[0], &length) ||
	    !span_to_int64(reply->v[2], &oldest_ms) || !span_to_int64(reply->v[3], &now_ms)) {
		sweeper->trouble = true;
		return DONE;
	}
	journal_size_note(sweeper->worker->journal, page->source, reply->v[1]);
	sweeper->length -= (int64_t)((reply->n - HEAD_VALUES) / ENTRY_VALUES);
	if (!page->read_on)
		sweeper->length += length;
	if (oldest_ms > sweeper->oldest_ms)
		sweeper->oldest_ms = oldest_ms;
	for (size_t i = HEAD_VALUES; i + ENTRY_VALUES <= reply->n; i += ENTRY_VALUES) {
		page->more = span_is(reply->v[4], "1");
		snprintf(page->after, sizeof(page->after), "%.*s", SPAN_ARG(reply->v[i]));
		page_sweep_entry(page, reply->v + i, now_ms);
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
		span_of(arena_printf(arena, "%zu", work ? page->rows : 0)),
		span_of(arena_printf(arena, "%zu", page->bytes)),
		span_of(page->after),
	};

	return redis_script(worker->redis, &page->job, SCRIPT_JOURNAL_PAGE, 3, keys, 6, args, page_on_journal, page);
}

/* ── undecided rows ─────────────────────────────────────────────────────────────────── */

static unsigned undecided_of(const struct page *page)
{
	return page->source - sweeper_partitions(page->sweeper);
}

static enum step page_on_undecided(void *ctx, const struct postgres_reply *reply)
{
	struct page *page = ctx;
	unsigned undecided = undecided_of(page);
	struct page_cursor *cursor = &page->sweeper->cursors[undecided];
	const struct postgres_rows *rows;
	size_t count;

	if (reply->status != CALL_OK) {
		page->sweeper->trouble = true;
		return DONE;
	}
	rows = reply->rows[0];
	count = postgres_row_count(rows);
	cursor->id[0] = '\0';
	if (count == page->rows) { /* there may be more: the next page begins behind this one */
		snprintf(cursor->micros, sizeof(cursor->micros), "%.*s", SPAN_ARG(postgres_value(rows, count - 1, 1)));
		snprintf(cursor->id, sizeof(cursor->id), "%.*s", SPAN_ARG(postgres_value(rows, count - 1, 2)));
		/* those that can't be decided are not all tried every second */
		page->more = page->sweeper->left_undecided < page->rows;
	}
	for (size_t i = 0; i < count; i++) {
		struct sweep what = {
			.kind = undecided == UNDECIDED_SESSIONS ? SWEEP_UNDECIDED_SESSION : SWEEP_UNDECIDED_CONVERSATION,
			.id = postgres_value(rows, i, 0),
			.user = postgres_value(rows, i, 3),
			.fact = postgres_value(rows, i, 4),
		};

		sweeper_begin(page->sweeper, &what);
	}
	return DONE;
}

static enum step page_on_lease(void *ctx, const struct redis_reply *reply)
{
	struct page *page = ctx;
	unsigned undecided = undecided_of(page);
	const struct page_cursor *cursor = &page->sweeper->cursors[undecided];
	bool from_start = cursor->id[0] == '\0';
	const char *params[] = {from_start ? NULL : cursor->micros, from_start ? NULL : cursor->id,
				arena_printf(&page->job.arena, "%zu", page->rows)};
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
	struct span words[] = {SPAN("SET"), lease, span_of(page->sweeper->holder), SPAN("PX"),
			       span_of(arena_printf(&page->job.arena, "%d", UNDECIDED_LEASE_MS)), SPAN("NX")};

	/* who reads on has the lease, and extends it */
	return redis_command(page->sweeper->worker->redis, &page->job, page->read_on ? 5 : 6, words, page_on_lease, page);
}

/* ── either ─────────────────────────────────────────────────────────────────────────── */

struct page *sweeper_page_new(struct sweeper *sweeper, unsigned source)
{
	struct page *page = xcalloc(1, sizeof(*page));

	page->sweeper = sweeper;
	page->source = source;
	return page;
}

void sweeper_page_read(struct page *page)
{
	page->read_on = page->more;
	page->more = false;
	job_init(&page->job, clock_monotonic_ms() + PAGE_DEADLINE_MS, page_on_read);
	job_run(&page->job, page->source < sweeper_partitions(page->sweeper) ? page_read_journal(page)
									     : page_read_undecided(page));
}
