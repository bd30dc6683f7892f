/* For an evaluator outside.
 *
 * GET /api/evaluations?status=pending
 *   start → ledger → 200
 *
 * PUT /api/interviews/:id/evaluation
 *   start → conversation of the interview → none: 404
 *             │
 *             ▼
 *           ledger (evaluation; facts) → link (views) → ledger (decisions) → 200
 *                                          │ Redis away
 *                                          └─▶ 200; decided later                  the ledger away → 503 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "broker/body.h"
#include "broker/caller.h"
#include "broker/handlers.h"
#include "broker/journal.h"
#include "broker/ledger.h"

enum { PAGE_DEFAULT = 50, PAGE_MAX = 100, REASON_MAX = 1000 };

/* ── the list ───────────────────────────────────────────────────────────────────────── */

struct evaluations_list {
	struct request *req;
	int64_t limit;
};

/* A cursor is "<requested_at in µs>_<interview id>" of the last row. */
static bool cursor_read(struct arena *arena, struct span cursor, const char *params[2])
{
	struct span micros, id = cursor;
	struct uuid uuid;
	int64_t number;

	micros = span_cut(&id, '_');
	if (!span_to_int64(micros, &number) || !uuid_parse(id, &uuid))
		return false;
	params[0] = arena_strdup(arena, micros);
	params[1] = arena_strdup(arena, span_of(uuid.text));
	return true;
}

static enum step list_on_rows(void *ctx, const struct postgres_reply *reply);

enum step evaluations_list_start(struct request *req)
{
	struct evaluations_list *list = ARENA_NEW(&req->job.arena, struct evaluations_list);
	const char **params = arena_alloc(&req->job.arena, 3 * sizeof(*params));
	struct span status = request_query(req, "status"), limit = request_query(req, "limit"),
		    after = request_query(req, "after");
	struct caller caller;

	list->req = req;
	list->limit = PAGE_DEFAULT;
	if (!caller_of(req, CALLER_SERVICE, &caller))
		return reply_unauthorized(req);
	if (status.p && !span_is(status, "pending"))
		return reply_problem(req, 400, "status", "status must be \"pending\"");
	if (limit.p && (!span_to_int64(limit, &list->limit) || list->limit < 1 || list->limit > PAGE_MAX))
		return reply_problem(req, 400, "limit", "limit must be a number from 1 to %d", PAGE_MAX);
	if (after.p && !cursor_read(&req->job.arena, after, params))
		return reply_problem(req, 400, "after", "after must be a cursor from \"next\"");
	params[2] = arena_printf(&req->job.arena, "%" PRId64, list->limit);
	struct postgres_query query = {STATEMENT_PENDING_EVALUATIONS, 3, params};
	return postgres_submit(worker_of(req)->ledger_reader, &req->job, NULL, 1, &query, list_on_rows, list);
}

static enum step list_on_rows(void *ctx, const struct postgres_reply *reply)
{
	struct evaluations_list *list = ctx;
	struct request *req = list->req;
	const struct postgres_rows *rows;
	size_t count;
	struct text out;

	if (reply->status != CALL_OK)
		return reply_unavailable(req, "the ledger", arena_strdup(&req->job.arena, span_of(reply->error)));
	rows = reply->rows[0];
	count = postgres_row_count(rows);
	text_init(&out, &req->job.arena, 256 + count * 200);
	text_add(&out, SPAN("{\"evaluations\":["));
	for (size_t i = 0; i < count; i++) {
		int64_t requested_ms = -1;

		if (!span_to_int64(postgres_value(rows, i, 3), &requested_ms))
			requested_ms = -1;
		text_add(&out, i > 0 ? SPAN(",{\"interviewId\":") : SPAN("{\"interviewId\":"));
		text_add_json(&out, postgres_value(rows, i, 0));
		text_add(&out, SPAN(",\"conversationId\":"));
		text_add_json(&out, postgres_value(rows, i, 1));
		text_add(&out, SPAN(",\"agentId\":"));
		text_add_json(&out, postgres_value(rows, i, 2));
		text_add(&out, SPAN(",\"requestedAt\":"));
		text_add_json_time(&out, requested_ms);
		text_addc(&out, '}');
	}
	text_add(&out, SPAN("],\"next\":"));
	if (count == (size_t)list->limit)
		text_addf(&out, "\"%.*s_%.*s\"", SPAN_ARG(postgres_value(rows, count - 1, 4)),
			  SPAN_ARG(postgres_value(rows, count - 1, 0)));
	else
		text_add(&out, SPAN("null"));
	text_addc(&out, '}');
	return reply_json(req, 200, text_span(&out));
}

/* ── the evaluation ─────────────────────────────────────────────────────────────────── */

struct evaluation_put {
	struct request *req;
	/* evaluation_put_start */
	struct uuid id;
	struct span status;
	struct span result; /* of a complete one */
	struct span reason; /* of a failed one */
	/* put_on_conversation */
	const char *cid;
	/* put_on_kept */
	struct span hash;
	struct link link;
	struct ledger_write ledger;
};

