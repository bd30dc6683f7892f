/* Batches: what is submitted while one is under way is the next.
 *
 *     submit ─▶ queued ─▶ sent ─ Sync ─▶ steps
 *                 alone ─▶ sent ─ Sync ─▶ steps, or again
 *                   ▲────────┘ failed with others
 */
#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "postgres/connection.h"

enum {
	TRIES_MAX = 5,       /* of a member that ends in deadlocks */
	TRY_PAUSE_MS = 10,   /* times the tries so far, and up to as much again */
	STUCK_GRACE_MS = 500 /* past statement_timeout, for the server's own error to arrive */
};

static void batch_reset(struct postgres *postgres)
{
	PQclear(postgres->failure);
	postgres->failure = NULL;
	postgres->failed_member = NULL;
	postgres->execution_count = postgres->at = 0;
	postgres->got_result = false;
	postgres->failed = false;
}

void postgres_defer_all(struct postgres *postgres)
{
	struct postgres_members *lists[] = {&postgres->sent, &postgres->alone, &postgres->queued};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		while (!TAILQ_EMPTY(lists[i]))
			postgres_member_drop(postgres, lists[i], TAILQ_FIRST(lists[i]), CALL_DOWN);
	}
	batch_reset(postgres);
	postgres->resume_ms = 0;
}

enum step postgres_submit(struct postgres *postgres, struct job *job, const char *lock, size_t count,
			  const struct postgres_query *queries, postgres_step *next, void *ctx)
{
	return postgres_submit_until(postgres, job, INT64_MAX, lock, count, queries, next, ctx);
}

enum step postgres_submit_until(struct postgres *postgres, struct job *job, int64_t until_ms, const char *lock,
				size_t count, const struct postgres_query *queries, postgres_step *next, void *ctx)
{
	int64_t now_ms = clock_monotonic_ms();
	int64_t deadline_ms = job->deadline_ms < until_ms ? job->deadline_ms : until_ms;
	enum call_status refusal = CALL_OK;
	struct postgres_member *member;

	if (postgres->state != POSTGRES_READY)
		refusal = CALL_DOWN;
	else if (postgres->bytes > postgres->options.bytes_max)
		refusal = CALL_BUSY;
	else if (deadline_ms <= now_ms)
		refusal = CALL_TIMEOUT;
	if (refusal != CALL_OK) {
		postgres_member_defer(postgres, job, next, ctx, refusal);
		return PARKED;
	}
	member = postgres_member_new(job, next, ctx, count, queries);
	member->lock = lock ? lock : "";
	member->deadline_ms = now_ms + postgres->options.timeout_ms;
	if (deadline_ms < member->deadline_ms)
		member->deadline_ms = deadline_ms;
	TAILQ_INSERT_TAIL(&postgres->queued, member, link);
	postgres->bytes += member->bytes;
	postgres_arm(postgres, member->deadline_ms);
	/* At the end of this loop turn, so that all that it submits is one batch. */
	if (TAILQ_EMPTY(&postgres->sent))
		event_active(postgres->send_event, EV_TIMEOUT, 0);
	return PARKED;
}

void postgres_send_batch(struct postgres *postgres)
{
	struct postgres_member *member;

	if (postgres->state != POSTGRES_READY || !TAILQ_EMPTY(&postgres->sent))
		return;
	postgres->progress_ms = clock_monotonic_ms();
	if (postgres->progress_ms < postgres->resume_ms)
		return;
	postgres_batch_collect(postgres);
	if (TAILQ_EMPTY(&postgres->sent))
		return;
	postgres->sent_us = clock_monotonic_us();
	postgres->sent_count = 0;
	TAILQ_FOREACH (member, &postgres->sent, link)
		postgres->sent_count++;
	if (postgres_batch_send(postgres) && PQpipelineSync(postgres->conn))
		postgres_flush(postgres);
	else
		postgres_break(postgres, PQerrorMessage(postgres->conn));
}

