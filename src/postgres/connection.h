/* The Postgres room's inside: the connection's machine (connection.c), what is asked of
 * a new connection (setup.c), the calls (member.c), their batches (batch.c) and what those
 * execute (merge.c, with arrays.c).
 *
 * Invariant: members are queued, alone or sent only while the state is READY; whatever
 * ends that state moves them to `answered`. */
#ifndef DEBRIEF_POSTGRES_CONNECTION_H
#define DEBRIEF_POSTGRES_CONNECTION_H

#include <libpq-fe.h>
#include <sys/queue.h>

#include "postgres/merge.h"
#include "postgres/postgres.h"

struct event;

enum postgres_state {
	POSTGRES_RESTING,    /* no connection; the timer starts the next try */
	POSTGRES_CONNECTING, /* PQconnectPoll() is under way; the timer gives up */
	POSTGRES_CHECKING,   /* settings are made and the schema is asked for; the timer gives up */
	POSTGRES_PREPARING,  /* in pipeline mode, statements are being prepared; the timer gives up */
	POSTGRES_READY,      /* calls are taken; the timer watches their deadlines */
	POSTGRES_STOPPED     /* postgres_free() is under way; nothing is taken any more */
};

/* One of its statements: postgres_query, with its parameters measured. An absent one is SQL NULL. */
struct postgres_call {
	enum statement statement;
	size_t param_count;
	const struct span *params;
};

/* One call: its statements succeed or fail together. */
struct postgres_member {
	TAILQ_ENTRY(postgres_member) link;
	struct job *job;
	postgres_step *next; /* NULL once timed out: answered, but its results are still to come */
	void *ctx;
	const char *lock; /* the order within a batch; the job's */
	int64_t deadline_ms;
	size_t bytes;   /* of its parameters and of itself */
	unsigned tries; /* alone, that ended in a deadlock or a serialization failure */
	enum call_status status;
	size_t count;
	const struct postgres_call *queries; /* behind the struct; the parameters' bytes stay the job's */
	PGresult **results;                   /* behind the struct; filled until the Sync; NULL for locks */
	const PGresult *failure;              /* the batch's, if it is this one's */
};
TAILQ_HEAD(postgres_members, postgres_member);

/* libpq's two arrays, NULL-terminated, with what we add to the user's settings. */
struct postgres_conninfo {
	char *keywords[64];
	char *values[64];
	size_t count;
};

struct postgres {
	struct event_base *base;
	struct postgres_options options; /* without its conninfo */
	struct postgres_conninfo conninfo;
	enum postgres_state state;
	unsigned failures;    /* since the last READY, for the back-off */
	char reason[384];     /* why not ready; "" when ready */
	PGconn *conn;         /* NULL when RESTING or STOPPED */
	struct event *socket; /* of the present socket, or NULL */
	short watched;        /* what `socket` waits for */
	struct event *timer;
	int64_t timer_at_ms; /* INT64_MAX: not armed */
	int at_check;        /* CHECKING: which is under way */
	size_t at_statement; /* PREPARING: which is being answered */

	struct postgres_members queued;   /* to be sent in batches */
	struct postgres_members alone;    /* of a failed batch: to be sent one by one, before `queued` */
	struct postgres_members sent;     /* the batch under way */
	struct postgres_members answered; /* their steps run in the next loop turn */
	size_t bytes;                     /* of all parameters in the first three */
	struct event *send_event;
	struct event *answer_event;

	struct postgres_execution *executions; /* of the batch under way, as they were sent */
	size_t execution_count, execution_room;
	size_t at;              /* whose result comes next; execution_count: the Sync's */
	bool got_result;        /* for it; its terminating NULL comes next */
	bool failed;            /* something in this batch did: */
	PGresult *failure;      /* the first error, */
	struct postgres_member *failed_member; /* and whose it is; NULL: not known */
	struct postgres_arrays arrays;
	size_t sent_count;      /* members of the batch under way, and when they were sent */
	int64_t sent_us;
	int64_t progress_ms;    /* when anything was last sent or received */
	int64_t resume_ms;      /* nothing is sent before: the pause before another try */
};

/* connection.c. Breaks the connection, if any: all calls get CALL_DOWN, deferred. */
void postgres_break(struct postgres *postgres, const char *reason);
/* Makes the timer fire at_ms (monotonic), if that is earlier than what it is armed for. */
void postgres_arm(struct postgres *postgres, int64_t at_ms);
/* Sends what libpq holds, and waits for the socket if not all went. May break the
 * connection: look at the state. */
void postgres_flush(struct postgres *postgres);
/* The only place where the state changes. A NULL reason keeps the last one. */
void postgres_set_state(struct postgres *postgres, enum postgres_state state, const char *reason);
/* An SQLSTATE (or NULL) that speaks of the connection or the server, not of the statement. */
bool postgres_sqlstate_breaks(const char *sqlstate);
uint32_t postgres_random(uint32_t below);
/* Parses a connection string or URI; false if it is none. Free in either case. */
bool postgres_conninfo_parse(const char *text, const char *application, struct postgres_conninfo *conninfo)
	__attribute__((warn_unused_result));
void postgres_conninfo_free(struct postgres_conninfo *conninfo);

/* setup.c */
void postgres_start_checks(struct postgres *postgres);
void postgres_read_checks(struct postgres *postgres);
void postgres_read_prepared(struct postgres *postgres);

/* member.c. Copies the queries, but not the bytes of their parameters: those stay the job's. */
struct postgres_member *postgres_member_new(struct job *job, postgres_step *next, void *ctx, size_t count,
					    const struct postgres_query *queries);
void postgres_member_clear_results(struct postgres_member *member);
void postgres_member_free(struct postgres_member *member);
/* Answers in the next loop turn, never from inside the submitting call. */
void postgres_member_defer(struct postgres *postgres, struct job *job, postgres_step *next, void *ctx,
			   enum call_status status);
/* Takes a member off `list` for good, answered with `status` unless it was before. */
void postgres_member_drop(struct postgres *postgres, struct postgres_members *list,
			  struct postgres_member *member, enum call_status status);
void postgres_members_answer(struct postgres *postgres, struct postgres_members *members);
void postgres_run_answered(struct postgres *postgres);

/* batch.c */
void postgres_send_batch(struct postgres *postgres);
void postgres_read_batch(struct postgres *postgres);
void postgres_expire_calls(struct postgres *postgres);
void postgres_defer_all(struct postgres *postgres); /* all get CALL_DOWN, deferred */

#endif
