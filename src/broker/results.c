/* GET /api/interviews/:id/results: an interview, its transcript and its evaluation.
 *
 *   start → ledger → the owner's, or a service: 200 or 304
 *                  → another owner there: holder in Redis → 200, 404
 *                  → none: 404                                          a store away → 503 */
#include "base/clock.h"
#include "base/json.h"
#include "broker/caller.h"
#include "broker/handlers.h"
#include "broker/partition.h"
#include "broker/view.h"

/* The columns of sql/results.sql. */
enum {
	COL_CONVERSATION, COL_USER, COL_AGENT, COL_SESSION, COL_STATUS, COL_STARTED, COL_ENDED, COL_DURATION,
	COL_RECEIVED, COL_SUMMARY, COL_FAILURE, COL_TRANSCRIPT, COL_METADATA, COL_EVALUATION, COL_RESULT, COL_REASON,
	COL_COMPLETED
};

struct results {
	struct request *req;
	struct caller caller;
	/* results_start */
	struct uuid id;
	/* results_on_row, if Redis must be asked */
	struct span body;
};

static int64_t time_value(struct span value)
{
	int64_t ms;

	return span_to_int64(value, &ms) ? ms : -1;
}

/* What the provider calls done is a completed interview; its other words stay. */
static struct span interview_status(const struct postgres_rows *row)
{
	struct span status = postgres_value(row, 0, COL_STATUS);

	if (postgres_value(row, 0, COL_FAILURE).p)
		return SPAN("failed");
	return span_is(status, "done") ? SPAN("completed") : status;
}

static void add_raw(struct text *out, const char *name, struct span json)
{
	text_addf(out, ",\"%s\":", name);
	text_add(out, json.p ? json : SPAN("null"));
}

/* A turn as browsers get it. What the tools were called with stays here: it names the
 * customer's own servers. */
static void add_turn(struct text *out, struct span turn)
{
	struct json_iter iter = json_iter(turn);
	struct span name, value, role = SPAN("null"), message = SPAN("null"), seconds = SPAN("null"),
				 interrupted = SPAN_ABSENT;

	while (json_next(&iter, &name, &value)) {
		if (span_is(name, "\"role\""))
			role = value;
		else if (span_is(name, "\"message\""))
			message = value;
		else if (span_is(name, "\"time_in_call_secs\""))
			seconds = value;
		else if (span_is(name, "\"interrupted\""))
			interrupted = value;
	}
	text_add(out, SPAN("{\"role\":"));
	text_add(out, role);
	text_add(out, SPAN(",\"message\":"));
	text_add(out, message);
	text_add(out, SPAN(",\"timeInCallSecs\":"));
	text_add(out, seconds);
	if (interrupted.p)
		add_raw(out, "interrupted", interrupted);
	text_addc(out, '}');
}

static void add_transcript(struct text *out, struct span transcript)
{
	struct json_iter iter = json_iter(transcript);
	struct span turn;
	bool first = true;

	text_add(out, SPAN(",\"transcript\":["));
	while (json_next(&iter, NULL, &turn)) {
		if (!first)
			text_addc(out, ',');
		first = false;
		add_turn(out, turn);
	}
	text_addc(out, ']');
}

static void add_evaluation(struct text *out, const struct config *config, const struct postgres_rows *row)
{
	struct span status = postgres_value(row, 0, COL_EVALUATION), reason = postgres_value(row, 0, COL_REASON);

	if (!status.p)
		status = SPAN("pending");
	if (evaluation_is_overdue(config, status, time_value(postgres_value(row, 0, COL_RECEIVED)), clock_wall_ms())) {
		status = SPAN("failed");
		reason = SPAN("evaluation_timeout");
	}
	text_add(out, SPAN(",\"evaluation\":{\"status\":"));
	text_add_json(out, status);
	add_raw(out, "result", postgres_value(row, 0, COL_RESULT));
	text_add(out, SPAN(",\"reason\":"));
	text_add_json(out, reason);
	text_add(out, SPAN(",\"completedAt\":"));
	text_add_json_time(out, time_value(postgres_value(row, 0, COL_COMPLETED)));
	text_addc(out, '}');
}

