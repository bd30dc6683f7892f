/* Sessions as this worker shows them: the cache of them, reading one (session_read.c), and those who
 * wait for one (session_wait.c).
 *
 * All who ask for the same session at once share a read: who comes while one is under way is answered
 * from the next, so that nobody is told what was so before they asked. A change that Redis reports is
 * read at once if somebody waits for it; while changes can't be heard of, what somebody waits for is
 * read again and again, at a bounded rate. */
#ifndef DEBRIEF_BROKER_SESSIONS_H
#define DEBRIEF_BROKER_SESSIONS_H

#include "broker/session_cache.h"
#include "broker/worker.h"

struct event;

enum waiter_kind { WAITER_POLL, WAITER_STREAM, WAITER_KINDS };

struct sessions {
	struct worker *worker;
	struct session_cache *cache;
	size_t reading;          /* reads under way */
	struct event *queue_timer;
	TAILQ_HEAD(, session_entry) queue; /* waited for and not fresh: the longest unread first */
	TAILQ_HEAD(, waiter) waiters;
	size_t waiter_count;
	int64_t parked[WAITER_KINDS]; /* of them, those who are not hasty */
	bool draining;
	bool stopped; /* nothing is read any more */
};

enum waiter_call {
	WAITER_READ, /* its entry was read since it came, or is fresh */
	WAITER_TIME, /* its time has come */
	WAITER_LEFT, /* its client has gone, or will send nothing more */
	WAITER_STOP  /* the worker ends */
};

/* A parked request. `look` answers it, and calls waiter_leave() for that, or lets it wait on. */
struct waiter {
	struct request *req;
	enum step (*look)(struct waiter *waiter, enum waiter_call call);
	enum waiter_kind kind;
	/* private to session_wait.c */
	struct sessions *sessions;
	struct session_entry *entry;
	uint64_t after;   /* reads that had begun when it came */
	bool hasty;
	struct event *timer;
	TAILQ_ENTRY(waiter) of_entry, of_all;
};

struct sessions *sessions_new(struct worker *worker);
void sessions_free(struct sessions *sessions); /* after sessions_stop() and the stores */

/* From redis/tracking.h. */
void sessions_on_tracking(struct sessions *sessions, bool on);
void sessions_on_changed(struct sessions *sessions, struct span key);
/* The configuration has changed, from which deadlines are computed. */
void sessions_forget(struct sessions *sessions);
/* Those who wait are answered, spread over `spread_ms`, so that they don't come back all at once. */
void sessions_drain(struct sessions *sessions, int64_t spread_ms);
void sessions_stop(struct sessions *sessions);

/* Parks `req` at the entry. A hasty one wants what the next read finds, and starts it. */
void waiter_park(struct waiter *waiter, struct sessions *sessions, struct session_entry *entry, struct request *req,
		 bool hasty, enum step (*look)(struct waiter *waiter, enum waiter_call call));
void waiter_set_hasty(struct waiter *waiter, bool hasty);
/* WAITER_TIME then; it may be set again. */
void waiter_set_time(struct waiter *waiter, int64_t at_ms);
/* After the reply was made of the entry, which may be gone then. */
void waiter_leave(struct waiter *waiter);

/* session_read.c. Starts a read; there must be none under way. */
void session_read(struct sessions *sessions, struct session_entry *entry);
/* session_wait.c. Tells those who wait; `again`: it has changed meanwhile. */
void sessions_on_read(struct sessions *sessions, struct session_entry *entry, bool again);

#endif
