/* What goes into a batch together, how its parameters become arrays, and whose its rows are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "postgres/connection.h"

struct fixture {
	struct postgres postgres;
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	TAILQ_INIT(&f->postgres.queued);
	TAILQ_INIT(&f->postgres.alone);
	TAILQ_INIT(&f->postgres.sent);
	*state = f;
	return 0;
}

static void free_all(struct postgres_members *members)
{
	struct postgres_member *member;

	while ((member = TAILQ_FIRST(members))) {
		TAILQ_REMOVE(members, member, link);
		postgres_member_free(member);
	}
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free_all(&f->postgres.queued);
	free_all(&f->postgres.alone);
	free_all(&f->postgres.sent);
	free(f);
	return 0;
}

static enum step step_never(void *ctx, const struct postgres_reply *reply)
{
	(void)ctx, (void)reply;
	fail();
	return DONE;
}

static struct postgres_member *add(struct postgres_members *list, const char *lock, size_t count,
				   const struct postgres_query *queries)
{
	struct postgres_member *member = postgres_member_new(NULL, step_never, NULL, count, queries);

	member->lock = lock;
	TAILQ_INSERT_TAIL(list, member, link);
	return member;
}

/* A user's decision. */
static struct postgres_member *add_decision(struct fixture *f, const char *user)
{
	const char *params[2 * 9] = {user, "1", [9] = user, "1"}; /* of two rows */
	struct postgres_query queries[] = {{STATEMENT_LOCK_USER, 2, params}, {STATEMENT_APPLY_DECISION, 2 * 9, params}};

	return add(&f->postgres.queued, user, 2, queries);
}

static struct postgres_member *add_facts(struct fixture *f, const char *cid)
{
	struct postgres_query query = {STATEMENT_CONVERSATION_FACTS, 1, &cid};

	return add(&f->postgres.queued, cid, 1, &query);
}

static void assert_sent(struct fixture *f, size_t count, struct postgres_member *const *expected)
{
	struct postgres_member *member = TAILQ_FIRST(&f->postgres.sent);

	for (size_t i = 0; i < count; i++, member = TAILQ_NEXT(member, link))
		assert_ptr_equal(member, expected[i]);
	assert_null(member);
}

/* Members of one shape stand together, each group in the order of its locks. */
static void test_shapes_are_groups(void **state)
{
	struct fixture *f = *state;
	struct postgres_member *u2 = add_decision(f, "u2"), *c2 = add_facts(f, "~c2"), *u1 = add_decision(f, "u1"),
			       *c1 = add_facts(f, "~c1");
	bool decisions_first = STATEMENT_LOCK_USER < STATEMENT_CONVERSATION_FACTS;
	struct postgres_member *const expected[2][4] = {{c1, c2, u1, u2}, {u1, u2, c1, c2}};

	postgres_batch_collect(&f->postgres);
	assert_sent(f, 4, expected[decisions_first]);
	assert_true(TAILQ_EMPTY(&f->postgres.queued));
}

/* A decision is a snapshot: of one user only one is made at a time. */
static void test_a_user_once_in_a_batch(void **state)
{
	struct fixture *f = *state;
	struct postgres_member *first = add_decision(f, "u1"), *second = add_decision(f, "u1"), *other = add_decision(f, "u2"),
			       *third = add_decision(f, "u1");
	struct postgres_member *const batches[3][2] = {{first, other}, {second}, {third}};

	postgres_batch_collect(&f->postgres);
	assert_sent(f, 2, batches[0]);
	free_all(&f->postgres.sent);
	postgres_batch_collect(&f->postgres);
	assert_sent(f, 1, batches[1]);
	free_all(&f->postgres.sent);
	postgres_batch_collect(&f->postgres);
	assert_sent(f, 1, batches[2]);
}

/* What has no key may be asked for twice. */
static void test_reads_of_one_conversation_go_together(void **state)
{
	struct fixture *f = *state;
	struct postgres_member *const both[] = {add_facts(f, "~c1"), add_facts(f, "~c1")};

	postgres_batch_collect(&f->postgres);
	assert_sent(f, 2, both);
}

