/* Tracking: hearing of changes of what was read (Redis CLIENT TRACKING, RESP2).
 *
 * A second connection listens on __redis__:invalidate; the worker's first is told to
 * send there what becomes of the keys that redis_command_tracked() reads. On it only
 * when that was seen to work, by a key that was read and then written. A heartbeat
 * through both finds a connection that has died without a word.
 *
 * Whoever remembers what was read must forget all of it when tracking goes off. */
#ifndef DEBRIEF_REDIS_TRACKING_H
#define DEBRIEF_REDIS_TRACKING_H

#include "redis/redis.h"

struct redis_tracking;

struct redis_tracking_options {
	const char *url;     /* as the first connection's */
	struct redis *redis; /* whose reads are tracked; must be freed first */
	void (*changed)(void *arg, bool on, const char *reason);
	/* `key` has changed, or has gone; absent: any of them. It is reported once, until it is read again. */
	void (*invalidated)(void *arg, struct span key);
	void *arg;
};

/* NULL and *error if the URL is wrong; else begins when the first connection is ready. */
struct redis_tracking *redis_tracking_new(struct event_base *base, const struct redis_tracking_options *options,
					  const char **error);
void redis_tracking_free(struct redis_tracking *tracking);

/* To be told of each change of readiness of the first connection: its loss is ours. */
void redis_tracking_on_redis(struct redis_tracking *tracking, bool ready);

bool redis_tracking_on(const struct redis_tracking *tracking);

#endif
