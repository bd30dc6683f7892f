/* The Postgres room as far as it goes without a server: not being connected is a value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "postgres/connection.h"

struct fixture {
	struct event_base *base;
	struct evconnlistener *listener;
	size_t connections;
	const char *greeting; /* what the scripted server says before it hangs up */
	char conninfo[128];
	size_t changes;
	struct postgres *postgres;
};

struct call {
	struct job job;
	size_t steps, ends;
	bool submitting;
	enum call_status status;
	char error[256];
	struct fixture *f;
	struct call *then; /* submitted from inside the step */
};

static void server_on_written(struct bufferevent *bev, void *arg)
{
	(void)arg;
	bufferevent_free(bev);
}

static void server_on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)what, (void)arg;
	bufferevent_free(bev);
}

static void server_on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
			     int n, void *arg)
{
	struct fixture *f = arg;
	struct bufferevent *bev = bufferevent_socket_new(f->base, fd, BEV_OPT_CLOSE_ON_FREE);

	(void)listener, (void)address, (void)n;
	f->connections++;
	bufferevent_setcb(bev, NULL, server_on_written, server_on_event, f);
	bufferevent_write(bev, f->greeting, strlen(f->greeting));
}

static void on_changed(void *arg, bool ready, const char *reason)
{
	(void)ready, (void)reason;
	((struct fixture *)arg)->changes++;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(address);

	log_set_level(LOG_ERROR);
	f->base = event_base_new();
	f->listener = evconnlistener_new_bind(f->base, server_on_accept, f, LEV_OPT_CLOSE_ON_FREE, 16,
					      (struct sockaddr *)&address, sizeof(address));
	assert_non_null(f->listener);
	getsockname(evconnlistener_get_fd(f->listener), (struct sockaddr *)&address, &n);
	snprintf(f->conninfo, sizeof(f->conninfo),
		 "host=127.0.0.1 port=%d user=u sslmode=disable gssencmode=disable", ntohs(address.sin_port));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	postgres_free(f->postgres);
	evconnlistener_free(f->listener);
	event_base_free(f->base);
	free(f);
	return 0;
}

static void start(struct fixture *f, const char *conninfo)
{
	struct postgres_options options = {.conninfo = conninfo,
					   .timeout_ms = 200,
					   .bytes_max = 1 << 20,
					   .schema_version = 1,
					   .partitions = 64,
					   .changed = on_changed,
					   .arg = f};

	f->postgres = postgres_new(f->base, &options);
	assert_non_null(f->postgres);
	assert_false(postgres_ready(f->postgres));
}

static void run(struct fixture *f, int64_t ms)
{
	struct timeval limit = {ms / 1000, ms % 1000 * 1000};

	event_base_loopexit(f->base, &limit);
	event_base_dispatch(f->base);
}

static void call_end(struct job *job)
{
	struct call *call = (struct call *)job;

	call->ends++;
	arena_deinit(&job->arena);
}

static void call_start(struct call *call, struct fixture *f);

static enum step call_on_done(void *ctx, const struct postgres_reply *reply)
{
	struct call *call = ctx;

	assert_false(call->submitting);
	call->steps++;
	call->status = reply->status;
	snprintf(call->error, sizeof(call->error), "%s", reply->error);
	if (call->then)
		call_start(call->then, call->f);
	return DONE;
}

static void call_start(struct call *call, struct fixture *f)
{
	static const char *const params[] = {"a", NULL};
	struct postgres_query query = {.statement = 0, .param_count = 2, .params = params};

	call->f = f;
	job_init(&call->job, clock_monotonic_ms() + 10000, call_end);
	call->submitting = true;
	assert_int_equal(postgres_submit(f->postgres, &call->job, NULL, 1, &query, call_on_done, call), PARKED);
	call->submitting = false;
}

static void assert_down(const struct call *call, const char *why)
{
	assert_int_equal(call->steps, 1);
	assert_int_equal(call->ends, 1);
	assert_string_equal(call_status_name(call->status), "down");
	assert_non_null(strstr(call->error, why));
}

static void test_no_server(void **state)
{
	struct fixture *f = *state;
	struct call call = {0}, again = {0};

	start(f, "host=127.0.0.1 port=1 password=hunter2");
	call.then = &again;
	call_start(&call, f);
	assert_int_equal(call.steps, 0);
	run(f, 150);
	assert_down(&call, "");
	assert_down(&again, "");
	assert_non_null(strstr(postgres_reason(f->postgres), "refused"));
	assert_null(strstr(postgres_reason(f->postgres), "hunter2"));
	assert_int_equal(f->changes, 0); /* it never was ready */
}

