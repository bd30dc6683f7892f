/* GET /api/interviews/:id/results: an interview, its transcript and its evaluation.
 *
 *   start → ledger → the owner's, or a service: 200 or 304
 *             │    → another owner there: holder in Redis → 200, 404
 *             │ away, or it isn't there
 *             ▼
 *           journal → none: 404, or 503 if the ledger could not be asked
 *             ▼
 *           holder in Redis → their bucket (the session) → 200, 304        another's → 404 */
#include "base/clock.h"
#include "base/json.h"
#include "broker/caller.h"
#include "broker/handlers.h"
#include "broker/interview.h"
#include "broker/journal.h"
#include "broker/view.h"
#include "provider/elevenlabs.h"

struct results {
	struct request *req;
	struct caller caller;
	/* results_start */
	struct uuid id;
	/* results_on_row, if Redis must be asked */
	struct span body;
	const char *ledger_trouble; /* NULL: it has none */
	/* results_on_journal */
	struct conversation conversation;
	struct interview interview;
};

static STEP results_not_found(struct results *results)
{
	return reply_problem(results->req, 404, "id", "no such interview");
}

static STEP results_reply(struct results *results, struct span body)
{
	return reply_json_etag(results->req, body, etag_of(&results->req->job.arena, body));
}

static struct span results_body(struct results *results, const struct interview *interview)
{
	struct text out;

	text_init(&out, &results->req->job.arena, interview->transcript.n + 2048);
	interview_write(interview, worker_of(results->req)->config, clock_wall_ms(), &out);
	return text_span(&out);
}

static STEP results_ask_holder(struct results *results, struct span conversation_id, redis_step *next)
{
	struct worker *worker = worker_of(results->req);
	struct span words[] = {
		SPAN("HMGET"),
		key_of_conversation(&results->req->job.arena, worker->config->partitions, conversation_id),
		SPAN("r"),
		SPAN("h"),
	};

	return redis_command(worker->redis, &results->req->job, 4, words, next, results);
}

static enum step results_on_row(void *ctx, const struct postgres_reply *reply);
static enum step results_on_holder(void *ctx, const struct redis_reply *reply);
static enum step results_on_journal(void *ctx, const struct redis_reply *reply);
static enum step results_on_journal_holder(void *ctx, const struct redis_reply *reply);
static enum step results_on_bucket(void *ctx, const struct redis_reply *reply);

enum step results_start(struct request *req)
{
	struct results *results = ARENA_NEW(&req->job.arena, struct results);
	const char **params = arena_alloc(&req->job.arena, 3 * sizeof(*params));

	results->req = req;
	if (!caller_of(req, CALLER_USER | CALLER_SERVICE, &results->caller))
		return reply_unauthorized(req);
	if (!uuid_parse(request_param(req, "id"), &results->id))
		return reply_problem(req, 400, "id", "id must be a UUID");
	params[0] = results->id.text;
	params[1] = worker_window_param(worker_of(req), &req->job.arena);
	params[2] = worker_claim_unowned_param(worker_of(req));
	struct postgres_query query = {STATEMENT_RESULTS, 3, params};
	if (worker_ledger_is_away(worker_of(req))) {
		results->ledger_trouble = "known to be away";
		return journal_body(worker_of(req), &req->job, &results->id, results_on_journal, results);
	}
	return postgres_submit(worker_of(req)->ledger_reader, &req->job, NULL, 1, &query, results_on_row, results);
}

static enum step results_on_row(void *ctx, const struct postgres_reply *reply)
{
	struct results *results = ctx;
	struct request *req = results->req;
	struct interview interview;

	if (reply->status != CALL_OK)
		results->ledger_trouble = arena_strdup(&req->job.arena, span_of(reply->error));
	if (reply->status != CALL_OK || postgres_row_count(reply->rows[0]) == 0)
		return journal_body(worker_of(req), &req->job, &results->id, results_on_journal, results);
	interview = interview_of_row(results->id.text, reply->rows[0]);
	req->conversation = arena_strdup(&req->job.arena, interview.conversation_id);
	results->body = results_body(results, &interview);
	if (results->caller.is_service || span_is(interview.user, results->caller.user.text))
		return results_reply(results, results->body);
	/* a poll may have named this interview before the decision was committed */
	return results_ask_holder(results, interview.conversation_id, results_on_holder);
}

static enum step results_on_holder(void *ctx, const struct redis_reply *reply)
{
	struct results *results = ctx;
	struct request *req = results->req;

	if (reply->status == CALL_OK && reply->n == 2 &&
	    span_is(reply->v[0], redis_replid(worker_of(req)->redis)) && span_is(reply->v[1], results->caller.user.text))
		return results_reply(results, results->body);
	if (reply->status != CALL_OK)
		return reply_unavailable(req, "the session store", arena_strdup(&req->job.arena, reply->error));
	return results_not_found(results);
}

/* ── what only the journal has ──────────────────────────────────────────────────────── */

static enum step results_on_journal(void *ctx, const struct redis_reply *reply)
{
	static const struct config_list all_agents;
	struct results *results = ctx;
	struct request *req = results->req;
	struct arena *arena = &req->job.arena;
	const char *reason;

	if (reply->status != CALL_OK || reply->n < 2 ||
	    elevenlabs_parse(arena, arena_span(arena, reply->v[1]), &all_agents, &results->conversation, &reason) !=
		    WEBHOOK_CONVERSATION) {
		if (results->ledger_trouble)
			return reply_unavailable(req, "the ledger", results->ledger_trouble);
		return results_not_found(results);
	}
	req->conversation = arena_strdup(arena, results->conversation.id);
	results->interview = interview_of_conversation(arena, worker_of(req)->config, &results->conversation,
						       journal_entry_ms(reply->v[0]));
	return results_ask_holder(results, results->conversation.id, results_on_journal_holder);
}

static enum step results_on_journal_holder(void *ctx, const struct redis_reply *reply)
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
		return results_reply(results, results_body(results, &results->interview));
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
			results->interview.session = arena_span(arena, (struct span){field.p + 2, field.n - 2});
	}
	return results_reply(results, results_body(results, &results->interview));
}
