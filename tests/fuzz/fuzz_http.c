/* Any bytes on a connection, whole or in pieces: the scanner and evhttp must agree.
 *
 * The server answers on a socket of its own; beside it the same bytes go through a scanner
 * alone. Requests that the scanner saw whole are those that handlers get, with bodies of
 * the length that it counted, no more and no less; and evhttp never has to refuse
 * anything by itself, in its own words. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "http/scan.h"
#include "http/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_MAX = 4096, BODY_MAX = 1 << 20, MESSAGES_MAX = 64, TURNS_MAX = 200 };

struct expected {
	size_t count;
	size_t body_len[MESSAGES_MAX];
	bool broken;
};

static struct expected expected;
static size_t answered;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static enum step echo(struct request *req)
{
	size_t at = answered++;

	must(at < expected.count);
	must(req->body.n == expected.body_len[at]);
	(void)request_query(req, "a");
	(void)request_param(req, "name");
	(void)request_has_etag(req, "\"a\"");
	return reply_body(req, 200, "text/plain", SPAN("ok"));
}

static void count_other(struct request *req)
{
	/* what no handler got: a fault of the target, no such path, a method that it doesn't take */
	if (req->status != 200) {
		must(answered < expected.count);
		answered++;
	}
}

static const struct http_route routes[] = {
	{HTTP_GET, "/", echo, BODY_MAX},       {HTTP_POST, "/", echo, BODY_MAX},  {HTTP_PUT, "/:name", echo, BODY_MAX},
	{HTTP_GET, "/:name", echo, BODY_MAX},  {HTTP_PATCH, "/", echo, BODY_MAX}, {HTTP_DELETE, "/", echo, BODY_MAX},
	{HTTP_POST, "/:name", echo, BODY_MAX},
};

static struct event_base *base;
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static socklen_t address_len;

static void start(void)
{
	const struct http_server_options options = {
		.routes = routes,
		.route_count = sizeof(routes) / sizeof(routes[0]),
		.body_max = BODY_MAX,
		.header_max = HEAD_MAX,
		.request_timeout_ms = 10000,
		.answered = count_other,
	};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int n = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "debrief-fuzz-%d", (int)getpid());

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_ERROR);
	address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	must(bind(fd, (struct sockaddr *)&address, address_len) == 0 && listen(fd, 16) == 0);
	base = event_base_new();
	must(http_server_new(base, fd, &options) != NULL);
}

static void ignore_part(enum scan_part part, struct span value, void *arg)
{
	(void)part;
	(void)value;
	(void)arg;
}

/* What the scanner by itself makes of all the bytes at once. */
static void expect(struct span bytes)
{
	struct scan scan;
	enum scan_event event;
	size_t chunked_len = 0;

	expected = (struct expected){0};
	answered = 0;
	scan_init(&scan, HEAD_MAX, NULL, ignore_part, NULL);
	while ((event = scan_feed(&scan, &bytes)) != SCAN_MORE) {
		must(event != SCAN_FAULT || (scan.fault != NULL && scan.status >= 400 && scan.status < 500));
		if (event == SCAN_FAULT || event == SCAN_LONG) {
			expected.broken = true;
			break;
		}
		if (event == SCAN_HEAD) {
			scan.body_max = BODY_MAX;
			chunked_len = 0;
			if (!scan.chunked)
				chunked_len = scan.length;
			if (expected.count < MESSAGES_MAX)
				expected.body_len[expected.count] = scan.chunked ? SIZE_MAX : chunked_len;
		} else if (++expected.count == MESSAGES_MAX) {
			break;
		}
	}
	scan_deinit(&scan);
}

/* Chunked bodies: their length is known when the message has ended, from another pass. */
static void expect_chunked(struct span bytes)
{
	struct scan scan;
	size_t at = 0;

	scan_init(&scan, HEAD_MAX, NULL, ignore_part, NULL);
	for (size_t i = 0; i < bytes.n && at < expected.count; i++) {
		struct span byte = {bytes.p + i, 1};
		enum scan_event event;
		uint64_t body_n = scan.body_n;

		while ((event = scan_feed(&scan, &byte)) != SCAN_MORE) {
			must(event == SCAN_HEAD || event == SCAN_END);
			if (event == SCAN_HEAD)
				scan.body_max = BODY_MAX;
			else if (expected.body_len[at++] == SIZE_MAX)
				expected.body_len[at - 1] = body_n;
			body_n = scan.body_n;
		}
	}
	must(at == expected.count);
	scan_deinit(&scan);
}

/* Reads what there is; false at the end. */
static bool read_replies(int fd, struct text *replies)
{
	char buffer[16384];
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
		text_add(replies, (struct span){buffer, (size_t)n});
	return n != 0;
}

static void turn(int fd, struct text *replies)
{
	for (int i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	read_replies(fd, replies);
}

static void send_all(int fd, struct span bytes, size_t step, struct text *replies)
{
	while (bytes.n > 0) {
		ssize_t n = send(fd, bytes.p, bytes.n < step ? bytes.n : step, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n <= 0)
			return;
		bytes = (struct span){bytes.p + n, bytes.n - (size_t)n};
		turn(fd, replies);
	}
}

/* Whether a good request may be the last one of its connection. */
static bool may_close(struct span bytes)
{
	for (size_t i = 0; i + 5 <= bytes.n; i++)
		if (span_ieq((struct span){bytes.p + i, 5}, SPAN("close")) || memcmp(bytes.p + i, "P/1.0", 5) == 0)
			return true;
	return false;
}

/* The first byte says in what pieces the others come. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = {(const char *)data + 1, size - 1};
	size_t step = size > 0 && data[0] > 0 ? (size_t)data[0] * data[0] : SIZE_MAX;
	struct arena arena;
	struct text replies;
	int fd;

	if (size == 0 || size > 65536)
		return 0;
	if (base == NULL)
		start();
	expect(bytes);
	if (expected.count == MESSAGES_MAX)
		return 0;
	expect_chunked(bytes);

	arena_init(&arena);
	text_init(&replies, &arena, 4096);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(connect(fd, (struct sockaddr *)&address, address_len) == 0);
	send_all(fd, bytes, step, &replies);
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < TURNS_MAX && read_replies(fd, &replies); i++)
		turn(fd, &replies);
	close(fd);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	must(memmem(replies.p ? replies.p : "", replies.n, "text/html", 9) == NULL);
	must(answered <= expected.count);
	must(answered == expected.count || may_close(bytes));
	arena_deinit(&arena);
	return 0;
}
