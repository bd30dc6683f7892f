/* Calls: submit → sent → reply → step; what can't be sent is answered in the next loop turn. */
#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/pool.h"
#include "redis/connection.h"

static struct redis_call *call_new(struct job *job, redis_step *next, void *ctx, size_t argc, size_t bytes)
{
	size_t words = argc * (sizeof(char *) + sizeof(size_t));
	struct redis_call *call = pool_alloc(sizeof(*call) + words + bytes);

	*call = (struct redis_call){.job = job, .next = next, .ctx = ctx, .argc = argc};
	call->argv = (const char **)(call + 1);
	call->argv_len = (size_t *)(call->argv + argc);
	return call;
}

/* Answers in the next loop turn, never from inside the submitting call. */
static void call_defer(struct redis *redis, struct job *job, redis_step *next, void *ctx,
		       enum call_status status)
{
	struct redis_call *call = call_new(job, next, ctx, 0, 0);
	struct timeval now = {0, 0};

	call->status = status;
	STAILQ_INSERT_TAIL(&redis->deferred, call, link);
	event_add(redis->deferred_event, &now);
}

void redis_defer_sent(struct redis *redis)
{
	struct redis_call *call;

	while ((call = STAILQ_FIRST(&redis->sent))) {
		STAILQ_REMOVE_HEAD(&redis->sent, link);
		if (call->next)
			call_defer(redis, call->job, call->next, call->ctx, CALL_DOWN);
		pool_free(call);
	}
	redis->sent_count = 0;
}

static struct span deferred_text(const struct redis *redis, enum call_status status)
{
	switch (status) {
	case CALL_TIMEOUT:
		return SPAN("no answer in time");
	case CALL_BUSY:
		return SPAN("too many calls are outstanding");
	default:
		return redis->reason[0] ? span_of(redis->reason) : SPAN("the connection was lost");
	}
}

/* Answers what is deferred now; what the steps defer anew waits for the next turn. */
void redis_run_deferred(struct redis *redis)
{
	struct redis_calls calls = STAILQ_HEAD_INITIALIZER(calls);
	struct redis_call *call;

	STAILQ_CONCAT(&calls, &redis->deferred);
	while ((call = STAILQ_FIRST(&calls))) {
		struct redis_reply reply = {.status = call->status,
					    .error = deferred_text(redis, call->status)};
		struct job *job = call->job;
		enum step step;

		STAILQ_REMOVE_HEAD(&calls, link);
		step = call->next(call->ctx, &reply);
		pool_free(call);
		job_run(job, step);
	}
}

static int64_t call_deadline(const struct redis *redis, const struct job *job, int64_t now_ms)
{
	int64_t deadline_ms = now_ms + redis->options.timeout_ms;

	return job->deadline_ms < deadline_ms ? job->deadline_ms : deadline_ms;
}

/* CALL_OK if a call of this job may be sent now. */
static enum call_status call_refusal(const struct redis *redis, const struct job *job)
{
	int64_t now_ms = clock_monotonic_ms();

	if (redis->state != REDIS_READY)
		return CALL_DOWN;
	if (redis->sent_count >= redis->options.calls_max)
		return CALL_BUSY;
	return call_deadline(redis, job, now_ms) <= now_ms ? CALL_TIMEOUT : CALL_OK;
}

/* Flattens a reply into spans over it. False if it is none that a script of ours sends. */
static bool reply_flatten(struct redis *redis, redisReply *reply, struct redis_reply *flat)
{
	bool array = reply->type == REDIS_REPLY_ARRAY;
	size_t n = array ? reply->elements : 1;

	if (n > redis->values_max) {
		redis->values = xrealloc(redis->values, n * sizeof(*redis->values));
		redis->digits = xrealloc(redis->digits, n * SPAN_DIGITS_MAX);
		redis->values_max = n;
	}
	for (size_t i = 0; i < n; i++) {
		const redisReply *element = array ? reply->element[i] : reply;

		switch (element->type) {
		case REDIS_REPLY_STRING:
		case REDIS_REPLY_STATUS:
			redis->values[i] = (struct span){element->str, element->len};
			break;
		case REDIS_REPLY_INTEGER:
			redis->values[i] = span_digits(element->integer, redis->digits + i * SPAN_DIGITS_MAX);
			break;
		case REDIS_REPLY_NIL:
			redis->values[i] = SPAN_ABSENT;
			break;
		default:
			return false;
		}
	}
	*flat = (struct redis_reply){.status = CALL_OK, .n = n, .v = redis->values};
	return true;
}

static bool call_send(struct redis *redis, struct redis_call *call);

/* Redis has lost the script: EVAL carries its text and loads it again. */
static bool call_heal(struct redis *redis, struct redis_call *call, const redisReply *reply)
{
	struct span text = {reply->str, reply->len};

	if (!call->script || !call->next || reply->type != REDIS_REPLY_ERROR ||
	    !span_starts_with(text, SPAN("NOSCRIPT ")))
		return false;
	call->argv[0] = "EVAL";
	call->argv_len[0] = strlen("EVAL");
	call->argv[1] = call->script->text;
	call->argv_len[1] = strlen(call->script->text);
	call->script = NULL;
	if (!call_send(redis, call)) {
		call_defer(redis, call->job, call->next, call->ctx, CALL_DOWN);
		pool_free(call);
	}
	return true;
}

