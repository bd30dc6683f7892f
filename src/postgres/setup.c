/* A new connection: settings, is this our ledger?, prepared statements. */
#include <stdio.h>

#include "postgres/connection.h"

enum check { CHECK_TIMEOUT, CHECK_MEMORY, CHECK_PLANNER, CHECK_COMPRESSION, CHECK_WRITABLE, CHECK_SCHEMA, CHECK_PARTITIONS, CHECK_COUNT };

static void check_send(struct postgres *postgres)
{
	static const char *const sql[CHECK_COUNT] = {
		/* Batches are a few hundred KB. glibc's free() gives so much back to the kernel each time, page by
		 * page, until something larger was freed once: this is. */
		[CHECK_MEMORY] = "SELECT length(repeat(repeat('x', 1024), 8192))",
		/* Every statement of ours finds a few rows by an index. Planned while a table was
		 * empty, it would scan that table for as long as the connection lives. */
		[CHECK_PLANNER] = "SELECT set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false), "
				  "set_config('enable_mergejoin', 'off', false), set_config('jit', 'off', false), "
				  "set_config('plan_cache_mode', 'force_generic_plan', false)",
		[CHECK_COMPRESSION] = "SET default_toast_compression = 'lz4'",
		[CHECK_WRITABLE] = "SHOW transaction_read_only",
		[CHECK_SCHEMA] = "SELECT max(version) FROM schema_migrations",
		[CHECK_PARTITIONS] = "SELECT value FROM ledger_settings WHERE name = 'partitions'",
	};
	char set_timeout[64];
	/* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): all but the first are there */
	const char *text = sql[postgres->at_check];

	if (postgres->at_check == CHECK_TIMEOUT) {
		snprintf(set_timeout, sizeof(set_timeout), "SET statement_timeout = %lld",
			 (long long)postgres->options.timeout_ms);
		text = set_timeout;
	}
	if (PQsendQuery(postgres->conn, text))
		postgres_flush(postgres);
	else
		postgres_break(postgres, PQerrorMessage(postgres->conn));
}

void postgres_start_checks(struct postgres *postgres)
{
	postgres->at_check = CHECK_TIMEOUT;
	check_send(postgres);
}

/* True if this answer lets us go on; else `reason` says why not. */
static bool check_judge(struct postgres *postgres, const PGresult *result, char *reason, size_t size)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	bool no_table = sqlstate && strcmp(sqlstate, "42P01") == 0;
	struct span value = SPAN_ABSENT;
	int64_t number;

	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1) {
		value = span_of(PQgetvalue(result, 0, 0));
	} else if (PQresultStatus(result) == PGRES_FATAL_ERROR && !no_table &&
		   postgres->at_check != CHECK_COMPRESSION) {
		snprintf(reason, size, "%s", PQresultErrorMessage(result));
		return false;
	}
	if (!span_to_int64(value, &number))
		number = 0;
	switch ((enum check)postgres->at_check) {
	case CHECK_TIMEOUT:
	case CHECK_MEMORY:
	case CHECK_PLANNER:
	case CHECK_COMPRESSION: /* a server without lz4 stores all the same */
	case CHECK_COUNT:
		return true;
	case CHECK_WRITABLE:
		snprintf(reason, size,
			 "the database is read-only: it is a standby, or default_transaction_read_only is "
			 "set");
		return span_is(value, "off");
	case CHECK_SCHEMA:
		snprintf(reason, size,
			 "the ledger's schema is version %lld, this binary needs %d: run `debrief migrate`",
			 (long long)number, postgres->options.schema_version);
		return number >= postgres->options.schema_version;
	case CHECK_PARTITIONS:
		snprintf(reason, size,
			 "the ledger was set up with %lld partitions, the option `partitions` is %lld",
			 (long long)number, (long long)postgres->options.partitions);
		return number == postgres->options.partitions;
	}
	return false;
}

/* All in one pipeline; an error fails what follows it. */
static void prepare_send_all(struct postgres *postgres)
{
	bool ok = PQenterPipelineMode(postgres->conn);

	postgres_set_state(postgres, POSTGRES_PREPARING, NULL);
	postgres->at_statement = 0;
	for (int i = 0; ok && i < STATEMENT_COUNT; i++)
		ok = PQsendPrepare(postgres->conn, statement_texts[i].name, statement_texts[i].text, 0, NULL);
	if (ok && PQpipelineSync(postgres->conn))
		postgres_flush(postgres);
	else
		postgres_break(postgres, PQerrorMessage(postgres->conn));
}

void postgres_read_checks(struct postgres *postgres)
{
	while (postgres->state == POSTGRES_CHECKING && !PQisBusy(postgres->conn)) {
		PGresult *result = PQgetResult(postgres->conn);
		char reason[sizeof(postgres->reason)];

		if (result) {
			bool ok = check_judge(postgres, result, reason, sizeof(reason));
			bool refused = !ok && postgres->at_check == CHECK_PARTITIONS && PQntuples(result) == 1;

			PQclear(result);
			if (refused && postgres->options.refused)
				postgres->options.refused(postgres->options.arg, reason);
			if (!ok)
				postgres_break(postgres, reason);
		} else if (++postgres->at_check == CHECK_COUNT) {
			prepare_send_all(postgres);
		} else {
			check_send(postgres);
		}
	}
}

void postgres_read_prepared(struct postgres *postgres)
{
	while (postgres->state == POSTGRES_PREPARING && !PQisBusy(postgres->conn)) {
		PGresult *result = PQgetResult(postgres->conn);
		size_t at = postgres->at_statement;
		char reason[sizeof(postgres->reason)];

		if (!result) {
			if (at == STATEMENT_COUNT)
				return;
			postgres->at_statement++;
			continue;
		}
		switch (PQresultStatus(result)) {
		case PGRES_COMMAND_OK:
			break;
		case PGRES_PIPELINE_SYNC:
			postgres_set_state(postgres, POSTGRES_READY, "");
			break;
		default:
			snprintf(reason, sizeof(reason), "statement %s can't be prepared: %s",
				 at < STATEMENT_COUNT ? statement_texts[at].name : "?",
				 PQresultErrorMessage(result));
			postgres_break(postgres, reason);
		}
		PQclear(result);
	}
}
