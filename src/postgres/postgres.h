/* Postgres: pipelined connections with group commit, and calls that are steps.
 *
 * A call is one or more prepared statements that succeed or fail together. What is
 * submitted while a batch is under way is the next batch: one Sync, one commit. Calls of a
 * batch that run the same statements are merged: each statement is executed once, with
 * arrays, if its file in sql/ says that it may be. A caller is answered at its Sync. When a batch fails, its members are run again one
 * by one, so that one bad row can't fail its neighbours: statements must be
 * idempotent. Deadlocks and serialization failures are tried again a few times.
 * The only room that knows libpq. */
#ifndef DEBRIEF_POSTGRES_POSTGRES_H
#define DEBRIEF_POSTGRES_POSTGRES_H

#include "base/job.h"
#include "sql/statements.h"

struct event_base;
struct postgres;

struct postgres_options {
	const char *conninfo;     /* libpq connection string or URI */
	int64_t timeout_ms;       /* of a call without an earlier deadline */
	size_t bytes_max;         /* of queued parameters; past them CALL_BUSY */
	/* asked on each new connection before it is ready: the schema version it needs */
	int schema_version;
	int64_t partitions;       /* must equal what the ledger was set up with */
	void (*changed)(void *arg, bool ready, const char *reason);
	/* before that, if the ledger has other partitions: that doesn't pass by itself; or NULL */
	void (*refused)(void *arg, const char *reason);
	/* after each batch, for metrics; or NULL */
	void (*committed)(void *arg, const struct postgres *postgres, size_t calls, int64_t duration_us);
	void *arg;
};

/* One statement of a call. Parameters are NUL-terminated text (NULL is SQL NULL) and
 * must live until the step: in the job's arena. */
struct postgres_query {
	enum statement statement;
	size_t param_count;
	const char *const *params;
};

struct postgres_rows; /* one statement's result */

/* Valid during the step. */
struct postgres_reply {
	enum call_status status;
	char sqlstate[6];        /* CALL_ERROR */
	const char *error;       /* CALL_ERROR: the server's message; else the reason */
	size_t n;                /* CALL_OK: one result a statement; NULL for those that only lock */
	struct postgres_rows *const *rows;
};
typedef enum step postgres_step(void *ctx, const struct postgres_reply *reply);

struct postgres *postgres_new(struct event_base *base, const struct postgres_options *options);
void postgres_free(struct postgres *postgres); /* outstanding calls get CALL_DOWN first */

bool postgres_ready(const struct postgres *postgres);
const char *postgres_reason(const struct postgres *postgres);
/* Something was sent at least age_ms ago, and nothing has come back since: frozen, or far behind. */
bool postgres_is_stalled(const struct postgres *postgres, int64_t age_ms);

/* What waits here fills half a batch: another connection would bring it there sooner. */
bool postgres_is_crowded(const struct postgres *postgres);

/* `lock` names what the statements lock first (NULL: nothing): calls of a batch are sent in
 * its order, so that two batches, each one transaction, don't wait for each other. */
STEP postgres_submit(struct postgres *postgres, struct job *job, const char *lock, size_t count,
		     const struct postgres_query *queries, postgres_step *next, void *ctx);
/* The same, waiting until until_ms (monotonic) at most, if that is before the job's deadline. */
STEP postgres_submit_until(struct postgres *postgres, struct job *job, int64_t until_ms, const char *lock, size_t count,
			   const struct postgres_query *queries, postgres_step *next, void *ctx);

size_t postgres_row_count(const struct postgres_rows *rows);
/* Absent for SQL NULL and for rows or columns that aren't there. */
struct span postgres_value(const struct postgres_rows *rows, size_t row, size_t column);

#endif
