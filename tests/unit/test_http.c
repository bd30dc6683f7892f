/* The server on loopback, with raw bytes from a client on the same event base. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/server.h"

enum { BODY_MAX = 1024 * 1024, SERVER_BODY_MAX = 2 * BODY_MAX, WAIT_MS = 5000 };

struct fixture {
	struct event_base *base;
	struct http_server *server;
	struct sockaddr_in peer;
	struct request *parked;
	int answered, last_status;
	char last_route[64];
};

static struct fixture *fixture_of(struct request *req)
{
	return request_app(req);
}

static void answered(struct request *req)
{
	struct fixture *fixture = fixture_of(req);

	fixture->answered++;
	fixture->last_status = req->status;
	snprintf(fixture->last_route, sizeof(fixture->last_route), "%s", req->route);
	assert_string_equal(request_peer(req), "127.0.0.1");
	assert_null(request_header(req, "Host").p);
}

static enum step start_echo(struct request *req)
{
	struct text out;

	text_init(&out, &req->job.arena, 0);
	text_addf(&out, "name=%.*s q=%.*s", SPAN_ARG(request_param(req, "name")),
		  SPAN_ARG(request_query(req, "q")));
	text_addf(&out, " empty=%d none=%d", request_query(req, "empty").p != NULL,
		  request_query(req, "none").p != NULL);
	text_addf(&out, " x=%.*s", SPAN_ARG(request_header(req, "x-thing")));
	reply_header(req, "X-Split", "one\r\nX-Injected: two");
	reply_headerf(req, "X-Number", "%d", 42);
	return reply_body(req, 200, "text/plain", text_span(&out));
}

static enum step start_body(struct request *req)
{
	return reply_body(req, 200, "text/plain", req->body);
}

static enum step start_park(struct request *req)
{
	fixture_of(req)->parked = req;
	return PARKED;
}

static enum step start_silent(struct request *req)
{
	req->user = "nobody";
	return DONE;
}

static enum step start_etag(struct request *req)
{
	return reply_json_etag(req, SPAN("{\"a\":1}"), "\"v,1\"");
}

static enum step start_problem(struct request *req)
{
	return reply_problem(req, 409, "client_session_id", "not \"yours\" \xff");
}

/* What no route takes; a path that begins so asks what the client accepts. */
static enum step start_fallback(struct request *req)
{
	struct span path = request_path(req);

	if (span_starts_with(path, SPAN("/accepts")))
		return reply_body(req, 200, "text/plain",
				  request_accepts(req, "Accept", "text/html") ? SPAN("yes") : SPAN("no"));
	if (span_is(path, "/else/%41"))
		return reply_body(req, 200, "text/plain", path);
	return reply_problem(req, 404, NULL, "there is nothing at this path");
}

static const struct http_route routes[] = {
	{HTTP_GET, "/", start_etag, 0},
	{HTTP_GET, "/things/:name", start_echo, 0},
	{HTTP_GET, "/things/:name/parked", start_park, 0},
	{HTTP_PUT, "/things/:name", start_body, BODY_MAX},
	{HTTP_POST, "/body", start_body, BODY_MAX},
	{HTTP_POST, "/small", start_body, 10},
	{HTTP_POST, "/unread", start_body, 0},
	{HTTP_GET, "/silent", start_silent, 0},
	{HTTP_GET, "/etag", start_etag, 0},
	{HTTP_GET, "/problem", start_problem, 0},
};

static struct config_list origins = {
	(char *[]){(char *)"https://app.example", (char *)"http://localhost:3000"}, 2};

static int setup(void **state)
{
	struct fixture *fixture = xcalloc(1, sizeof(*fixture));
	struct http_server_options options = {
		.routes = routes,
		.route_count = sizeof(routes) / sizeof(routes[0]),
		.fallback = start_fallback,
		.cors_origins = &origins,
		.body_max = SERVER_BODY_MAX,
		.request_timeout_ms = 1000,
		.app = fixture,
		.answered = answered,
	};
	socklen_t peer_len = sizeof(fixture->peer);
	const char *error = NULL;
	int fd = http_listen("127.0.0.1:0", false, &error);

	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&fixture->peer, &peer_len), 0);
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
	free(fixture);
	return 0;
}

