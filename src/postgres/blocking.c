#include "postgres/blocking.h"

#include <stdlib.h>

#include "postgres/connection.h"
#include "postgres/migrate.h"

struct postgres_blocking {
	PGconn *conn;
	PGresult *result; /* of the last call */
	FILE *err;
	bool hush;
	char error[512];
};

static bool take(struct postgres_blocking *postgres, const char *what, PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	ExecStatusType status = PQresultStatus(result);

	PQclear(postgres->result);
	postgres->result = result;
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return true;
	if (sqlstate && message)
		snprintf(postgres->error, sizeof(postgres->error), "%s: %s", sqlstate, message);
	else
		snprintf(postgres->error, sizeof(postgres->error), "%s", PQerrorMessage(postgres->conn));
	if (!postgres->hush)
		fprintf(postgres->err, "debrief: %s: %s\n", what, postgres->error);
	return false;
}

static const struct postgres_rows *run(struct postgres_blocking *postgres, const struct statement_text *text,
				       size_t count, const char *const *params)
{
	struct postgres_arrays arrays = {0};
	PGresult *result;

	if (text->merges) {
		struct span values[POSTGRES_PARAMS_MAX];
		const struct span *row = values;

		if (count > POSTGRES_PARAMS_MAX)
			abort();
		for (size_t i = 0; i < count; i++)
			values[i] = span_of(params[i]);
		postgres_arrays_build(&arrays, &(struct postgres_table){1, count, &row, text->row ? &SPAN("1") : NULL,
									(size_t)text->json});
		result = PQexecParams(postgres->conn, text->text, (int)count + (text->row > 0), NULL, arrays.values,
				      arrays.lengths, arrays.formats, 0);
		postgres_arrays_deinit(&arrays);
	} else {
		result = PQexecParams(postgres->conn, text->text, (int)count, NULL, params, NULL, NULL, 0);
	}
	if (!take(postgres, text->name, result))
		return NULL;
	if (text->merges) {
		postgres->result = postgres_result_of(result, PQntuples(result) > 0 ? 0 : -1);
		PQclear(result);
	}
	return (const struct postgres_rows *)postgres->result;
}

const struct postgres_rows *postgres_blocking_run(struct postgres_blocking *postgres, enum command command,
						  size_t count, const char *const *params)
{
	return run(postgres, &command_texts[command], count, params);
}

const struct postgres_rows *postgres_blocking_statement(struct postgres_blocking *postgres,
							enum statement statement, size_t count,
							const char *const *params)
{
	return run(postgres, &statement_texts[statement], count, params);
}

struct postgres_rows *postgres_blocking_take(struct postgres_blocking *postgres, enum command command,
					     size_t count, const char *const *params)
{
	PGresult *result;

	if (!postgres_blocking_run(postgres, command, count, params))
		return NULL;
	result = postgres->result;
	postgres->result = NULL;
	return (struct postgres_rows *)result;
}

void postgres_blocking_drop(struct postgres_rows *rows)
{
	PQclear((PGresult *)rows);
}

void postgres_blocking_hush(struct postgres_blocking *postgres, bool hush)
{
	postgres->hush = hush;
}

bool postgres_blocking_do(struct postgres_blocking *postgres, const char *sql)
{
	return take(postgres, sql, PQexec(postgres->conn, sql));
}

const char *postgres_blocking_error(const struct postgres_blocking *postgres)
{
	return postgres->error;
}

/* As a node does at its connections. */
static bool check_schema(struct postgres_blocking *postgres)
{
	PGresult *result = PQexec(postgres->conn, "SELECT max(version) FROM schema_migrations");
	int64_t version = -1;

	if (!take(postgres, "schema_migrations", result))
		return false;
	(void)span_to_int64(postgres_value((const struct postgres_rows *)result, 0, 0), &version);
	if (version >= migrate_newest_version())
		return true;
	fprintf(postgres->err,
		"debrief: the ledger's schema is version %lld, this binary needs %d: run debrief migrate\n",
		(long long)version, migrate_newest_version());
	return false;
}

struct postgres_blocking *postgres_blocking_open(const char *conninfo, const char *application, FILE *err)
{
	struct postgres_blocking *postgres;
	struct postgres_conninfo parsed;

	if (!postgres_conninfo_parse(conninfo, application, &parsed)) {
		postgres_conninfo_free(&parsed);
		fprintf(err, "debrief: database_url is neither a connection string nor a URI of libpq\n");
		return NULL;
	}
	postgres = xcalloc(1, sizeof(*postgres));
	postgres->err = err;
	postgres->conn = PQconnectdbParams((const char *const *)parsed.keywords,
					   (const char *const *)parsed.values, 0);
	postgres_conninfo_free(&parsed);
	if (PQstatus(postgres->conn) != CONNECTION_OK)
		fprintf(err, "debrief: %s", PQerrorMessage(postgres->conn));
	else if (check_schema(postgres))
		return postgres;
	postgres_blocking_close(postgres);
	return NULL;
}

void postgres_blocking_close(struct postgres_blocking *postgres)
{
	PQclear(postgres->result);
	PQfinish(postgres->conn);
	free(postgres);
}
