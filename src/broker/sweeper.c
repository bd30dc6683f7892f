#include "broker/sweeper.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "broker/ledger.h"

enum { SWEEP_EVERY_MS = 1000, SWEEP_PAGE = 64, SWEEP_DEADLINE_MS = 60000 };

/* A row to finish. */
struct sweep_row {
	struct span id;   /* conversation id or sid */
	struct span user; /* of a session */
	struct span fact; /* of a session */
};

/* Which rows a page is of, and where the next one begins. */
struct sweep_cursor {
	enum statement statement;
	char micros[24], id[UUID_TEXT_LEN + 1]; /* "": from the start */
};

struct sweeper {
	struct worker *worker;
	struct event *timer;
	char holder[UUID_TEXT_LEN + 1]; /* of the lease */
	bool busy, stopped;
	struct sweep_cursor cursors[2]; /* conversations, sessions */
};

/* One page: a job. */
struct sweep {
	struct job job;
	struct sweeper *sweeper;
	size_t kind; /* index of the cursor */
	struct sweep_row rows[SWEEP_PAGE];
	size_t count, at;
	struct link link;
	struct ledger_write ledger;
	struct span hash;
};

/* ── the column: lease → page → each row: facts → link → ledger → confirm → next page ──── */

static enum step sweep_on_lease(void *ctx, const struct redis_reply *reply);
static STEP sweep_page(struct sweep *sweep);
static enum step sweep_on_page(void *ctx, const struct postgres_reply *reply);
static STEP sweep_row(struct sweep *sweep);
static enum step sweep_on_facts(void *ctx, const struct postgres_reply *reply);
static enum step sweep_on_linked(void *ctx);
static enum step sweep_on_kept(void *ctx);
static enum step sweep_on_confirmed(void *ctx);

static STEP sweep_start(struct sweep *sweep)
{
	struct span words[] = {
		SPAN("SET"), SPAN("debrief:{p0}:sweeper"), span_of(sweep->sweeper->holder), SPAN("NX"), SPAN("PX"), SPAN("900"),
	};

	return redis_command(sweep->sweeper->worker->redis, &sweep->job, 6, words, sweep_on_lease, sweep);
}

static enum step sweep_on_lease(void *ctx, const struct redis_reply *reply)
{
	struct sweep *sweep = ctx;

	if (reply->status != CALL_OK || !reply->v[0].p)
		return DONE;
	return sweep_page(sweep);
}

static STEP sweep_page(struct sweep *sweep)
{
	struct sweep_cursor *cursor = &sweep->sweeper->cursors[sweep->kind];
	bool from_start = cursor->id[0] == '\0';
	const char *params[] = {from_start ? NULL : cursor->micros, from_start ? NULL : cursor->id,
				arena_printf(&sweep->job.arena, "%d", SWEEP_PAGE)};
	struct postgres_query query = {cursor->statement, 3, params};

	return postgres_submit(sweep->sweeper->worker->ledger_reader, &sweep->job, NULL, 1, &query, sweep_on_page, sweep);
}

static enum step sweep_on_page(void *ctx, const struct postgres_reply *reply)
{
	struct sweep *sweep = ctx;
	struct sweep_cursor *cursor = &sweep->sweeper->cursors[sweep->kind];
	struct arena *arena = &sweep->job.arena;
	const struct postgres_rows *rows;

	if (reply->status != CALL_OK)
		return DONE;
	rows = reply->rows[0];
	sweep->at = 0;
	sweep->count = postgres_row_count(rows);
	for (size_t i = 0; i < sweep->count; i++)
		sweep->rows[i] = (struct sweep_row){
			arena_span(arena, postgres_value(rows, i, 0)),
			arena_span(arena, postgres_value(rows, i, 3)),
			arena_span(arena, postgres_value(rows, i, 4)),
		};
	cursor->id[0] = '\0';
	if (sweep->count == SWEEP_PAGE) { /* there may be more: the next page begins behind this one */
		snprintf(cursor->micros, sizeof(cursor->micros), "%.*s", SPAN_ARG(postgres_value(rows, SWEEP_PAGE - 1, 1)));
		snprintf(cursor->id, sizeof(cursor->id), "%.*s", SPAN_ARG(postgres_value(rows, SWEEP_PAGE - 1, 2)));
	}
	return sweep_row(sweep);
}

/* The next row; behind the last of a kind, the other kind. */
static STEP sweep_row(struct sweep *sweep)
{
	struct worker *worker = sweep->sweeper->worker;
	struct arena *arena = &sweep->job.arena;
	const struct sweep_row *row = &sweep->rows[sweep->at];

	if (sweep->at == sweep->count) {
		if (++sweep->kind == 2)
			return DONE;
		return sweep_page(sweep);
	}
	if (sweep->kind == 0) {
		const char *param = arena_strdup(arena, row->id);
		struct postgres_query query = {STATEMENT_CONVERSATION_FACTS, 1, &param};

		return postgres_submit(worker->ledger_reader, &sweep->job, NULL, 1, &query, sweep_on_facts, sweep);
	}
	link_init(&sweep->link, worker, &sweep->job, sweep_on_linked, sweep);
	return link_fact(&sweep->link, arena_strdup(arena, row->user), row->id, row->fact);
}

