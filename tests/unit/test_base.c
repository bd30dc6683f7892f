#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/job.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/uuid.h"

#define assert_span(s, text) \
	do { \
		struct span span_ = (s); \
		assert_non_null(span_.p); \
		assert_int_equal(span_.n, strlen(text)); \
		assert_memory_equal(span_.p, (text), span_.n); \
	} while (0)

static void spans_compare(void **state)
{
	(void)state;
	assert_true(span_eq(SPAN(""), SPAN_ABSENT));
	assert_false(span_is(SPAN_ABSENT, ""));
	assert_true(span_is(SPAN("abc"), "abc"));
	assert_false(span_is(SPAN("abc"), "abcd"));
	assert_true(span_starts_with(SPAN("abc"), SPAN("ab")));
	assert_true(span_starts_with(SPAN_ABSENT, SPAN("")));
	assert_false(span_starts_with(SPAN("ab"), SPAN("abc")));
	assert_true(span_ieq(SPAN("Bearer"), SPAN("bEARER")));
	assert_false(span_ieq(SPAN("a["), SPAN("a{")));
	assert_false(span_ieq(SPAN("\xC4"), SPAN("\xE4")));
}

static void spans_are_trimmed_and_cut(void **state)
{
	struct span rest = SPAN("a,,b");

	(void)state;
	assert_span(span_trim(SPAN(" \t a b\t ")), "a b");
	assert_span(span_trim(SPAN("  ")), "");
	assert_span(span_trim(SPAN("\na")), "\na");
	assert_span(span_cut(&rest, ','), "a");
	assert_span(span_cut(&rest, ','), "");
	assert_span(span_cut(&rest, ','), "b");
	assert_null(rest.p);
	rest = SPAN("a,");
	assert_span(span_cut(&rest, ','), "a");
	assert_span(rest, "");
}

static void numbers_are_digits_only(void **state)
{
	static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "1.0", "0x1", "9223372036854775808", "1e3"};
	int64_t value = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(span_to_int64(span_of(bad[i]), &value));
	assert_int_equal(value, 7);
	assert_true(span_to_int64(SPAN("9223372036854775807"), &value));
	assert_true(value == INT64_MAX);
	assert_true(span_to_int64(SPAN("0010"), &value));
	assert_int_equal(value, 10);
}

static void arena_gives_zeroed_and_aligned_memory(void **state)
{
	struct arena arena;
	size_t given = 0;

	(void)state;
	arena_init(&arena);
	for (size_t size = 0; size < 9000; size = size * 3 / 2 + 1) {
		for (int i = 0; i < 10; i++) {
			char *p = arena_alloc(&arena, size);

			assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
			for (size_t at = 0; at < size; at++)
				assert_int_equal(p[at], 0);
			memset(p, 0xff, size);
			given += size;
		}
	}
	assert_true(arena.total >= given);
	assert_true(arena.total < 2 * given + 65536);
	arena_deinit(&arena);
	assert_int_equal(arena.total, 0);
}

static void large_allocations_leave_the_block_in_use(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena);
	char *first = arena_alloc(&arena, 16);
	memset(arena_alloc(&arena, 1 << 20), 1, 1 << 20);
	char *second = arena_alloc(&arena, 16);
	assert_ptr_equal(second, first + 16);
	arena_deinit(&arena);
}

static void arena_copies_and_prints(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena);
	assert_string_equal(arena_strdup(&arena, SPAN_ABSENT), "");
	assert_string_equal(arena_strdup(&arena, (struct span){"abcdef", 3}), "abc");
	assert_null(arena_span(&arena, SPAN_ABSENT).p);
	assert_span(arena_span(&arena, SPAN("")), "");
	assert_string_equal(arena_printf(&arena, "%d-%s", 5, "x"), "5-x");
	arena_deinit(&arena);
}

static void text_grows(void **state)
{
	static const size_t capacities[] = {0, 1, 7, 8, 1000};
	struct arena arena;

	(void)state;
	for (size_t c = 0; c < sizeof(capacities) / sizeof(capacities[0]); c++) {
		struct text text;

		arena_init(&arena);
		text_init(&text, &arena, capacities[c]);
		assert_span(text_span(&text), "");
		for (int i = 0; i < 1000; i++) {
			text_addf(&text, "%04d", i);
			text_addc(&text, ',');
			text_add(&text, SPAN("ab"));
			assert_int_equal(strlen(text.p), text.n);
		}
		assert_int_equal(text.n, 7000);
		assert_memory_equal(text.p + 6993, "0999,ab", 8);
		arena_deinit(&arena);
	}
}

