/* Private to src/http: connections, from accept to close.
 *
 *     accept ─▶ bevcb ─▶ adopt (peer, caps) ─▶ on_input: scan ─▶ evhttp ─▶ exchange ─▶ written ─┐
 *                                                  │ fault          ▲                         │
 *                                                  └─▶ http_refuse  └─────────────────────────┘
 *
 * evhttp has no hooks for any of this: the bufferevent is ours (evhttp_set_bevcb), its
 * input buffer tells us of bytes before evhttp sees them, and the callbacks' argument
 * that evhttp gives the bufferevent is its connection. Its connection's close callback
 * is ours alone: it is the only word of the end. Deadlines are compared in one sweep
 * over all connections, four times a second, so that the usual request sets no timer. */
#ifndef DEBRIEF_HTTP_CONNECTION_H
#define DEBRIEF_HTTP_CONNECTION_H

#include <sys/queue.h>

#include "base/inet.h"
#include "base/tally.h"
#include "http/scan.h"
#include "http/server.h"

enum {
	CONNECTION_SWEEP_MS = 250,
	CONNECTION_IDLE_MS = 30000,     /* between two requests */
	CONNECTION_FULL_IDLE_MS = 1000, /* the same when no place is left */
	CONNECTION_LINGER_MS = 5000,    /* how long a refused client may go on sending */
	HTTP_REQUEST_ID_MAX = 64
};

struct bufferevent;
struct evbuffer;
struct evbuffer_cb_info;
struct evhttp_connection;
struct evhttp_request;
struct http_exchange;

enum connection_phase {
	CONNECTION_IDLE,    /* nothing of the next request has come */
	CONNECTION_HEAD,    /* at first too: a new client owes us a head */
	CONNECTION_BODY,
	CONNECTION_BUSY,    /* a handler has the request; no deadline but its own */
	CONNECTION_WRITING, /* evhttp has the reply, the kernel not yet all of it */
	CONNECTION_REFUSED  /* http_refuse() has taken it away from evhttp */
};

struct http_connection {
	LIST_ENTRY(http_connection) next;
	struct http_server *server;
	struct bufferevent *bev;         /* evhttp's, as long as this lives */
	struct evhttp_connection *evcon; /* NULL until it is adopted */
	struct http_exchange *exchange;  /* while BUSY */
	enum connection_phase phase;
	int64_t deadline_ms; /* of the phase; 0: none */
	struct scan scan;
	uint32_t scanned; /* messages that the scanner has seen whole */
	uint32_t started; /* requests that evhttp has given us */
	size_t held;      /* bytes of requests that are not answered yet */
	bool reading;     /* more than libevent would */
	char *body;       /* whose end has come in one piece and is in the input buffer, or NULL: room for all of it */
	size_t body_before; /* bytes of it that came before, and are still to be put in front */
	int fd;
	struct event *stay;  /* reads nothing, and spares epoll the socket's coming and going; NULL before the first */
	bool stay_settles;   /* what it is told next may be of the request that is under way */
	struct inet client; /* the peer, as limits count it */
	bool counted;       /* in the server's tally of addresses */
	bool trusted;       /* a proxy of ours */
	bool forwarded;     /* a request had an X-Forwarded-For */
	/* the head under way, for http_refuse() */
	bool signed_path, has_signature;
	const char *signature_fault;
	const char *origin;
	char request_id[HTTP_REQUEST_ID_MAX + 1];
	char peer[INET_TEXT_SIZE];
};

LIST_HEAD(http_connection_list, http_connection);

/* All of a server. */
struct http_connections {
	struct http_connection_list list, newcomers; /* adopted, and not yet */
	struct http_connection **by_fd;
	size_t by_fd_count;
	size_t count;
	size_t held;            /* bytes of requests that are not answered yet */
	int64_t now_ms;         /* of the last sweep: deadlines need no better */
	struct tally addresses; /* connections of each, trusted proxies apart */
	struct event *on_newcomers, *on_sweep;
};

bool http_connections_start(struct http_server *server) __attribute__((warn_unused_result));
void http_connections_stop(struct http_server *server); /* before evhttp_free() */
void http_connections_end(struct http_server *server);  /* behind it */

struct http_connection *http_connection_of(const struct http_server *server, struct evhttp_request *evreq);
void http_connection_begin(struct http_connection *connection, struct http_exchange *ex);
/* park.c. A handler has parked: the socket stays in epoll, as long as its client sends nothing. */
void http_connection_stay(struct http_connection *connection);
/* Whether what came behind the request being answered can't be read. */
bool http_connection_must_close(const struct http_connection *connection);
void http_connection_answered(struct http_connection *connection, struct evhttp_request *evreq);
/* Whether the kernel has all that evhttp has written so far. */
bool http_connection_is_flushed(const struct http_connection *connection);
/* Writes what evhttp has of a reply, as much as goes. Only if nothing was there before it. */
void http_connection_write(struct http_connection *connection);
void http_connection_close(struct http_connection *connection); /* frees it */
/* `kept` bytes are still held, the rest no more. */
void http_connection_release(struct http_connection *connection, size_t kept);

void http_connection_phase(struct http_connection *connection, enum connection_phase phase, int64_t limit_ms);
/* A request that has not come whole in one read has a deadline of its own. */
void http_time_reading(struct http_connection *connection);

/* input.c: callbacks of the scanner and of the input buffer; `arg` is the connection. */
scan_part_cb http_on_part;
void http_on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg);
/* All of a request's input buffer in one piece, which lives as long as that. Absent: out of memory. */
struct span http_take_body(struct http_connection *connection, struct evbuffer *input);

/* Answers in evhttp's place, reads on for a moment so that the answer arrives, closes.
 * `retry_secs` 0: no Retry-After. Only while no request is with a handler. */
void http_refuse(struct http_connection *connection, int status, int retry_secs, const char *field,
		 const char *detail);
/* Of a connection too many: one write, and its end. */
void http_refuse_at_once(struct http_connection *connection, int status, int retry_secs, const char *detail);

#endif
