/* The Redis room against a scripted server on loopback, in the same loop. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "redis/redis.h"

enum { TIMEOUT_MS = 400, CALLS_MAX = 4, REPLID_LEN = 40 };
static const char *const replid = "0123456789abcdef0123456789abcdef01234567";

struct fixture;
typedef void on_command(struct fixture *f, size_t nth, const redisReply *command);

struct fixture {
	struct event_base *base;
	struct evconnlistener *listener;
	struct bufferevent *client; /* the newest connection to the scripted server */
	redisReader *reader;
	int64_t timeout_ms;         /* of a call to it */
	size_t connections;
	size_t commands;  /* on this connection, without those of PREPARING */
	char heard[4096]; /* all commands of PREPARING, by name */
	const char *role;
	const char *prepare_error; /* the next PREPARING fails with this, once */
	on_command *answer;        /* to all other commands; NULL: never */

	struct redis *redis;
	size_t ready_count, down_count;
};

/* One call as the caller sees it. */
struct call {
	struct job job;
	struct fixture *f;
	size_t steps, ends;
	bool submitting;
	enum call_status status;
	char error[128];
	char values[256];  /* "a|b|(nil)" */
	struct call *then; /* submitted from inside the step */
};

static void say(struct fixture *f, const char *text)
{
	assert_non_null(f->client);
	bufferevent_write(f->client, text, strlen(text));
}

/* ---- the scripted server ---- */

static void server_prepare(struct fixture *f, const redisReply *command)
{
	const char *name = command->element[0]->str;
	char text[512], info[256];

	strncat(f->heard, name, sizeof(f->heard) - strlen(f->heard) - 1);
	strncat(f->heard, " ", sizeof(f->heard) - strlen(f->heard) - 1);
	if (f->prepare_error) {
		say(f, f->prepare_error);
		f->prepare_error = NULL;
	} else if (strcmp(name, "INFO") == 0) {
		snprintf(info, sizeof(info), "# Replication\r\nrole:%s\r\nmaster_replid:%s\r\nx:y\r\n",
			 f->role, replid);
		snprintf(text, sizeof(text), "$%zu\r\n%s\r\n", strlen(info), info);
		say(f, text);
	} else if (strcmp(name, "SCRIPT") == 0) {
		for (int i = 0; i < SCRIPT_COUNT; i++) {
			if (strcmp(script_texts[i].text, command->element[2]->str) == 0) {
				snprintf(text, sizeof(text), "$40\r\n%s\r\n", script_texts[i].sha1);
				say(f, text);
			}
		}
	} else {
		say(f, "+OK\r\n");
	}
}

static void server_on_read(struct bufferevent *bev, void *arg)
{
	struct fixture *f = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t n = evbuffer_get_length(in);
	void *command;

	assert_int_equal(redisReaderFeed(f->reader, (char *)evbuffer_pullup(in, -1), n), REDIS_OK);
	evbuffer_drain(in, n);
	while (f->client == bev && redisReaderGetReply(f->reader, &command) == REDIS_OK && command) {
		const char *name = ((redisReply *)command)->element[0]->str;

		if (strcmp(name, "AUTH") == 0 || strcmp(name, "SELECT") == 0 || strcmp(name, "INFO") == 0 ||
		    strcmp(name, "SCRIPT") == 0)
			server_prepare(f, command);
		else if (f->answer)
			f->answer(f, f->commands++, command);
		freeReplyObject(command);
	}
}

/* Past the buffer, which would be thrown away with the connection. */
static void say_and_hang_up(struct fixture *f, const char *text)
{
	assert_int_equal(write(bufferevent_getfd(f->client), text, strlen(text)), strlen(text));
	bufferevent_free(f->client);
	f->client = NULL;
}

static void server_on_event(struct bufferevent *bev, short what, void *arg)
{
	struct fixture *f = arg;

	(void)what;
	if (f->client == bev)
		f->client = NULL;
	bufferevent_free(bev);
}

