/* What this worker knows of sessions: one entry for each (user, sid) that was asked for, with the reply
 * to a poll made ready.
 *
 * Nobody's entry can be found with another user's id. An entry is `fresh` only while Redis has promised
 * to report a change of its user's bucket (redis/tracking.h) and hasn't. The number of entries is
 * bounded; those that somebody holds (`holds`) stay. */
#ifndef DEBRIEF_BROKER_SESSION_CACHE_H
#define DEBRIEF_BROKER_SESSION_CACHE_H

#include <sys/queue.h>

#include "base/uuid.h"
#include "broker/agent_lag.h"
#include "broker/view.h"

enum session_answer {
	SESSION_UNREAD,     /* nothing was read yet */
	SESSION_FOUND,      /* the reply is ready */
	SESSION_NONE,       /* the ledger knows no such session of this user */
	SESSION_UNAVAILABLE /* no store could be asked */
};

struct waiter;
struct session_user;

struct session_entry {
	enum session_answer answer;
	bool fresh;
	bool reading;      /* a read is under way; what is stored then is stored only if nothing overtook it: */
	bool overtaken;    /* the bucket changed, or tracking was lost, since that read began */
	bool looked_at;    /* since the clock's hand last came by */
	bool queued;       /* to be read again, for those who wait (session_wait.c) */
	unsigned holds;
	uint64_t reads;    /* that have begun */
	int64_t read_ms;   /* monotonic; when the last one ended */
	/* SESSION_FOUND */
	bool final;
	int64_t turns_ms;  /* as poll_view */
	int64_t ended_ms;  /* as poll_view */
	bool linked;       /* its interview is here */
	struct agent_lag_ref lag; /* of its agent */
	char etag[ETAG_SIZE];
	char *body;
	size_t body_len;
	/* SESSION_UNAVAILABLE */
	const char *store; /* which, a static text */
	/* those who wait for it (session_wait.c) */
	TAILQ_HEAD(, waiter) waiters;
	unsigned hasty;    /* of them, those who want what the next read finds */
	TAILQ_ENTRY(session_entry) queue;
	/* private to session_cache.c */
	TAILQ_ENTRY(session_entry) age;
	LIST_ENTRY(session_entry) of_user;
	struct session_entry *next;
	struct session_user *user;
	uint64_t slot;
	size_t sid_len;
	char sid[];
};

struct session_cache;

/* `stale` is called for each held entry that was fresh or being read and isn't fresh any more. It must not
 * let go of entries. */
struct session_cache *session_cache_new(size_t entries_max, void (*stale)(void *arg, struct session_entry *entry),
					void *arg);
void session_cache_free(struct session_cache *cache); /* no entry may be held */

/* NULL if there is none. */
struct session_entry *session_cache_find(struct session_cache *cache, const struct uuid *user, struct span sid);
/* Makes one if there is none. It stays at least until it was held and let go. */
struct session_entry *session_cache_get(struct session_cache *cache, const struct uuid *user, struct span sid);
void session_entry_hold(struct session_entry *entry);
void session_entry_let_go(struct session_cache *cache, struct session_entry *entry);

/* The user's bucket has changed. */
void session_cache_user_changed(struct session_cache *cache, struct span user);
/* Anything may have changed. */
void session_cache_forget(struct session_cache *cache);

const char *session_entry_user(const struct session_entry *entry);
/* Whether the entry may be shown as it is: fresh, and no deadline of it has passed. */
bool session_entry_holds_good(const struct session_entry *entry, int64_t wall_ms);
void session_entry_set_view(struct session_entry *entry, const struct poll_view *view);

size_t session_cache_count(const struct session_cache *cache);

#endif