static void test_what_failed_goes_alone_and_first(void **state)
{
	struct fixture *f = *state;
	struct postgres_member *queued = add_facts(f, "~c1"), *failed = add_facts(f, "~c2");

	TAILQ_REMOVE(&f->postgres.queued, failed, link);
	TAILQ_INSERT_TAIL(&f->postgres.alone, failed, link);
	postgres_batch_collect(&f->postgres);
	assert_sent(f, 1, &failed);
	free_all(&f->postgres.sent);
	postgres_batch_collect(&f->postgres);
	assert_sent(f, 1, &queued);
}

static void test_a_batch_is_bounded(void **state)
{
	struct fixture *f = *state;
	char cids[100][8];
	size_t sent = 0;
	struct postgres_member *member;

	for (size_t i = 0; i < 100; i++) {
		snprintf(cids[i], sizeof(cids[i]), "~c%zu", i);
		add_facts(f, cids[i]);
	}
	postgres_batch_collect(&f->postgres);
	TAILQ_FOREACH (member, &f->postgres.sent, link)
		sent++;
	assert_int_equal(sent, 64);
}

/* Half of the next batch is waiting: by members, or by their bytes. */
static void test_when_it_is_crowded(void **state)
{
	struct fixture *f = *state;
	static char large[(2 << 20) + 1];

	for (size_t i = 0; i < 32; i++) {
		assert_false(postgres_is_crowded(&f->postgres));
		add_facts(f, "~c");
	}
	assert_true(postgres_is_crowded(&f->postgres));
	postgres_batch_collect(&f->postgres);
	assert_false(postgres_is_crowded(&f->postgres));
	memset(large, 'x', sizeof(large) - 1);
	add_facts(f, large);
	assert_true(postgres_is_crowded(&f->postgres));
}

static void assert_int32(const char **at, int32_t expected)
{
	const unsigned char *p = (const unsigned char *)*at;

	assert_int_equal((int32_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]), expected);
	*at += 4;
}

static void test_arrays(void **state)
{
	const struct span first[] = {SPAN("a"), SPAN_ABSENT}, second[] = {SPAN(""), SPAN("b\"\\,{}")};
	const struct span *const rows[] = {first, second};
	const struct postgres_table table = {2, 2, rows, NULL, 2};
	struct postgres_arrays arrays = {0};
	const char *at;

	(void)state;
	postgres_arrays_build(&arrays, &table);
	for (size_t k = 0; k < 2; k++) {
		at = arrays.values[k];
		assert_int_equal(arrays.formats[k], 1);
		assert_int32(&at, 1);  /* dimension */
		assert_int32(&at, 1);  /* may have nulls */
		assert_int32(&at, k == 0 ? 25 : 114); /* text, json */
		assert_int32(&at, 2);  /* elements, */
		assert_int32(&at, 1);  /* from 1 */
		assert_int32(&at, k == 0 ? 1 : -1);
		if (k == 0)
			assert_memory_equal(at++, "a", 1);
		assert_int32(&at, k == 0 ? 0 : 6);
		if (k == 1)
			assert_memory_equal(at, "b\"\\,{}", 6);
		assert_ptr_equal(arrays.values[k] + arrays.lengths[k], at + (k == 1 ? 6 : 0));
	}
	postgres_arrays_deinit(&arrays);
}

/* Of calls that bring rows, the first column is their place. */
static void test_arrays_with_places(void **state)
{
	const struct span first[] = {SPAN("a")}, second[] = {SPAN_ABSENT};
	const struct span *const rows[] = {first, second};
	const struct span places[] = {SPAN("1"), SPAN("22")};
	const struct postgres_table table = {2, 1, rows, places, 0};
	struct postgres_arrays arrays = {0};
	const char *at;

	(void)state;
	postgres_arrays_build(&arrays, &table);
	at = arrays.values[0] + 20;
	assert_int32(&at, 1);
	assert_memory_equal(at++, "1", 1);
	assert_int32(&at, 2);
	assert_memory_equal(at, "22", 2);
	assert_ptr_equal(arrays.values[0] + arrays.lengths[0], at + 2);
	at = arrays.values[1] + 20;
	assert_int32(&at, 1);
	assert_memory_equal(at++, "a", 1);
	assert_int32(&at, -1);
	assert_ptr_equal(arrays.values[1] + arrays.lengths[1], at);
	postgres_arrays_deinit(&arrays);
}