static void call_on_reply(redisAsyncContext *ac, void *r, void *privdata)
{
	struct redis *redis = ac->data;
	struct redis_call *call = privdata;
	redisReply *reply = r;
	struct redis_reply flat = {.status = CALL_ERROR};
	struct job *job;
	enum step step;

	if (!reply)
		return; /* the context is going; redis_defer_sent() answers, and `call` may be freed */
	if (redis_error_breaks(reply)) {
		redis_break(redis, reply->str);
		return;
	}
	STAILQ_REMOVE_HEAD(&redis->sent, link);
	redis->sent_count--;
	if (call_heal(redis, call, reply))
		return;
	if (!call->next) {
		pool_free(call);
		return;
	}
	if (reply->type == REDIS_REPLY_ERROR)
		flat.error = (struct span){reply->str, reply->len};
	else if (!reply_flatten(redis, reply, &flat))
		flat.error = SPAN("unexpected reply");
	job = call->job;
	step = call->next(call->ctx, &flat);
	pool_free(call);
	job_run(job, step);
}

static bool call_send(struct redis *redis, struct redis_call *call)
{
	call->sent_ms = clock_monotonic_ms();
	if (!redis_send_command(redis, call, call_on_reply))
		return false;
	STAILQ_INSERT_TAIL(&redis->sent, call, link);
	redis->sent_count++;
	redis_arm(redis, call->deadline_ms);
	return true;
}

static enum step call_submit(struct redis *redis, struct redis_call *call)
{
	call->deadline_ms = call_deadline(redis, call->job, clock_monotonic_ms());
	if (!call_send(redis, call)) {
		call_defer(redis, call->job, call->next, call->ctx, CALL_DOWN);
		pool_free(call);
	}
	return PARKED;
}

/* A call past its own deadline is answered, and its reply awaited without it; only when
 * the oldest has had timeout_ms is the server taken for stuck: replies come in order. */
void redis_expire_calls(struct redis *redis)
{
	int64_t now_ms = clock_monotonic_ms();
	int64_t wake_ms = INT64_MAX;
	struct redis_call *call;

	STAILQ_FOREACH(call, &redis->sent, link)
	{
		if (!call->next)
			continue;
		if (call->deadline_ms <= now_ms) {
			call_defer(redis, call->job, call->next, call->ctx, CALL_TIMEOUT);
			call->next = NULL;
		} else if (call->deadline_ms < wake_ms) {
			wake_ms = call->deadline_ms;
		}
	}
	call = STAILQ_FIRST(&redis->sent);
	if (!call)
		return;
	if (call->sent_ms + redis->options.timeout_ms <= now_ms) {
		redis_break(redis, "the server doesn't answer");
		return;
	}
	if (call->sent_ms + redis->options.timeout_ms < wake_ms)
		wake_ms = call->sent_ms + redis->options.timeout_ms;
	redis_arm(redis, wake_ms);
}

static size_t spans_bytes(const struct span *spans, size_t count)
{
	size_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += spans[i].n;
	return bytes;
}

/* Makes argv point at the words: absent ones are empty, for Redis has no absent argument. */
static size_t call_set_words(struct redis_call *call, size_t at, const struct span *words, size_t count)
{
	for (size_t i = 0; i < count; i++, at++) {
		call->argv[at] = words[i].p ? words[i].p : "";
		call->argv_len[at] = words[i].n;
	}
	return at;
}

enum step redis_script(struct redis *redis, struct job *job, enum script script, size_t key_count,
		       const struct span *keys, size_t arg_count, const struct span *args, redis_step *next,
		       void *ctx)
{
	enum call_status refusal = call_refusal(redis, job);
	size_t argc = 3 + key_count + arg_count;
	struct span keys_digits = SPAN_DIGITS((int64_t)key_count);
	size_t bytes = keys_digits.n + spans_bytes(keys, key_count) + spans_bytes(args, arg_count);
	struct redis_call *call;
	char *copy;

	if (refusal != CALL_OK) {
		call_defer(redis, job, next, ctx, refusal);
		return PARKED;
	}
	call = call_new(job, next, ctx, argc, bytes);
	call->script = &script_texts[script];
	copy = (char *)(call->argv_len + argc);
	call_set_words(call, 0, (const struct span[]){SPAN("EVALSHA"), span_of(call->script->sha1), keys_digits}, 3);
	call_set_words(call, call_set_words(call, 3, keys, key_count), args, arg_count);
	for (size_t i = 2; i < argc; i++) {
		memcpy(copy, call->argv[i], call->argv_len[i]);
		call->argv[i] = copy;
		copy += call->argv_len[i];
	}
	return call_submit(redis, call);
}

enum step redis_command(struct redis *redis, struct job *job, size_t count, const struct span *words,
			redis_step *next, void *ctx)
{
	enum call_status refusal = call_refusal(redis, job);
	struct redis_call *call;

	if (refusal != CALL_OK) {
		call_defer(redis, job, next, ctx, refusal);
		return PARKED;
	}
	call = call_new(job, next, ctx, count, 0);
	call_set_words(call, 0, words, count);
	return call_submit(redis, call);
}

void redis_command_before(struct redis *redis, struct job *job, size_t count, const struct span *words)
{
	struct redis_call *call;

	if (call_refusal(redis, job) != CALL_OK)
		return;
	call = call_new(job, NULL, NULL, count, 0);
	call_set_words(call, 0, words, count);
	call->deadline_ms = INT64_MAX;
	if (!call_send(redis, call))
		pool_free(call);
}

enum step redis_command_tracked(struct redis *redis, struct job *job, size_t count, const struct span *words,
				redis_step *next, void *ctx)
{
	static const struct span caching[] = {SPAN("CLIENT"), SPAN("CACHING"), SPAN("YES")};

	/* it holds for the next command of the connection */
	redis_command_before(redis, job, 3, caching);
	return redis_command(redis, job, count, words, next, ctx);
}
