/* The scanner: each case whole, byte by byte, and behind another request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <stdio.h>

#include "http/scan.h"

#define HOST "Host: a\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n" HOST

enum { HEAD_MAX = 2000 };

struct seen {
	char text[512]; /* parts, and events as letters */
	bool byte_wise;
};

static void on_part(enum scan_part part, struct span value, void *arg)
{
	struct seen *seen = arg;
	size_t n = strlen(seen->text);

	snprintf(seen->text + n, sizeof(seen->text) - n, "%c=%.*s ", "toifs"[part], SPAN_ARG(value));
}

static void note(struct seen *seen, char event)
{
	size_t n = strlen(seen->text);

	snprintf(seen->text + n, sizeof(seen->text) - n, "%c ", event);
}

/* Feeds all; the last event that isn't SCAN_MORE, or SCAN_MORE if there was none. */
static enum scan_event feed(struct scan *scan, struct span bytes, struct seen *seen, size_t step)
{
	enum scan_event event, last = SCAN_MORE;

	while (bytes.n > 0) {
		struct span piece = {bytes.p, bytes.n < step ? bytes.n : step};

		bytes = (struct span){bytes.p + piece.n, bytes.n - piece.n};
		while ((event = scan_feed(scan, &piece)) != SCAN_MORE) {
			last = event;
			note(seen, "-HELF"[event]);
			if (event == SCAN_HEAD)
				scan->body_max = 100;
			if (event == SCAN_LONG || event == SCAN_FAULT)
				return event;
		}
		assert_int_equal(piece.n, 0);
	}
	return last;
}

static int status_of(const char *text, size_t step, bool behind_another)
{
	struct seen seen = {0};
	struct scan scan;
	int status;

	scan_init(&scan, HEAD_MAX, "Signature", on_part, &seen);
	if (behind_another)
		assert_int_equal(feed(&scan, SPAN(POST "Content-Length: 3\r\n\r\nabc"), &seen, step), SCAN_END);
	switch (feed(&scan, span_of(text), &seen, step)) {
	case SCAN_END: status = scan_within(&scan) ? 2 : 0; break;
	case SCAN_FAULT:
		assert_non_null(scan.fault);
		status = scan.status;
		break;
	case SCAN_LONG: status = 413; break;
	default: status = 1; /* more is wanted */
	}
	scan_deinit(&scan);
	return status;
}

static void assert_status(const char *text, int status)
{
	for (int behind = 0; behind < 2; behind++)
		for (size_t step = 1; step < 5000; step = step * 7 + 1) {
			int got = status_of(text, step, behind);

			if (got != status)
				fail_msg("%d instead of %d in steps of %zu for\n%s", got, status, step, text);
		}
}

