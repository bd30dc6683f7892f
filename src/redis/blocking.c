#include "redis/blocking.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "redis/redis.h"

struct redis_blocking {
	struct event_base *base;
	struct redis *redis;
	int64_t timeout_ms;
	FILE *err;
};

/* One call: a job whose only step notes the reply. */
struct blocking_call {
	struct job job;
	struct redis_blocking *redis;
	struct arena *arena;
	bool ended;
	int count; /* of values; -1: it failed */
	struct span *values;
};

static enum step call_on_reply(void *ctx, const struct redis_reply *reply)
{
	struct blocking_call *call = ctx;

	if (reply->status != CALL_OK) {
		fprintf(call->redis->err, "debrief: redis: %s: %.*s\n", call_status_name(reply->status),
			SPAN_ARG(reply->error));
		call->count = -1;
		return DONE;
	}
	call->count = (int)reply->n;
	call->values = arena_alloc(call->arena, (reply->n + 1) * sizeof(*call->values));
	for (size_t i = 0; i < reply->n; i++)
		call->values[i] = arena_span(call->arena, reply->v[i]);
	return DONE;
}

static void call_end(struct job *job)
{
	((struct blocking_call *)job)->ended = true;
}

static void call_init(struct blocking_call *call, struct redis_blocking *redis, struct arena *arena)
{
	memset(call, 0, sizeof(*call));
	call->redis = redis;
	call->arena = arena;
	job_init(&call->job, clock_monotonic_ms() + redis->timeout_ms, call_end);
}

/* Runs the loop until the call's step has run. */
static int call_wait(struct blocking_call *call, enum step step)
{
	job_run(&call->job, step);
	while (!call->ended)
		event_base_loop(call->redis->base, EVLOOP_ONCE);
	arena_deinit(&call->job.arena);
	return call->count;
}

int redis_blocking_script(struct redis_blocking *redis, struct arena *arena, enum script script,
			  size_t key_count, const struct span *keys, size_t arg_count,
			  const struct span *args, struct span **values)
{
	struct blocking_call call;
	int count;

	call_init(&call, redis, arena);
	count = call_wait(&call, redis_script(redis->redis, &call.job, script, key_count, keys, arg_count,
					      args, call_on_reply, &call));
	*values = call.values;
	return count;
}

bool redis_blocking_command(struct redis_blocking *redis, size_t count, const struct span *words)
{
	struct blocking_call call;
	struct arena arena;
	bool ok;

	arena_init(&arena);
	call_init(&call, redis, &arena);
	ok = call_wait(&call, redis_command(redis->redis, &call.job, count, words, call_on_reply, &call)) >=
	     0;
	arena_deinit(&arena);
	return ok;
}

const char *redis_blocking_replid(const struct redis_blocking *redis)
{
	return redis_replid(redis->redis);
}

static bool wait_ready(struct redis_blocking *redis)
{
	int64_t until_ms = clock_monotonic_ms() + redis->timeout_ms;
	struct timeval soon = {.tv_usec = 20000};

	while (!redis_ready(redis->redis) && clock_monotonic_ms() < until_ms) {
		event_base_loopexit(redis->base, &soon); /* or there may be nothing to wake up for */
		event_base_dispatch(redis->base);
	}
	return redis_ready(redis->redis);
}

struct redis_blocking *redis_blocking_open(const char *url, int64_t timeout_ms, FILE *err)
{
	struct redis_blocking *redis = xcalloc(1, sizeof(*redis));
	struct redis_options options = {.url = url, .timeout_ms = timeout_ms, .calls_max = 16};
	const char *error = "out of resources";

	redis->timeout_ms = timeout_ms;
	redis->err = err;
	redis->base = event_base_new();
	if (redis->base)
		redis->redis = redis_new(redis->base, &options, &error);
	if (!redis->redis)
		fprintf(err, "debrief: redis_url: %s\n", error);
	else if (wait_ready(redis))
		return redis;
	else
		fprintf(err, "debrief: redis: %s\n", redis_reason(redis->redis));
	redis_blocking_close(redis);
	return NULL;
}

void redis_blocking_close(struct redis_blocking *redis)
{
	if (redis->redis)
		redis_free(redis->redis);
	if (redis->base)
		event_base_free(redis->base);
	free(redis);
}
