/* GET /api/interviews/:id/results: an interview, its transcript and its evaluation.
 *
 *   start → read (the ledger: has it changed?), with all who ask for the same one
 *             → the owner's, or a service: 200 or 304
 *             → another owner there: holder in Redis → 200, 304 or 404
 *             → the ledger away, shown before: holder in Redis → 200, 304, 404
 *             → none, or the ledger away: the journal (results_journal.c) → 200, 304, 404; 503 */
#include <stdlib.h>

#include "base/clock.h"
#include "broker/caller.h"
#include "broker/handlers.h"
#include "broker/partition.h"
#include "broker/result_cache.h"
#include "broker/results_body.h"
#include "broker/results_journal.h"

/* A request that asks. */
struct results {
	struct request *req;
	struct caller caller;
	/* results_start */
	struct uuid id;
	struct result_entry *entry;
	bool again; /* the journal was asked, too: it may have moved from there to the ledger meanwhile */
	TAILQ_ENTRY(results) link;
	/* results_tell, if Redis must be asked */
	bool by_ledger; /* it has said: not this caller's */
	bool was_owner; /* when the ledger was last asked */
	struct blob *body, *gzip;
	char etag[ETAG_SIZE];
};

/* What all share: a job of its own. */
struct results_read {
	struct job job;
	struct worker *worker;
	struct result_entry *entry;
	/* read_start */
	bool known; /* the entry's body is of a version that may still hold */
};

static STEP results_not_found(struct results *results)
{
	return reply_problem(results->req, 404, "id", "no such interview");
}

/* The plain or the compressed one, each with its own tag (RFC 9110, 8.8.3). */
static STEP results_reply(struct request *req, struct blob *body, struct blob *gzip, const char *etag)
{
	if (gzip)
		etag = arena_printf(&req->job.arena, "%.*s-gzip\"", ETAG_SIZE - 2, etag);
	reply_header(req, "Vary", "Accept-Encoding");
	reply_header(req, "ETag", etag);
	if (request_has_etag(req, etag))
		return reply_empty(req, 304);
	if (gzip)
		reply_header(req, "Content-Encoding", "gzip");
	return reply_blob(req, 200, "application/json", gzip ? gzip : body);
}

static struct blob *results_gzip(struct results *results)
{
	return request_accepts_coding(results->req, "gzip") ? result_entry_gzip(results->entry) : NULL;
}

/* ── the read ───────────────────────────────────────────────────────────────────────── */

static enum step results_tell(struct results *results);
static enum step read_on_row(void *ctx, const struct postgres_reply *reply);
static void read_end(struct job *job);

static STEP read_start(struct results_read *read)
{
	struct worker *worker = read->worker;
	struct result_entry *entry = read->entry;
	const char **params = arena_alloc(&read->job.arena, 4 * sizeof(*params));
	struct postgres_query query = {STATEMENT_RESULTS, 4, params};

	params[0] = arena_strdup(&read->job.arena, span_of(entry->id.text));
	params[1] = worker_window_param(worker, &read->job.arena);
	params[2] = worker_claim_unowned_param(worker);
	read->known = entry->body && clock_wall_ms() < entry->turns_ms;
	params[3] = read->known ? arena_strdup(&read->job.arena, span_of(entry->version)) : NULL;
	return postgres_submit_until(worker->ledger_reader, &read->job, worker_read_until_ms(worker), NULL, 1, &query,
				     read_on_row, read);
}

static void read_begin(struct worker *worker, struct result_entry *entry)
{
	struct results_read *read = xcalloc(1, sizeof(*read));

	job_init(&read->job, clock_monotonic_ms() + worker->config->request_timeout_ms, read_end);
	read->worker = worker;
	read->entry = entry;
	entry->reading = true;
	TAILQ_CONCAT(&entry->asking, &entry->next, link);
	job_run(&read->job, read_start(read));
}

static enum step read_on_row(void *ctx, const struct postgres_reply *reply)
{
	struct results_read *read = ctx;
	struct result_entry *entry = read->entry;
	struct span columns[COL_COUNT], body;
	int64_t turns_ms;

	if (reply->status != CALL_OK) {
		entry->answer = RESULT_UNAVAILABLE;
		entry->error = arena_strdup(&read->job.arena, span_of(reply->error));
		return DONE;
	}
	if (postgres_row_count(reply->rows[0]) == 0) {
		entry->answer = RESULT_NONE;
		result_entry_set_body(entry, SPAN_ABSENT, SPAN_ABSENT, NULL, 0);
		return DONE;
	}
	for (size_t i = 0; i < COL_COUNT; i++)
		columns[i] = postgres_value(reply->rows[0], 0, i);
	entry->answer = RESULT_FOUND;
	snprintf(entry->owner, sizeof(entry->owner), "%.*s", SPAN_ARG(columns[COL_USER]));
	if (read->known && span_is(columns[COL_VERSION], entry->version)) { /* then its long columns were left out */
		metrics_count(&read->worker->metrics, METRIC_RESULT_CACHE_HIT);
		return DONE;
	}
	metrics_count(&read->worker->metrics, METRIC_RESULT_CACHE_MISS);
	body = results_body(&read->job.arena, read->worker->config, entry->id.text, columns, clock_wall_ms(), &turns_ms);
	result_entry_set_body(entry, columns[COL_VERSION], columns[COL_CONVERSATION], blob_new(body), turns_ms);
	return DONE;
}

