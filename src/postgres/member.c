/* Members: the calls of a batch, and their answers. */
#include <event2/event.h>
#include <stdlib.h>

#include "postgres/connection.h"

static void member_set_queries(struct postgres_member *member, const struct postgres_query *queries)
{
	struct postgres_call *copy = (struct postgres_call *)(member + 1);
	struct span *params;

	member->queries = copy;
	member->results = (PGresult **)(copy + member->count);
	params = (struct span *)(member->results + member->count);
	for (size_t i = 0; i < member->count; i++) {
		copy[i] = (struct postgres_call){queries[i].statement, queries[i].param_count, params};
		for (size_t k = 0; k < queries[i].param_count; k++, params++) {
			*params = span_of(queries[i].params[k]);
			member->bytes += params->n;
		}
	}
}

struct postgres_member *postgres_member_new(struct job *job, postgres_step *next, void *ctx, size_t count,
					    const struct postgres_query *queries)
{
	struct postgres_member *member;
	size_t size = sizeof(*member) + count * (sizeof(*member->queries) + sizeof(PGresult *));

	for (size_t i = 0; i < count; i++)
		size += queries[i].param_count * sizeof(struct span);
	member = xcalloc(1, size);
	member->job = job;
	member->next = next;
	member->ctx = ctx;
	member->count = count;
	member->bytes = size;
	member_set_queries(member, queries);
	return member;
}

void postgres_member_clear_results(struct postgres_member *member)
{
	for (size_t i = 0; member->results && i < member->count; i++) {
		PQclear(member->results[i]);
		member->results[i] = NULL;
	}
	member->failure = NULL;
}

void postgres_member_free(struct postgres_member *member)
{
	postgres_member_clear_results(member);
	free(member);
}

/* Answers in the next loop turn, never from inside the submitting call. */
void postgres_member_defer(struct postgres *postgres, struct job *job, postgres_step *next, void *ctx,
			   enum call_status status)
{
	struct postgres_member *member = postgres_member_new(job, next, ctx, 0, NULL);
	struct timeval now = {0, 0};

	member->status = status;
	TAILQ_INSERT_TAIL(&postgres->answered, member, link);
	event_add(postgres->answer_event, &now);
}

/* Takes a member off one of the three lists for good, answered with `status` unless it was before. */
void postgres_member_drop(struct postgres *postgres, struct postgres_members *list,
			  struct postgres_member *member, enum call_status status)
{
	TAILQ_REMOVE(list, member, link);
	postgres->bytes -= member->bytes;
	if (member->next)
		postgres_member_defer(postgres, member->job, member->next, member->ctx, status);
	postgres_member_free(member);
}

static const char *answer_text(const struct postgres *postgres, const struct postgres_member *member)
{
	const char *message;

	switch (member->status) {
	case CALL_OK:
		return "";
	case CALL_TIMEOUT:
		return "no answer in time";
	case CALL_BUSY:
		return "too much is queued";
	case CALL_DOWN:
		return postgres->reason[0] ? postgres->reason : "the connection was lost";
	case CALL_ERROR:
		break;
	}
	message = PQresultErrorField(member->failure, PG_DIAG_MESSAGE_PRIMARY);
	return message ? message : "unexpected result";
}

/* Runs the steps of a list of the caller's own. */
void postgres_members_answer(struct postgres *postgres, struct postgres_members *members)
{
	struct postgres_member *member;

	while ((member = TAILQ_FIRST(members))) {
		const char *sqlstate = PQresultErrorField(member->failure, PG_DIAG_SQLSTATE);
		struct postgres_reply reply = {.status = member->status,
					       .error = answer_text(postgres, member)};
		struct job *job = member->job;
		enum step step;

		if (member->status == CALL_ERROR && sqlstate && strlen(sqlstate) < sizeof(reply.sqlstate))
			memcpy(reply.sqlstate, sqlstate, strlen(sqlstate) + 1);
		if (member->status == CALL_OK) {
			reply.n = member->count;
			reply.rows = (struct postgres_rows *const *)member->results;
		}
		TAILQ_REMOVE(members, member, link);
		step = member->next(member->ctx, &reply);
		postgres_member_free(member);
		job_run(job, step);
	}
}

/* Answers what is deferred now; what the steps defer anew waits for the next turn. */
void postgres_run_answered(struct postgres *postgres)
{
	struct postgres_members members = TAILQ_HEAD_INITIALIZER(members);

	TAILQ_CONCAT(&members, &postgres->answered, link);
	postgres_members_answer(postgres, &members);
}
