/* When it is worth asking again, from how long webhooks lately took. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "broker/agent_lag.h"

static int secs(size_t count, int64_t lag_ms, int64_t ended_ms, int64_t now_ms)
{
	int64_t lags[AGENT_LAGS_MAX];

	for (size_t i = 0; i < count; i++)
		lags[i] = lag_ms;
	return retry_secs_of_lags(lags, count, ended_ms, now_ms);
}

static void test_nothing_known_is_a_second(void **state)
{
	(void)state;
	assert_int_equal(secs(0, 0, 0, 0), 1);
	assert_int_equal(secs(2, 60000, 0, 0), 1);
	assert_int_equal(secs(0, 0, 0, 86400000), 1);
}

static void test_before_it_can_have_come(void **state)
{
	(void)state;
	assert_int_equal(secs(3, 60000, 0, 0), 5);
	assert_int_equal(secs(3, 60000, 0, 56000), 4);
	assert_int_equal(secs(3, 60000, 0, 56001), 4);
	assert_int_equal(secs(3, 60000, 0, 59001), 1);
	assert_int_equal(secs(3, 3000, -1, 1000000), 3); /* not ended yet */
	assert_int_equal(secs(3, 0, -1, 1000000), 1);
	assert_int_equal(secs(3, 3000, 2000, 1000), 3); /* an end in the future */
}

static void test_when_it_may_come(void **state)
{
	(void)state;
	assert_int_equal(secs(16, 2000, 0, 2000), 1);
	assert_int_equal(secs(16, 2000, 0, 18000), 1);
}

static void test_late_ones_are_asked_for_ever_more_seldom(void **state)
{
	(void)state;
	assert_int_equal(secs(16, 2000, 0, 18000 + 30000), 2);
	assert_int_equal(secs(16, 2000, 0, 18000 + 60000), 3);
	assert_int_equal(secs(16, 2000, 0, 3600000), 5);
}

static void test_single_oddities_don_t_count(void **state)
{
	int64_t lags[AGENT_LAGS_MAX];

	(void)state;
	for (size_t i = 0; i < AGENT_LAGS_MAX; i++)
		lags[i] = 4000;
	lags[3] = 0;
	lags[7] = 3500000;
	assert_int_equal(retry_secs_of_lags(lags, AGENT_LAGS_MAX, 0, 0), 4);
	assert_int_equal(retry_secs_of_lags(lags, AGENT_LAGS_MAX, 0, 26000 + 60000), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_known_is_a_second),
		cmocka_unit_test(test_before_it_can_have_come),
		cmocka_unit_test(test_when_it_may_come),
		cmocka_unit_test(test_late_ones_are_asked_for_ever_more_seldom),
		cmocka_unit_test(test_single_oddities_don_t_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