/* Lets the loop work for a while, and always for some turns. */
static void turn(struct fixture *fixture)
{
	for (int i = 0; i < 20; i++) {
		event_base_loop(fixture->base, EVLOOP_NONBLOCK);
		usleep(500);
	}
}

static int client_open(struct fixture *fixture)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&fixture->peer, sizeof(fixture->peer)), 0);
	return fd;
}

static void client_send(struct fixture *fixture, int fd, struct span bytes)
{
	int64_t until_ms = clock_monotonic_ms() + WAIT_MS;

	while (bytes.n > 0 && clock_monotonic_ms() < until_ms) {
		ssize_t n = send(fd, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			bytes = (struct span){bytes.p + n, bytes.n - (size_t)n};
		event_base_loop(fixture->base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(bytes.n, 0);
}

/* One reply as text. `no_body`: it answers HEAD. */
struct reply {
	char bytes[3 * BODY_MAX];
	size_t n;
	int status;
	char *body;
	size_t body_len;
	bool closed; /* the server closed the connection behind it */
};

static const char *reply_value(const struct reply *reply, const char *name)
{
	static char value[512];
	char needle[128];
	const char *found, *end;

	snprintf(needle, sizeof(needle), "\r\n%s: ", name);
	found = strcasestr(reply->bytes, needle);
	if (found == NULL || (reply->body != NULL && found >= reply->body))
		return NULL;
	found += strlen(needle);
	end = strstr(found, "\r\n");
	snprintf(value, sizeof(value), "%.*s", (int)(end - found), found);
	return value;
}

static bool reply_complete(struct reply *reply, bool no_body)
{
	char *end = strstr(reply->bytes, "\r\n\r\n");
	const char *length;

	if (end == NULL)
		return false;
	reply->status = atoi(reply->bytes + strlen("HTTP/1.1 "));
	reply->body = end + 4;
	length = reply_value(reply, "Content-Length");
	reply->body_len = length && !no_body ? (size_t)atol(length) : 0;
	return (size_t)(reply->bytes + reply->n - reply->body) >= reply->body_len;
}

/* Reads one reply byte by byte behind the headers' end, so that the next one stays. */
static struct reply *client_read(struct fixture *fixture, int fd, bool no_body)
{
	static struct reply reply;
	int64_t until_ms = clock_monotonic_ms() + WAIT_MS;
	char byte;

	reply.n = 0;
	reply.bytes[0] = '\0';
	reply.status = 0;
	reply.body = NULL;
	while (clock_monotonic_ms() < until_ms) {
		size_t wanted = 1;
		ssize_t n;

		if (reply.n >= 4 && reply_complete(&reply, no_body))
			break;
		if (reply.body != NULL)
			wanted = reply.body_len - (size_t)(reply.bytes + reply.n - reply.body);
		assert_true(reply.n + wanted < sizeof(reply.bytes));
		n = recv(fd, reply.bytes + reply.n, wanted, MSG_DONTWAIT);
		if (n == 0)
			break;
		if (n > 0)
			reply.n += (size_t)n;
		else
			event_base_loop(fixture->base, EVLOOP_NONBLOCK);
		reply.bytes[reply.n] = '\0';
	}
	turn(fixture);
	reply.closed = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
	return &reply;
}

static struct reply *ask(struct fixture *fixture, const char *request)
{
	int fd = client_open(fixture);
	struct reply *reply;

	client_send(fixture, fd, span_of(request));
	reply = client_read(fixture, fd, strncmp(request, "HEAD ", 5) == 0);
	close(fd);
	turn(fixture);
	return reply;
}

#define HOST "Host: h\r\n"
#define GET(target, headers) "GET " target " HTTP/1.1\r\n" HOST headers "\r\n"

static void assert_body(const struct reply *reply, const char *body)
{
	assert_int_equal(reply->body_len, strlen(body));
	assert_memory_equal(reply->body, body, reply->body_len);
}

static void assert_value(const struct reply *reply, const char *name, const char *value)
{
	const char *got = reply_value(reply, name);

	if (value == NULL) {
		assert_null(got);
		return;
	}
	assert_non_null(got);
	assert_string_equal(got, value);
}

static void assert_problem(const struct reply *reply, int status)
{
	char expected[64];

	assert_int_equal(reply->status, status);
	assert_value(reply, "Content-Type", "application/problem+json");
	snprintf(expected, sizeof(expected), "\"status\":%d,", status);
	assert_non_null(strstr(reply->body, expected));
	assert_non_null(strstr(reply->body, reply_value(reply, "X-Request-Id")));
}

static void test_a_reply(void **state)
{
	struct fixture *fixture = *state;
	struct reply *reply =
		ask(fixture, GET("/things/a%2Fb%20c+d?x=1&q=e+f%26&empty", "X-Thing: \t v \r\n"));

	assert_int_equal(reply->status, 200);
	assert_body(reply, "name=a/b c+d q=e f& empty=1 none=0 x=v");
	assert_value(reply, "Content-Type", "text/plain");
	assert_value(reply, "Cache-Control", "no-store");
	assert_value(reply, "X-Content-Type-Options", "nosniff");
	assert_value(reply, "X-Split", "one");
	assert_value(reply, "X-Injected", NULL);
	assert_value(reply, "X-Number", "42");
	assert_non_null(reply_value(reply, "Date"));
	assert_false(reply->closed);
	assert_int_equal(fixture->answered, 1);
	assert_int_equal(fixture->last_status, 200);
	assert_string_equal(fixture->last_route, "/things/:name");
	assert_int_equal(http_server_pending(fixture->server), 0);
}

static void test_request_ids(void **state)
{
	char first[64];
	struct reply *reply = ask(*state, GET("/etag", "X-Request-Id: a.B_9-\r\n"));

	assert_value(reply, "X-Request-Id", "a.B_9-");
	reply = ask(*state, GET("/etag", "X-Request-Id: a\"b\r\n"));
	snprintf(first, sizeof(first), "%s", reply_value(reply, "X-Request-Id"));
	assert_int_equal(strspn(first, "0123456789abcdef"), 16);
	assert_int_equal(strlen(first), 16);
	reply = ask(*state, GET("/etag", ""));
	assert_string_not_equal(reply_value(reply, "X-Request-Id"), first);
	reply = ask(
		*state,
		GET("/etag",
		    "X-Request-Id: 12345678901234567890123456789012345678901234567890123456789012345\r\n"));
	assert_int_equal(strlen(reply_value(reply, "X-Request-Id")), 16);
}

static void test_no_such_path(void **state)
{
	assert_problem(ask(*state, GET("/nothing", "")), 404);
	assert_problem(ask(*state, GET("/things", "")), 404);
	assert_problem(ask(*state, GET("/things/", "")), 404);
	assert_problem(ask(*state, GET("/things/a/", "")), 404);
	assert_problem(ask(*state, GET("/a/b/c/d/e/f/g/h/i/j", "")), 404);
	assert_int_equal(ask(*state, GET("/", ""))->status, 200);
}

static void test_methods(void **state)
{
	struct reply *reply = ask(*state, "DELETE /things/a HTTP/1.1\r\n" HOST "\r\n");

	assert_problem(reply, 405);
	assert_value(reply, "Allow", "GET, HEAD, PUT, OPTIONS");
	assert_problem(ask(*state, "BREW /body HTTP/1.1\r\n" HOST "\r\n"), 405);
	assert_problem(ask(*state, "TRACE /body HTTP/1.1\r\n" HOST "\r\n"), 405);
	assert_problem(ask(*state, "CONNECT h:80 HTTP/1.1\r\n" HOST "\r\n"), 400);
	reply = ask(*state, "OPTIONS /body HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(reply->status, 204);
	assert_value(reply, "Allow", "POST, OPTIONS");
	assert_value(reply, "Content-Length", NULL);
	assert_problem(ask(*state, "OPTIONS /nothing HTTP/1.1\r\n" HOST "\r\n"), 404);
}

/* HEAD sends no body, so the reply behind it is read as one. */
static void test_head(void **state)
{
	struct fixture *fixture = *state;
	int fd = client_open(fixture);
	struct reply *reply;

	client_send(fixture, fd, SPAN("HEAD /etag HTTP/1.1\r\n" HOST "\r\n" GET("/etag", "")));
	reply = client_read(fixture, fd, true);
	assert_int_equal(reply->status, 200);
	assert_value(reply, "Content-Length", "7");
	assert_value(reply, "ETag", "\"v,1\"");
	reply = client_read(fixture, fd, false);
	assert_int_equal(reply->status, 200);
	assert_body(reply, "{\"a\":1}");
	close(fd);
	reply = ask(fixture, "HEAD /body HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(reply->status, 405);
	assert_value(reply, "Allow", "POST, OPTIONS");
}

static void test_targets(void **state)
{
	char target[4096];

	assert_problem(ask(*state, GET("/things/%", "")), 400);
	assert_problem(ask(*state, GET("/things/a%2", "")), 400);
	assert_problem(ask(*state, GET("/things/a?q=%zz", "")), 400);
	assert_problem(ask(*state, GET("/things/%00", "")), 400);
	assert_problem(ask(*state, GET("/things/\x01", "")), 400);
	assert_problem(ask(*state, GET("/things/a b", "")), 400);
	assert_problem(ask(*state, GET("*", "")), 400);
	assert_problem(ask(*state, GET("http://h/etag", "")), 400);
	snprintf(target, sizeof(target), "GET /things/%02040d HTTP/1.1\r\n" HOST "\r\n", 0);
	assert_int_equal(ask(*state, target)->status, 200);
	snprintf(target, sizeof(target), "GET /things/%02041d HTTP/1.1\r\n" HOST "\r\n", 0);
	assert_problem(ask(*state, target), 414);
}

static void test_framing(void **state)
{
	static const char *const faults[] = {
		"GET /etag HTTP/1.1\r\n\r\n",
		"GET /etag HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
		"GET /etag HTTP/1.1\r\n" HOST ": empty\r\n\r\n",
		"GET /etag HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n",
		"POST /body HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
		"POST /body HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\na",
		"POST /body HTTP/1.1\r\n" HOST
		"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /body HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"HEAD /etag HTTP/1.1\r\n" HOST
		"Content-Length: 27\r\n\r\nGET /silent HTTP/1.1\r\nH: h\r\n\r\n",
		"BREW /etag HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\na",
		"GET /etag HTTP/0.9\r\n" HOST "\r\n",
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct reply *reply = ask(*state, faults[i]);

		if (reply->status != 400 || !reply->closed)
			fail_msg("%s\n->\n%s", faults[i], reply->bytes);
	}
	assert_int_equal(ask(*state, "GET /etag HTTP/1.0\r\n\r\n")->status, 200);
}

static void test_bodies(void **state)
{
	struct fixture *fixture = *state;
	size_t n = 300000, head_len;
	char *request = xmalloc(n + 200);
	struct reply *reply;
	int fd = client_open(fixture);

	head_len = (size_t)sprintf(request, "POST /body HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", n);
	for (size_t i = 0; i < n; i++)
		request[head_len + i] = (char)('a' + i % 23);
	client_send(fixture, fd, (struct span){request, head_len + n});
	reply = client_read(fixture, fd, false);
	assert_int_equal(reply->status, 200);
	assert_int_equal(reply->body_len, n);
	assert_memory_equal(reply->body, request + head_len, n);

	client_send(fixture, fd,
		    SPAN("PUT /things/a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
	turn(fixture);
	client_send(fixture, fd, SPAN("2\r\nde\r\n0\r\n\r\n"));
	assert_body(client_read(fixture, fd, false), "abcde");
	close(fd);
	free(request);
	assert_body(ask(fixture, "POST /body HTTP/1.1\r\n" HOST "\r\n"), "");
	assert_body(ask(fixture, "POST /unread HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\na"), "");
}

static void test_bodies_too_large(void **state)
{
	struct fixture *fixture = *state;
	size_t n = SERVER_BODY_MAX + 1;
	char *body = xcalloc(1, n), head[100];
	struct reply *reply;
	int fd = client_open(fixture);

	client_send(fixture, fd,
		    SPAN("POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n01234567890"));
	reply = client_read(fixture, fd, false);
	assert_problem(reply, 413);
	assert_non_null(strstr(reply->body, "limit of 10"));
	assert_false(reply->closed);
	client_send(fixture, fd,
		    SPAN("POST /small HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n0123456789"));
	assert_body(client_read(fixture, fd, false), "0123456789");

	snprintf(head, sizeof(head), "POST /body HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", n);
	client_send(fixture, fd, span_of(head));
	client_send(fixture, fd, (struct span){body, n});
	assert_int_equal(client_read(fixture, fd, false)->status, 413);
	close(fd);
	free(body);
}

static void test_headers_too_large(void **state)
{
	char *request = xmalloc(20000);

	snprintf(request, 20000, "GET /etag HTTP/1.1\r\n" HOST "X: %017000d\r\n\r\n", 0);
	assert_problem(ask(*state, request), 431);
	free(request);
}

static void test_cors(void **state)
{
	struct reply *reply = ask(*state, GET("/etag", "Origin: http://localhost:3000\r\n"));

	assert_value(reply, "Access-Control-Allow-Origin", "http://localhost:3000");
	assert_value(reply, "Access-Control-Expose-Headers",
		     "ETag, Retry-After, Preference-Applied, X-Request-Id");
	assert_value(reply, "Vary", "Origin");
	reply = ask(*state, GET("/nothing", "Origin: https://app.example\r\n"));
	assert_problem(reply, 404);
	assert_value(reply, "Access-Control-Allow-Origin", "https://app.example");
	reply = ask(*state, GET("/etag", "Origin: https://app.example\r\nIf-None-Match: *\r\n"));
	assert_int_equal(reply->status, 304);
	assert_value(reply, "Access-Control-Allow-Origin", "https://app.example");
	reply = ask(*state, GET("/etag", "Origin: https://app.example.evil\r\n"));
	assert_int_equal(reply->status, 200);
	assert_value(reply, "Access-Control-Allow-Origin", NULL);
	assert_value(reply, "Vary", "Origin");
	assert_value(ask(*state, GET("/etag", "")), "Vary", "Origin");
}

static void test_fallback(void **state)
{
	struct fixture *fixture = *state;

	assert_body(ask(fixture, GET("/else/%41?q", "")), "/else/%41");
	assert_string_equal(fixture->last_route, "-");
	assert_problem(ask(fixture, "POST /else HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"), 404);
	assert_problem(ask(fixture, "POST /things/x HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"), 405);
	assert_body(ask(fixture, GET("/things/x", "")), "name=x q= empty=0 none=0 x=");
}

static void assert_accepts(struct fixture *fixture, const char *list, const char *answer)
{
	char request[256];

	snprintf(request, sizeof(request), "GET /accepts HTTP/1.1\r\n" HOST "Accept: %s\r\n\r\n", list);
	assert_body(ask(fixture, request), answer);
}

static void test_accepts(void **state)
{
	static const char *const accepted[] = {
		"text/html", "TEXT/html", "image/png, text/html", "a/b;q=0, text/html;q=0.001;x=0 ,c/d",
		"text/html ; q=1", "text/html;level=1;q=0.1", "text/html;q", "text/html;q=",
	};
	static const char *const others[] = {
		"*/*", "text/*", "text/html;q=0", "text/html; Q = 0.000", "text/html;level=1;q=0.0", "text/htmlx",
		"xtext/html", "", ",;,=", "text / html", "text/html;q=2",
	};

	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
		assert_accepts(*state, accepted[i], "yes");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_accepts(*state, others[i], "no");
	assert_body(ask(*state, GET("/accepts", "")), "no");
}

#define PREFLIGHT(target, origin) \
	"OPTIONS " target " HTTP/1.1\r\n" HOST "Origin: " origin \
	"\r\nAccess-Control-Request-Method: PUT\r\n\r\n"

static void test_preflight(void **state)
{
	struct reply *reply = ask(*state, PREFLIGHT("/things/a", "https://app.example"));

	assert_int_equal(reply->status, 204);
	assert_value(reply, "Access-Control-Allow-Origin", "https://app.example");
	assert_value(reply, "Access-Control-Allow-Methods", "GET, HEAD, PUT");
	assert_value(reply, "Access-Control-Allow-Headers",
		     "Authorization, Content-Type, If-None-Match, Prefer, Last-Event-ID, traceparent");
	assert_value(reply, "Access-Control-Max-Age", "7200");
	reply = ask(*state, PREFLIGHT("/nothing", "https://app.example"));
	assert_int_equal(reply->status, 204);
	assert_value(reply, "Access-Control-Allow-Methods", "GET, HEAD, POST, PUT");
	reply = ask(*state, PREFLIGHT("/things/a", "https://stranger.example"));
	assert_int_equal(reply->status, 204);
	assert_value(reply, "Access-Control-Allow-Methods", NULL);
	assert_value(reply, "Access-Control-Allow-Origin", NULL);
}

static void test_etags(void **state)
{
	static const struct {
		const char *value;
		int status;
	} cases[] = {
		{"\"v,1\"", 304},
		{"W/\"v,1\"", 304},
		{"*", 304},
		{" \"x\" , W/\"v,1\"", 304},
		{"\"x\"garbage, \"v,1\"", 304},
		{", ,\"v,1\",", 304},
		{"v, \"v,1\"", 304},
		{"\"v\"", 200},
		{"v,1", 200},
		{"\"v,1", 200},
		{"w/\"v,1\"", 200},
		{"\"x,\"v,1\"", 200},
		{"\"a\", *", 200},
		{"W/", 200},
		{"\"", 200},
		{"", 200},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char request[256];
		struct reply *reply;

		snprintf(request, sizeof(request), "GET /etag HTTP/1.1\r\n" HOST "If-None-Match: %s\r\n\r\n",
			 cases[i].value);
		reply = ask(*state, request);
		if (reply->status != cases[i].status)
			fail_msg("If-None-Match: %s -> %d", cases[i].value, reply->status);
		assert_value(reply, "ETag", "\"v,1\"");
		assert_value(reply, "Content-Type", cases[i].status == 304 ? NULL : "application/json");
		assert_value(reply, "Content-Length", cases[i].status == 304 ? NULL : "7");
	}
	assert_int_equal(
		ask(*state, GET("/etag", "If-None-Match: \"a\"\r\nif-none-match: \"v,1\"\r\n"))->status, 304);
}

static void test_problem(void **state)
{
	struct reply *reply = ask(*state, GET("/problem", "X-Request-Id: r1\r\n"));

	assert_problem(reply, 409);
	assert_body(reply, "{\"type\":\"about:blank\",\"title\":\"Conflict\",\"status\":409,\"detail\":\"not "
			   "\\\"yours\\\" ?\",\"requestId\":\"r1\",\"field\":\"client_session_id\"}");
}

static void test_no_reply_is_a_bug(void **state)
{
	assert_problem(ask(*state, GET("/silent", "")), 500);
}

/* Parks a request on a new connection. */
static int park(struct fixture *fixture)
{
	int fd = client_open(fixture);

	fixture->parked = NULL;
	client_send(fixture, fd, SPAN(GET("/things/a/parked", "")));
	turn(fixture);
	assert_non_null(fixture->parked);
	assert_int_equal(http_server_pending(fixture->server), 1);
	assert_int_equal(fixture->parked->status, 0);
	assert_true(fixture->parked->job.deadline_ms > clock_monotonic_ms());
	return fd;
}

static void unpark(struct fixture *fixture)
{
	struct request *req = fixture->parked;

	job_run(&req->job, reply_json(req, 200, request_param(req, "name")));
	turn(fixture);
	assert_int_equal(http_server_pending(fixture->server), 0);
}

static void test_parked(void **state)
{
	struct fixture *fixture = *state;
	int fd = park(fixture);

	/* What comes meanwhile waits. */
	client_send(fixture, fd, SPAN(GET("/etag", "")));
	turn(fixture);
	assert_int_equal(fixture->answered, 0);
	unpark(fixture);
	assert_body(client_read(fixture, fd, false), "a");
	assert_body(client_read(fixture, fd, false), "{\"a\":1}");
	assert_int_equal(fixture->answered, 2);
	close(fd);
}

static void test_peer_gone_while_parked(void **state)
{
	const struct linger reset = {1, 0};
	struct fixture *fixture = *state;
	int fd = park(fixture);

	close(fd);
	turn(fixture);
	unpark(fixture);
	fd = park(fixture);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(fd);
	turn(fixture);
	unpark(fixture);
	assert_int_equal(fixture->answered, 2);
	assert_int_equal(ask(fixture, GET("/etag", ""))->status, 200);
}

static void test_drain(void **state)
{
	struct fixture *fixture = *state;
	int parked = park(fixture), idle = client_open(fixture), late;
	struct reply *reply;

	client_send(fixture, idle, SPAN(GET("/etag", "")));
	assert_false(client_read(fixture, idle, false)->closed);
	http_server_drain(fixture->server);
	http_server_drain(fixture->server);
	assert_int_equal(http_server_pending(fixture->server), 1);

	late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(late, (struct sockaddr *)&fixture->peer, sizeof(fixture->peer)), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(late);

	client_send(fixture, idle, SPAN(GET("/etag", "")));
	reply = client_read(fixture, idle, false);
	assert_int_equal(reply->status, 200);
	assert_value(reply, "Connection", "close");
	assert_true(reply->closed);
	close(idle);

	unpark(fixture);
	reply = client_read(fixture, parked, false);
	assert_int_equal(reply->status, 200);
	assert_true(reply->closed);
	close(parked);
}

/* A reply counts until the kernel has it all. */
static void test_unwritten_reply_is_pending(void **state)
{
	struct fixture *fixture = *state;
	int small = 4096, fd = park(fixture);
	struct request *req = fixture->parked;
	size_t n = 16 * BODY_MAX;
	char *body = xcalloc(1, n);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	job_run(&req->job, reply_body(req, 200, "text/plain", (struct span){body, n}));
	free(body);
	turn(fixture);
	assert_int_equal(http_server_pending(fixture->server), 1);
	close(fd);
	turn(fixture);
	assert_int_equal(http_server_pending(fixture->server), 0);
}

static int times_left;

static void note_left(struct request *req, void *arg)
{
	assert_ptr_equal(((struct fixture *)arg)->parked, req);
	times_left++;
}

static void end_stream(struct request *req, void *arg)
{
	note_left(req, arg);
	job_run(&req->job, stream_end(req));
}

/* Whoever is parked long is told when the client goes, however it goes; not when it goes on talking. */
static void test_a_watch_tells_who_left(void **state)
{
	const struct linger reset = {1, 0};
	struct fixture *fixture = *state;

	for (int way = 0; way < 4; way++) {
		int fd = park(fixture);

		times_left = 0;
		request_watch(fixture->parked, note_left, fixture);
		client_send(fixture, fd, SPAN("GET"));
		turn(fixture);
		assert_int_equal(times_left, 0);
		if (way == 1)
			assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
		if (way == 2)
			shutdown(fd, SHUT_WR);
		else if (way < 2)
			close(fd);
		turn(fixture);
		turn(fixture);
		assert_int_equal(times_left, way < 3);
		unpark(fixture);
		if (way >= 2) {
			assert_body(client_read(fixture, fd, false), "a");
			close(fd);
		}
	}
}

static void test_a_stream(void **state)
{
	static const char end[] = "\r\n\r\n4\r\none\n\r\n3\r\ntwo\r\n0\r\n\r\n";
	struct fixture *fixture = *state;
	struct request *req;
	char text[2048];
	int fd = park(fixture);
	ssize_t n;

	req = fixture->parked;
	reply_header(req, "X-Accel-Buffering", "no");
	stream_start(req, "text/event-stream");
	assert_true(stream_send(req, SPAN("one\n")));
	turn(fixture);
	assert_int_equal(http_server_pending(fixture->server), 1);
	assert_true(stream_send(req, SPAN("two")));
	job_run(&req->job, stream_end(req));
	turn(fixture);
	assert_int_equal(http_server_pending(fixture->server), 0);
	n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n > (ssize_t)strlen(end));
	text[n] = '\0';
	assert_non_null(strstr(text, "\r\nX-Accel-Buffering: no\r\n"));
	assert_non_null(strstr(text, "\r\nContent-Type: text/event-stream\r\n"));
	assert_string_equal(text + n - strlen(end), end);
	/* the connection goes on */
	client_send(fixture, fd, SPAN(GET("/etag", "")));
	assert_int_equal(client_read(fixture, fd, false)->status, 200);
	close(fd);
}

static void test_a_stream_whose_client_leaves(void **state)
{
	struct fixture *fixture = *state;
	int fd = park(fixture);

	times_left = 0;
	request_watch(fixture->parked, end_stream, fixture);
	stream_start(fixture->parked, "text/event-stream");
	assert_true(stream_send(fixture->parked, SPAN("one")));
	turn(fixture);
	close(fd);
	turn(fixture);
	assert_int_equal(times_left, 1);
	assert_int_equal(http_server_pending(fixture->server), 0);
	assert_int_equal(fixture->answered, 1);
}

static void test_a_stream_that_nobody_reads(void **state)
{
	static char chunk[8192];
	struct fixture *fixture = *state;
	int small = 4096, fd = park(fixture), sent = 0;
	struct request *req = fixture->parked;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	stream_start(req, "text/event-stream");
	while (stream_send(req, (struct span){chunk, sizeof(chunk)}) && sent++ < 10000)
		turn(fixture);
	assert_in_range(sent, 1, 5000);
	job_run(&req->job, stream_end(req));
	turn(fixture);
	assert_int_equal(http_server_pending(fixture->server), 0);
	close(fd);
	assert_int_equal(ask(fixture, GET("/etag", ""))->status, 200);
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_a_reply),
		SERVER_TEST(test_request_ids),
		SERVER_TEST(test_no_such_path),
		SERVER_TEST(test_methods),
		SERVER_TEST(test_head),
		SERVER_TEST(test_targets),
		SERVER_TEST(test_framing),
		SERVER_TEST(test_bodies),
		SERVER_TEST(test_bodies_too_large),
		SERVER_TEST(test_headers_too_large),
		SERVER_TEST(test_cors),
		SERVER_TEST(test_fallback),
		SERVER_TEST(test_accepts),
		SERVER_TEST(test_preflight),
		SERVER_TEST(test_etags),
		SERVER_TEST(test_problem),
		SERVER_TEST(test_no_reply_is_a_bug),
		SERVER_TEST(test_parked),
		SERVER_TEST(test_peer_gone_while_parked),
		SERVER_TEST(test_a_watch_tells_who_left),
		SERVER_TEST(test_a_stream),
		SERVER_TEST(test_a_stream_whose_client_leaves),
		SERVER_TEST(test_a_stream_that_nobody_reads),
		SERVER_TEST(test_drain),
		SERVER_TEST(test_unwritten_reply_is_pending),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
