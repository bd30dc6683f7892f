/* Reads a session for all who ask for it: a job of its own.
 *
 *   start → view in Redis → found
 *             │ not there                 │ of a bucket that is not hydrated
 *             ▼                           │
 *           session in the ledger → none  │
 *             │                           │
 *             ▼                           ▼
 *           link (fills the bucket) → found       the ledger away → found, as Redis has it
 *
 *   Redis away → view in the ledger → found or none                     the ledger away too → unavailable */
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "broker/journal.h"
#include "broker/link.h"
#include "broker/partition.h"
#include "broker/sessions.h"

/* So long a poll that Redis has an answer for waits for what the ledger may add to it. */
enum { VIEW_PATIENCE_MS = 2000 };

struct session_read {
	struct job job;
	/* session_read */
	struct sessions *sessions;
	struct session_entry *entry;
	const char *user, *sid;
	const char *params[2]; /* the two, for the ledger */
	bool tracked;  /* a change from now on will be reported */
	/* on_view */
	bool lasting;     /* what is stored is what Redis has */
	struct span view; /* of a bucket that is not hydrated */
	/* on_session */
	struct link link;
};

/* The entry has been read; whoever waits for it is told. */
static void read_end(struct job *job)
{
	struct session_read *read = (struct session_read *)job;
	struct session_entry *entry = read->entry;

	entry->reading = false;
	entry->read_ms = clock_monotonic_ms();
	entry->fresh = read->tracked && read->lasting && !entry->overtaken;
	read->sessions->reading--;
	/* what Redis has reported meanwhile; what we have written there ourselves can wait */
	sessions_on_read(read->sessions, entry, read->tracked && read->lasting && entry->overtaken);
	session_entry_let_go(read->sessions->cache, entry);
	arena_deinit(&job->arena);
	free(read);
}

static STEP read_found(struct session_read *read, struct span json)
{
	struct poll_view view =
		poll_view_read(&read->job.arena, json, read->sessions->worker->config, clock_wall_ms());

	session_entry_set_view(read->entry, &view);
	return DONE;
}

static STEP read_none(struct session_read *read)
{
	read->entry->answer = SESSION_NONE;
	return DONE;
}

static STEP read_unavailable(struct session_read *read, const char *store, const char *why)
{
	log_event(LOG_DEBUG, "session_unread", "user=%s session=%s reason=%s", read->user, read->sid,
		  LOG_TEXT(span_of(why)));
	read->entry->answer = SESSION_UNAVAILABLE;
	read->entry->store = store;
	return DONE;
}

static enum step read_on_view(void *ctx, const struct redis_reply *reply);
static enum step read_on_session(void *ctx, const struct postgres_reply *reply);
static STEP read_link(struct session_read *read, struct span fact);
static enum step read_on_linked(void *ctx);
static STEP read_ledger(struct session_read *read);
static enum step read_on_ledger(void *ctx, const struct postgres_reply *reply);

static STEP read_start(struct session_read *read)
{
	struct worker *worker = read->sessions->worker;
	struct arena *arena = &read->job.arena;
	/* the bucket is the user's own: another's session can't be found in it */
	struct span words[] = {
		SPAN("HMGET"),
		key_of_user(arena, worker->config->partitions, read->user),
		SPAN("r"),
		span_of(arena_printf(arena, "v:%s", read->sid)),
		span_of(arena_printf(arena, "s:%s", read->sid)),
	};

	if (read->tracked)
		return redis_command_tracked(worker->redis, &read->job, 5, words, read_on_view, read);
	return redis_command(worker->redis, &read->job, 5, words, read_on_view, read);
}

static enum step read_on_view(void *ctx, const struct redis_reply *reply)
{
	struct session_read *read = ctx;
	struct worker *worker = read->sessions->worker;
	struct postgres_query query = {STATEMENT_SESSION_OF_USER, 2, read->params};

