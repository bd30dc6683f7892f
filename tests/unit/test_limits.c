/* Addresses and networks, token buckets, counts by key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/inet.h"
#include "base/tally.h"
#include "base/throttle.h"

static const char *printed(const char *text)
{
	static char out[46];
	struct inet address;

	if (!inet_parse(span_of(text), &address))
		return NULL;
	inet_print(&address, out);
	return out;
}

static void test_addresses(void **state)
{
	static const char *const none[] = {
		"",           "a",        "1.2.3",       "1.2.3.4.5",  "1.2.3.256",  "1.2.3.4:",     "1.2.3.4:65536",
		"1.2.3.4:x",  "[1.2.3.4]", "[::1",       "[::1]x",     "[::1]:",     "::1]:80",      "2001:db8::1::",
		" 1.2.3.4",   "unknown",  "_hidden",     "1.2.3.4/8",  "fe80::1%lo", "[::1]:99999",  "0x1.2.3.4",
	};

	(void)state;
	assert_string_equal(printed("203.0.113.7"), "203.0.113.7");
	assert_string_equal(printed("203.0.113.7:1234"), "203.0.113.7");
	assert_string_equal(printed("::ffff:203.0.113.7"), "203.0.113.7");
	assert_string_equal(printed("2001:DB8:0:0::1"), "2001:db8::1");
	assert_string_equal(printed("[2001:db8::1]"), "2001:db8::1");
	assert_string_equal(printed("[2001:db8::1]:443"), "2001:db8::1");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (printed(none[i]) != NULL)
			fail_msg("%s is taken for %s", none[i], printed(none[i]));
}

static bool within(const char *address_text, const char *network_text)
{
	struct inet_network network;
	struct inet address;

	assert_true(inet_parse(span_of(address_text), &address));
	if (!inet_parse_network(span_of(network_text), &network))
		fail_msg("%s is no network", network_text);
	return inet_in_network(&address, &network);
}

static void test_networks(void **state)
{
	static const char *const none[] = {"",           "10.0.0.0/33", "10.0.0.0/",   "10.0.0.1/8",   "/8",      "10.0.0.0/-1",
					   "::/129",     "::1/64",      "10.0.0.0/8x", "10.0.0.0/008", "[::]/0",  "10/8"};
	struct inet_network network;

	(void)state;
	assert_true(within("10.255.0.1", "10.0.0.0/8"));
	assert_false(within("11.0.0.1", "10.0.0.0/8"));
	assert_true(within("10.16.255.255", "10.16.0.0/15") && within("10.17.0.0", "10.16.0.0/15"));
	assert_false(within("10.18.0.0", "10.16.0.0/15"));
	assert_true(within("192.0.2.1", "192.0.2.1"));
	assert_false(within("192.0.2.2", "192.0.2.1"));
	assert_true(within("198.51.100.1", "0.0.0.0/0"));
	assert_false(within("2001:db8::1", "0.0.0.0/0"));
	assert_true(within("2001:db8:1::1", "2001:db8::/32"));
	assert_false(within("2001:db9::", "2001:db8::/32"));
	assert_true(within("::1", "::1/128"));
	assert_true(within("198.51.100.1", "::/0"));
	assert_true(within("::ffff:10.0.0.1", "10.0.0.0/8"));
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (inet_parse_network(span_of(none[i]), &network))
			fail_msg("%s is taken for a network", none[i]);
}

static bool same_client(const char *a, const char *b)
{
	struct inet one, other;

	assert_true(inet_parse(span_of(a), &one) && inet_parse(span_of(b), &other));
	one = inet_client(&one);
	other = inet_client(&other);
	return memcmp(&one, &other, sizeof(one)) == 0;
}

static void test_a_client_is_an_address_or_a_64(void **state)
{
	(void)state;
	assert_true(same_client("192.0.2.1", "::ffff:192.0.2.1"));
	assert_false(same_client("192.0.2.1", "192.0.2.2"));
	assert_true(same_client("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"));
	assert_false(same_client("2001:db8::1", "2001:db8:0:1::1"));
}

static struct throttle_key key(unsigned number)
{
	struct throttle_key key = {{0}};

	memcpy(key.bytes, &number, sizeof(number));
	return key;
}

static void test_a_bucket(void **state)
{
	struct throttle *throttle = throttle_new(10, 3);
	const struct throttle_key a = key(1), b = key(2);
	int64_t now_ms = 1000000;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(throttle_take(throttle, &a, now_ms), 0);
	assert_int_equal(throttle_take(throttle, &a, now_ms), 100);
	assert_int_equal(throttle_peek(throttle, &a, now_ms), 100);
	assert_int_equal(throttle_take(throttle, &a, now_ms), 100); /* who is refused pays nothing */
	assert_int_equal(throttle_peek(throttle, &b, now_ms), 0);
	assert_int_equal(throttle_take(throttle, &b, now_ms), 0);
	assert_int_equal(throttle_take(throttle, &a, now_ms + 99), 1);
	assert_int_equal(throttle_take(throttle, &a, now_ms + 100), 0);
	assert_int_equal(throttle_take(throttle, &a, now_ms + 100), 100);
	for (int i = 0; i < 3; i++) /* it is full again, and not more than full */
		assert_int_equal(throttle_take(throttle, &a, now_ms + 100000), 0);
	assert_int_equal(throttle_take(throttle, &a, now_ms + 100000), 100);
	throttle_free(throttle);
}

