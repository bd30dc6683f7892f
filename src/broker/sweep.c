/* One sweep.
 *
 *   journaled    (body)  → link → ledger (fact and decision) → strike, which confirms
 *   undecided    (facts) → link → ledger (decision)          → confirm
 *
 *   too many facts in one window → ledger (fact, undecided) → the same
 *   the sid is another user's by now, or the database refuses it → rejected_facts → the same, unconfirmed
 *   Redis was emptied in between → link again
 *   a store away → it stays as it is, for the next round */
#include "broker/sweep.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/lz4_frame.h"
#include "broker/fact.h"
#include "broker/journal.h"
#include "provider/elevenlabs.h"

enum { SWEEP_DEADLINE_MS = 60000 };

static STEP sweep_read(struct sweep *sweep);
static enum step sweep_on_body(void *ctx, const struct redis_reply *reply);
static enum step sweep_on_facts(void *ctx, const struct postgres_reply *reply);
static enum step sweep_on_linked(void *ctx);
static enum step sweep_on_kept(void *ctx);
static enum step sweep_on_confirmed(void *ctx);
static STEP sweep_finish(struct sweep *sweep);
static enum step sweep_on_struck(void *ctx, const struct strike_reply *reply);

static void sweep_end(struct job *job)
{
	struct sweep *sweep = (struct sweep *)job;

	sweep->done(sweep->arg, sweep);
	arena_deinit(&job->arena);
	free(sweep);
}

void sweep_start(struct worker *worker, const struct sweep *what)
{
	struct sweep *sweep = xcalloc(1, sizeof(*sweep));
	struct arena *arena = &sweep->job.arena;

	*sweep = *what;
	sweep->worker = worker;
	job_init(&sweep->job, clock_monotonic_ms() + SWEEP_DEADLINE_MS, sweep_end);
	sweep->id = arena_span(arena, what->id);
	sweep->user = arena_span(arena, what->user);
	sweep->fact = arena_span(arena, what->fact);
	sweep->entry = arena_span(arena, what->entry);
	sweep->body = arena_span(arena, what->body);
	sweep->hash = arena_span(arena, what->hash);
	job_run(&sweep->job, sweep_read(sweep));
}

/* What an undecided conversation was decided to be can be read from now on. A journaled one could be since it was
 * journaled, and was observed then. */
static void sweep_observe_lag(struct sweep *sweep)
{
	struct span content = json_member(sweep->link.facts, "content");
	int64_t ended_ms;

	if (sweep->kind == SWEEP_UNDECIDED_CONVERSATION && sweep->link.result == LINK_DECIDED &&
	    span_to_int64(json_member(content, "ended_at"), &ended_ms))
		metrics_observe(&sweep->worker->metrics, HISTOGRAM_RESULT_LAG, (clock_wall_ms() - ended_ms) * 1000);
}

static STEP sweep_finished(struct sweep *sweep)
{
	sweep_observe_lag(sweep);
	sweep->finished = true;
	metrics_count(&sweep->worker->metrics, METRIC_SWEPT);
	return DONE;
}

static bool sweep_is_session(const struct sweep *sweep)
{
	return sweep->kind == SWEEP_JOURNALED_SAVE || sweep->kind == SWEEP_UNDECIDED_SESSION;
}

static void sweep_open_link(struct sweep *sweep)
{
	link_init(&sweep->link, sweep->worker, &sweep->job, sweep_on_linked, sweep);
	sweep->link.began_ms = sweep->read_ms;
	sweep->link.pin = span_of(arena_printf(&sweep->job.arena, "%c:%.*s", sweep_is_session(sweep) ? 's' : 'c',
					       SPAN_ARG(sweep->id)));
}

static STEP sweep_reject(struct sweep *sweep, const char *sqlstate, const char *error)
{
	ledger_init(&sweep->ledger, sweep->worker, &sweep->job, sweep_on_kept, sweep);
	return ledger_reject(&sweep->ledger, sweep_is_session(sweep) ? "session" : "conversation", sweep->id,
			     sweep->fact, sqlstate, error);
}

static STEP sweep_read_body(struct sweep *sweep)
{
	struct arena *arena = &sweep->job.arena;
	const char *reason;

	/* it was read before it was journaled */
	if (elevenlabs_parse_again(arena, sweep->fact, sweep->hash, &sweep->conversation, &reason) != WEBHOOK_CONVERSATION)
		return sweep_reject(sweep, "22000", reason);
	sweep_open_link(sweep);
	return link_journaled(&sweep->link, sweep->id,
			      conversation_fact(arena, sweep->worker->config, &sweep->conversation,
						journal_entry_ms(sweep->entry)));
}

static STEP sweep_read(struct sweep *sweep)
{
	struct arena *arena = &sweep->job.arena;
	const char *param;
	struct postgres_query query = {STATEMENT_CONVERSATION_FACTS, 1, &param};

	switch (sweep->kind) {
	case SWEEP_JOURNALED_WEBHOOK:
		return journal_body(sweep->worker, &sweep->job, sweep->partition, sweep->body, sweep_on_body, sweep);
	case SWEEP_UNDECIDED_CONVERSATION:
		param = arena_strdup(arena, sweep->id);
		return postgres_submit(sweep->worker->ledger_reader, &sweep->job, NULL, 1, &query, sweep_on_facts, sweep);
	case SWEEP_JOURNALED_SAVE:
		sweep->user = json_decode_string(arena, json_member(sweep->fact, "user"));
		break;
	case SWEEP_UNDECIDED_SESSION:
		break;
	}
	sweep_open_link(sweep);
	sweep->link.ledger_first = sweep->kind == SWEEP_JOURNALED_SAVE;
	return link_fact(&sweep->link, arena_strdup(arena, sweep->user), sweep->id, sweep->fact);
}

