/* Redis: one asynchronous connection per worker, and calls that are steps. (A second one, tracking.h,
 * hears what has changed.)
 *
 * The connection is an explicit machine: RESTING → CONNECTING → PREPARING (AUTH,
 * SELECT, INFO, SCRIPT LOAD) → READY; any failure → RESTING, with growing, jittered
 * delays. All calls of one loop turn leave in one write, at its end; large values at once. The only room that knows
 * hiredis. */
#ifndef DEBRIEF_REDIS_REDIS_H
#define DEBRIEF_REDIS_REDIS_H

#include "base/job.h"
#include "lua/scripts.h"

struct event_base;
struct redis;

struct redis_options {
	const char *url;       /* redis://[user[:password]@]host[:port][/db] or unix:///path */
	int64_t timeout_ms;    /* of a call without an earlier deadline */
	size_t calls_max;      /* outstanding; past them CALL_BUSY */
	/* told of each change of readiness, with the reason; or NULL */
	void (*changed)(void *arg, bool ready, const char *reason);
	void *arg;
};

/* A reply: all our scripts answer with flat arrays of strings. Valid during the step. */
struct redis_reply {
	enum call_status status;
	struct span error;      /* CALL_ERROR: "BUSY …", "OOM …"; else the reason, such as CALL_DOWN's "READONLY …" */
	size_t n;               /* CALL_OK: number of values; a plain reply is one, nil is one absent */
	const struct span *v;
};
typedef enum step redis_step(void *ctx, const struct redis_reply *reply);

/* NULL and *error if the URL is wrong; else connects by itself, for good. */
struct redis *redis_new(struct event_base *base, const struct redis_options *options, const char **error);
/* Outstanding calls get CALL_DOWN first. */
void redis_free(struct redis *redis);

bool redis_url_check(const char *url, const char **error) __attribute__((warn_unused_result));
bool redis_ready(const struct redis *redis);
const char *redis_reason(const struct redis *redis); /* why it isn't ready; "" when it is */
/* master_replid as read when this connection became ready: the generation of its data. */
const char *redis_replid(const struct redis *redis);
/* "" if what it answers survives its own death: it appends to a file and evicts nothing (as
 * read when this connection became ready); else why not. */
const char *redis_undurable(const struct redis *redis);

/* Parks `job` until the script has answered; `next` gets `ctx`. Keys and args are
 * copied. A NOSCRIPT is healed here. */
STEP redis_script(struct redis *redis, struct job *job, enum script script, size_t key_count,
		  const struct span *keys, size_t arg_count, const struct span *args, redis_step *next, void *ctx);
STEP redis_command(struct redis *redis, struct job *job, size_t count, const struct span *words, redis_step *next,
		   void *ctx);
/* Sends a command in front of the one that the same turn sends next. Nobody hears what comes of it. */
void redis_command_before(struct redis *redis, struct job *job, size_t count, const struct span *words);
/* As redis_command(); while tracking is on (tracking.h), a change of the keys that it reads is reported. */
STEP redis_command_tracked(struct redis *redis, struct job *job, size_t count, const struct span *words,
			   redis_step *next, void *ctx);

#endif