static void text_escapes_json(void **state)
{
	struct arena arena;
	struct text text;

	(void)state;
	arena_init(&arena);
	text_init(&text, &arena, 0);
	text_add_json(&text, SPAN_ABSENT);
	text_add_json(&text, SPAN(""));
	text_add_json(&text, SPAN("a\"\\\b\f\n\r\t\x01\x1f/\xC3\xA4\x7f"));
	text_add_json(&text, (struct span){"\0x", 2});
	assert_string_equal(text.p, "null\"\"\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f/\xC3\xA4\x7f\"\"\\u0000x\"");
	arena_deinit(&arena);
}

static void times_are_rfc3339(void **state)
{
	static const struct {
		int64_t wall_ms;
		const char *json;
	} cases[] = {
		{0, "\"1970-01-01T00:00:00.000Z\""},
		{1795406706789, "\"2026-11-23T04:05:06.789Z\""},
		{INT64_C(253402300799999), "\"9999-12-31T23:59:59.999Z\""},
		{INT64_C(253402300800000), "null"},
		{-1, "null"},
		{INT64_MIN, "null"},
		{INT64_MAX, "null"},
	};
	struct arena arena;

	(void)state;
	arena_init(&arena);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text text;

		text_init(&text, &arena, 0);
		text_add_json_time(&text, cases[i].wall_ms);
		assert_string_equal(text.p, cases[i].json);
	}
	arena_deinit(&arena);
	assert_true(clock_wall_ms() > INT64_C(1700000000000));
	int64_t before = clock_monotonic_ms();
	assert_true(clock_monotonic_ms() >= before);
}

static void uuids_are_parsed_strictly(void **state)
{
	static const char *const bad[] = {
		"",
		"2ed6657d-e927-568b-95e1-2665a8aea6a",
		"2ed6657d-e927-568b-95e1-2665a8aea6a22",
		"2ed6657de-927-568b-95e1-2665a8aea6a2",
		"2ed6657d-e927-568b-95e1-2665a8aea6g2",
		"{2ed6657d-e927-568b-95e1-2665a8aea6a}",
		"2ed6657d e927 568b 95e1 2665a8aea6a2",
	};
	struct uuid uuid;
	uint8_t bytes[16];

	(void)state;
	assert_true(uuid_parse(SPAN("2ED6657D-e927-568B-95e1-2665A8AEA6A2"), &uuid));
	assert_string_equal(uuid.text, "2ed6657d-e927-568b-95e1-2665a8aea6a2");
	uuid_bytes(&uuid, bytes);
	assert_memory_equal(bytes, "\x2e\xd6\x65\x7d\xe9\x27\x56\x8b\x95\xe1\x26\x65\xa8\xae\xa6\xa2", 16);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(uuid_parse(span_of(bad[i]), &uuid));
	assert_false(uuid_parse((struct span){"2ed6657d-e927-568b-95e1-2665a8aea\0a2", 36}, &uuid));
}

/* The ids stand in databases: whoever changes them loses interviews. The expected
 * values were computed with Python's uuid.uuid5. */
static void interview_ids_never_change(void **state)
{
	(void)state;
	assert_string_equal(uuid_of_interview("elevenlabs", SPAN("conv_abc")).text,
	                    "8e8d281b-7581-5554-b4cf-adcb01cca7aa");
	assert_string_equal(uuid_of_interview("elevenlabs", SPAN_ABSENT).text, "257bd4ea-ea61-5ea6-b9fc-dc5cbf0f99fe");
	assert_string_not_equal(uuid_of_interview("other", SPAN("conv_abc")).text,
	                        uuid_of_interview("elevenlabs", SPAN("conv_abc")).text);
}

static void random_uuids_are_version_4(void **state)
{
	struct uuid a = uuid_random();
	struct uuid b = uuid_random();
	struct uuid parsed;

	(void)state;
	assert_string_not_equal(a.text, b.text);
	assert_true(uuid_parse(span_of(a.text), &parsed));
	assert_int_equal(a.text[14], '4');
	assert_non_null(strchr("89ab", a.text[19]));
}

static void assert_hex(const unsigned char digest[SHA256_LEN], const char *expected)
{
	char hex[SHA256_HEX_LEN + 1];

	digest_hex(digest, SHA256_LEN, hex);
	assert_string_equal(hex, expected);
}

