/* Merged statements: their parameters, and whose the rows are. */
#include <arpa/inet.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "postgres/connection.h"

/* PostgreSQL's pg_type_d.h: fixed for ever */
enum { TEXT_OID = 25, JSON_OID = 114 };

static void put_int32(char **at, int64_t number)
{
	uint32_t bytes = htonl((uint32_t)number);

	memcpy(*at, &bytes, sizeof(bytes));
	*at += sizeof(bytes);
}

static struct span cell(const struct postgres_table *table, size_t row, size_t column)
{
	if (!table->places)
		return table->rows[row][column];
	return column == 0 ? table->places[row] : table->rows[row][column - 1];
}

/* As array_recv() in PostgreSQL's arrayfuncs.c reads it: dimensions, whether there are nulls, the
 * elements' type, its length and lower bound, and each element with its length. */
static char *put_array(char *at, const struct postgres_table *table, size_t column)
{
	put_int32(&at, 1);
	put_int32(&at, 1);
	put_int32(&at, column + 1 == table->json ? JSON_OID : TEXT_OID);
	put_int32(&at, (int64_t)table->count);
	put_int32(&at, 1);
	for (size_t i = 0; i < table->count; i++) {
		struct span value = cell(table, i, column);

		put_int32(&at, value.p ? (int64_t)value.n : -1);
		if (value.n > 0)
			memcpy(at, value.p, value.n);
		at += value.n;
	}
	return at;
}

void postgres_arrays_build(struct postgres_arrays *arrays, const struct postgres_table *table)
{
	size_t size = 0, columns = table->columns + (table->places != NULL);
	char *at;

	if (columns > POSTGRES_PARAMS_MAX)
		abort();
	for (size_t k = 0; k < columns; k++) {
		size += 20 + 4 * table->count;
		for (size_t i = 0; i < table->count; i++)
			size += cell(table, i, k).n;
	}
	if (size > INT_MAX)
		abort();
	if (size > arrays->size) {
		free(arrays->bytes);
		arrays->bytes = xmalloc(size);
		arrays->size = size;
	}
	at = arrays->bytes;
	for (size_t k = 0; k < columns; k++) {
		char *end = put_array(at, table, k);

		arrays->values[k] = at;
		arrays->lengths[k] = (int)(end - at);
		arrays->formats[k] = 1;
		at = end;
	}
}

void postgres_arrays_deinit(struct postgres_arrays *arrays)
{
	free(arrays->bytes);
	*arrays = (struct postgres_arrays){0};
}

PGresult *postgres_result_of(const PGresult *merged, int row)
{
	PGresult *result = PQmakeEmptyPGresult(NULL, PQresultStatus(merged));
	PGresAttDesc columns[POSTGRES_PARAMS_MAX] = {{0}};
	int count = PQnfields(merged) - 1;

	if (!result || count > POSTGRES_PARAMS_MAX)
		abort();
	if (row < 0 || count < 1)
		return result;
	for (int k = 0; k < count; k++)
		columns[k].name = PQfname(merged, k + 1);
	if (!PQsetResultAttrs(result, count, columns))
		abort();
	for (int k = 0; k < count; k++) {
		bool null = PQgetisnull(merged, row, k + 1);

		if (!PQsetvalue(result, 0, k, null ? NULL : PQgetvalue(merged, row, k + 1),
				null ? -1 : PQgetlength(merged, row, k + 1)))
			abort();
	}
	return result;
}
