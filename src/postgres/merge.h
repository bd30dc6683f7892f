/* What a batch executes: statements of several calls as one (merge.c), with arrays for parameters (arrays.c).
 *
 * A statement merges if the first line of its file in sql/ says so (build-aux/embed-sql). It takes an
 * array of text (or of json) for each parameter, with an element for each call, or for each row of each call, with its place
 * first; its rows, at most one a call, begin with the place of their call, from 1. Private to src/postgres. */
#ifndef DEBRIEF_POSTGRES_MERGE_H
#define DEBRIEF_POSTGRES_MERGE_H

#include <libpq-fe.h>

#include "base/span.h"
#include "sql/statements.h"

struct postgres;
struct postgres_member;

/* One statement sent, for one or more members of the batch that follow one another in it. */
struct postgres_execution {
	enum statement statement;
	struct postgres_member *first; /* NULL: locks for all of them */
	size_t members;
	size_t query;                  /* its place among their statements */
};

/* Parameters of an execution as arrays, in Postgres's binary format. */
enum { POSTGRES_PARAMS_MAX = 32 };
struct postgres_arrays {
	char *bytes;
	size_t size;
	const char *values[POSTGRES_PARAMS_MAX];
	int lengths[POSTGRES_PARAMS_MAX];
	int formats[POSTGRES_PARAMS_MAX];
};

/* The parameters of one execution, row by row. */
struct postgres_table {
	size_t count, columns;          /* `columns` in each row */
	const struct span *const *rows; /* absent: SQL NULL */
	const struct span *places;      /* one more column, before the others; or NULL */
	size_t json;                    /* the column that is json, from 1; 0: none */
};

/* arrays.c. `arrays` is zeroed before its first use, and freed by postgres_arrays_deinit(). */
void postgres_arrays_build(struct postgres_arrays *arrays, const struct postgres_table *table);
void postgres_arrays_deinit(struct postgres_arrays *arrays);
/* A row of a merged result as a result of its own, without the first column; of a negative row: no rows. */
PGresult *postgres_result_of(const PGresult *merged, int row);

/* merge.c. Moves the next batch from `alone` or `queued` to `sent`, and sends it. False if libpq refuses. */
void postgres_batch_collect(struct postgres *postgres);
bool postgres_batch_send(struct postgres *postgres) __attribute__((warn_unused_result));
/* Gives an execution's result to its members, or frees it. */
void postgres_batch_give(const struct postgres_execution *execution, PGresult *result);

#endif