static void test_the_rate_over_time(void **state)
{
	struct throttle *throttle = throttle_new(50, 1);
	const struct throttle_key a = key(1);
	int taken = 0;

	(void)state;
	for (int64_t ms = 5000; ms < 15000; ms++)
		taken += throttle_take(throttle, &a, ms) == 0;
	assert_in_range(taken, 499, 501);
	throttle_free(throttle);
}

/* Far more keys than slots: those that are used up may be forgotten, nobody is refused
 * who has not had his share. */
static void test_many_keys(void **state)
{
	struct throttle *throttle = throttle_new(1, 1);
	const struct throttle_key busy = key(1);
	int forgiven = 0;

	(void)state;
	assert_int_equal(throttle_take(throttle, &busy, 1), 0);
	for (unsigned i = 2; i < 100000; i++) {
		struct throttle_key other = key(i);

		assert_int_equal(throttle_take(throttle, &other, 1), 0);
	}
	for (unsigned i = 2; i < 2000; i++) {
		struct throttle_key other = key(i);

		forgiven += throttle_take(throttle, &other, 2) == 0;
	}
	assert_in_range(forgiven, 1000, 1998);
	throttle_free(throttle);
}

static void test_tally(void **state)
{
	enum { KEYS = 500, ROUNDS = 200000 };
	static size_t counts[KEYS];
	struct tally tally;
	unsigned random = 1;

	(void)state;
	tally_init(&tally);
	assert_int_equal(tally_of(&tally, &(struct throttle_key){{0}}), 0);
	tally_drop(&tally, &(struct throttle_key){{0}});
	for (int i = 0; i < ROUNDS; i++) {
		struct throttle_key one;
		unsigned which;

		random = random * 1103515245 + 12345;
		which = random >> 16 & 0x7fff;
		one = key(which % KEYS);
		if ((random & 0x8000) && counts[which % KEYS] > 0) {
			tally_drop(&tally, &one);
			counts[which % KEYS]--;
		} else {
			assert_int_equal(tally_add(&tally, &one), ++counts[which % KEYS]);
		}
	}
	for (unsigned i = 0; i < KEYS; i++) {
		struct throttle_key one = key(i);

		assert_int_equal(tally_of(&tally, &one), counts[i]);
		while (counts[i]-- > 0)
			tally_drop(&tally, &one);
		assert_int_equal(tally_of(&tally, &one), 0);
	}
	assert_int_equal(tally.used, 0);
	tally_deinit(&tally);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_a_client_is_an_address_or_a_64),
		cmocka_unit_test(test_a_bucket),
		cmocka_unit_test(test_the_rate_over_time),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_tally),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