static void digests_match_the_standards(void **state)
{
	unsigned char out[SHA256_LEN];
	/* RFC 4231, test case 2, in two parts; test case 6, with a key longer than a block. */
	const struct span jefe[] = {SPAN("what do ya want "), SPAN_ABSENT, SPAN("for nothing?")};
	const struct span long_key = SPAN("Test Using Larger Than Block-Size Key - Hash Key First");
	char key[131];

	(void)state;
	digest_sha256(SPAN("abc"), out);
	assert_hex(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_sha256(SPAN_ABSENT, out);
	assert_hex(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	digest_hmac_sha256(SPAN("Jefe"), jefe, 3, out);
	assert_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	digest_hmac_sha256((struct span){key, sizeof(key)}, &long_key, 1, out);
	assert_hex(out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	digest_hmac_sha256(SPAN_ABSENT, NULL, 0, out);
	assert_hex(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void digests_compare(void **state)
{
	(void)state;
	assert_true(digest_equal(SPAN("abc"), SPAN("abc")));
	assert_true(digest_equal(SPAN_ABSENT, SPAN("")));
	assert_false(digest_equal(SPAN("abc"), SPAN("abd")));
	assert_false(digest_equal(SPAN("abc"), SPAN("ab")));
}

/* What `log` writes to standard error while `write_it` runs; the buffer must hold it. */
static size_t captured(void (*write_it)(void), char *buffer, size_t size)
{
	int ends[2];
	int saved = dup(STDERR_FILENO);

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	write_it();
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	close(ends[1]);
	ssize_t n = read(ends[0], buffer, size - 1);
	close(ends[0]);
	assert_true(n >= 0);
	buffer[n] = '\0';
	return (size_t)n;
}

static void log_some(void)
{
	log_event(LOG_DEBUG, "hidden", "a=1");
	log_event(LOG_INFO, "save", "sid=%s n=%d", LOG_TEXT(SPAN("a b")), 3);
	errno = EPIPE;
	log_event(LOG_ERROR, "bare", NULL);
	assert_int_equal(errno, EPIPE);
	log_event(LOG_WARN, "forged", "name=%s", "x\nts=2026 level=error");
}

static void log_lines_are_logfmt(void **state)
{
	char out[1024];

	(void)state;
	log_set_level(LOG_INFO);
	captured(log_some, out, sizeof(out));
	assert_null(strstr(out, "hidden"));
	assert_int_equal(strncmp(out, "ts=2", 4), 0);
	assert_non_null(strstr(out, "Z level=info event=save sid=\"a b\" n=3\n"));
	assert_non_null(strstr(out, " level=error event=bare\n"));
	assert_non_null(strstr(out, "name=x?ts=2026 level=error\n"));
}

static void log_too_much(void)
{
	char *long_text = xmalloc(10000);

	memset(long_text, 'x', 9999);
	long_text[9999] = '\0';
	log_event(LOG_ERROR, "long", "text=%s", long_text);
	free(long_text);
}

static void long_log_lines_are_cut(void **state)
{
	char out[20000];

	(void)state;
	size_t n = captured(log_too_much, out, sizeof(out));
	assert_int_equal(n, 4096);
	assert_string_equal(out + n - 5, "x...\n");
}

static void log_levels_filter(void **state)
{
	enum log_level level = LOG_ERROR;

	(void)state;
	assert_true(log_level_parse(SPAN("debug"), &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_false(log_level_parse(SPAN("loud"), &level));
	log_set_level(LOG_WARN);
	assert_false(log_enabled(LOG_INFO));
	assert_true(log_enabled(LOG_WARN));
	log_set_level(LOG_INFO);
}

static void log_values_are_quoted_as_needed(void **state)
{
	char buffer[16];

	(void)state;
	assert_string_equal(LOG_TEXT(SPAN("plain/1:2")), "plain/1:2");
	assert_string_equal(LOG_TEXT(SPAN("")), "\"\"");
	assert_string_equal(LOG_TEXT(SPAN_ABSENT), "-");
	assert_string_equal(LOG_TEXT(SPAN("-")), "\"-\"");
	assert_string_equal(LOG_TEXT(SPAN("a=b")), "\"a=b\"");
	assert_string_equal(LOG_TEXT(SPAN("q\"\\\n\x1b\xff")), "\"q\\\"\\\\\\n\\x1b\\xff\"");
	assert_string_equal(log_quote(buffer, sizeof(buffer), SPAN("0123456789abcde")), "0123456789abcde");
	assert_string_equal(log_quote(buffer, sizeof(buffer), SPAN("0123456789abcdef")), "\"0123456789...\"");
	for (size_t size = 0; size <= sizeof(buffer); size++) {
		memset(buffer, '#', sizeof(buffer));
		log_quote(buffer, size, SPAN("\x01\x02\x03\x04\x05\x06\x07"));
		assert_true(size == 0 || memchr(buffer, '\0', size) != NULL);
		for (size_t i = size; i < sizeof(buffer); i++)
			assert_int_equal(buffer[i], '#');
	}
}

static void metrics_are_summed_over_workers(void **state)
{
	static struct metrics a, b;
	const struct metrics *workers[] = {&a, &b};
	const char *const routes[] = {"/one", "/two", "/one"};
	const char *const methods[METRIC_METHODS_MAX] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other"};
	const struct metric_names names = {routes, 3, methods};
	struct arena arena;
	struct text text;

	(void)state;
	metrics_count(&a, METRIC_HYDRATION);
	metrics_count(&b, METRIC_HYDRATION);
	metrics_count(&b, metric_of_event(METRIC_WEBHOOK_IGNORED, EVENT_OTHER));
	metrics_request(&a, 0, 0, 200, 500);
	metrics_request(&b, 2, 0, 200, 501);
	metrics_request(&b, SIZE_MAX, SIZE_MAX, 599, -1);
	metrics_set(&a, GAUGE_JOURNAL_BYTES, 2);
	metrics_set(&b, GAUGE_JOURNAL_BYTES, 3);
	metrics_set(&b, GAUGE_JOURNAL_OLDEST, 9000);
	metrics_observe(&a, HISTOGRAM_WEBHOOK_LAG, 500000);
	metrics_observe(&b, HISTOGRAM_WEBHOOK_LAG, -7);
	metrics_observe(&b, HISTOGRAM_WEBHOOK_LAG, INT64_C(9000000000));
	arena_init(&arena);
	text_init(&text, &arena, 0);
	metrics_write(workers, 2, &names, 10500, &text);
	static const char *const wanted[] = {
		"# TYPE debrief_http_requests_total counter\n"
		"debrief_http_requests_total{route=\"/one\",method=\"GET\",code=\"200\"} 2\n"
		"debrief_http_requests_total{route=\"other\",method=\"other\",code=\"other\"} 1\n",
		"debrief_http_request_duration_seconds_bucket{route=\"/one\",le=\"0.0005\"} 1\n"
		"debrief_http_request_duration_seconds_bucket{route=\"/one\",le=\"0.001\"} 2\n",
		"debrief_http_request_duration_seconds_sum{route=\"/one\"} 0.001001\n"
		"debrief_http_request_duration_seconds_count{route=\"/one\"} 2\n",
		"debrief_http_request_duration_seconds_count{route=\"other\"} 0\n",
		"debrief_webhooks_total{type=\"other\",result=\"ignored\"} 1\n",
		"# TYPE debrief_hydrations_total counter\ndebrief_hydrations_total 2\n",
		"# TYPE debrief_journal_bytes gauge\ndebrief_journal_bytes 5\n",
		"debrief_journal_oldest_age_seconds 1.500\n",
		"debrief_webhook_lag_seconds_bucket{le=\"0.5\"} 2\n",
		"debrief_webhook_lag_seconds_bucket{le=\"7200\"} 2\n"
		"debrief_webhook_lag_seconds_bucket{le=\"+Inf\"} 3\n"
		"debrief_webhook_lag_seconds_sum 9000.500000\n"
		"debrief_webhook_lag_seconds_count 3\n",
	};
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!strstr(text.p, wanted[i]))
			fail_msg("not there: %s\nbut: %s", wanted[i], text.p);
	arena_deinit(&arena);
}

static int ended;

static void count_end(struct job *job)
{
	ended++;
	arena_deinit(&job->arena);
}

static void jobs_end_once_done(void **state)
{
	struct job job;

	(void)state;
	job_init(&job, 5, count_end);
	assert_int_equal(job.deadline_ms, 5);
	job_run(&job, PARKED);
	assert_int_equal(ended, 0);
	job_run(&job, DONE);
	assert_int_equal(ended, 1);
	assert_string_equal(call_status_name(CALL_OK), "ok");
	assert_string_equal(call_status_name(CALL_BUSY), "busy");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans_compare),
		cmocka_unit_test(spans_are_trimmed_and_cut),
		cmocka_unit_test(numbers_are_digits_only),
		cmocka_unit_test(arena_gives_zeroed_and_aligned_memory),
		cmocka_unit_test(large_allocations_leave_the_block_in_use),
		cmocka_unit_test(arena_copies_and_prints),
		cmocka_unit_test(text_grows),
		cmocka_unit_test(text_escapes_json),
		cmocka_unit_test(times_are_rfc3339),
		cmocka_unit_test(uuids_are_parsed_strictly),
		cmocka_unit_test(interview_ids_never_change),
		cmocka_unit_test(random_uuids_are_version_4),
		cmocka_unit_test(digests_match_the_standards),
		cmocka_unit_test(digests_compare),
		cmocka_unit_test(log_lines_are_logfmt),
		cmocka_unit_test(long_log_lines_are_cut),
		cmocka_unit_test(log_levels_filter),
		cmocka_unit_test(log_values_are_quoted_as_needed),
		cmocka_unit_test(metrics_are_summed_over_workers),
		cmocka_unit_test(jobs_end_once_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
