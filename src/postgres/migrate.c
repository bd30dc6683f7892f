/* Migrations: look → lock → look again → apply → can a profile be made? */
#include <stdlib.h>

#include "base/clock.h"
#include "postgres/connection.h"
#include "postgres/migrate.h"

struct migration {
	const struct migrate_options *options;
	FILE *out;
	FILE *err;
	PGconn *conn;
	char partitions[24]; /* the option, as text */
};

/* Prints the server's message, its detail and where it points to. */
static void report(struct migration *m, const char *what, const PGresult *result)
{
	static const struct {
		int field;
		const char *label;
	} extras[] = {{PG_DIAG_MESSAGE_DETAIL, "detail"},      {PG_DIAG_MESSAGE_HINT, "hint"},
		      {PG_DIAG_TABLE_NAME, "table"},           {PG_DIAG_COLUMN_NAME, "column"},
		      {PG_DIAG_CONSTRAINT_NAME, "constraint"}, {PG_DIAG_CONTEXT, "context"}};
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (message && sqlstate)
		fprintf(m->err, "%s: %s (SQLSTATE %s)\n", what, message, sqlstate);
	else
		fprintf(m->err, "%s: %s\n", what, PQerrorMessage(m->conn));
	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
		const char *text = PQresultErrorField(result, extras[i].field);

		if (text)
			fprintf(m->err, "  %s: %s\n", extras[i].label, text);
	}
}

static bool succeeded(const PGresult *result)
{
	return PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK;
}

/* Runs any number of statements; false, and a report, if one fails. */
static bool run(struct migration *m, const char *what, const char *sql)
{
	PGresult *result = PQexec(m->conn, sql);
	bool ok = succeeded(result);

	if (!ok)
		report(m, what, result);
	PQclear(result);
	return ok;
}

