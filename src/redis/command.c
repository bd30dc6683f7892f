/* Commands as they go out: formatted here, queued by hiredis. A large value goes out at once, from where it is:
 * on hiredis's way it would be copied three times. */
#include <hiredis/sds.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "redis/connection.h"

enum {
	LARGE_MIN = 16 * 1024,
	LENGTH_MAX = SPAN_DIGITS_MAX + 3 /* of "$…\r\n" */
};

static char *put(char *at, const char *bytes, size_t n)
{
	return n > 0 ? (char *)memcpy(at, bytes, n) + n : at;
}

/* "$12\r\n" */
static char *put_length(char *at, char kind, size_t length)
{
	struct span digits = SPAN_DIGITS((int64_t)length);

	*at++ = kind;
	at = put(at, digits.p, digits.n);
	return put(at, "\r\n", 2);
}

static char *put_words(char *at, const struct redis_call *call, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		at = put_length(at, '$', call->argv_len[i]);
		at = put(at, call->argv[i], call->argv_len[i]);
		at = put(at, "\r\n", 2);
	}
	return at;
}

/* The first large word, or argc. */
static size_t find_large(const struct redis_call *call)
{
	size_t i = 0;

	while (i < call->argc && call->argv_len[i] < LARGE_MIN)
		i++;
	return i;
}

/* Room for all words but the large one. */
static char *command_room(struct redis *redis, const struct redis_call *call, size_t large)
{
	size_t size = (call->argc + 1) * (LENGTH_MAX + 2) + 1;

	for (size_t i = 0; i < call->argc; i++)
		size += i == large ? 0 : call->argv_len[i];
	if (size > redis->command_size) {
		free(redis->command);
		redis->command = xmalloc(size);
		redis->command_size = size;
	}
	return redis->command;
}

static void queue(redisContext *context, const char *bytes, size_t n)
{
	context->obuf = sdscatlen(context->obuf, bytes, n);
	if (!context->obuf)
		out_of_memory();
}

/* Writes what is queued, the value and what is behind it; queues what the socket doesn't take, which may be
 * all: an error shows again when that is written. */
static void write_through(redisContext *context, const char *value, size_t value_n, const char *rest, size_t rest_n)
{
	size_t queued = sdslen(context->obuf), n;
	struct iovec parts[] = {{context->obuf, queued}, {(char *)value, value_n}, {(char *)rest, rest_n}};
	ssize_t written = writev(context->fd, parts, 3);

	n = written > 0 ? (size_t)written : 0;
	if (n < queued)
		sdsrange(context->obuf, (ssize_t)n, -1);
	else
		sdsclear(context->obuf);
	n = n > queued ? n - queued : 0;
	if (n < value_n)
		queue(context, value + n, value_n - n);
	n = n > value_n ? n - value_n : 0;
	if (n < rest_n)
		queue(context, rest + n, rest_n - n);
}

bool redis_send_command(struct redis *redis, struct redis_call *call, redisCallbackFn *on_reply)
{
	size_t large = find_large(call);
	char *start = command_room(redis, call, large), *end, *rest;

	end = put_words(put_length(start, '*', call->argc), call, 0, large);
	if (large < call->argc)
		end = put_length(end, '$', call->argv_len[large]);
	*end = '\0'; /* hiredis looks there for another word */
	if (redisAsyncFormattedCommand(redis->ac, on_reply, call, start, (size_t)(end - start)) != REDIS_OK)
		return false;
	if (large == call->argc)
		return true;
	rest = end;
	end = put_words(put(rest, "\r\n", 2), call, large + 1, call->argc);
	write_through(&redis->ac->c, call->argv[large], call->argv_len[large], rest, (size_t)(end - rest));
	return true;
}
