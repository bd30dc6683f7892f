/* Redis URLs: what is understood, and what is refused with which reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis/connection.h"

static struct redis_url parsed(const char *text)
{
	struct redis_url url;
	const char *error = NULL;

	if (!redis_url_parse(text, &url, &error))
		fail_msg("%s: %s", text, error);
	assert_null(error);
	return url;
}

static void assert_refused(const char *text, const char *part)
{
	const char *error = NULL;

	if (redis_url_check(text, &error))
		fail_msg("%s was accepted", text);
	assert_non_null(error);
	if (!strstr(error, part))
		fail_msg("%s: \"%s\" doesn't say \"%s\"", text, error, part);
}

static void test_plain(void **state)
{
	struct redis_url url = parsed("redis://127.0.0.1");

	(void)state;
	assert_string_equal(url.host, "127.0.0.1");
	assert_int_equal(url.port, 6379);
	assert_int_equal(url.db, 0);
	assert_string_equal(url.user, "");
	assert_string_equal(url.password, "");

	url = parsed("redis://cache.example:7000/12");
	assert_string_equal(url.host, "cache.example");
	assert_int_equal(url.port, 7000);
	assert_int_equal(url.db, 12);
	assert_int_equal(parsed("redis://h/").db, 0);
}

static void test_credentials(void **state)
{
	struct redis_url url = parsed("redis://ann:se%40cr%2Fet@h:1/2");

	(void)state;
	assert_string_equal(url.user, "ann");
	assert_string_equal(url.password, "se@cr/et");
	assert_string_equal(url.host, "h");

	url = parsed("redis://:only@h");
	assert_string_equal(url.user, "");
	assert_string_equal(url.password, "only");

	url = parsed("redis://:a@b:c@h");
	assert_string_equal(url.password, "a@b:c");
	assert_string_equal(url.host, "h");
}

static void test_ipv6(void **state)
{
	struct redis_url url = parsed("redis://[::1]:7001/3");

	(void)state;
	assert_string_equal(url.host, "::1");
	assert_int_equal(url.port, 7001);
	assert_int_equal(url.db, 3);
	assert_int_equal(parsed("redis://[fe80::1]").port, 6379);
}

static void test_unix(void **state)
{
	struct redis_url url = parsed("unix:///run/redis/redis.sock");

	(void)state;
	assert_string_equal(url.path, "/run/redis/redis.sock");
	assert_string_equal(url.host, "");

	url = parsed("unix://ann:pw@/run/r.sock?db=4");
	assert_string_equal(url.path, "/run/r.sock");
	assert_string_equal(url.user, "ann");
	assert_string_equal(url.password, "pw");
	assert_int_equal(url.db, 4);
}

static void test_refused(void **state)
{
	char text[2048];

	(void)state;
	assert_refused("", "redis://");
	assert_refused("127.0.0.1:6379", "redis://");
	assert_refused("http://h", "redis://");
	assert_refused("rediss://h", "TLS");
	assert_refused("redis://", "host");
	assert_refused("redis://:6379", "host");
	assert_refused("redis://user@h", "password");
	assert_refused("redis://user:@h", "password");
	assert_refused("redis://h:0", "port");
	assert_refused("redis://h:65536", "port");
	assert_refused("redis://h:", "port");
	assert_refused("redis://h:63x", "port");
	assert_refused("redis://h/x", "database");
	assert_refused("redis://h/-1", "database");
	assert_refused("redis://h/1/2", "database");
	assert_refused("redis://h/99999999999999999999", "database");
	assert_refused("redis://[::1", "bracket");
	assert_refused("redis://[::1]6379", "bracket");
	assert_refused("redis://:p%4@h", "percent");
	assert_refused("redis://:p%zz@h", "percent");
	assert_refused("redis://:p%00q@h", "percent");
	assert_refused("unix://", "path");
	assert_refused("unix://run/r.sock", "path");
	assert_refused("unix:///r.sock?timeout=1", "?db=");
	assert_refused("unix:///r.sock?db=", "database");

	memset(text, 'x', sizeof(text));
	memcpy(text, "redis://", 8);
	text[sizeof(text) - 1] = '\0';
	assert_refused(text, "too long");
	memcpy(text, "unix:///", 8);
	assert_refused(text, "too long");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain), cmocka_unit_test(test_credentials), cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_unix),  cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