static void test_bad_conninfo(void **state)
{
	struct fixture *f = *state;
	struct call call = {0};

	start(f, "postgresql://u:hunter2%zz@h/db");
	run(f, 20);
	call_start(&call, f);
	run(f, 20);
	assert_down(&call, "database_url");
	assert_null(strstr(call.error, "hunter2"));
}

static void test_free_answers_what_is_deferred(void **state)
{
	struct fixture *f = *state;
	struct call call = {0}, again = {0};

	start(f, "host=127.0.0.1 port=1");
	call.then = &again;
	call_start(&call, f);
	postgres_free(f->postgres);
	f->postgres = NULL;
	assert_down(&call, "shutting down");
	assert_down(&again, "shutting down");
}

static void test_a_server_of_another_kind(void **state)
{
	struct fixture *f = *state;

	f->greeting = "HTTP/1.1 400 Bad Request\r\n\r\n";
	start(f, f->conninfo);
	run(f, 500);
	assert_false(postgres_ready(f->postgres));
	assert_true(postgres_reason(f->postgres)[0] != '\0');
	assert_true(f->connections > 1);
	assert_true(f->connections < 12); /* it backs off */
}

static void test_which_errors_break(void **state)
{
	static const char *const breaking[] = {"08006", "57P01", "57P03", "25006", "53300", "26000"};
	static const char *const answers[] = {"22P02", "23505", "57014", "40001",
					      "40P01", "25P02", "53200", "XX000"};

	(void)state;
	for (size_t i = 0; i < sizeof(breaking) / sizeof(breaking[0]); i++)
		assert_true(postgres_sqlstate_breaks(breaking[i]));
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		assert_false(postgres_sqlstate_breaks(answers[i]));
	assert_true(postgres_sqlstate_breaks(NULL));
}

static const char *setting(const struct postgres_conninfo *conninfo, const char *keyword)
{
	for (size_t i = 0; i < conninfo->count; i++) {
		if (strcmp(conninfo->keywords[i], keyword) == 0)
			return conninfo->values[i];
	}
	return "";
}

static void test_conninfo_keeps_what_is_given(void **state)
{
	struct postgres_conninfo conninfo;

	(void)state;
	assert_true(postgres_conninfo_parse("postgresql://u@h/db?application_name=mine&tcp_user_timeout=5",
					    "debrief", &conninfo));
	assert_string_equal(setting(&conninfo, "application_name"), "mine");
	assert_string_equal(setting(&conninfo, "tcp_user_timeout"), "5");
	assert_string_equal(setting(&conninfo, "client_encoding"), "UTF8");
	assert_string_equal(setting(&conninfo, "dbname"), "db");
	assert_null(conninfo.keywords[conninfo.count]);
	postgres_conninfo_free(&conninfo);
	assert_false(postgres_conninfo_parse("host=h nonsense", "debrief", &conninfo));
	postgres_conninfo_free(&conninfo);
}

static void test_values(void **state)
{
	PGresAttDesc columns[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
	PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	struct postgres_rows *rows = (struct postgres_rows *)result;

	(void)state;
	assert_true(PQsetResultAttrs(result, 3, columns));
	assert_true(PQsetvalue(result, 0, 0, "text", 4));
	assert_true(PQsetvalue(result, 0, 1, "", 0));
	assert_true(PQsetvalue(result, 0, 2, NULL, -1));
	assert_int_equal(postgres_row_count(rows), 1);
	assert_true(span_is(postgres_value(rows, 0, 0), "text"));
	assert_true(span_is(postgres_value(rows, 0, 1), ""));
	assert_null(postgres_value(rows, 0, 2).p);
	assert_null(postgres_value(rows, 1, 0).p);
	assert_null(postgres_value(rows, 0, 3).p);
	PQclear(result);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_server),
		TEST(test_bad_conninfo),
		TEST(test_free_answers_what_is_deferred),
		TEST(test_a_server_of_another_kind),
		cmocka_unit_test(test_which_errors_break),
		cmocka_unit_test(test_conninfo_keeps_what_is_given),
		cmocka_unit_test(test_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
