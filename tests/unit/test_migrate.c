/* Migrations: what can be told without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "postgres/migrate.h"
#include "sql/statements.h"

static void test_versions_are_1_to_n(void **state)
{
	(void)state;
	assert_true(migration_count > 0);
	for (size_t i = 0; i < migration_count; i++) {
		char prefix[24];

		snprintf(prefix, sizeof(prefix), "%04zu_", i + 1);
		assert_int_equal(migration_texts[i].version, i + 1);
		assert_memory_equal(migration_texts[i].name, prefix, strlen(prefix));
		assert_true(migration_texts[i].text[0] != '\0');
	}
	assert_int_equal(migrate_newest_version(), migration_count);
}

/* Each is one transaction of the runner's, which a COMMIT of its own would break open. */
static void test_no_migration_ends_its_transaction(void **state)
{
	static const char *const forbidden[] = {"\nCOMMIT", "\nROLLBACK", "CONCURRENTLY"};

	(void)state;
	for (size_t i = 0; i < migration_count; i++) {
		for (size_t k = 0; k < sizeof(forbidden) / sizeof(forbidden[0]); k++)
			assert_null(strstr(migration_texts[i].text, forbidden[k]));
	}
}

/* Longer names would be cut by the server, and could then be the same. */
static void test_statement_names_fit(void **state)
{
	(void)state;
	for (size_t i = 0; i < STATEMENT_COUNT; i++) {
		assert_true(strlen(statement_texts[i].name) < 63);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(statement_texts[i].name, statement_texts[k].name);
	}
}

static void assert_fails(const char *conninfo, const char *says)
{
	struct migrate_options options = {.conninfo = conninfo, .assume_timezone = "UTC", .partitions = 64};
	char *out_text = NULL, *err_text = NULL;
	size_t out_len, err_len;
	FILE *out = open_memstream(&out_text, &out_len);
	FILE *err = open_memstream(&err_text, &err_len);

	assert_int_equal(migrate_run(&options, out, err), 1);
	fclose(out);
	fclose(err);
	assert_string_equal(out_text, "");
	assert_non_null(strstr(err_text, says));
	assert_null(strstr(err_text, "hunter2"));
	free(out_text);
	free(err_text);
}

static void test_bad_conninfo(void **state)
{
	(void)state;
	assert_fails("host=h password=hunter2 nonsense", "connection string");
	assert_fails("postgresql://u:hunter2%zz@h/db", "connection string");
}

static void test_no_server(void **state)
{
	(void)state;
	assert_fails("postgresql://u:hunter2@127.0.0.1:1/db", "refused");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions_are_1_to_n),
		cmocka_unit_test(test_no_migration_ends_its_transaction),
		cmocka_unit_test(test_statement_names_fit),
		cmocka_unit_test(test_bad_conninfo),
		cmocka_unit_test(test_no_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