static bool sqlstate_is(const PGresult *result, const char *code)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return sqlstate && strcmp(sqlstate, code) == 0;
}

/* Deadlocks and serialization failures pass. So does a duplicate key, where another session was
 * inserting the same row at this moment: ON CONFLICT knows one index, this was another. */
static bool member_may_succeed_again(const struct postgres_member *member)
{
	if (sqlstate_is(member->failure, "23505"))
		return member->tries == 0;
	return (sqlstate_is(member->failure, "40001") || sqlstate_is(member->failure, "40P01")) &&
	       member->tries < TRIES_MAX;
}

/* A failed member of a failed batch: true if it is answered, false if it goes to `alone`. */
static bool member_judge(struct postgres *postgres, struct postgres_member *member, bool was_alone)
{
	if (sqlstate_is(member->failure,
			"57014")) { /* it had all its time: a second try would stall the rest */
		member->status = CALL_TIMEOUT;
		return true;
	}
	if (!was_alone)
		return false;
	if (member_may_succeed_again(member)) {
		uint32_t pause_ms = TRY_PAUSE_MS * ++member->tries;

		postgres->resume_ms = clock_monotonic_ms() + pause_ms + postgres_random(pause_ms);
		postgres_arm(postgres, postgres->resume_ms);
		return false;
	}
	member->status = CALL_ERROR;
	return true;
}

/* The Sync has come. Sends the next batch before it runs this one's steps. */
static void batch_end(struct postgres *postgres)
{
	struct postgres_members done = TAILQ_HEAD_INITIALIZER(done);
	struct postgres_members again = TAILQ_HEAD_INITIALIZER(again);
	struct postgres_member *member = TAILQ_FIRST(&postgres->sent);
	bool was_alone = member && !TAILQ_NEXT(member, link);
	PGresult *failure = postgres->failure;

	if (postgres->options.committed)
		postgres->options.committed(postgres->options.arg, postgres, postgres->sent_count,
					    clock_monotonic_us() - postgres->sent_us);
	while ((member = TAILQ_FIRST(&postgres->sent))) {
		TAILQ_REMOVE(&postgres->sent, member, link);
		member->status = CALL_OK;
		if (was_alone || member == postgres->failed_member)
			member->failure = failure;
		if (!member->next) { /* timed out: its job is gone, and its parameters */
			postgres->bytes -= member->bytes;
			postgres_member_free(member);
		} else if (!postgres->failed || member_judge(postgres, member, was_alone)) {
			postgres->bytes -= member->bytes;
			TAILQ_INSERT_TAIL(&done, member, link);
		} else {
			postgres_member_clear_results(member);
			TAILQ_INSERT_TAIL(&again, member, link);
		}
	}
	TAILQ_CONCAT(&again, &postgres->alone, link);
	TAILQ_CONCAT(&postgres->alone, &again, link);
	postgres->failure = NULL;
	batch_reset(postgres);
	postgres_send_batch(postgres);
	postgres_members_answer(postgres, &done);
	PQclear(failure);
}

/* Takes one result of the batch; owns it. */
static void batch_take(struct postgres *postgres, PGresult *result)
{
	const struct postgres_execution *execution = &postgres->executions[postgres->at];
	ExecStatusType status = PQresultStatus(result);
	bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
	bool at_sync = postgres->at == postgres->execution_count;

	postgres->got_result = true;
	if (status == PGRES_FATAL_ERROR &&
	    postgres_sqlstate_breaks(PQresultErrorField(result, PG_DIAG_SQLSTATE))) {
		postgres_break(postgres, PQresultErrorMessage(result));
		PQclear(result);
		return;
	}
	if (ok && !at_sync && !postgres->failed) {
		postgres_batch_give(execution, result);
		return;
	}
	if (ok || postgres->failed) { /* what follows an error says only that it does */
		PQclear(result);
		return;
	}
	postgres->failed = true;
	postgres->failure = result;
	if (!at_sync && execution->members == 1)
		postgres->failed_member = execution->first;
}