static void read_end(struct job *job)
{
	struct results_read *read = (struct results_read *)job;
	struct worker *worker = read->worker;
	struct result_entry *entry = read->entry;
	struct results *results;

	while ((results = TAILQ_FIRST(&entry->asking))) {
		struct job *asking = &results->req->job;

		TAILQ_REMOVE(&entry->asking, results, link);
		job_run(asking, results_tell(results));
	}
	entry->reading = false;
	entry->error = NULL;
	arena_deinit(&job->arena);
	free(read);
	if (!TAILQ_EMPTY(&entry->next)) /* who came meanwhile must not be told what was so before */
		read_begin(worker, entry);
	result_cache_settle(worker->results, entry);
}

/* ── the request ────────────────────────────────────────────────────────────────────── */

static STEP results_read(struct results *results);
static enum step results_on_missing(void *ctx);
static STEP results_ask_holder(struct results *results);
static enum step results_on_holder(void *ctx, const struct redis_reply *reply);

enum step results_start(struct request *req)
{
	struct results *results = ARENA_NEW(&req->job.arena, struct results);

	results->req = req;
	if (!caller_of(req, CALLER_USER | CALLER_SERVICE, &results->caller))
		return reply_unauthorized(req);
	if (!uuid_parse(request_param(req, "id"), &results->id))
		return reply_problem(req, 400, "id", "id must be a UUID");
	return results_read(results);
}

static STEP results_read(struct results *results)
{
	struct worker *worker = worker_of(results->req);

	results->entry = result_cache_get(worker->results, &results->id);
	TAILQ_INSERT_TAIL(&results->entry->next, results, link);
	if (!results->entry->reading)
		read_begin(worker, results->entry);
	return PARKED;
}

/* What the read found; called once. */
static enum step results_tell(struct results *results)
{
	struct request *req = results->req;
	struct result_entry *entry = results->entry;
	bool is_owner = results->caller.is_service || strcmp(entry->owner, results->caller.user.text) == 0;

	if (entry->answer == RESULT_NONE && results->again)
		return results_not_found(results);
	if (entry->answer == RESULT_NONE || !entry->body)
		return results_ask_journal(req, &results->caller, &results->id,
					   entry->error ? arena_strdup(&req->job.arena, span_of(entry->error)) : NULL,
					   results_on_missing, results);
	req->conversation = arena_strdup(&req->job.arena, span_of(entry->conversation));
	if (entry->answer == RESULT_FOUND && is_owner)
		return results_reply(req, entry->body, results_gzip(results), entry->etag);
	results->by_ledger = entry->answer == RESULT_FOUND;
	results->was_owner = is_owner;
	return results_ask_holder(results);
}

static enum step results_on_missing(void *ctx)
{
	struct results *results = ctx;

	results->again = true;
	return results_read(results);
}

/* A poll may have named this interview before the decision was committed; or the ledger is away. */
static STEP results_ask_holder(struct results *results)
{
	struct request *req = results->req;
	struct worker *worker = worker_of(req);
	struct result_entry *entry = results->entry;
	struct span words[] = {
		SPAN("HMGET"),
		key_of_conversation(&req->job.arena, worker->config->partitions, span_of(entry->conversation)),
		SPAN("r"),
		SPAN("h"),
	};
	struct blob *gzip = results_gzip(results);

	results->body = blob_hold(entry->body);
	results->gzip = gzip ? blob_hold(gzip) : NULL;
	memcpy(results->etag, entry->etag, ETAG_SIZE);
	return redis_command(worker->redis, &req->job, 4, words, results_on_holder, results);
}

static STEP results_decide(struct results *results, const struct redis_reply *reply)
{
	struct request *req = results->req;
	bool held = reply->status == CALL_OK && reply->n == 2 && reply->v[1].p;
	bool known = held && span_is(reply->v[0], redis_replid(worker_of(req)->redis));

	if (reply->status != CALL_OK)
		return reply_unavailable(req, "the session store", arena_strdup(&req->job.arena, reply->error));
	if (results->caller.is_service || (known && span_is(reply->v[1], results->caller.user.text)) ||
	    (!known && !results->by_ledger && results->was_owner))
		return results_reply(req, results->body, results->gzip, results->etag);
	/* theirs, as Redis knew it before it came back: a poll may have named it, and it is yet to be decided again */
	if (held && !known && span_is(reply->v[1], results->caller.user.text))
		return reply_unavailable(req, "the session store", "the holder is of another generation of Redis");
	return results_not_found(results);
}

static enum step results_on_holder(void *ctx, const struct redis_reply *reply)
{
	struct results *results = ctx;
	struct blob *body = results->body, *gzip = results->gzip;
	enum step step = results_decide(results, reply);

	blob_release(body);
	blob_release(gzip);
	return step;
}