static void put_read(struct evaluation_put *put, struct body *body)
{
	put->status = body_string(body, "status", true);
	if (span_is(put->status, "complete")) {
		put->result = body_object(body, "result", true);
	} else if (span_is(put->status, "failed")) {
		put->reason = body_string(body, "reason", true);
		if (put->reason.p && (put->reason.n == 0 || put->reason.n > REASON_MAX))
			body_refuse(body, "reason", "reason must be 1 to 1000 bytes");
	} else {
		body_refuse(body, "status", "status must be \"complete\" or \"failed\"");
	}
}

static enum step put_on_conversation(void *ctx, const struct postgres_reply *reply);
static enum step put_on_kept(void *ctx, const struct postgres_reply *reply);
static enum step put_on_linked(void *ctx);
static enum step put_on_decided(void *ctx);

enum step evaluation_put_start(struct request *req)
{
	struct evaluation_put *put = ARENA_NEW(&req->job.arena, struct evaluation_put);
	const char **params = arena_alloc(&req->job.arena, sizeof(*params));
	struct caller caller;
	struct body body;

	put->req = req;
	if (!caller_of(req, CALLER_SERVICE, &caller))
		return reply_unauthorized(req);
	if (!uuid_parse(request_param(req, "id"), &put->id))
		return reply_problem(req, 400, "id", "id must be a UUID");
	body_open(&body, req);
	put_read(put, &body);
	body_close(&body);
	if (body.problem)
		return reply_body_problem(&body);
	params[0] = put->id.text;
	struct postgres_query query = {STATEMENT_CONVERSATION_OF_INTERVIEW, 1, params};
	return postgres_submit(worker_of(req)->ledger_reader, &req->job, NULL, 1, &query, put_on_conversation, put);
}

static STEP put_unavailable(struct evaluation_put *put, const char *why)
{
	return reply_unavailable(put->req, "the ledger", why);
}

/* The ledger doesn't have it: not yet, or it is none. */
static enum step put_on_journal(void *ctx, const struct redis_reply *reply)
{
	struct evaluation_put *put = ctx;

	if (reply->status == CALL_OK && reply->n > 0)
		return put_unavailable(put, "the interview is still in the journal");
	return reply_problem(put->req, 404, "id", "no such interview");
}

static enum step put_on_conversation(void *ctx, const struct postgres_reply *reply)
{
	struct evaluation_put *put = ctx;
	struct worker *worker = worker_of(put->req);
	struct arena *arena = &put->req->job.arena;
	const char **params = arena_alloc(arena, 8 * sizeof(*params)), *lock;

	if (reply->status != CALL_OK)
		return put_unavailable(put, arena_strdup(arena, span_of(reply->error)));
	if (postgres_row_count(reply->rows[0]) == 0)
		return journal_find(worker, &put->req->job, &put->id, put_on_journal, put);
	put->cid = arena_strdup(arena, postgres_value(reply->rows[0], 0, 0));
	put->req->conversation = put->cid;
	lock = ledger_lock_of_conversation(arena, span_of(put->cid));

	struct postgres_query queries[] = {
		{STATEMENT_KEEP_EVALUATION, 7, params},
		{STATEMENT_CONVERSATION_FACTS, 1, params + 7},
	};
	params[0] = put->cid;
	params[1] = arena_strdup(arena, put->status);
	params[2] = put->result.p ? arena_strdup(arena, put->result) : NULL;
	params[3] = put->reason.p ? arena_strdup(arena, put->reason) : NULL;
	params[4] = NULL;
	params[5] = "true";
	params[6] = NULL;
	params[7] = put->cid;
	return postgres_submit(worker_ledger_writer(worker), &put->req->job, lock, 2, queries, put_on_kept, put);
}

static enum step put_on_kept(void *ctx, const struct postgres_reply *reply)
{
	struct evaluation_put *put = ctx;
	struct arena *arena = &put->req->job.arena;
	struct span facts;

	if (reply->status != CALL_OK)
		return put_unavailable(put, arena_strdup(arena, span_of(reply->error)));
	facts = arena_span(arena, postgres_value(reply->rows[1], 0, 0));
	put->hash = json_decode_string(arena, json_member(json_member(facts, "content"), "hash"));
	link_init(&put->link, worker_of(put->req), &put->req->job, put_on_linked, put);
	return link_conversation(&put->link, span_of(put->cid), facts);
}

static enum step put_on_linked(void *ctx)
{
	struct evaluation_put *put = ctx;

	if (put->link.result == LINK_REDIS_AWAY || put->link.result == LINK_FULL) /* kept, and decided later */
		return reply_json(put->req, 200, SPAN("{\"success\":true}"));
	if (put->link.result != LINK_DECIDED)
		return put_unavailable(put, put->link.error);
	ledger_init(&put->ledger, worker_of(put->req), &put->req->job, put_on_decided, put);
	return ledger_keep_decisions(&put->ledger, &put->link, span_of(put->cid), put->hash);
}

static enum step put_on_decided(void *ctx)
{
	struct evaluation_put *put = ctx;

	if (put->ledger.result != LEDGER_KEPT)
		return put_unavailable(put, put->ledger.error);
	return reply_json(put->req, 200, SPAN("{\"success\":true}"));
}