static void server_on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
			     int n, void *arg)
{
	struct fixture *f = arg;

	(void)listener, (void)address, (void)n;
	if (f->client)
		bufferevent_free(f->client);
	if (f->reader)
		redisReaderFree(f->reader);
	f->reader = redisReaderCreate();
	f->connections++;
	f->commands = 0;
	f->client = bufferevent_socket_new(f->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(f->client, server_on_read, NULL, server_on_event, f);
	bufferevent_enable(f->client, EV_READ | EV_WRITE);
}

/* ---- the fixture ---- */

static void on_changed(void *arg, bool ready, const char *reason)
{
	struct fixture *f = arg;

	assert_true(ready == (reason[0] == '\0'));
	if (ready)
		f->ready_count++;
	else
		f->down_count++;
}

static void stop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	*(bool *)arg = true;
}

/* Runs the loop until *done or for at most `ms`. */
static void run(struct fixture *f, int64_t ms, bool (*done)(struct fixture *f))
{
	bool over = false;
	struct timeval limit = {ms / 1000, ms % 1000 * 1000};
	struct event *timer = evtimer_new(f->base, stop, &over);

	event_add(timer, &limit);
	while (!over && !(done && done(f)))
		event_base_loop(f->base, EVLOOP_ONCE);
	event_free(timer);
	if (done)
		assert_true(done(f));
}

static bool is_ready(struct fixture *f)
{
	return redis_ready(f->redis);
}

static bool is_down(struct fixture *f)
{
	return f->down_count > 0;
}

static void start(struct fixture *f, const char *path)
{
	struct sockaddr_in address;
	socklen_t n = sizeof(address);
	char url[256];
	const char *error;
	struct redis_options options = {.timeout_ms = f->timeout_ms,
					.calls_max = CALLS_MAX,
					.changed = on_changed,
					.arg = f,
					.url = url};

	getsockname(evconnlistener_get_fd(f->listener), (struct sockaddr *)&address, &n);
	snprintf(url, sizeof(url), path, ntohs(address.sin_port));
	f->redis = redis_new(f->base, &options, &error);
	assert_non_null(f->redis);
	assert_false(redis_ready(f->redis));
}

static void start_ready(struct fixture *f, on_command *answer)
{
	f->answer = answer;
	start(f, "redis://127.0.0.1:%d");
	run(f, 2000, is_ready);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	log_set_level(LOG_ERROR);
	f->base = event_base_new();
	f->role = "master";
	f->timeout_ms = TIMEOUT_MS;
	f->listener = evconnlistener_new_bind(f->base, server_on_accept, f, LEV_OPT_CLOSE_ON_FREE, 16,
					      (struct sockaddr *)&address, sizeof(address));
	assert_non_null(f->listener);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	redis_free(f->redis);
	if (f->client)
		bufferevent_free(f->client);
	if (f->reader)
		redisReaderFree(f->reader);
	evconnlistener_free(f->listener);
	event_base_free(f->base);
	free(f);
	return 0;
}

static void call_end(struct job *job)
{
	struct call *call = (struct call *)job;

	call->ends++;
	arena_deinit(&job->arena);
}

static void call_start(struct call *call, struct fixture *f, int64_t patience_ms);

static enum step call_on_done(void *ctx, const struct redis_reply *reply)
{
	struct call *call = ctx;

	assert_false(call->submitting);
	call->steps++;
	call->status = reply->status;
	snprintf(call->error, sizeof(call->error), "%.*s", SPAN_ARG(reply->error));
	for (size_t i = 0; i < reply->n; i++) {
		size_t used = strlen(call->values);

		snprintf(call->values + used, sizeof(call->values) - used, "%s%.*s", i ? "|" : "",
			 SPAN_ARG(reply->v[i].p ? reply->v[i] : SPAN("(nil)")));
	}
	if (call->then)
		call_start(call->then, call->f, 10000);
	return DONE;
}

static void call_start(struct call *call, struct fixture *f, int64_t patience_ms)
{
	struct span keys[] = {SPAN("{p1}:bucket"), SPAN("{p1}:view")};
	struct span args[] = {SPAN("one"), SPAN_ABSENT, SPAN("three\0four")};

	call->f = f;
	job_init(&call->job, clock_monotonic_ms() + patience_ms, call_end);
	call->submitting = true;
	assert_int_equal(redis_script(f->redis, &call->job, 0, 2, keys, 3, args, call_on_done, call), PARKED);
	call->submitting = false;
}

