/* Connections: deadlines, what may be read ahead, and the end of one with a fault behind
 * a good request. A client's raw bytes on the server's own event base. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/server.h"

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"
#define FAULT "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"

enum { WAIT_MS = 10000, LARGE = 16 << 20, TIMEOUT_MS = 300, LARGE_MS = 3000 };

struct fixture {
	struct event_base *base;
	struct http_server *server;
	struct sockaddr_in peer;
	struct request *parked;
	char *large;
	int answered, refused, refused_status;
};

static void answered(struct request *req)
{
	struct fixture *fixture = request_app(req);

	fixture->answered++;
}

static void refused(void *app, const struct http_refusal *refusal)
{
	struct fixture *fixture = app;

	assert_string_equal(refusal->peer, "127.0.0.1");
	fixture->refused++;
	fixture->refused_status = refusal->status;
}

static enum step start_small(struct request *req)
{
	return reply_body(req, 200, "text/plain", SPAN("small"));
}

static enum step start_large(struct request *req)
{
	struct fixture *fixture = request_app(req);

	return reply_body(req, 200, "text/plain", (struct span){fixture->large, LARGE});
}

static enum step start_park(struct request *req)
{
	struct fixture *fixture = request_app(req);

	fixture->parked = req;
	return PARKED;
}

static const struct http_route routes[] = {
	{HTTP_GET, "/", start_small, 0},
	{HTTP_GET, "/large", start_large, 0},
	{HTTP_GET, "/park", start_park, 0},
};

static int setup(void **state)
{
	struct fixture *fixture = xcalloc(1, sizeof(*fixture));
	struct http_server_options options = {
		.routes = routes,
		.route_count = sizeof(routes) / sizeof(routes[0]),
		.body_max = 1000,
		.request_timeout_ms = 100000,
		.header_timeout_ms = TIMEOUT_MS,
		.body_timeout_ms = TIMEOUT_MS,
		.send_rate = LARGE / LARGE_MS,
		.app = fixture,
		.answered = answered,
		.refused = refused,
	};
	socklen_t peer_len = sizeof(fixture->peer);
	const char *error = NULL;
	int fd = http_listen("127.0.0.1:0", false, &error);

	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&fixture->peer, &peer_len), 0);
	fixture->large = xcalloc(1, LARGE);
	fixture->base = event_base_new();
	fixture->server = http_server_new(fixture->base, fd, &options);
	assert_non_null(fixture->server);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	http_server_free(fixture->server);
	event_base_free(fixture->base);
	free(fixture->large);
	free(fixture);
	return 0;
}

static void turn(struct fixture *fixture)
{
	for (int i = 0; i < 20; i++) {
		event_base_loop(fixture->base, EVLOOP_NONBLOCK);
		usleep(500);
	}
}

static int client_open(struct fixture *fixture)
{
	int small = 4096, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&fixture->peer, sizeof(fixture->peer)), 0);
	return fd;
}

static void client_send(struct fixture *fixture, int fd, struct span bytes)
{
	assert_int_equal(send(fd, bytes.p, bytes.n, MSG_NOSIGNAL), bytes.n);
	turn(fixture);
}

/* Reads to the end, which must come; how many bytes came, and how many replies. */
static size_t client_drain(struct fixture *fixture, int fd, int *replies)
{
	static char buffer[65536 + 1];
	int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
	size_t n = 0;

	*replies = 0;
	while (clock_monotonic_ms() < until_ms) {
		ssize_t got = recv(fd, buffer, 65536, MSG_DONTWAIT);

		if (got == 0)
			return n;
		if (got < 0) {
			event_base_loop(fixture->base, EVLOOP_NONBLOCK);
			continue;
		}
		buffer[got] = '\0';
		n += (size_t)got;
		for (const char *at = buffer; (at = memmem(at, (size_t)(buffer + got - at), "HTTP/1.1 ", 9)); at++)
			++*replies;
	}
	fail_msg("the connection has not ended after %zu bytes", n);
	return 0;
}

static void wait_until_nothing_is_pending(struct fixture *fixture)
{
	int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

	while (http_server_pending(fixture->server) > 0) {
		assert_true(clock_monotonic_ms() < until_ms);
		turn(fixture);
	}
}

static void test_a_reader_that_does_not_read(void **state)
{
	struct fixture *fixture = *state;
	int64_t began_ms = clock_monotonic_ms();
	int fd = client_open(fixture);

	client_send(fixture, fd, SPAN(GET("/large")));
	assert_int_equal(fixture->answered, 1);
	assert_int_equal(http_server_pending(fixture->server), 1);
	wait_until_nothing_is_pending(fixture);
	assert_in_range(clock_monotonic_ms() - began_ms, TIMEOUT_MS + LARGE_MS - 100, 2 * WAIT_MS);
	close(fd);
}