static PGresult *merged_rows(size_t count, const char *const (*rows)[2])
{
	PGresAttDesc columns[] = {{.name = "member"}, {.name = "facts"}};
	PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);

	assert_true(PQsetResultAttrs(result, 2, columns));
	for (size_t i = 0; i < count; i++)
		for (int k = 0; k < 2; k++)
			assert_true(PQsetvalue(result, (int)i, k, (char *)(uintptr_t)rows[i][k], rows[i][k] ? (int)strlen(rows[i][k]) : -1));
	return result;
}

static void test_rows_go_to_their_members(void **state)
{
	static const char *const rows[][2] = {{"3", "three"}, {"1", "one"}, {"4", NULL}, {"9", "nobody's"}, {NULL, "nor this"}};
	struct fixture *f = *state;
	struct postgres_member *members[5];
	struct postgres_execution execution = {STATEMENT_CONVERSATION_FACTS, NULL, 5, 0};

	for (size_t i = 0; i < 5; i++)
		members[i] = add_facts(f, "~c");
	members[4]->next = NULL; /* timed out */
	execution.first = members[0];
	postgres_batch_give(&execution, merged_rows(5, rows));
	assert_true(span_is(postgres_value((struct postgres_rows *)members[0]->results[0], 0, 0), "one"));
	assert_int_equal(postgres_row_count((struct postgres_rows *)members[1]->results[0]), 0);
	assert_true(span_is(postgres_value((struct postgres_rows *)members[2]->results[0], 0, 0), "three"));
	assert_int_equal(postgres_row_count((struct postgres_rows *)members[3]->results[0]), 1);
	assert_null(postgres_value((struct postgres_rows *)members[3]->results[0], 0, 0).p);
	assert_null(members[4]->results[0]);
}

static void test_the_manner_of_each_statement(void **state)
{
	(void)state;
	assert_true(statement_texts[STATEMENT_LOCK_USER].locks);
	assert_int_equal(statement_texts[STATEMENT_LOCK_USER].key, 1);
	assert_true(statement_texts[STATEMENT_KEEP_CONVERSATION].merges);
	assert_int_equal(statement_texts[STATEMENT_KEEP_CONVERSATION].key, 2);
	assert_int_equal(statement_texts[STATEMENT_KEEP_CONVERSATION].json, 13);
	assert_int_equal(statement_texts[STATEMENT_APPLY_DECISION].row, 9);
	assert_int_equal(statement_texts[STATEMENT_APPLY_DECISION].key, 2);
	assert_false(statement_texts[STATEMENT_KEEP_CONVERSATION].locks);
	assert_true(statement_texts[STATEMENT_CONVERSATION_FACTS].merges);
	assert_int_equal(statement_texts[STATEMENT_CONVERSATION_FACTS].key, 0);
	assert_false(statement_texts[STATEMENT_RESULTS].merges);
	for (int i = 0; i < STATEMENT_COUNT; i++) /* whoever writes the first line wrongly learns it here */
		assert_true(statement_texts[i].merges || strncmp(statement_texts[i].text, "-- merges", 9) != 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_shapes_are_groups),
		TEST(test_a_user_once_in_a_batch),
		TEST(test_reads_of_one_conversation_go_together),
		TEST(test_what_failed_goes_alone_and_first),
		TEST(test_a_batch_is_bounded),
		TEST(test_when_it_is_crowded),
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_arrays_with_places),
		TEST(test_rows_go_to_their_members),
		cmocka_unit_test(test_the_manner_of_each_statement),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
