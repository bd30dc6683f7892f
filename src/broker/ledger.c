#include "broker/ledger.h"

#include <string.h>

#include "broker/ledger_params.h"

/* A decision that came late is made anew; under this many others of one user at once
 * the sender is asked to come again. */
enum { STALE_ROUNDS_MAX = 32 };

void ledger_init(struct ledger_write *write, struct worker *worker, struct job *job, enum step (*done)(void *ctx),
		 void *ctx)
{
	*write = (struct ledger_write){.worker = worker, .job = job, .done = done, .ctx = ctx, .until_ms = INT64_MAX};
}

static STEP ledger_end(struct ledger_write *write, enum ledger_result result, const char *error)
{
	write->result = result;
	write->error = error;
	return write->done(write->ctx);
}

/* Users' locks sort before conversations': a batch that keeps a conversation waits for no user
 * while it holds it. */
const char *ledger_lock_of_conversation(struct arena *arena, struct span cid)
{
	return arena_printf(arena, "~%.*s", SPAN_ARG(cid));
}

static struct postgres_query query_of(enum statement statement, size_t count, const char *const *params)
{
	return (struct postgres_query){.statement = statement, .param_count = count, .params = params};
}

static STEP submit(struct ledger_write *write, size_t count, const struct postgres_query *queries,
		   postgres_step *next)
{
	const char *lock = write->link && write->link->users
				   ? write->link->users->user
				   : ledger_lock_of_conversation(&write->job->arena, write->subject);

	return postgres_submit_until(worker_ledger_writer(write->worker), write->job, write->until_ms, lock, count,
				     queries, next, write);
}

/* ── a refusal: the fact goes to rejected_facts, so that it can't block others ──────── */

static enum step rejected(void *ctx, const struct postgres_reply *reply)
{
	struct ledger_write *write = ctx;

	if (reply->status != CALL_OK)
		return ledger_end(write, LEDGER_AWAY, "a rejected fact could not be kept");
	metrics_count(&write->worker->metrics, METRIC_FACT_REJECTED);
	return ledger_end(write, LEDGER_REJECTED, write->error);
}

/* SQLSTATE classes 22 (data exception) and 23 (integrity constraint): the content's fault. */
static bool is_content_error(const struct postgres_reply *reply)
{
	return reply->status == CALL_ERROR &&
	       (strncmp(reply->sqlstate, "22", 2) == 0 || strncmp(reply->sqlstate, "23", 2) == 0);
}

static STEP reject(struct ledger_write *write, const char *sqlstate, const char *error)
{
	struct arena *arena = &write->job->arena;
	const char *params[] = {write->kind, arena_strdup(arena, write->subject), ledger_bytea(arena, write->fact), sqlstate, error};
	struct postgres_query query = query_of(STATEMENT_REJECT_FACT, 5,
					       memcpy(arena_alloc(arena, sizeof(params)), params, sizeof(params)));

	log_event(LOG_ERROR, "fact_rejected", "kind=%s subject=%s sqlstate=%s error=%s", write->kind,
		  LOG_TEXT(write->subject), sqlstate, LOG_TEXT(span_of(error)));
	return submit(write, 1, &query, rejected);
}

STEP ledger_reject(struct ledger_write *write, const char *kind, struct span subject, struct span fact,
		   const char *sqlstate, const char *error)
{
	write->kind = kind;
	write->subject = subject;
	write->fact = fact;
	write->error = error;
	return reject(write, sqlstate, error);
}

static STEP fail(struct ledger_write *write, const struct postgres_reply *reply)
{
	struct arena *arena = &write->job->arena;

	write->error = arena_printf(arena, "ledger: %s: %s", call_status_name(reply->status),
				    reply->error ? reply->error : "");
	if (!is_content_error(reply) || !write->kind)
		return ledger_end(write, LEDGER_AWAY, write->error);
	return reject(write, arena_strdup(arena, span_of(reply->sqlstate)), arena_strdup(arena, span_of(reply->error)));
}

/* ── a conversation: content, evaluation, and what the index must know of it ────────── */

static enum step facts_read(void *ctx, const struct postgres_reply *reply)
{
	struct ledger_write *write = ctx;

	if (reply->status != CALL_OK)
		return fail(write, reply);
	write->facts = arena_span(&write->job->arena, postgres_value(reply->rows[reply->n - 1], 0, 0));
	return ledger_end(write, LEDGER_KEPT, NULL);
}

/* Of a conversation that was here before. Content that was here may be evaluated otherwise by now. */
static STEP facts_submit(struct ledger_write *write)
{
	struct arena *arena = &write->job->arena;
	const char **params = arena_alloc(arena, LEDGER_EVALUATION_PARAMS * sizeof(*params));
	const struct postgres_query queries[] = {query_of(STATEMENT_KEEP_EVALUATION, LEDGER_EVALUATION_PARAMS, params),
						 query_of(STATEMENT_CONVERSATION_FACTS, 1, params)};

	ledger_evaluation_params(write->params, params);
	return submit(write, 2, queries, facts_read);
}

