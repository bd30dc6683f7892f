/* The bare insert of the benchmark: rows into Postgres as fast as libpq's pipeline takes them.
 *
 * insert CONNINFO STATEMENT FILE BATCH: FILE holds rows in COPY's text format, one a line; each
 * is a call of STATEMENT with its columns as $1, $2, …; BATCH of them are one transaction.
 * Prints "RESULT <rows> <microseconds>". What Debrief's drain costs is its distance from this. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { COLUMNS_MAX = 64, IN_FLIGHT_BATCHES = 2 };

static PGconn *conn;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "insert: %s: %s", what, conn ? PQerrorMessage(conn) : "");
	exit(1);
}

static char *read_file(const char *path, size_t *len)
{
	FILE *file = fopen(path, "rb");
	struct stat status;
	char *text;

	if (!file || fstat(fileno(file), &status) != 0)
		die(path);
	*len = (size_t)status.st_size;
	text = malloc(*len + 1);
	if (!text || fread(text, 1, *len, file) != *len)
		die(path);
	text[*len] = '\0';
	fclose(file);
	return text;
}

/* Of COPY's escapes those that rows of text and JSON have. */
static char unescape(char c)
{
	switch (c) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'v':
		return '\v';
	default:
		return c;
	}
}

/* Splits a line in place; NULL is \N. Returns the column count and moves *text past the line. */
static int split(char **text, const char **columns)
{
	char *in = *text, *out = in;
	int count = 0;

	columns[count++] = out;
	for (; *in && *in != '\n'; in++) {
		if (*in == '\t') {
			*out++ = '\0';
			if (count == COLUMNS_MAX)
				die("too many columns");
			columns[count++] = out;
		} else if (*in == '\\' && in[1] == 'N') {
			columns[count - 1] = NULL;
			in++;
		} else if (*in == '\\' && in[1]) {
			*out++ = unescape(*++in);
		} else {
			*out++ = *in;
		}
	}
	*text = *in ? in + 1 : in;
	*out = '\0';
	return count;
}

/* Reads up to and with the Sync of one batch. */
static void finish_batch(void)
{
	for (;;) {
		PGresult *result = PQgetResult(conn);
		ExecStatusType status;

		if (!result)
			continue;
		status = PQresultStatus(result);
		PQclear(result);
		if (status == PGRES_PIPELINE_SYNC)
			return;
		if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
			die("a row was refused");
	}
}

static long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	size_t len;
	char *text, *end;
	long began_us, rows = 0;
	int batch, in_batch = 0, in_flight = 0;

	if (argc != 5) {
		fputs("usage: insert CONNINFO STATEMENT FILE BATCH\n", stderr);
		return 2;
	}
	text = read_file(argv[3], &len);
	end = text + len;
	batch = atoi(argv[4]);
	conn = PQconnectdb(argv[1]);
	if (PQstatus(conn) != CONNECTION_OK)
		die("connect");
	PGresult *prepared = PQprepare(conn, "row", argv[2], 0, NULL);
	if (PQresultStatus(prepared) != PGRES_COMMAND_OK || !PQenterPipelineMode(conn))
		die("prepare");
	PQclear(prepared);

	began_us = now_us();
	while (text < end) {
		const char *columns[COLUMNS_MAX];
		int count = split(&text, columns);

		if (!PQsendQueryPrepared(conn, "row", count, columns, NULL, NULL, 0))
			die("send");
		rows++;
		if (++in_batch < batch && text < end)
			continue;
		if (!PQpipelineSync(conn))
			die("sync");
		in_batch = 0;
		if (++in_flight == IN_FLIGHT_BATCHES) {
			finish_batch();
			in_flight--;
		}
	}
	while (in_flight-- > 0)
		finish_batch();
	printf("RESULT %ld %ld\n", rows, now_us() - began_us);
	PQfinish(conn);
	return 0;
}
