/* One blocking connection, for subcommands that ask the ledger a few things and end. */
#ifndef DEBRIEF_POSTGRES_BLOCKING_H
#define DEBRIEF_POSTGRES_BLOCKING_H

#include <stdio.h>

#include "postgres/postgres.h"

struct postgres_blocking;

/* Connects, and checks that the schema is this binary's. NULL, having said why on `err`. */
struct postgres_blocking *postgres_blocking_open(const char *conninfo, const char *application, FILE *err);
void postgres_blocking_close(struct postgres_blocking *postgres);

/* Runs sql/command_….sql with text parameters (NULL is SQL NULL). The rows are valid until the next call;
 * NULL, having said why, if it failed. */
const struct postgres_rows *postgres_blocking_run(struct postgres_blocking *postgres, enum command command,
						  size_t count, const char *const *params);
/* Likewise one of the nodes' own statements. */
const struct postgres_rows *postgres_blocking_statement(struct postgres_blocking *postgres,
							enum statement statement, size_t count,
							const char *const *params);
/* As postgres_blocking_run(), with rows of the caller's, who drops them. */
struct postgres_rows *postgres_blocking_take(struct postgres_blocking *postgres, enum command command,
					     size_t count, const char *const *params);
void postgres_blocking_drop(struct postgres_rows *rows);
/* Failures are not said until it is taken back. */
void postgres_blocking_hush(struct postgres_blocking *postgres, bool hush);
/* BEGIN, COMMIT, ROLLBACK. */
bool postgres_blocking_do(struct postgres_blocking *postgres, const char *sql)
	__attribute__((warn_unused_result));
/* Of the last call that failed: "SQLSTATE: message". */
const char *postgres_blocking_error(const struct postgres_blocking *postgres);

#endif