/* Until the call has ended; whether it ended well is the caller's to check. */
static void await(struct fixture *f, const struct call *call)
{
	int64_t limit_ms = clock_monotonic_ms() + 30000;
	struct event *tick = event_new(f->base, -1, EV_PERSIST, stop, &(bool){false});
	struct timeval interval = {0, 100000};

	event_add(tick, &interval);
	while (call->ends == 0 && clock_monotonic_ms() < limit_ms)
		event_base_loop(f->base, EVLOOP_ONCE);
	event_free(tick);
}

/* One call, alone, to its end. */
static struct call call_alone(struct fixture *f)
{
	struct call call = {0};

	call_start(&call, f, 10000);
	await(f, &call);
	assert_int_equal(call.steps, 1);
	assert_int_equal(call.ends, 1);
	return call;
}

static void assert_answered(const struct call *call, enum call_status status)
{
	assert_int_equal(call->steps, 1);
	assert_int_equal(call->ends, 1);
	assert_string_equal(call_status_name(call->status), call_status_name(status));
}

/* ---- getting ready ---- */

static void test_prepares_in_order(void **state)
{
	struct fixture *f = *state;
	char expected[4096] = "AUTH SELECT INFO ";

	for (int i = 0; i < SCRIPT_COUNT; i++)
		strcat(expected, "SCRIPT ");
	start(f, "redis://ann:secret@127.0.0.1:%d/3");
	run(f, 2000, is_ready);
	assert_string_equal(f->heard, expected);
	assert_string_equal(redis_replid(f->redis), replid);
	assert_string_equal(redis_reason(f->redis), "");
	assert_int_equal(f->ready_count, 1);
	assert_int_equal(f->down_count, 0);
}

static void test_replica_is_not_ready(void **state)
{
	struct fixture *f = *state;

	f->role = "slave";
	start(f, "redis://127.0.0.1:%d");
	run(f, 300, NULL);
	assert_false(redis_ready(f->redis));
	assert_string_equal(redis_reason(f->redis), "read-only replica");
	assert_true(f->connections > 1);
	f->role = "master";
	run(f, 5000, is_ready);
}

static void test_error_while_preparing_is_retried(void **state)
{
	struct fixture *f = *state;

	f->prepare_error = "-LOADING Redis is loading the dataset in memory\r\n";
	start(f, "redis://127.0.0.1:%d");
	run(f, 2000, is_ready);
	assert_int_equal(f->connections, 2);
}

static void test_refused_connection_is_retried(void **state)
{
	struct fixture *f = *state;

	evconnlistener_disable(f->listener);
	start(f, "redis://127.0.0.1:1"); /* nobody listens there */
	run(f, 200, NULL);
	assert_string_equal(redis_reason(f->redis), "Connection refused");
}

static void test_bad_url(void **state)
{
	struct fixture *f = *state;
	struct redis_options options = {.url = "redis://h:port", .timeout_ms = 1, .calls_max = 1};
	const char *error = NULL;

	assert_null(redis_new(f->base, &options, &error));
	assert_non_null(error);
}

/* ---- replies ---- */

static const char *next_reply;

static void answer_next(struct fixture *f, size_t nth, const redisReply *command)
{
	(void)nth, (void)command;
	say(f, next_reply);
}

static void test_values(void **state)
{
	static const struct {
		const char *wire, *values;
	} cases[] = {
		{"*4\r\n$2\r\nab\r\n:-12\r\n$-1\r\n$0\r\n\r\n", "ab|-12|(nil)|"},
		{"+PONG\r\n", "PONG"},
		{":9223372036854775807\r\n", "9223372036854775807"},
		{"$-1\r\n", "(nil)"},
		{"*0\r\n", ""},
		{"$3\r\nabc\r\n", "abc"},
	};
	struct fixture *f = *state;

	start_ready(f, answer_next);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct call call;

		next_reply = cases[i].wire;
		call = call_alone(f);
		assert_answered(&call, CALL_OK);
		assert_string_equal(call.values, cases[i].values);
	}
	assert_int_equal(f->connections, 1);
}