/* The NULL that ends each statement's results. False if there is nothing to read. */
static bool batch_advance(struct postgres *postgres)
{
	if (!postgres->got_result)
		return false;
	postgres->got_result = false;
	if (postgres->at < postgres->execution_count)
		postgres->at++;
	return true;
}

void postgres_read_batch(struct postgres *postgres)
{
	postgres->progress_ms = clock_monotonic_ms();
	while (postgres->state == POSTGRES_READY && !PQisBusy(postgres->conn)) {
		PGresult *result = PQgetResult(postgres->conn);

		if (!result) {
			if (!batch_advance(postgres))
				break;
		} else if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
			PQclear(result);
			batch_end(postgres);
		} else {
			batch_take(postgres, result);
		}
	}
}

/* Answers what is past its deadline; what was sent keeps its place for its results. */
static int64_t members_expire(struct postgres *postgres, struct postgres_members *list, int64_t now_ms)
{
	struct postgres_member *member, *following;
	int64_t wake_ms = INT64_MAX;

	for (member = TAILQ_FIRST(list); member; member = following) {
		following = TAILQ_NEXT(member, link);
		if (!member->next)
			continue;
		if (member->deadline_ms > now_ms) {
			if (member->deadline_ms < wake_ms)
				wake_ms = member->deadline_ms;
		} else if (list == &postgres->sent) {
			postgres_member_defer(postgres, member->job, member->next, member->ctx, CALL_TIMEOUT);
			member->next = NULL;
		} else {
			postgres_member_drop(postgres, list, member, CALL_TIMEOUT);
		}
	}
	return wake_ms;
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
	return a_ms < b_ms ? a_ms : b_ms;
}

/* When the server has been silent for longer than any statement may take, it is stuck. */
void postgres_expire_calls(struct postgres *postgres)
{
	int64_t now_ms = clock_monotonic_ms();
	int64_t stuck_ms = postgres->progress_ms + postgres->options.timeout_ms + STUCK_GRACE_MS;
	int64_t wake_ms;

	wake_ms = members_expire(postgres, &postgres->sent, now_ms);
	wake_ms = earlier(wake_ms, members_expire(postgres, &postgres->alone, now_ms));
	wake_ms = earlier(wake_ms, members_expire(postgres, &postgres->queued, now_ms));
	if (!TAILQ_EMPTY(&postgres->sent)) {
		if (stuck_ms <= now_ms) {
			postgres_break(postgres, "the server doesn't answer");
			return;
		}
		wake_ms = earlier(wake_ms, stuck_ms);
	} else if (!TAILQ_EMPTY(&postgres->alone) && postgres->resume_ms > now_ms) {
		wake_ms = earlier(wake_ms, postgres->resume_ms);
	}
	if (wake_ms < INT64_MAX)
		postgres_arm(postgres, wake_ms);
	postgres_send_batch(postgres);
}

bool postgres_is_stalled(const struct postgres *postgres, int64_t age_ms)
{
	return !TAILQ_EMPTY(&postgres->sent) && postgres->progress_ms + age_ms <= clock_monotonic_ms();
}

size_t postgres_row_count(const struct postgres_rows *rows)
{
	return (size_t)PQntuples((const PGresult *)rows);
}

struct span postgres_value(const struct postgres_rows *rows, size_t row, size_t column)
{
	const PGresult *result = (const PGresult *)rows;

	if (row >= (size_t)PQntuples(result) || column >= (size_t)PQnfields(result) ||
	    PQgetisnull(result, (int)row, (int)column))
		return SPAN_ABSENT;
	return (struct span){PQgetvalue(result, (int)row, (int)column),
			     (size_t)PQgetlength(result, (int)row, (int)column)};
}