static enum step conversation_kept(void *ctx, const struct postgres_reply *reply)
{
	struct ledger_write *write = ctx;

	if (reply->status != CALL_OK)
		return fail(write, reply);
	write->facts = arena_span(&write->job->arena, postgres_value(reply->rows[0], 0, 0));
	write->repeated = postgres_row_count(reply->rows[0]) == 0;
	return write->facts.n > 0 ? ledger_end(write, LEDGER_KEPT, NULL) : facts_submit(write);
}

static void set_conversation(struct ledger_write *write, const struct conversation *conversation, struct span body,
			     int64_t received_ms)
{
	write->kind = "conversation";
	write->subject = conversation->id;
	write->fact = body;
	write->conversation = conversation;
	write->received_ms = received_ms;
}

/* The conversation's statements, behind those that there are: content with evaluation and, of a call that doesn't
 * tell its times and is matched by its earliest receipt, that. Returns the first's parameters. */
static const char **add_conversation(struct ledger_write *write, struct postgres_query *queries, size_t *count)
{
	struct arena *arena = &write->job->arena;
	const struct conversation *conversation = write->conversation;
	const char **params = arena_alloc(arena, (LEDGER_CONVERSATION_PARAMS + 2) * sizeof(*params));
	const char **receipt = params + LEDGER_CONVERSATION_PARAMS;

	ledger_conversation_params(arena, write->worker->config, conversation, write->fact, write->received_ms, params);
	write->params = params;
	queries[(*count)++] = query_of(STATEMENT_KEEP_CONVERSATION, LEDGER_CONVERSATION_PARAMS, params);
	if (write->received_ms <= 0 || (conversation->started_ms >= 0 && conversation->ended_ms >= 0))
		return params;
	receipt[0] = params[1];
	receipt[1] = params[18];
	queries[(*count)++] = query_of(STATEMENT_LOWER_RECEIPT, 2, receipt);
	return params;
}

static STEP conversation_alone_submit(struct ledger_write *write)
{
	struct postgres_query queries[2];
	size_t count = 0;

	add_conversation(write, queries, &count);
	return submit(write, count, queries, conversation_kept);
}

STEP ledger_keep_conversation(struct ledger_write *write, const struct conversation *conversation, struct span body,
			      int64_t received_ms)
{
	set_conversation(write, conversation, body, received_ms);
	return conversation_alone_submit(write);
}

/* ── decisions, with the fact they follow from ──────────────────────────────────────── */

static STEP decisions_submit(struct ledger_write *write);

static enum step decisions_again(void *ctx)
{
	struct ledger_write *write = ctx;

	if (write->link->result != LINK_DECIDED)
		return ledger_end(write, LEDGER_AWAY, "a late decision could not be made anew");
	return decisions_submit(write);
}

/* The greatest revision in force above one of ours; 0 if all were applied. */
static int64_t stale_floor(struct ledger_write *write, const struct postgres_reply *reply)
{
	int64_t floor = 0;
	size_t i = write->decisions_at;

	for (struct link_user *user = write->link->users; user; user = user->next) {
		int64_t ours, theirs;

		if (!user->revision.p)
			continue;
		if (span_to_int64(user->revision, &ours) && span_to_int64(postgres_value(reply->rows[i++], 0, 0), &theirs) &&
		    theirs > ours && theirs > floor)
			floor = theirs;
	}
	return floor;
}

/* What the decisions changed, in the words of sql/0006_batches.sql. */
static void count_links(struct ledger_write *write, const struct postgres_reply *reply)
{
	static const struct {
		const char *word;
		enum metric_counter counter;
	} counters[] = {{"session_id", METRIC_LINK_SESSION_ID}, {"conversation_id", METRIC_LINK_CONVERSATION_ID},
			{"window", METRIC_LINK_WINDOW},         {"fallback", METRIC_LINK_FALLBACK},
			{"moved", METRIC_LINK_MOVED}};

	for (size_t row = write->decisions_at; row < reply->n; row++) {
		struct span words = postgres_value(reply->rows[row], 0, 1);

		while (words.n > 0) {
			struct span word = span_cut(&words, ' ');

			for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
				if (span_is(word, counters[i].word))
					metrics_count(&write->worker->metrics, counters[i].counter);
		}
	}
}

static enum step session_alone_kept(void *ctx, const struct postgres_reply *reply)
{
	struct ledger_write *write = ctx;

	if (reply->status != CALL_OK)
		return fail(write, reply);
	if (postgres_row_count(reply->rows[1]) == 0)
		return ledger_end(write, LEDGER_TAKEN, "the sid belongs to another user in the ledger");
	return ledger_end(write, LEDGER_KEPT, NULL);
}

