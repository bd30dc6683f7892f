/* A worker: one thread, one event base, and everything that a request may use on it.
 *
 * Workers share nothing but the configuration, which is read-only, and counters. */
#ifndef DEBRIEF_BROKER_WORKER_H
#define DEBRIEF_BROKER_WORKER_H

#include "auth/token_cache.h"
#include "base/config.h"
#include "base/metrics.h"
#include "broker/limits.h"
#include "http/request.h"
#include "postgres/postgres.h"
#include "redis/redis.h"
#include "redis/tracking.h"

struct event_base;
struct http_server;
struct sessions;
struct result_cache;
struct agent_lags;
struct survey;
struct sweeper;
struct journal_size;
struct admin;

enum { WORKER_LEDGER_WRITERS_MAX = 16 };

/* STOPPED: its loop doesn't run, yet or any more; BUSY: it does; IDLE: it has nothing left, and waits for the others to end. */
enum worker_phase { WORKER_STOPPED, WORKER_BUSY, WORKER_IDLE };

struct worker {
	int index;
	const struct config *config;  /* of the moment; a reload puts another in its place */
	struct auth_keys *keys;
	struct token_cache *tokens;
	struct limits *limits;        /* as the options were at the start */
	struct event_base *base;
	struct http_server *http;
	struct redis *redis;
	struct redis_tracking *tracking;
	struct sessions *sessions;
	struct result_cache *results;
	struct agent_lags *lags;
	struct postgres *ledger_reader;
	struct postgres *ledger_writers[WORKER_LEDGER_WRITERS_MAX];
	size_t ledger_writer_count, ledger_turn;
	struct sweeper *sweeper;      /* of the first worker only; else NULL */
	struct journal_size *journal; /* the node's: shared by its workers */
	struct survey *survey;        /* likewise */
	struct admin *admin;          /* set before it starts: all workers */
	struct metrics metrics;
	/* for /readyz, on any thread */
	_Atomic bool redis_up, ledger_up;
	_Atomic bool was_up;          /* both stores have been, at one time */
	_Atomic(const char *) journal_trouble; /* "" if the journal may stand in for the ledger; static text */
	_Atomic int64_t beat_ms;      /* monotonic: when its loop last turned, to the second */
	_Atomic enum worker_phase phase;
	bool draining;
	uint64_t polls_logged;        /* one poll line in log_sample is written */
	struct worker_control *control; /* private to worker.c */
};

/* Takes the listening socket; `journal` stays the node's. NULL and *error if something can't be set up. */
struct worker *worker_new(int index, const struct config *config, struct journal_size *journal, int listen_fd,
			  const char **error);
bool worker_start(struct worker *worker);                        /* starts its thread */

/* The keys that a configuration names; as auth_keys_load(). */
struct auth_keys *worker_load_keys(const struct config *config, char *error, size_t error_size);

/* From any thread; taken up in the worker's own loop. */
void worker_reload(struct worker *worker, const struct config *config);
void worker_drain(struct worker *worker);                        /* stop accepting, finish, return */
void worker_join(struct worker *worker);
void worker_free(struct worker *worker);                         /* after worker_join() */

static inline struct worker *worker_of(const struct request *req) { return request_app(req); }

/* The rules of linking as parameters of statements: the match window in ms, and whether a claim may
 * own a conversation. */
int64_t worker_window_ms(const struct worker *worker);
const char *worker_window_param(const struct worker *worker, struct arena *arena);
const char *worker_claim_unowned_param(const struct worker *worker);

/* The connection for a write: the first whose next batch has room, and soon. What comes together goes together: a large batch
 * costs less for each than two small ones, and a second backend helps only with what the first can't take. */
struct postgres *worker_ledger_writer(struct worker *worker);

/* Known to be away, or silent for longer than an answer may wait for it: no use asking. */
bool worker_ledger_is_away(const struct worker *worker);
/* Until when a read of the ledger may wait (monotonic): not at all behind others that have come to nothing. */
int64_t worker_read_until_ms(const struct worker *worker);

#endif
