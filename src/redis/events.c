/* hiredis on libevent, with persistent events, and a reader that survives replies which
 * nobody asked for. */
#include <event2/event.h>
#include <stdlib.h>

#include "base/arena.h"
#include "redis/connection.h"

struct redis_events {
	redisAsyncContext *ac;
	struct event *read;
	struct event *write; /* once the socket has taken less than there was */
	struct event *flush; /* at the end of this loop turn, without asking the kernel first */
	bool flushing;
};

static void events_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct redis_events *events = arg;

	(void)fd, (void)what;
	redisAsyncHandleRead(events->ac);
}

static void events_on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct redis_events *events = arg;

	(void)fd, (void)what;
	redisAsyncHandleWrite(events->ac);
}

static void events_add_read(void *arg)
{
	event_add(((struct redis_events *)arg)->read, NULL);
}

static void events_del_read(void *arg)
{
	event_del(((struct redis_events *)arg)->read);
}

/* hiredis says in either case whether something is left, unless the context goes. */
static void events_on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct redis_events *events = arg;

	(void)fd, (void)what;
	events->flushing = true;
	redisAsyncHandleWrite(events->ac);
}

static void events_add_write(void *arg)
{
	struct redis_events *events = arg;

	if (events->flushing || !(events->ac->c.flags & REDIS_CONNECTED))
		event_add(events->write, NULL);
	else if (!event_pending(events->write, EV_WRITE, NULL))
		event_active(events->flush, EV_WRITE, 0);
	events->flushing = false;
}

static void events_del_write(void *arg)
{
	struct redis_events *events = arg;

	events->flushing = false;
	event_del(events->write);
}

static void events_cleanup(void *arg)
{
	struct redis_events *events = arg;

	if (!events)
		return;
	events->ac->ev.data = NULL;
	event_free(events->read);
	event_free(events->write);
	event_free(events->flush);
	free(events);
}

/* hiredis ends the process by assert() on a reply without a command, unless it is an error, and on
 * what is no message where only messages come. Refusing to make the object turns that into an error
 * of the connection. */
static bool waits_for_messages(const redisReadTask *task)
{
	const redisAsyncContext *ac = ((const struct redis_events *)task->privdata)->ac;

	return !ac->replies.head && (ac->c.flags & REDIS_SUBSCRIBED);
}

/* A message is an array of at least three, and begins with its kind and its channel. */
static bool unasked(const redisReadTask *task, int elements)
{
	const struct redis_events *events = task->privdata;

	if (!waits_for_messages(task))
		return !task->parent && task->type != REDIS_REPLY_ERROR && !events->ac->replies.head;
	if (!task->parent)
		return task->type != REDIS_REPLY_ERROR && (task->type != REDIS_REPLY_ARRAY || elements < 3);
	return !task->parent->parent && task->idx < 2 && task->type != REDIS_REPLY_STRING;
}

static bool unknown_kind(const redisReadTask *task, struct span kind)
{
	return waits_for_messages(task) && task->parent && !task->parent->parent && task->idx == 0 &&
	       !span_is(kind, "message") && !span_is(kind, "subscribe");
}

static void *guarded_string(const redisReadTask *task, char *p, size_t n)
{
	if (unasked(task, 0) || unknown_kind(task, (struct span){p, n}))
		return NULL;
	return redis_objects.createString(task, p, n);
}

static void *guarded_array(const redisReadTask *task, int n)
{
	return unasked(task, n) ? NULL : redis_objects.createArray(task, n);
}

static void *guarded_integer(const redisReadTask *task, long long value)
{
	return unasked(task, 0) ? NULL : redis_objects.createInteger(task, value);
}

static void *guarded_nil(const redisReadTask *task)
{
	return unasked(task, 0) ? NULL : redis_objects.createNil(task);
}

static void guarded_free(void *object)
{
	redis_objects.freeObject(object);
}

static redisReplyObjectFunctions guarded = {guarded_string, guarded_array, guarded_integer, guarded_nil, guarded_free};

void redis_events_attach(redisAsyncContext *ac, struct event_base *base)
{
	struct redis_events *events = xcalloc(1, sizeof(*events));

	events->ac = ac;
	events->read = event_new(base, ac->c.fd, EV_READ | EV_PERSIST, events_on_readable, events);
	events->write = event_new(base, ac->c.fd, EV_WRITE | EV_PERSIST, events_on_writable, events);
	events->flush = event_new(base, -1, 0, events_on_flush, events);
	if (!events->read || !events->write || !events->flush)
		out_of_memory();
	ac->ev.data = events;
	ac->ev.addRead = events_add_read;
	ac->ev.delRead = events_del_read;
	ac->ev.addWrite = events_add_write;
	ac->ev.delWrite = events_del_write;
	ac->ev.cleanup = events_cleanup;
	ac->c.reader->fn = &guarded;
	ac->c.reader->privdata = events;
}
