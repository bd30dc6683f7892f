/* The Redis room's inside: the connection's machine (connection.c), the calls on it
 * (call.c, command.c), the connection for invalidations (tracking.c), hiredis on libevent
 * (events.c) and the URL (url.c).
 *
 * Invariant: `sent` holds exactly the calls for which hiredis still owes a callback,
 * in their order, and is empty unless the state is READY. */
#ifndef DEBRIEF_REDIS_CONNECTION_H
#define DEBRIEF_REDIS_CONNECTION_H

#include <hiredis/async.h>
#include <sys/queue.h>

#include "redis/redis.h"

struct event;

enum redis_state {
	REDIS_RESTING,    /* no connection; the timer starts the next try */
	REDIS_CONNECTING, /* the socket is being connected; the timer gives up */
	REDIS_PREPARING,  /* AUTH … SCRIPT LOAD are under way; the timer gives up */
	REDIS_READY,      /* calls are taken; the timer watches their deadlines */
	REDIS_STOPPED     /* redis_free() is under way; nothing is taken any more */
};

struct redis_url {
	char user[128];      /* "" without */
	char password[1024]; /* "" without */
	char host[256];      /* "" for a unix socket; a name is looked up at each connect, which blocks */
	int port;
	char path[108]; /* of the unix socket */
	int64_t db;
};

struct redis_call {
	STAILQ_ENTRY(redis_call) link;
	struct job *job;
	redis_step *next; /* NULL once timed out: answered, but its reply is still to come */
	void *ctx;
	enum call_status status; /* while deferred */
	int64_t sent_ms;
	int64_t deadline_ms;
	const struct script_text *script; /* for which a NOSCRIPT can be healed, or NULL */
	size_t argc;
	const char **argv; /* of a script: copies behind the struct; of a command: gone once sent */
	size_t *argv_len;
};
STAILQ_HEAD(redis_calls, redis_call);

struct redis {
	struct event_base *base;
	struct redis_options options; /* without its url */
	struct redis_url url;
	enum redis_state state;
	unsigned failures; /* since the last READY, for the back-off */
	char reason[256];  /* why not ready; "" when ready */
	char replid[64];
	const char *undurable; /* static text */
	redisAsyncContext *ac; /* NULL when RESTING or STOPPED */
	struct event *timer;
	int64_t timer_at_ms; /* INT64_MAX: not armed */

	struct redis_calls sent;
	size_t sent_count;
	struct redis_calls deferred; /* to be answered in the next loop turn */
	struct event *deferred_event;

	struct span *values; /* of the reply whose step is running */
	size_t values_max;
	char *digits; /* text of its integers */
	size_t digits_max;
	char *command; /* the last that was sent, as it was formatted */
	size_t command_size;
};

/* connection.c. Breaks the connection, if any: all calls get CALL_DOWN, deferred. */
void redis_break(struct redis *redis, const char *reason);
/* Makes the timer fire at_ms (monotonic), if that is earlier than what it is armed for. */
void redis_arm(struct redis *redis, int64_t at_ms);
/* How long to wait after so many failures: growing, jittered. */
int64_t redis_backoff_ms(unsigned failures);
/* A context on its way to the server, hooked to the loop; NULL or one with `err` set if that failed at
 * once. Disconnecting from inside it calls on_disconnect. */
redisAsyncContext *redis_open(struct event_base *base, const struct redis_url *url, void *data,
			      redisConnectCallback *on_connect, redisDisconnectCallback *on_disconnect);
void redis_set_socket_options(redisAsyncContext *ac, const struct redis_url *url);
/* An error that speaks of the server's state, not of the call: LOADING, READONLY … */
bool redis_error_breaks(const redisReply *reply);

/* command.c. False if the connection is going. What the words point to isn't needed any more then. */
bool redis_send_command(struct redis *redis, struct redis_call *call, redisCallbackFn *on_reply)
	__attribute__((warn_unused_result));

/* call.c */
void redis_defer_sent(struct redis *redis);   /* all that was sent gets CALL_DOWN, deferred */
void redis_expire_calls(struct redis *redis); /* answers what is past its deadline */
void redis_run_deferred(struct redis *redis);

/* events.c. Hooks a new context to the loop. */
void redis_events_attach(redisAsyncContext *ac, struct event_base *base);
/* objects.c. In place of hiredis's own, on one thread. */
extern const redisReplyObjectFunctions redis_objects;

/* url.c. False and *error, a static text, if the URL is wrong. */
bool redis_url_parse(const char *text, struct redis_url *url, const char **error)
	__attribute__((warn_unused_result));

#endif
