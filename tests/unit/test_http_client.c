/* Listening sockets, and the client against a server in a thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "arena_fixture.h"
#include "http/client.h"
#include "http/server.h"

static int listen_at(const char *address, bool shared)
{
	const char *error = NULL;
	int fd = http_listen(address, shared, &error);

	if (fd < 0)
		assert_non_null(error);
	return fd;
}

static void test_addresses(void **state)
{
	static const char *const bad[] = {"",           "8080",          "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
					  "127.0.0.1:-1", "127.0.0.1:80a", "::1:80",    "[::1:80",    "127.0.0.1:000080"};
	static const char *const good[] = {"127.0.0.1:0", "*:0", ":0", "localhost:0"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(listen_at(bad[i], false), -1);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int fd = listen_at(good[i], false);

		assert_true(fd >= 0);
		close(fd);
	}
}

static void test_shared_address(void **state)
{
	int fd = listen_at("127.0.0.1:0", true), other;
	const char *error = NULL;
	char name[64];

	(void)state;
	http_listen_name(fd, name, sizeof(name));
	assert_int_equal(strncmp(name, "127.0.0.1:", 10), 0);
	assert_false(http_address_is_free(name, &error));
	assert_string_equal(error, "the address is in use by another process");
	assert_int_equal(listen_at(name, false), -1);
	other = listen_at(name, true);
	assert_true(other >= 0);
	close(other);
	close(fd);
	assert_true(http_address_is_free(name, &error));
}

struct node {
	struct event_base *base;
	pthread_t thread;
	atomic_bool stop;
	int fd;
	char address[64];
};

static enum step start_echo(struct request *req)
{
	if (!span_is(request_header(req, "X-Thing"), "1") || !span_is(request_query(req, "x"), "2") ||
	    !span_is(request_header(req, "Content-Type"), "application/json"))
		return reply_problem(req, 400, NULL, "not what was sent");
	return reply_json(req, 200, req->body);
}

static const struct http_route routes[] = {{HTTP_POST, "/echo", start_echo, 1024}};

static void wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

static void *serve(void *arg)
{
	const struct http_server_options options = {
		.routes = routes, .route_count = 1, .body_max = 1024, .request_timeout_ms = 1000};
	const struct timeval tick = {0, 5000};
	struct node *node = arg;
	struct http_server *server = http_server_new(node->base, node->fd, &options);
	struct event *timer = event_new(node->base, -1, EV_PERSIST, wake, NULL);

	event_add(timer, &tick);
	while (!atomic_load(&node->stop) || http_server_pending(server) > 0)
		event_base_loop(node->base, EVLOOP_ONCE);
	event_free(timer);
	http_server_free(server);
	return NULL;
}

static void node_start(struct node *node)
{
	*node = (struct node){.base = event_base_new(), .fd = listen_at("127.0.0.1:0", false)};
	http_listen_name(node->fd, node->address, sizeof(node->address));
	assert_int_equal(pthread_create(&node->thread, NULL, serve, node), 0);
}

static void node_stop(struct node *node)
{
	atomic_store(&node->stop, true);
	pthread_join(node->thread, NULL);
	event_base_free(node->base);
}

static struct text reply;
static const char *error;

static int post(const char *scheme, const char *address)
{
	char url[128];

	snprintf(url, sizeof(url), "%s%s/echo?x=2", scheme, address);
	text_init(&reply, &arena, 0);
	return http_post_json(url, "X-Thing", "1", SPAN("{\"a\":1}"), 1, &reply, &error);
}

static void test_post(void **state)
{
	struct node node;

	(void)state;
	node_start(&node);
	assert_int_equal(post("http://", node.address), 200);
	assert_true(span_is(text_span(&reply), "{\"a\":1}"));
	text_init(&reply, &arena, 0);
	assert_int_equal(post("http://", node.address), 200);
	node_stop(&node);
	assert_int_equal(post("http://", node.address), 0);
	assert_string_equal(error, "could not connect");
}

static void test_problem(void **state)
{
	struct node node;
	char url[128];

	(void)state;
	node_start(&node);
	snprintf(url, sizeof(url), "http://%s", node.address);
	text_init(&reply, &arena, 0);
	assert_int_equal(http_post_json(url, NULL, NULL, SPAN("{}"), 1, &reply, &error), 404);
	assert_non_null(strstr(reply.p, "\"status\":404"));
	node_stop(&node);
}

static void test_urls(void **state)
{
	(void)state;
	assert_int_equal(post("https://", "127.0.0.1"), 0);
	assert_string_equal(error, "https is not supported; use http");
	assert_int_equal(post("", "127.0.0.1"), 0);
	assert_string_equal(error, "not an http:// URL");
	assert_int_equal(post("http://", ""), 0);
	assert_string_equal(error, "not an http:// URL");
	assert_int_equal(post("http://me@", "127.0.0.1"), 0);
}

/* Connections are taken into the backlog, and nobody answers. */
static void test_timeout(void **state)
{
	int fd = listen_at("127.0.0.1:0", false);
	char name[64];

	(void)state;
	http_listen_name(fd, name, sizeof(name));
	assert_int_equal(post("http://", name), 0);
	assert_string_equal(error, "no reply in time");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_shared_address),
		cmocka_unit_test_setup_teardown(test_post, setup, teardown),
		cmocka_unit_test_setup_teardown(test_problem, setup, teardown),
		cmocka_unit_test_setup_teardown(test_urls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