	if (reply->status != CALL_OK)
		return read_ledger(read);
	read->lasting = true;
	if (reply->n == 3 && reply->v[1].p) {
		struct span agent = json_decode_string(&read->job.arena, json_member(reply->v[2], "agent"));

		read->lasting = span_is(reply->v[0], redis_replid(worker->redis));
		read->entry->lag = agent_lag_look_up(worker, agent);
		/* a bucket of another generation of Redis may lack what that one lost; but a session that
		 * only the journal has is nowhere else */
		if (read->lasting || worker_ledger_is_away(worker))
			return read_found(read, reply->v[1]);
		read->view = arena_span(&read->job.arena, reply->v[1]);
		return read_link(read, arena_span(&read->job.arena, reply->v[2]));
	}
	return postgres_submit_until(worker->ledger_reader, &read->job, worker_read_until_ms(worker), NULL, 1, &query,
				     read_on_session, read);
}

static enum step read_on_session(void *ctx, const struct postgres_reply *reply)
{
	struct session_read *read = ctx;

	if (reply->status != CALL_OK)
		return read_unavailable(read, "the ledger", reply->error);
	if (postgres_row_count(reply->rows[0]) == 0)
		return read_none(read);
	return read_link(read, arena_span(&read->job.arena, postgres_value(reply->rows[0], 0, 0)));
}

static STEP read_link(struct session_read *read, struct span fact)
{
	struct worker *worker = read->sessions->worker;
	int64_t view_until_ms = clock_monotonic_ms() + VIEW_PATIENCE_MS;

	read->lasting = false;
	link_init(&read->link, worker, &read->job, read_on_linked, read);
	read->link.ledger_until_ms = worker_read_until_ms(worker);
	if (read->view.p && read->link.ledger_until_ms > view_until_ms)
		read->link.ledger_until_ms = view_until_ms;
	return link_session(&read->link, read->user, span_of(read->sid), fact);
}

static enum step read_on_linked(void *ctx)
{
	struct session_read *read = ctx;

	if (read->link.result == LINK_DECIDED && read->link.view.n > 0)
		return read_found(read, read->link.view);
	if (read->link.result == LINK_LEDGER_AWAY && read->view.p)
		return read_found(read, read->view);
	if (read->link.result == LINK_LEDGER_AWAY)
		return read_unavailable(read, "the ledger", read->link.error);
	return read_ledger(read);
}

static STEP read_ledger(struct session_read *read)
{
	struct worker *worker = read->sessions->worker;
	struct postgres_query query = {STATEMENT_SESSION_VIEW, 2, read->params};

	read->lasting = false;
	return postgres_submit_until(worker->ledger_reader, &read->job, worker_read_until_ms(worker), NULL, 1, &query,
				     read_on_ledger, read);
}

static enum step read_on_ledger(void *ctx, const struct postgres_reply *reply)
{
	struct session_read *read = ctx;

	if (reply->status != CALL_OK)
		return read_unavailable(read, "the ledger", reply->error);
	if (postgres_row_count(reply->rows[0]) == 0 && journal_may_hide(read->sessions->worker))
		return read_unavailable(read, "the session store", "the journal can't be read");
	if (postgres_row_count(reply->rows[0]) == 0)
		return read_none(read);
	return read_found(read, arena_span(&read->job.arena, postgres_value(reply->rows[0], 0, 0)));
}

void session_read(struct sessions *sessions, struct session_entry *entry)
{
	struct session_read *read = xcalloc(1, sizeof(*read));

	job_init(&read->job, clock_monotonic_ms() + sessions->worker->config->request_timeout_ms, read_end);
	read->sessions = sessions;
	read->entry = entry;
	read->user = arena_strdup(&read->job.arena, span_of(session_entry_user(entry)));
	read->sid = arena_strdup(&read->job.arena, (struct span){entry->sid, entry->sid_len});
	read->params[0] = read->user;
	read->params[1] = read->sid;
	read->tracked = redis_tracking_on(sessions->worker->tracking);
	session_entry_hold(entry);
	entry->reading = true;
	entry->overtaken = false;
	entry->reads++;
	sessions->reading++;
	metrics_count(&sessions->worker->metrics, METRIC_SESSION_READ);
	job_run(&read->job, read_start(read));
}