static enum step sweep_on_facts(void *ctx, const struct postgres_reply *reply)
{
	struct sweep *sweep = ctx;
	struct arena *arena = &sweep->job.arena;
	struct span facts;

	if (reply->status != CALL_OK)
		return DONE;
	facts = arena_span(arena, postgres_value(reply->rows[0], 0, 0));
	sweep->hash = json_decode_string(arena, json_member(json_member(facts, "content"), "hash"));
	link_init(&sweep->link, sweep->sweeper->worker, &sweep->job, sweep_on_linked, sweep);
	return link_conversation(&sweep->link, sweep->rows[sweep->at].id, facts);
}

static enum step sweep_on_linked(void *ctx)
{
	struct sweep *sweep = ctx;
	struct worker *worker = sweep->sweeper->worker;

	switch (sweep->link.result) {
	case LINK_REDIS_AWAY:
	case LINK_LEDGER_AWAY:
		return DONE;
	case LINK_SESSION_TAKEN: /* by somebody who was first: there is nothing to decide for this one */
	case LINK_CONVERSATION_TAKEN:
	case LINK_FULL:
		if (sweep->kind == 1) {
			sweep->at++;
			return sweep_row(sweep);
		}
		break;
	case LINK_DECIDED:
		break;
	}
	ledger_init(&sweep->ledger, worker, &sweep->job, sweep_on_kept, sweep);
	if (sweep->kind == 0)
		return ledger_keep_decisions(&sweep->ledger, &sweep->link, sweep->rows[sweep->at].id, sweep->hash);
	return ledger_keep_session(&sweep->ledger, &sweep->link);
}

static enum step sweep_on_kept(void *ctx)
{
	struct sweep *sweep = ctx;

	if (sweep->ledger.result == LEDGER_AWAY)
		return DONE;
	return link_confirm(&sweep->link, sweep_on_confirmed, sweep);
}

static enum step sweep_on_confirmed(void *ctx)
{
	struct sweep *sweep = ctx;

	if (sweep->link.lost)
		return link_repeat(&sweep->link, sweep_on_linked, sweep);
	log_event(LOG_INFO, "swept", "kind=%s id=%s", sweep->kind == 0 ? "conversation" : "session",
		  LOG_TEXT(sweep->rows[sweep->at].id));
	sweep->at++;
	return sweep_row(sweep);
}

/* ── life ───────────────────────────────────────────────────────────────────────────── */

static void sweep_end(struct job *job)
{
	struct sweep *sweep = (struct sweep *)job;

	sweep->sweeper->busy = false;
	arena_deinit(&job->arena);
	free(sweep);
}

static void sweeper_on_time(evutil_socket_t fd, short what, void *arg)
{
	struct sweeper *sweeper = arg;
	struct worker *worker = sweeper->worker;
	struct sweep *sweep;

	(void)fd;
	(void)what;
	if (sweeper->busy || sweeper->stopped || !redis_ready(worker->redis) || !worker->ledger_up)
		return;
	sweep = xcalloc(1, sizeof(*sweep));
	job_init(&sweep->job, clock_monotonic_ms() + SWEEP_DEADLINE_MS, sweep_end);
	sweep->sweeper = sweeper;
	sweeper->busy = true;
	job_run(&sweep->job, sweep_start(sweep));
}

struct sweeper *sweeper_new(struct worker *worker)
{
	struct sweeper *sweeper = xcalloc(1, sizeof(*sweeper));
	struct timeval every = {.tv_sec = SWEEP_EVERY_MS / 1000};

	sweeper->worker = worker;
	sweeper->cursors[0].statement = STATEMENT_UNDECIDED_CONVERSATIONS;
	sweeper->cursors[1].statement = STATEMENT_UNDECIDED_SESSIONS;
	snprintf(sweeper->holder, sizeof(sweeper->holder), "%s", uuid_random().text);
	sweeper->timer = event_new(worker->base, -1, EV_PERSIST, sweeper_on_time, sweeper);
	if (!sweeper->timer || event_add(sweeper->timer, &every) != 0) {
		sweeper_free(sweeper);
		return NULL;
	}
	return sweeper;
}

void sweeper_stop(struct sweeper *sweeper)
{
	sweeper->stopped = true;
}

bool sweeper_is_busy(const struct sweeper *sweeper)
{
	return sweeper->busy;
}

void sweeper_free(struct sweeper *sweeper)
{
	if (sweeper->timer)
		event_free(sweeper->timer);
	free(sweeper);
}