static struct span results_body(struct results *results, const struct postgres_rows *row)
{
	struct text out;
	struct span duration = postgres_value(row, 0, COL_DURATION);

	text_init(&out, &results->req->job.arena, postgres_value(row, 0, COL_TRANSCRIPT).n + 2048);
	text_addf(&out, "{\"interview\":{\"id\":\"%s\",\"conversationId\":", results->id.text);
	text_add_json(&out, postgres_value(row, 0, COL_CONVERSATION));
	text_add(&out, SPAN(",\"agentId\":"));
	text_add_json(&out, postgres_value(row, 0, COL_AGENT));
	text_add(&out, SPAN(",\"sessionId\":"));
	text_add_json(&out, postgres_value(row, 0, COL_SESSION));
	text_add(&out, SPAN(",\"status\":"));
	text_add_json(&out, interview_status(row));
	text_add(&out, SPAN(",\"startedAt\":"));
	text_add_json_time(&out, time_value(postgres_value(row, 0, COL_STARTED)));
	text_add(&out, SPAN(",\"endedAt\":"));
	text_add_json_time(&out, time_value(postgres_value(row, 0, COL_ENDED)));
	add_raw(&out, "durationSecs", duration);
	text_add(&out, SPAN(",\"summary\":"));
	text_add_json(&out, postgres_value(row, 0, COL_SUMMARY));
	add_transcript(&out, postgres_value(row, 0, COL_TRANSCRIPT));
	text_addc(&out, '}');
	add_evaluation(&out, worker_of(results->req)->config, row);
	add_raw(&out, "metadata", postgres_value(row, 0, COL_METADATA));
	text_addc(&out, '}');
	return text_span(&out);
}

static STEP results_not_found(struct results *results)
{
	return reply_problem(results->req, 404, "id", "no such interview");
}

static enum step results_on_row(void *ctx, const struct postgres_reply *reply);
static enum step results_on_holder(void *ctx, const struct redis_reply *reply);

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
	return postgres_submit(worker_of(req)->ledger_reader, &req->job, NULL, 1, &query, results_on_row, results);
}

static enum step results_on_row(void *ctx, const struct postgres_reply *reply)
{
	struct results *results = ctx;
	struct request *req = results->req;
	struct worker *worker = worker_of(req);
	struct arena *arena = &req->job.arena;
	struct span conversation;

	if (reply->status != CALL_OK)
		return reply_unavailable(req, "the ledger", arena_strdup(arena, span_of(reply->error)));
	if (postgres_row_count(reply->rows[0]) == 0)
		return results_not_found(results);
	conversation = postgres_value(reply->rows[0], 0, COL_CONVERSATION);
	req->conversation = arena_strdup(arena, conversation);
	results->body = results_body(results, reply->rows[0]);
	if (results->caller.is_service ||
	    span_is(postgres_value(reply->rows[0], 0, COL_USER), results->caller.user.text))
		return reply_json_etag(req, results->body, etag_of(arena, results->body));

	/* a poll may have named this interview before the decision was committed */
	struct span words[] = {
		SPAN("HMGET"),
		key_of_conversation(arena, worker->config->partitions, conversation),
		SPAN("r"),
		SPAN("h"),
	};
	return redis_command(worker->redis, &req->job, 4, words, results_on_holder, results);
}

static enum step results_on_holder(void *ctx, const struct redis_reply *reply)
{
	struct results *results = ctx;
	struct request *req = results->req;

	if (reply->status == CALL_OK && reply->n == 2 &&
	    span_is(reply->v[0], redis_replid(worker_of(req)->redis)) && span_is(reply->v[1], results->caller.user.text))
		return reply_json_etag(req, results->body, etag_of(&req->job.arena, results->body));
	if (reply->status != CALL_OK)
		return reply_unavailable(req, "the session store", arena_strdup(&req->job.arena, reply->error));
	return results_not_found(results);
}