/* What was refused may be a decision: the fact is kept without, undecided. */
static STEP session_alone_submit(struct ledger_write *write)
{
	struct arena *arena = &write->job->arena;
	const char **params = arena_alloc(arena, 6 * sizeof(*params));
	const struct postgres_query queries[] = {query_of(STATEMENT_LOCK_USER, 2, params),
						 query_of(STATEMENT_KEEP_SESSION, 4, params + 2)};

	params[0] = params[2] = write->link->user;
	params[1] = "0";
	params[3] = arena_strdup(arena, write->fact);
	params[4] = "true";
	params[5] = arena_strdup(arena, write->subject);
	return submit(write, 2, queries, session_alone_kept);
}

STEP ledger_keep_undecided(struct ledger_write *write, struct link *link, struct span fact)
{
	write->kind = "session";
	write->subject = link->sid;
	write->fact = fact;
	write->link = link;
	return session_alone_submit(write);
}

static enum step decisions_kept(void *ctx, const struct postgres_reply *reply)
{
	struct ledger_write *write = ctx;
	int64_t floor;

	if (write->with_session && is_content_error(reply))
		return session_alone_submit(write);
	if (write->conversation && is_content_error(reply))
		return conversation_alone_submit(write);
	if (reply->status != CALL_OK)
		return fail(write, reply);
	if (write->with_session && postgres_row_count(reply->rows[write->decisions_at - 1]) == 0)
		return ledger_end(write, LEDGER_TAKEN, "the sid belongs to another user in the ledger");
	count_links(write, reply);
	floor = stale_floor(write, reply);
	if (floor == 0) {
		metrics_count(&write->worker->metrics, METRIC_DECISION_APPLIED);
		return ledger_end(write, LEDGER_KEPT, NULL);
	}
	metrics_count(&write->worker->metrics, METRIC_DECISION_STALE);
	if (++write->rounds > STALE_ROUNDS_MAX)
		return ledger_end(write, LEDGER_AWAY, "too many decisions of one user at once");
	write->link->done = decisions_again;
	write->link->ctx = write;
	return link_again(write->link, floor);
}

static STEP decisions_submit(struct ledger_write *write)
{
	struct arena *arena = &write->job->arena;
	size_t users = 0, count = 0;
	struct postgres_query *queries;
	const char **params;

	for (struct link_user *user = write->link->users; user; user = user->next)
		users += user->revision.p != NULL;
	queries = arena_alloc(arena, (2 * users + 5) * sizeof(*queries));
	params = arena_alloc(arena, (2 * users + 6) * sizeof(*params));

	for (struct link_user *user = write->link->users; user; user = user->next) {
		if (!user->revision.p)
			continue;
		queries[count++] = query_of(STATEMENT_LOCK_USER, 2, params);
		*params++ = user->user;
		*params++ = arena_strdup(arena, user->revision);
	}
	if (write->with_session) {
		queries[count++] = query_of(STATEMENT_KEEP_SESSION, 4, params);
		*params++ = write->link->user;
		*params++ = arena_strdup(arena, write->fact);
		*params++ = "false";
		*params++ = arena_strdup(arena, write->subject);
	}
	if (write->conversation) {
		const struct link_user *owner = link_owner(write->link);
		const char **content = add_conversation(write, queries, &count);

		content[19] = owner ? owner->user : NULL;
		content[20] = owner ? arena_strdup(arena, write->link->epoch) : NULL;
		content[21] = owner ? arena_strdup(arena, owner->revision) : "0";
	}
	write->decisions_at = count;
	for (struct link_user *user = write->link->users; user; user = user->next) {
		if (!user->revision.p)
			continue;
		queries[count].statement = STATEMENT_APPLY_DECISION;
		queries[count].params = ledger_decision_rows(arena, user->user, user->revision, user->decision,
							     &queries[count].param_count);
		count++;
	}
	if (write->unowned_hash.p) {
		queries[count++] = query_of(STATEMENT_DECIDE_UNOWNED, 2, params);
		*params++ = arena_strdup(arena, write->subject);
		*params++ = arena_strdup(arena, write->unowned_hash);
	}
	if (count == 0)
		return ledger_end(write, LEDGER_KEPT, NULL);
	return submit(write, count, queries, decisions_kept);
}

STEP ledger_keep_session(struct ledger_write *write, struct link *link)
{
	write->kind = "session";
	write->subject = link->sid;
	write->fact = link->session;
	write->link = link;
	write->with_session = true;
	return decisions_submit(write);
}

STEP ledger_keep_decisions(struct ledger_write *write, struct link *link, struct span cid, struct span hash)
{
	write->link = link;
	write->subject = cid;
	if (link->owner.n == 0 && link->result == LINK_DECIDED)
		write->unowned_hash = hash;
	return decisions_submit(write);
}

STEP ledger_keep_decided(struct ledger_write *write, const struct conversation *conversation, struct span body,
			 int64_t received_ms, struct link *link)
{
	set_conversation(write, conversation, body, received_ms);
	write->link = link;
	if (link->owner.n == 0)
		write->unowned_hash = span_of(conversation->body_sha256);
	return decisions_submit(write);
}