static void test_errors_are_answers(void **state)
{
	static const struct {
		const char *wire, *error;
	} cases[] = {
		{"-BUSY Redis is busy running a script\r\n", "BUSY Redis is busy running a script"},
		{"-OOM command not allowed\r\n", "OOM command not allowed"},
		{"*2\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n", "unexpected reply"},
		{"*2\r\n$1\r\na\r\n-ERR inside\r\n", "unexpected reply"},
	};
	struct fixture *f = *state;

	start_ready(f, answer_next);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct call call;

		next_reply = cases[i].wire;
		call = call_alone(f);
		assert_answered(&call, CALL_ERROR);
		assert_string_equal(call.error, cases[i].error);
	}
	assert_int_equal(f->connections, 1);
}

static void answer_half(struct fixture *f, size_t nth, const redisReply *command)
{
	(void)nth, (void)command;
	say(f, "*2\r\n$5\r\nhe");
}

static void test_half_reply_waits_for_the_rest(void **state)
{
	struct fixture *f = *state;
	struct call call = {0};

	start_ready(f, answer_half);
	call_start(&call, f, 10000);
	run(f, 50, NULL);
	assert_int_equal(call.steps, 0);
	say(f, "llo\r\n:7");
	run(f, 30, NULL);
	assert_int_equal(call.steps, 0);
	say(f, "\r\n");
	await(f, &call);
	assert_answered(&call, CALL_OK);
	assert_string_equal(call.values, "hello|7");
}

static void answer_noscript(struct fixture *f, size_t nth, const redisReply *command)
{
	size_t last = command->elements - 1;

	assert_int_equal(command->elements, 8);
	assert_string_equal(command->element[2]->str, "2");
	assert_string_equal(command->element[3]->str, "{p1}:bucket");
	assert_int_equal(command->element[6]->len, 0);
	assert_memory_equal(command->element[last]->str, "three\0four", 10);
	if (nth == 0) {
		assert_string_equal(command->element[0]->str, "EVALSHA");
		assert_string_equal(command->element[1]->str, script_texts[0].sha1);
		say(f, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
	} else {
		assert_string_equal(command->element[0]->str, "EVAL");
		assert_string_equal(command->element[1]->str, script_texts[0].text);
		say(f, "$6\r\nhealed\r\n");
	}
}

static void test_noscript_is_healed(void **state)
{
	struct fixture *f = *state;
	struct call call;

	start_ready(f, answer_noscript);
	call = call_alone(f);
	assert_answered(&call, CALL_OK);
	assert_string_equal(call.values, "healed");
	assert_int_equal(f->commands, 2);
	assert_int_equal(f->connections, 1);
}

static void test_noscript_twice_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct call call;

	next_reply = "-NOSCRIPT No matching script. Please use EVAL.\r\n";
	start_ready(f, answer_next);
	call = call_alone(f);
	assert_answered(&call, CALL_ERROR);
	assert_int_equal(f->commands, 2);
}

static void answer_echo(struct fixture *f, size_t nth, const redisReply *command)
{
	char text[128];

	(void)nth;
	snprintf(text, sizeof(text), "$%zu\r\n%s\r\n", command->element[1]->len, command->element[1]->str);
	say(f, text);
}

static void test_plain_command(void **state)
{
	struct fixture *f = *state;
	struct call call = {.f = f};
	struct span words[] = {SPAN("ECHO"), SPAN("hello")};

	start_ready(f, answer_echo);
	job_init(&call.job, clock_monotonic_ms() + 1000, call_end);
	assert_int_equal(redis_command(f->redis, &call.job, 2, words, call_on_done, &call), PARKED);
	assert_int_equal(call.steps, 0);
	await(f, &call);
	assert_answered(&call, CALL_OK);
	assert_string_equal(call.values, "hello");
}

/* "PUT" name value "after": answered with the value's sum, which is another for each byte that is not its own. */
static uint32_t sum_of(const char *bytes, size_t n)
{
	uint32_t sum = 2166136261u;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ (unsigned char)bytes[i]) * 16777619u;
	return sum;
}

static void answer_sum(struct fixture *f, size_t nth, const redisReply *command)
{
	char text[32];

	(void)nth;
	assert_int_equal(command->elements, 4);
	assert_string_equal(command->element[1]->str, "name");
	assert_string_equal(command->element[3]->str, "after");
	snprintf(text, sizeof(text), ":%" PRIu32 "\r\n", sum_of(command->element[2]->str, command->element[2]->len));
	say(f, text);
}