/* One statement with up to two parameters; *value gets its first column of its first row, "" without one. */
static bool ask(struct migration *m, const char *sql, const char *one, const char *two, char *value,
		size_t size)
{
	const char *params[] = {one, two};
	PGresult *result =
		PQexecParams(m->conn, sql, (one != NULL) + (two != NULL), NULL, params, NULL, NULL, 0);
	bool ok = succeeded(result);

	if (!ok)
		report(m, sql, result);
	else
		snprintf(value, size, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
	return ok;
}

int migrate_newest_version(void)
{
	return migration_count ? migration_texts[migration_count - 1].version : 0;
}

/* The value of a query over a table that may not exist yet: "" then. */
static bool ask_of_table(struct migration *m, const char *table, const char *sql, char *value, size_t size)
{
	if (!ask(m, "SELECT to_regclass($1)", table, NULL, value, size))
		return false;
	return !value[0] || ask(m, sql, NULL, NULL, value, size);
}

/* Reads the version that is there (0 for none), and refuses what this binary or these options don't fit. */
static bool look(struct migration *m, int *version)
{
	char value[64];
	int64_t number;

	if (!ask(m, "SELECT 1 FROM pg_timezone_names WHERE name = $1", m->options->assume_timezone, NULL,
		 value, sizeof(value)))
		return false;
	if (!value[0]) {
		fprintf(m->err,
			"assume-timezone: the server knows no time zone \"%s\" (see pg_timezone_names)\n",
			m->options->assume_timezone);
		return false;
	}
	if (!ask_of_table(m, "schema_migrations", "SELECT max(version) FROM schema_migrations", value,
			  sizeof(value)))
		return false;
	*version = span_to_int64(span_of(value), &number) ? (int)number : 0;
	if (*version > migrate_newest_version()) {
		fprintf(m->err,
			"the database's schema is version %d, newer than this binary's %d: use a newer "
			"debrief\n",
			*version, migrate_newest_version());
		return false;
	}
	if (!ask_of_table(m, "ledger_settings", "SELECT value FROM ledger_settings WHERE name = 'partitions'",
			  value, sizeof(value)))
		return false;
	if (value[0] && strcmp(value, m->partitions) != 0) {
		fprintf(m->err,
			"partitions: the ledger was set up with %s, the option is %s; it can't be changed "
			"later\n",
			value, m->partitions);
		return false;
	}
	return true;
}

static bool begin(struct migration *m)
{
	char ignored[64];

	return run(m, "BEGIN", "BEGIN") &&
	       ask(m,
		   "SELECT set_config('debrief.assume_timezone', $1, true), set_config('debrief.partitions', "
		   "$2, true)",
		   m->options->assume_timezone, m->partitions, ignored, sizeof(ignored));
}

/* Within a transaction. */
static bool apply(struct migration *m, const struct migration_text *migration)
{
	char version[16], ignored[64];
	int64_t began_ms = clock_monotonic_ms();

	snprintf(version, sizeof(version), "%d", migration->version);
	if (!run(m, migration->name, migration->text) ||
	    !ask(m, "INSERT INTO schema_migrations (version, name) VALUES ($1::int, $2)", version,
		 migration->name, ignored, sizeof(ignored)))
		return false;
	fprintf(m->out, "%s %s (%lld ms)\n", migration->name,
		m->options->dry_run ? "can be applied" : "applied",
		(long long)(clock_monotonic_ms() - began_ms));
	return true;
}

static bool create_record(struct migration *m)
{
	return run(
		m, "schema_migrations",
		"CREATE TABLE IF NOT EXISTS schema_migrations (version int PRIMARY KEY, name text NOT NULL, "
		"applied_at timestamptz NOT NULL DEFAULT now())");
}

/* Users first seen get a row in profiles, which may be an older table with columns of
 * its own. Within a transaction, which is rolled back behind it. */
static bool check_profiles(struct migration *m)
{
	const char *insert =
		"INSERT INTO profiles (id) VALUES (gen_random_uuid()); SET CONSTRAINTS ALL IMMEDIATE";

	if (run(m, "profiles: a row can't be made for a user first seen", insert))
		return true;
	fprintf(m->err,
		"A row with nothing but an id must be allowed: give the column a default or allow NULL in "
		"it, drop the foreign key or the check, or change the trigger or the policy, and migrate "
		"again.\n");
	return false;
}

/* Each migration is a transaction of its own; a dry run is one for all, rolled back. */
static bool apply_all(struct migration *m, int version)
{
	bool dry_run = m->options->dry_run;
	size_t applied = 0;

	if (dry_run ? !begin(m) || !create_record(m) : version == 0 && !create_record(m))
		return false;
	for (size_t i = 0; i < migration_count; i++) {
		if (migration_texts[i].version <= version)
			continue;
		if (!(dry_run || begin(m)) || !apply(m, &migration_texts[i]) ||
		    !(dry_run || run(m, "COMMIT", "COMMIT")))
			return false;
		applied++;
	}
	if (applied == 0)
		fprintf(m->out, "up to date\n");
	if (!(dry_run || begin(m)) || !check_profiles(m))
		return false;
	return run(m, "ROLLBACK", "ROLLBACK");
}

static bool migrate(struct migration *m)
{
	/* Under a lock that ends with the session; its key is "debrief" in ASCII. */
	char ignored[64];
	int version;

	return run(m, "settings", "SET statement_timeout = 0; SET client_min_messages = warning") &&
	       ask(m, "SELECT pg_advisory_lock(x'64656272696566'::bigint)", NULL, NULL, ignored,
		   sizeof(ignored)) &&
	       look(m, &version) && apply_all(m, version);
}

static void print_notice(void *arg, const char *message)
{
	fputs(message, arg);
}

int migrate_run(const struct migrate_options *options, FILE *out, FILE *err)
{
	struct migration m = {.options = options, .out = out, .err = err};
	struct postgres_conninfo conninfo;
	bool ok = false;

	snprintf(m.partitions, sizeof(m.partitions), "%lld", (long long)options->partitions);
	if (!postgres_conninfo_parse(options->conninfo, "debrief migrate", &conninfo)) {
		fprintf(err, "database_url is neither a connection string nor a URI of libpq\n");
		return 1;
	}
	m.conn = PQconnectdbParams((const char *const *)conninfo.keywords,
				   (const char *const *)conninfo.values, 0);
	postgres_conninfo_free(&conninfo);
	if (PQstatus(m.conn) == CONNECTION_OK) {
		PQsetNoticeProcessor(m.conn, print_notice, err);
		ok = migrate(&m);
	} else {
		fprintf(err, "%s", PQerrorMessage(m.conn));
	}
	PQfinish(m.conn);
	return ok ? 0 : 1;
}