static void test_a_parked_request_has_no_such_deadline(void **state)
{
	struct fixture *fixture = *state;
	int64_t until_ms = clock_monotonic_ms() + 3 * TIMEOUT_MS;
	int replies, fd = client_open(fixture);

	client_send(fixture, fd, SPAN(GET("/park") "GET / HT"));
	while (clock_monotonic_ms() < until_ms)
		turn(fixture);
	assert_non_null(fixture->parked);
	assert_int_equal(http_server_pending(fixture->server), 1);
	job_run(&fixture->parked->job, reply_empty(fixture->parked, 204));
	client_drain(fixture, fd, &replies); /* and then the rest of the second has its own */
	assert_int_equal(replies, 2);
	assert_int_equal(fixture->refused_status, 408);
	close(fd);
}

/* What comes while a reply is being written is read ahead of its turn, but not without end. */
static void test_a_flood_behind_a_reply(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_open(fixture);
	static char flood[65536];
	size_t sent = 0;
	int idle = 0;

	memset(flood, 'G', sizeof(flood));
	client_send(fixture, fd, SPAN(GET("/large")));
	while (idle < 20 && sent < 2 * (size_t)LARGE) {
		ssize_t n = send(fd, flood, sizeof(flood), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		else
			idle++;
		event_base_loop(fixture->base, EVLOOP_NONBLOCK);
	}
	assert_true(sent < (size_t)LARGE);
	close(fd);
	wait_until_nothing_is_pending(fixture);
}

static void test_a_fault_behind_a_good_request(void **state)
{
	struct fixture *fixture = *state;
	int replies, fd = client_open(fixture);

	client_send(fixture, fd, SPAN(GET("/") GET("/") FAULT GET("/")));
	client_drain(fixture, fd, &replies);
	assert_int_equal(replies, 2);
	assert_int_equal(fixture->answered, 2);
	close(fd);
}

/* It is too late to say so in the reply's head: the connection ends behind it all the same. */
static void test_a_fault_while_a_reply_is_written(void **state)
{
	struct fixture *fixture = *state;
	int replies, fd = client_open(fixture);

	client_send(fixture, fd, SPAN(GET("/large")));
	client_send(fixture, fd, SPAN(FAULT GET("/")));
	assert_in_range(client_drain(fixture, fd, &replies), LARGE, LARGE + 1000);
	assert_int_equal(replies, 1);
	assert_int_equal(fixture->answered, 1);
	assert_int_equal(fixture->refused, 0);
	close(fd);
}

static void test_a_fault_while_a_request_is_parked(void **state)
{
	struct fixture *fixture = *state;
	int replies, fd = client_open(fixture);

	client_send(fixture, fd, SPAN(GET("/park")));
	client_send(fixture, fd, SPAN(FAULT));
	job_run(&fixture->parked->job, reply_empty(fixture->parked, 204));
	client_drain(fixture, fd, &replies);
	assert_in_range(replies, 1, 2); /* it was read before, or after */
	assert_int_equal(fixture->answered, 1);
	close(fd);
}

static void test_refusals_are_told(void **state)
{
	struct fixture *fixture = *state;
	int replies, fd = client_open(fixture);

	client_send(fixture, fd, SPAN(FAULT));
	client_drain(fixture, fd, &replies);
	assert_int_equal(replies, 1);
	assert_int_equal(fixture->refused, 1);
	assert_int_equal(fixture->refused_status, 400);
	assert_int_equal(fixture->answered, 0);
	close(fd);
	fd = client_open(fixture);
	client_send(fixture, fd, SPAN("GET / HTTP"));
	client_drain(fixture, fd, &replies);
	assert_int_equal(replies, 1);
	assert_int_equal(fixture->refused_status, 408);
	close(fd);
}

/* With connections in every state. */
static void test_the_server_is_freed(void **state)
{
	struct fixture *fixture = *state;
	int fresh = client_open(fixture), idle = client_open(fixture), half = client_open(fixture);
	int refusal = client_open(fixture), writing = client_open(fixture), late;

	client_send(fixture, idle, SPAN(GET("/")));
	client_send(fixture, half, SPAN("GET / HTTP"));
	client_send(fixture, refusal, SPAN(FAULT));
	client_send(fixture, writing, SPAN(GET("/large")));
	late = client_open(fixture);
	http_server_free(fixture->server);
	fixture->server = NULL;
	close(fresh);
	close(idle);
	close(half);
	close(refusal);
	close(writing);
	close(late);
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_a_reader_that_does_not_read),
		SERVER_TEST(test_a_parked_request_has_no_such_deadline),
		SERVER_TEST(test_a_flood_behind_a_reply),
		SERVER_TEST(test_a_fault_behind_a_good_request),
		SERVER_TEST(test_a_fault_while_a_reply_is_written),
		SERVER_TEST(test_a_fault_while_a_request_is_parked),
		SERVER_TEST(test_refusals_are_told),
		SERVER_TEST(test_the_server_is_freed),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
