/* start → entry in the journal → its body → holder in Redis → their bucket (the session) → 200 or 304
 *           │ not there: back to the caller, or 503 if a store could not be asked    │ another's: 404 */
#include "broker/results_journal.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/lz4_frame.h"
#include "broker/fact.h"
#include "broker/journal.h"
#include "broker/results_body.h"
#include "broker/view.h"
#include "provider/elevenlabs.h"

struct results {
	struct request *req;
	/* results_ask_journal */
	struct caller caller;
	struct uuid id;
	const char *ledger_trouble;
	enum step (*missing)(void *ctx);
	void *ctx;
	/* results_on_entry */
	int64_t received_ms;
	/* results_on_body */
	struct conversation conversation;
	/* results_on_bucket */
	struct span session;
};

static struct span number(struct arena *arena, int64_t number)
{
	return number < 0 ? SPAN_ABSENT : span_of(arena_printf(arena, "%" PRId64, number));
}

/* The columns that sql/results.sql would have, once the ledger has it. */
static struct span results_body_of(const struct results *results)
{
	struct arena *arena = &results->req->job.arena;
	const struct config *config = worker_of(results->req)->config;
	const struct conversation *c = &results->conversation;
	bool pending = conversation_awaits_evaluation(config, c);
	int64_t turns_ms;
	const struct span columns[COL_COUNT] = {
		[COL_CONVERSATION] = c->id,
		[COL_AGENT] = c->agent_id,
		[COL_SESSION] = results->session,
		[COL_STATUS] = c->status,
		[COL_STARTED] = number(arena, c->started_ms),
		[COL_ENDED] = number(arena, c->ended_ms),
		[COL_DURATION] = number(arena, c->duration_secs),
		[COL_RECEIVED] = number(arena, results->received_ms),
		[COL_FAILURE] = c->failure_reason,
		[COL_EVALUATION] = span_of(pending ? "pending" : c->evaluation_status),
		[COL_REASON] = span_of(pending ? NULL : c->evaluation_reason),
		[COL_COMPLETED] = number(arena, pending ? -1 : results->received_ms),
		[COL_SUMMARY] = json_decode_string(arena, json_member(c->analysis, "transcript_summary")),
		[COL_TRANSCRIPT] = c->transcript,
		[COL_METADATA] = c->metadata,
		[COL_RESULT] = pending ? SPAN_ABSENT : c->evaluation_result,
	};

	return results_body(arena, config, results->id.text, columns, clock_wall_ms(), &turns_ms);
}

static STEP results_reply(const struct results *results)
{
	struct span body = results_body_of(results);

	reply_header(results->req, "Vary", "Accept-Encoding");
	return reply_json_etag(results->req, body, etag_of(&results->req->job.arena, body));
}

static STEP results_not_found(const struct results *results)
{
	return reply_problem(results->req, 404, "id", "no such interview");
}

static enum step results_on_entry(void *ctx, const struct redis_reply *reply);
static enum step results_on_body(void *ctx, const struct redis_reply *reply);
static enum step results_on_holder(void *ctx, const struct redis_reply *reply);
static enum step results_on_bucket(void *ctx, const struct redis_reply *reply);

STEP results_ask_journal(struct request *req, const struct caller *caller, const struct uuid *id,
			 const char *ledger_trouble, enum step (*missing)(void *ctx), void *ctx)
{
	struct results *results = ARENA_NEW(&req->job.arena, struct results);

	*results = (struct results){.req = req, .caller = *caller, .id = *id, .ledger_trouble = ledger_trouble,
				    .missing = missing, .ctx = ctx};
	return journal_find(worker_of(req), &req->job, id, results_on_entry, results);
}

/* The journal has it not, or could not be asked. */
static STEP results_not_journaled(const struct results *results, const struct redis_reply *reply)
{
	struct request *req = results->req;

	if (results->ledger_trouble)
		return reply_unavailable(req, "the ledger", results->ledger_trouble);
	if (reply->status != CALL_OK && journal_may_hide(worker_of(req)))
		return reply_unavailable(req, "the session store", arena_strdup(&req->job.arena, reply->error));
	return results->missing(results->ctx);
}

static enum step results_on_entry(void *ctx, const struct redis_reply *reply)
{
	struct results *results = ctx;
	struct request *req = results->req;
	struct worker *worker = worker_of(req);

	if (reply->status != CALL_OK || reply->n < 2)
		return results_not_journaled(results, reply);
	results->received_ms = journal_entry_ms(reply->v[0]);
	return journal_body(worker, &req->job, partition_of(span_of(results->id.text), worker->config->partitions),
			    reply->v[1], results_on_body, results);
}

static enum step results_on_body(void *ctx, const struct redis_reply *reply)
{
	static const struct config_list all_agents;
	struct results *results = ctx;
	struct request *req = results->req;
	struct worker *worker = worker_of(req);
	struct arena *arena = &req->job.arena;
	struct span words[4] = {SPAN("HMGET"), SPAN_ABSENT, SPAN("r"), SPAN("h")};
	struct span body;
	const char *reason;

	/* absent: it was struck in between, and the ledger has it */
	if (reply->status != CALL_OK || !reply->v[0].p || !lz4_frame_unpack(arena, reply->v[0], &body) ||
	    elevenlabs_parse(arena, body, &all_agents, &results->conversation, &reason) != WEBHOOK_CONVERSATION)
		return results_not_journaled(results, reply);
	req->conversation = arena_strdup(arena, results->conversation.id);
	words[1] = key_of_conversation(arena, worker->config->partitions, results->conversation.id);
	return redis_command(worker->redis, &req->job, 4, words, results_on_holder, results);
}

static enum step results_on_holder(void *ctx, const struct redis_reply *reply)
{
	struct results *results = ctx;
	struct request *req = results->req;
	struct worker *worker = worker_of(req);
	struct arena *arena = &req->job.arena;
	struct span words[2] = {SPAN("HGETALL")};

	if (reply->status != CALL_OK)
		return reply_unavailable(req, "the session store", arena_strdup(arena, reply->error));
	/* of an index that is not hydrated, too: what only the journal has, only it can know of */
	if (!results->caller.is_service && !span_is(reply->v[1], results->caller.user.text))
		return results_not_found(results);
	if (!reply->v[1].p)
		return results_reply(results);
	words[1] = key_of_user(arena, worker->config->partitions, arena_strdup(arena, reply->v[1]));
	return redis_command(worker->redis, &req->job, 2, words, results_on_bucket, results);
}

/* The session is the one whose view names this interview. */
static enum step results_on_bucket(void *ctx, const struct redis_reply *reply)
{
	struct results *results = ctx;
	struct arena *arena = &results->req->job.arena;

	for (size_t i = 0; reply->status == CALL_OK && i + 1 < reply->n; i += 2) {
		struct span field = reply->v[i];

		if (span_starts_with(field, SPAN("v:")) &&
		    span_is(json_decode_string(arena, json_member(reply->v[i + 1], "interviewId")), results->id.text))
			results->session = arena_span(arena, (struct span){field.p + 2, field.n - 2});
	}
	return results_reply(results);
}