/* The body goes with its entry: without it, somebody else has struck that since the page was read. */
static enum step sweep_on_body(void *ctx, const struct redis_reply *reply)
{
	struct sweep *sweep = ctx;

	if (reply->status != CALL_OK)
		return DONE;
	if (!reply->v[0].p)
		return sweep_finish(sweep);
	if (!lz4_frame_unpack(&sweep->job.arena, reply->v[0], &sweep->fact)) {
		sweep->fact = arena_span(&sweep->job.arena, reply->v[0]);
		return sweep_reject(sweep, "22000", "its LZ4 frame is damaged");
	}
	return sweep_read_body(sweep);
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
	sweep_open_link(sweep);
	return link_conversation(&sweep->link, sweep->id, facts);
}

/* What can't be decided now is kept undecided; what is so already stays so. */
static STEP sweep_keep_undecided(struct sweep *sweep)
{
	if (sweep->kind == SWEEP_JOURNALED_SAVE)
		return ledger_keep_undecided(&sweep->ledger, &sweep->link, sweep->fact);
	if (sweep->kind == SWEEP_JOURNALED_WEBHOOK)
		return ledger_keep_conversation(&sweep->ledger, &sweep->conversation, sweep->fact,
						journal_entry_ms(sweep->entry));
	if (sweep->kind == SWEEP_UNDECIDED_CONVERSATION) /* but whoever lost it must know */
		return ledger_keep_decisions(&sweep->ledger, &sweep->link, sweep->id, sweep->hash);
	return sweep_finished(sweep);
}

static STEP sweep_keep(struct sweep *sweep)
{
	if (sweep->kind == SWEEP_JOURNALED_WEBHOOK)
		return ledger_keep_decided(&sweep->ledger, &sweep->conversation, sweep->fact,
					   journal_entry_ms(sweep->entry), &sweep->link);
	if (sweep->kind == SWEEP_UNDECIDED_CONVERSATION)
		return ledger_keep_decisions(&sweep->ledger, &sweep->link, sweep->id, sweep->hash);
	return ledger_keep_session(&sweep->ledger, &sweep->link);
}

static enum step sweep_on_linked(void *ctx)
{
	struct sweep *sweep = ctx;

	ledger_init(&sweep->ledger, sweep->worker, &sweep->job, sweep_on_kept, sweep);
	switch (sweep->link.result) {
	case LINK_REDIS_AWAY:
	case LINK_LEDGER_AWAY:
		return DONE;
	case LINK_SESSION_TAKEN: /* by somebody who was first */
	case LINK_CONVERSATION_TAKEN:
		return sweep_reject(sweep, "23505", "the sid belongs to another user");
	case LINK_FULL:
		return sweep_keep_undecided(sweep);
	case LINK_DECIDED:
		break;
	}
	return sweep_keep(sweep);
}

static enum step sweep_on_kept(void *ctx)
{
	struct sweep *sweep = ctx;

	switch (sweep->ledger.result) {
	case LEDGER_AWAY:
		return DONE;
	case LEDGER_TAKEN:
		return sweep_reject(sweep, "23505", "the sid belongs to another user");
	case LEDGER_REJECTED:
		return sweep_finish(sweep);
	case LEDGER_KEPT:
		break;
	}
	link_unpin(&sweep->link);
	link_note_confirm(&sweep->link, SPAN("0")); /* is it lost already? Then its entry stays until that is made good */
	if (!sweep->link.lost && sweep->entry.n == 0)
		return link_confirm(&sweep->link, sweep_on_confirmed, sweep);
	sweep->confirm = true;
	return sweep->link.lost ? sweep_on_confirmed(sweep) : sweep_finish(sweep);
}

static enum step sweep_on_confirmed(void *ctx)
{
	struct sweep *sweep = ctx;

	if (sweep->link.lost)
		return link_repeat(&sweep->link, sweep_on_linked, sweep);
	return sweep_finished(sweep);
}

static STEP sweep_finish(struct sweep *sweep)
{
	if (sweep->entry.n == 0)
		return sweep_finished(sweep);
	sweep->strike = (struct strike){.job = &sweep->job, .partition = sweep->partition, .entry = sweep->entry,
					.body = sweep->body, .next = sweep_on_struck, .ctx = sweep};
	return strikes_add(sweep->strikes, &sweep->strike);
}

static enum step sweep_on_struck(void *ctx, const struct strike_reply *reply)
{
	struct sweep *sweep = ctx;

	if (reply->status != CALL_OK)
		return DONE;
	/* nobody else struck it: somebody took the body out of Redis by hand, and it can't be kept */
	if (sweep->body.n > 0 && sweep->fact.n == 0 && reply->found) {
		metrics_count(&sweep->worker->metrics, METRIC_FACT_REJECTED);
		log_event(LOG_ERROR, "journaled_body_missing", "conversation=%s entry=%s", LOG_TEXT(sweep->id),
			  LOG_TEXT(sweep->entry));
	}
	/* all partitions are emptied at once: the journal's speaks for those of the link */
	if (!sweep->confirm)
		return sweep_finished(sweep);
	sweep->confirm = false;
	link_note_confirm(&sweep->link, reply->emptied);
	return sweep_on_confirmed(sweep);
}
