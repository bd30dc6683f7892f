/* Any bytes as Redis's answers to scripts and commands: each call ends exactly once, with a
 * value that can be read, whatever was answered, and also when the connection breaks.
 *
 * A scripted server on the same event loop; it says what PREPARING wants to hear, and then
 * gives the input reply by reply. What isn't a whole reply comes last, before it hangs up. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "redis/redis.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLS = 3, TURNS_MAX = 2000 };

struct server {
	struct bufferevent *client;
	redisReader *reader;
	struct span input;
};

struct call {
	struct job job;
	int steps, ends;
};

static struct event_base *base;
static struct server server;
static char path[64], url[80];

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* The first whole reply of the input, cut off it; all of it if there is none. */
static struct span next_reply(void)
{
	redisReader *reader = redisReaderCreate();
	struct span reply = server.input;

	for (size_t i = 0; i < server.input.n; i++) {
		void *parsed = NULL;

		if (redisReaderFeed(reader, server.input.p + i, 1) != REDIS_OK ||
		    redisReaderGetReply(reader, &parsed) != REDIS_OK)
			break;
		if (parsed != NULL) {
			freeReplyObject(parsed);
			reply.n = i + 1;
			break;
		}
	}
	redisReaderFree(reader);
	server.input = (struct span){server.input.p + reply.n, server.input.n - reply.n};
	return reply;
}

static void server_hang_up(void)
{
	if (server.client != NULL)
		bufferevent_free(server.client);
	server.client = NULL;
}

static void server_answer(const redisReply *command)
{
	static const char info[] = "# Replication\r\nrole:master\r\nmaster_replid:0123456789abcdef0123456789abcdef01234567\r\n";
	struct evbuffer *out = bufferevent_get_output(server.client);
	struct span reply;

	if (strcmp(command->element[0]->str, "INFO") == 0) {
		evbuffer_add_printf(out, "$%zu\r\n%s\r\n", sizeof(info) - 1, info);
	} else if (strcmp(command->element[0]->str, "SCRIPT") == 0) {
		for (int i = 0; i < SCRIPT_COUNT; i++)
			if (strcmp(script_texts[i].text, command->element[2]->str) == 0)
				evbuffer_add_printf(out, "$40\r\n%s\r\n", script_texts[i].sha1);
	} else if (strcmp(command->element[0]->str, "SELECT") == 0 || strcmp(command->element[0]->str, "CONFIG") == 0) {
		evbuffer_add_printf(out, "+OK\r\n");
	} else {
		reply = next_reply();
		if (reply.n == 0)
			server_hang_up();
		else
			evbuffer_add(out, reply.p, reply.n);
	}
}

static void server_on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t n = evbuffer_get_length(in);
	void *command = NULL;

	(void)arg;
	must(redisReaderFeed(server.reader, (char *)evbuffer_pullup(in, -1), n) == REDIS_OK);
	evbuffer_drain(in, n);
	while (server.client == bev && redisReaderGetReply(server.reader, &command) == REDIS_OK && command != NULL) {
		server_answer(command);
		freeReplyObject(command);
		command = NULL;
	}
}

static void server_on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)what;
	(void)arg;
	if (bev == server.client)
		server_hang_up();
}

static void server_on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int n,
			     void *arg)
{
	(void)listener;
	(void)address;
	(void)n;
	(void)arg;
	server_hang_up();
	server.client = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(server.client, server_on_read, NULL, server_on_event, NULL);
	bufferevent_enable(server.client, EV_READ | EV_WRITE);
}

static void start(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	log_set_level(LOG_ERROR);
	base = event_base_new();
	snprintf(path, sizeof(path), "/tmp/debrief-fuzz-%d.sock", (int)getpid());
	snprintf(url, sizeof(url), "unix://%s", path);
	memcpy(address.sun_path, path, strlen(path));
	unlink(path);
	must(evconnlistener_new_bind(base, server_on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 16,
				     (struct sockaddr *)&address, sizeof(address)) != NULL);
}

static void remove_socket(void)
{
	unlink(path);
}

static void call_end(struct job *job)
{
	struct call *call = (struct call *)job;

	call->ends++;
	arena_deinit(&job->arena);
}

static enum step on_reply(void *ctx, const struct redis_reply *reply)
{
	struct call *call = ctx;
	size_t sum = 0;

	call->steps++;
	must(reply->status != CALL_OK || reply->n == 0 || reply->v != NULL);
	if (reply->status == CALL_OK)
		for (size_t i = 0; i < reply->n; i++)
			for (size_t j = 0; j < reply->v[i].n; j++)
				sum += (unsigned char)reply->v[i].p[j];
	else
		for (size_t j = 0; j < reply->error.n; j++)
			sum += (unsigned char)reply->error.p[j];
	return sum == SIZE_MAX ? PARKED : DONE;
}

static enum step submit(struct redis *redis, struct call *call, int which)
{
	const struct span words[] = {SPAN("HMGET"), SPAN("k"), SPAN("a"), SPAN("b")};

	job_init(&call->job, clock_monotonic_ms() + 5000, call_end);
	if (which == 1)
		return redis_command(redis, &call->job, 4, words, on_reply, call);
	return redis_script(redis, &call->job, (enum script)(which % SCRIPT_COUNT), 1, words + 1, 1, words + 2,
			    on_reply, call);
}

static bool all_ended(const struct call *calls)
{
	for (int i = 0; i < CALLS; i++)
		if (calls[i].ends == 0)
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct call calls[CALLS] = {0};
	struct redis_options options = {.timeout_ms = 5000, .calls_max = 100};
	const char *error = NULL;
	struct redis *redis;

	if (base == NULL) {
		start();
		atexit(remove_socket);
	}
	options.url = url;
	server.input = (struct span){(const char *)data, size};
	server.reader = redisReaderCreate();
	redis = redis_new(base, &options, &error);
	must(redis != NULL);
	for (int i = 0; i < TURNS_MAX && !redis_ready(redis); i++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	must(redis_ready(redis));
	for (int i = 0; i < CALLS; i++)
		must(submit(redis, &calls[i], i) == PARKED);
	for (int i = 0; i < TURNS_MAX && !all_ended(calls); i++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	redis_free(redis);
	for (int i = 0; i < CALLS; i++)
		must(calls[i].steps == 1 && calls[i].ends == 1);
	server_hang_up();
	redisReaderFree(server.reader);
	event_base_loop(base, EVLOOP_NONBLOCK);
	return 0;
}