static void test_whole_messages(void **state)
{
	(void)state;
	assert_status(GET HOST "\r\n", 0);
	assert_status("GET /a?b=%20 HTTP/1.0\r\n\r\n", 0);
	assert_status("BREW /pot HTTP/1.1\r\n" HOST "\r\n", 0);
	assert_status(GET "hOsT:\texample.org:8080\t \r\nEmpty:\r\nX: \xc3\xa4\tb\r\n\r\n", 0);
	assert_status(GET "Host: [2001:db8::1]:80\r\n\r\n", 0);
	assert_status(POST "Content-Length: 0\r\n\r\n", 0);
	assert_status(POST "Content-Length: 5\r\n\r\na\nb\rc", 0);
	assert_status(POST "Content-Length: 100\r\nExpect: 100-Continue\r\n\r\n"
			   "0123456789012345678901234567890123456789012345678901234567890123456789"
			   "012345678901234567890123456789",
		      0);
	assert_status(POST "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 0);
	assert_status(POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n000\r\n\r\n", 0);
	assert_status("DELETE / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx", 0);
	assert_status("HEAD / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 0);
}

static void test_parts_of_messages(void **state)
{
	static const char *const parts[] = {
		"G",
		GET,
		GET HOST,
		GET HOST "\r",
		POST "Content-Length: 5\r\n\r\nabcd",
		POST "Transfer-Encoding: chunked\r\n\r\n",
		POST "Transfer-Encoding: chunked\r\n\r\n3\r\nab",
		POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int got = status_of(parts[i], 1, false);

		if (got != 1)
			fail_msg("%d for %s", got, parts[i]);
	}
	assert_int_equal(status_of(GET HOST "\r\nGET", 3, false), 2);
}

static void test_request_lines(void **state)
{
	static const char *const faults[] = {
		"\r\n" GET HOST "\r\n",          " " GET HOST "\r\n",
		"GET  / HTTP/1.1\r\n",           "GET / HTTP/1.1 \r\n",
		"GET /  HTTP/1.1\r\n",           "GET /\tHTTP/1.1\r\n",
		"GET\t/ HTTP/1.1\r\n",           "GET /\r\n",
		"GET / HTTP/1.2\r\n",            "GET / HTTP/2.0\r\n",
		"GET / HTTP/1.10\r\n",           "GET / HTTP/01.1\r\n",
		"GET / HTTP/+1.1\r\n",           "GET / http/1.1\r\n",
		"GET / HTTP/0.9\r\n",            "GET / HTTP/1.1\n",
		"GET / HTTP/1.1\r\r\n",          "GET /\r HTTP/1.1\r\n",
		"GET a HTTP/1.1\r\n",            "GET * HTTP/1.1\r\n",
		"GET http://a/ HTTP/1.1\r\n",    "GET //a/ HTTP/1.1\r\n",
		"GET /#a HTTP/1.1\r\n",          "GET /\\a HTTP/1.1\r\n",
		"GET /\x01 HTTP/1.1\r\n",        "GET /\x7f HTTP/1.1\r\n",
		"GET /\xc3\xa4 HTTP/1.1\r\n",    "G(T / HTTP/1.1\r\n",
		"GE / HTTP/1.1\r\n",             "CONNECT /a HTTP/1.1\r\n",
		"CONNECT a:80 HTTP/1.1\r\n",     "ABCDEFGHIJKLMNOPQRSTU / HTTP/1.1\r\n",
		"\x16\x03\x01\x02",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		assert_status(faults[i], 400);
}

static void test_headers(void **state)
{
	static const char *const faults[] = {
		GET "\r\n",
		GET HOST HOST "\r\n",
		"GET / HTTP/1.0\r\n" HOST HOST "\r\n",
		GET "Host:\r\n\r\n",
		GET "Host: a b\r\n\r\n",
		GET "Host: a,b\r\n\r\n",
		GET "Host: a/b\r\n\r\n",
		GET "Host: u@a\r\n\r\n",
		GET HOST ": empty\r\n\r\n",
		GET HOST "None\r\n\r\n",
		GET HOST "A b: c\r\n\r\n",
		GET HOST "A : c\r\n\r\n",
		GET HOST "\xc3\xa4: c\r\n\r\n",
		GET " " HOST "\r\n",
		GET HOST " folded\r\n\r\n",
		GET HOST "A: b\r\n\tfolded\r\n\r\n",
		GET HOST "A: b\nB: c\r\n\r\n",
		GET HOST "A: b\rB: c\r\n\r\n",
		GET HOST "A: 12345678\x01" "2345678\r\n\r\n",
		GET HOST "A: 1234567\x7f\r\n\r\n",
		GET HOST "A: b\x1f\r\n\r\n",
		GET HOST "A: b\r\n\n",
		GET HOST "\n",
		POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
		POST "Content-Length: 1, 1\r\n\r\na",
		POST "Content-Length: +1\r\n\r\na",
		POST "Content-Length: -1\r\n\r\na",
		POST "Content-Length: 0x1\r\n\r\na",
		POST "Content-Length: 01\r\n\r\na",
		POST "Content-Length: 1 \t1\r\n\r\na",
		POST "Content-Length:\r\n\r\na",
		POST "Content-Length: 9999999999999999\r\n\r\na",
		POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
		POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
		POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		POST "Transfer-Encoding:\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HEAD / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\na",
		"BREW / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	};
	char text[8000];
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		assert_status(faults[i], 400);
	assert_status(POST "Expect: 200-maybe\r\n\r\n", 417);
	snprintf(text, sizeof(text), GET HOST "A: %01990d\r\n\r\n", 0);
	assert_status(text, 431);
	snprintf(text, sizeof(text), "GET /%02100d", 0);
	assert_status(text, 414);
	n = (size_t)sprintf(text, GET HOST);
	for (int i = 0; i < SCAN_HEADERS_MAX; i++)
		n += (size_t)sprintf(text + n, "A:b\r\n");
	assert_status(text, 431);
}

static void test_a_nul_is_a_control_character(void **state)
{
	struct seen seen = {0};
	struct scan scan;

	(void)state;
	scan_init(&scan, HEAD_MAX, NULL, on_part, &seen);
	assert_int_equal(feed(&scan, SPAN(GET HOST "A: b\0c\r\n\r\n"), &seen, 1000), SCAN_FAULT);
	scan_deinit(&scan);
	scan_init(&scan, HEAD_MAX, NULL, on_part, &seen);
	assert_int_equal(feed(&scan, SPAN("GET /\0 HTTP/1.1\r\n"), &seen, 1000), SCAN_FAULT);
	scan_deinit(&scan);
}

#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static void test_chunks(void **state)
{
	static const char *const faults[] = {
		CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", CHUNKED "+3\r\nabc\r\n0\r\n\r\n",
		CHUNKED "-3\r\nabc\r\n0\r\n\r\n",  CHUNKED " 3\r\nabc\r\n0\r\n\r\n",
		CHUNKED "3 \r\nabc\r\n0\r\n\r\n",  CHUNKED "3;a=b\r\nabc\r\n0\r\n\r\n",
		CHUNKED "3\nabc\r\n0\r\n\r\n",     CHUNKED "\r\n3\r\nabc\r\n0\r\n\r\n",
		CHUNKED "g\r\n",                   CHUNKED "2\r\nabc\r\n0\r\n\r\n",
		CHUNKED "3\r\nabc\n0\r\n\r\n",     CHUNKED "0\r\nAuthorization: a\r\n\r\n",
		CHUNKED "0\r\n\n",                 CHUNKED "0000000000000003\r\nabc\r\n",
		CHUNKED "00000000000000000000000", CHUNKED "3\r\nabcdef\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		assert_status(faults[i], 400);
	assert_status(CHUNKED "65\r\n", 413);
	assert_status(CHUNKED "fffffffffffffff\r\n", 413);
	assert_status(CHUNKED "3\r\nabc\r\n62\r\n", 413);
	assert_status(POST "Content-Length: 101\r\n\r\n", 413);
}

static void test_parts_and_events(void **state)
{
	static const char text[] =
		"POST /a?b HTTP/1.1\r\nORIGIN: o \r\nX-Request-Id: i\r\nHost: a\r\nsignature:  t=1\r\n"
		"X-Forwarded-For: f\r\nContent-Length: 3\r\n\r\nabc" GET HOST "\r\n";
	struct seen seen = {0};
	struct scan scan;

	(void)state;
	for (size_t step = 1; step < 500; step = step * 3 + 1) {
		seen.text[0] = '\0';
		scan_init(&scan, HEAD_MAX, "Signature", on_part, &seen);
		assert_int_equal(feed(&scan, span_of(text), &seen, step), SCAN_END);
		assert_string_equal(seen.text, "t=/a?b o=o i=i s=t=1 f=f H E t=/ H E ");
		assert_false(scan_within(&scan));
		scan_deinit(&scan);
	}
}

static void test_blind_bytes(void **state)
{
	struct seen seen = {0};
	struct span none = SPAN("");
	struct scan scan;

	(void)state;
	scan_init(&scan, HEAD_MAX, NULL, on_part, &seen);
	assert_int_equal(scan_blind(&scan), 0);
	assert_int_equal(feed(&scan, SPAN(POST "Content-Length: 50\r\n\r\nabc"), &seen, 1000), SCAN_HEAD);
	assert_int_equal(scan_blind(&scan), 47);
	scan_skip(&scan, 40);
	assert_int_equal(scan_feed(&scan, &none), SCAN_MORE);
	scan_skip(&scan, 7);
	assert_int_equal(scan_feed(&scan, &none), SCAN_END);
	assert_int_equal(feed(&scan, SPAN(CHUNKED "10\r\nabc"), &seen, 1000), SCAN_HEAD);
	assert_int_equal(scan_blind(&scan), 13);
	scan_skip(&scan, 13);
	assert_int_equal(scan_blind(&scan), 0);
	assert_int_equal(feed(&scan, SPAN("\r\n0\r\n\r\n"), &seen, 1000), SCAN_END);
	scan_deinit(&scan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_messages),
		cmocka_unit_test(test_parts_of_messages),
		cmocka_unit_test(test_request_lines),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_a_nul_is_a_control_character),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_parts_and_events),
		cmocka_unit_test(test_blind_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