/* Large values, more than a socket takes at once, and small ones leave in their order, whole. */
static void test_large_values(void **state)
{
	static const size_t sizes[CALLS_MAX] = {100, 40 * 1024, 8 << 20, 16 * 1024};
	struct fixture *f = *state;
	struct call calls[CALLS_MAX];
	char sum[16], *bytes = malloc(sizes[2]);

	assert_non_null(bytes);
	for (size_t i = 0; i < sizes[2]; i++)
		bytes[i] = (char)(i * 7 + (i >> 12));
	f->timeout_ms = 30000; /* eight megabytes under sanitizers, on a machine that does other things as well */
	start_ready(f, answer_sum);
	for (size_t i = 0; i < CALLS_MAX; i++) {
		struct span words[] = {SPAN("PUT"), SPAN("name"), {bytes + i, sizes[i] - i}, SPAN("after")};

		calls[i] = (struct call){.f = f};
		job_init(&calls[i].job, clock_monotonic_ms() + 30000, call_end);
		assert_int_equal(redis_command(f->redis, &calls[i].job, 4, words, call_on_done, &calls[i]), PARKED);
	}
	for (size_t i = 0; i < CALLS_MAX; i++) {
		await(f, &calls[i]);
		assert_answered(&calls[i], CALL_OK);
		snprintf(sum, sizeof(sum), "%" PRIu32, sum_of(bytes + i, sizes[i] - i));
		assert_string_equal(calls[i].values, sum);
	}
	free(bytes);
}

/* ---- what goes wrong ---- */

static void answer_and_hang_up(struct fixture *f, size_t nth, const redisReply *command)
{
	(void)command;
	if (nth == 0)
		say_and_hang_up(f, "$5\r\nfirst\r\n*3\r\n$4\r\nha");
}

static void test_close_in_mid_reply(void **state)
{
	struct fixture *f = *state;
	struct call calls[3] = {0}, again = {0};

	start_ready(f, answer_and_hang_up);
	calls[1].then = &again;
	for (size_t i = 0; i < 3; i++)
		call_start(&calls[i], f, 10000);
	run(f, 2000, is_down);
	f->answer = answer_next;
	next_reply = "+OK\r\n";
	run(f, 2000, is_ready);
	assert_answered(&calls[0], CALL_OK);
	assert_answered(&calls[1], CALL_DOWN);
	assert_answered(&calls[2], CALL_DOWN);
	assert_answered(&again, CALL_DOWN);
	assert_int_equal(f->connections, 2);
	calls[0] = call_alone(f);
	assert_answered(&calls[0], CALL_OK);
}

static void test_never_answering(void **state)
{
	struct fixture *f = *state;
	struct call calls[2] = {0};
	int64_t began_ms = clock_monotonic_ms();

	start_ready(f, NULL);
	for (size_t i = 0; i < 2; i++)
		call_start(&calls[i], f, 10000);
	run(f, 2000, is_down);
	run(f, 2000, is_ready);
	assert_true(clock_monotonic_ms() - began_ms >= TIMEOUT_MS);
	assert_answered(&calls[0], CALL_TIMEOUT);
	/* sent a millisecond later it goes with the connection, before its own time is up */
	assert_answered(&calls[1], calls[1].status == CALL_DOWN ? CALL_DOWN : CALL_TIMEOUT);
	assert_int_equal(f->connections, 2);
}

static void test_own_deadline_spares_the_connection(void **state)
{
	struct fixture *f = *state;
	struct call hasty = {0}, patient = {0}, late = {0};

	start_ready(f, NULL);
	call_start(&hasty, f, 20);
	call_start(&patient, f, 10000);
	call_start(&late, f, -1);
	await(f, &hasty);
	assert_answered(&hasty, CALL_TIMEOUT);
	assert_answered(&late, CALL_TIMEOUT);
	assert_int_equal(patient.steps, 0);
	say(f, "$5\r\nhasty\r\n$7\r\npatient\r\n");
	await(f, &patient);
	assert_answered(&hasty, CALL_TIMEOUT);
	assert_answered(&patient, CALL_OK);
	assert_string_equal(patient.values, "patient");
	assert_int_equal(f->connections, 1);
}

