/* log_format = json, and traceparent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/log_json.h"
#include "base/trace.h"

static void assert_json(const char *line, const char *json)
{
	char out[512];
	size_t n = log_to_json(span_of(line), out, sizeof(out));

	out[n] = '\0';
	assert_string_equal(out, json);
}

static void pairs_become_members(void **state)
{
	(void)state;
	assert_json("ts=2026-11-25T01:02:03.004Z level=info event=save n=3",
		    "{\"ts\":\"2026-11-25T01:02:03.004Z\","
		    "\"level\":\"info\",\"event\":\"save\",\"n\":\"3\"}");
	assert_json("a=\"b c\" d=e", "{\"a\":\"b c\",\"d\":\"e\"}");
	assert_json("a= b=c", "{\"a\":\"\",\"b\":\"c\"}");
	assert_json("a=\"\" b=c", "{\"a\":\"\",\"b\":\"c\"}");
	assert_json("", "{}");
	assert_json("nonsense", "{}");
}

static void numbers_are_told_by_their_key(void **state)
{
	(void)state;
	assert_json("status=200 duration_ms=0.045 worker=1",
		    "{\"status\":200,\"duration_ms\":0.045,\"worker\":1}");
	/* an id stays a string, whatever it looks like; and what is no number of JSON does too */
	assert_json("session=12 status=012 duration_ms=1.",
		    "{\"session\":\"12\",\"status\":\"012\",\"duration_ms\":\"1.\"}");
	assert_json("duration_ms=-1 lag_ms=", "{\"duration_ms\":\"-1\",\"lag_ms\":\"\"}");
}

static void escapes_are_translated(void **state)
{
	static const char bytes[] = "x\"\\\n\x01\xc3\xa4}";
	char line[128];

	(void)state;
	snprintf(line, sizeof(line), "a=%s b=1", LOG_TEXT(((struct span){bytes, sizeof(bytes) - 1})));
	assert_json(line, "{\"a\":\"x\\\"\\\\\\u000a\\u0001\\u00c3\\u00a4}\",\"b\":\"1\"}");
	/* cut lines end anywhere */
	assert_json("a=\"b\\", "{\"a\":\"b\\\\\"}");
	assert_json("a=\"b\\x", "{\"a\":\"bx\"}");
	assert_json("a=\"b...", "{\"a\":\"b...\"}");
}

static void what_does_not_fit_is_left_out_whole(void **state)
{
	char out[64];

	(void)state;
	for (size_t size = 2; size < sizeof(out); size++) {
		size_t n;

		memset(out, '#', sizeof(out));
		n = log_to_json(SPAN("a=b c=\"\\x01\" status=1"), out, size);
		assert_true(n >= 2 && n <= size);
		assert_true(out[0] == '{' && out[n - 1] == '}' && out[size] == '#');
		if (n > 2)
			assert_memory_equal(out, "{\"a\":\"b\"", 8);
	}
}

static void assert_trace(const char *header, const char *trace_id, const char *parent_id)
{
	struct trace trace;

	assert_int_equal(trace_parse(span_of(header), &trace), trace_id != NULL);
	assert_string_equal(trace.trace_id, trace_id ? trace_id : "");
	assert_string_equal(trace.parent_id, parent_id ? parent_id : "");
}

#define TRACE_ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT_ID "00f067aa0ba902b7"

static void valid_traceparents(void **state)
{
	(void)state;
	assert_trace("00-" TRACE_ID "-" PARENT_ID "-01", TRACE_ID, PARENT_ID);
	assert_trace("00-" TRACE_ID "-" PARENT_ID "-ff", TRACE_ID, PARENT_ID);
	assert_trace("cc-" TRACE_ID "-" PARENT_ID "-01", TRACE_ID, PARENT_ID);
	assert_trace("cc-" TRACE_ID "-" PARENT_ID "-01-what-the-future-holds", TRACE_ID, PARENT_ID);
}

static void invalid_traceparents(void **state)
{
	static const char *const headers[] = {
		"",
		"00",
		"00-" TRACE_ID "-" PARENT_ID,
		"00-" TRACE_ID "-" PARENT_ID "-0",
		"00-" TRACE_ID "-" PARENT_ID "-01-more",
		"00-" TRACE_ID "-" PARENT_ID "-01 ",
		"cc-" TRACE_ID "-" PARENT_ID "-01.more",
		"ff-" TRACE_ID "-" PARENT_ID "-01",
		"0g-" TRACE_ID "-" PARENT_ID "-01",
		"00_" TRACE_ID "-" PARENT_ID "-01",
		"00-" TRACE_ID "_" PARENT_ID "-01",
		"00-" TRACE_ID "-" PARENT_ID "_01",
		"00-" TRACE_ID "-" PARENT_ID "-0x",
		"00-00000000000000000000000000000000-" PARENT_ID "-01",
		"00-" TRACE_ID "-0000000000000000-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT_ID "-01",
		"00-" TRACE_ID "-00F067AA0BA902B7-01",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		assert_trace(headers[i], NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_become_members),
		cmocka_unit_test(numbers_are_told_by_their_key),
		cmocka_unit_test(escapes_are_translated),
		cmocka_unit_test(what_does_not_fit_is_left_out_whole),
		cmocka_unit_test(valid_traceparents),
		cmocka_unit_test(invalid_traceparents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