static void test_down_is_a_value(void **state)
{
	struct fixture *f = *state;
	struct call call;

	evconnlistener_disable(f->listener);
	start(f, "redis://127.0.0.1:1");
	call = call_alone(f);
	assert_answered(&call, CALL_DOWN);
	assert_true(call.error[0]);
}

static void test_busy(void **state)
{
	struct fixture *f = *state;
	struct call calls[CALLS_MAX + 1] = {0};

	start_ready(f, NULL);
	for (size_t i = 0; i <= CALLS_MAX; i++)
		call_start(&calls[i], f, 10000);
	await(f, &calls[CALLS_MAX]);
	assert_answered(&calls[CALLS_MAX], CALL_BUSY);
	for (size_t i = 0; i < CALLS_MAX; i++) {
		assert_int_equal(calls[i].steps, 0);
		say(f, "+OK\r\n");
	}
	await(f, &calls[CALLS_MAX - 1]);
	for (size_t i = 0; i < CALLS_MAX; i++)
		assert_answered(&calls[i], CALL_OK);
}

static void test_demoted_master(void **state)
{
	struct fixture *f = *state;
	struct call calls[2] = {0};

	next_reply = "-READONLY You can't write against a read only replica.\r\n";
	start_ready(f, answer_next);
	call_start(&calls[0], f, 10000);
	call_start(&calls[1], f, 10000);
	run(f, 2000, is_down);
	assert_non_null(strstr(redis_reason(f->redis), "READONLY"));
	await(f, &calls[1]);
	assert_answered(&calls[0], CALL_DOWN);
	assert_answered(&calls[1], CALL_DOWN);
	run(f, 2000, is_ready);
	assert_int_equal(f->connections, 2);
}

static void test_unasked_reply(void **state)
{
	struct fixture *f = *state;
	struct call call;

	next_reply = "+OK\r\n*1\r\n$5\r\nextra\r\n";
	start_ready(f, answer_next);
	call = call_alone(f);
	assert_answered(&call, CALL_OK);
	run(f, 2000, is_down);
	run(f, 2000, is_ready);
	say(f, "$5\r\nagain\r\n");
	f->down_count = 0;
	run(f, 2000, is_down);
	run(f, 2000, is_ready);
	assert_int_equal(f->connections, 3);
}

static void test_garbage(void **state)
{
	struct fixture *f = *state;
	struct call call;

	next_reply = "HTTP/1.1 400 Bad Request\r\n\r\n";
	start_ready(f, answer_next);
	call = call_alone(f);
	assert_answered(&call, CALL_DOWN);
	assert_int_equal(f->down_count, 1);
}

static void test_free_answers_what_is_outstanding(void **state)
{
	struct fixture *f = *state;
	struct call calls[2] = {0}, again = {0};

	start_ready(f, NULL);
	calls[0].then = &again;
	call_start(&calls[0], f, 10000);
	call_start(&calls[1], f, 10000);
	run(f, 20, NULL);
	redis_free(f->redis);
	f->redis = NULL;
	assert_answered(&calls[0], CALL_DOWN);
	assert_answered(&calls[1], CALL_DOWN);
	assert_answered(&again, CALL_DOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_prepares_in_order),
		TEST(test_replica_is_not_ready),
		TEST(test_error_while_preparing_is_retried),
		TEST(test_refused_connection_is_retried),
		TEST(test_bad_url),
		TEST(test_values),
		TEST(test_errors_are_answers),
		TEST(test_half_reply_waits_for_the_rest),
		TEST(test_noscript_is_healed),
		TEST(test_noscript_twice_is_an_error),
		TEST(test_plain_command),
		TEST(test_large_values),
		TEST(test_close_in_mid_reply),
		TEST(test_never_answering),
		TEST(test_own_deadline_spares_the_connection),
		TEST(test_down_is_a_value),
		TEST(test_busy),
		TEST(test_demoted_master),
		TEST(test_unasked_reply),
		TEST(test_garbage),
		TEST(test_free_answers_what_is_outstanding),
	};

	signal(SIGPIPE, SIG_IGN); /* as the server does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
