/* A request and its reply.
 *
 * A handler is started with a request and ends it with exactly one reply_…(),
 * at once or some steps later; `job` is what it parks with. The request, its body
 * and its headers are valid until that reply. Replies return DONE, so that they
 * can end a step; each carries X-Request-Id and, for a known origin, CORS headers. */
#ifndef DEBRIEF_HTTP_REQUEST_H
#define DEBRIEF_HTTP_REQUEST_H

#include "base/blob.h"
#include "base/job.h"
#include "base/text.h"
#include "base/trace.h"
#include "base/throttle.h"

struct request {
	struct job job; /* first: a job of a request is a request */
	/* below: set by http before start; the handler reads */
	int method;             /* enum http_method */
	const char *route;      /* the pattern that matched, for logs and metrics */
	size_t route_at;        /* its place in the table; SIZE_MAX: none matched */
	const char *request_id; /* ours, or the client's X-Request-Id if it is [A-Za-z0-9._-]{1,64} */
	struct trace trace;     /* of the client's traceparent; empty without a valid one */
	struct span body;       /* contiguous; empty if there is none */
	int64_t started_us;     /* monotonic */
	int status;             /* of the reply; 0 before it */
	/* set by caller_of(), for reply_unauthorized() */
	int denied;             /* enum auth_result */
	int64_t wait_ms;        /* it asks too much: how long it has to wait; 0: that's not why */
	/* set by handlers, for the log line */
	const char *user;
	const char *session;
	const char *conversation;
	const char *evidence;   /* of the link of those two */
	const char *note;       /* why: error, result */
	int event;              /* enum metric_event, of a webhook */
	bool held;              /* the reply was held back on purpose, so its duration tells nothing */
	struct http_exchange *exchange; /* private to src/http */
};

static inline struct request *request_of(struct job *job) { return (struct request *)job; }

void *request_app(const struct request *req);

/* Header value without surrounding white space; absent if there is none. Of
 * repeated ones the first. Names are compared without case. */
struct span request_header(const struct request *req, const char *name);
/* Decoded path segment of the route's ":name"; absent if the route has none. */
struct span request_param(const struct request *req, const char *name);
/* Decoded query parameter (RFC 3986; "+" is a space); absent if there is none. */
struct span request_query(const struct request *req, const char *name);
/* Whether the client takes a content coding ("gzip") and likes it no less than none. */
bool request_accepts_coding(const struct request *req, const char *coding);
/* Value of a preference (RFC 7240: Prefer), the first if there are several; empty if it has none; absent if
 * it isn't given. */
struct span request_preference(const struct request *req, const char *name);
/* Path of the target, as it was sent. */
struct span request_path(const struct request *req);
/* Whether a list of Accept or Accept-Encoding names the item (in lower case) with a weight above
 * 0 (RFC 9110, 12.5). Wildcards don't count. */
bool request_accepts(const struct request *req, const char *header, const char *item);
/* "203.0.113.7", the peer of the connection. */
const char *request_peer(const struct request *req);
/* The client as limits by address count it: the peer, or what a trusted proxy says of it.
 * False for a trusted proxy's own requests, which no such limit holds for. */
bool request_client(const struct request *req, struct throttle_key *key);
/* The same in words, as a trusted proxy said it; NULL if none did. */
const char *request_forwarded(const struct request *req);

/* While a request is parked nobody reads from its connection. `left` is called once if the client closes
 * it meanwhile, or its sending half; the request is still to be answered. NULL: no more. */
typedef void request_left(struct request *req, void *arg);
void request_watch(struct request *req, request_left *left, void *arg);

/* A reply in pieces (200), begun once and ended once, the latter also when request_watch() has told that
 * the client left. False: the client has gone, or doesn't read what it is sent; then end it. */
void stream_start(struct request *req, const char *content_type);
bool stream_send(struct request *req, struct span data);
STEP stream_end(struct request *req);

/* Adds a header to the reply to come. Both are copied. CR and LF in a value end it. */
void reply_header(struct request *req, const char *name, const char *value);
void reply_headerf(struct request *req, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Content-Type application/json; copies the body. */
STEP reply_json(struct request *req, int status, struct span body);
/* Any other type; copies the body. */
STEP reply_body(struct request *req, int status, const char *content_type, struct span body);
/* 200 with the first `size` bytes of a file, which go to the socket without passing through our memory.
 * Takes the descriptor. If the file has become shorter, the connection ends early. */
STEP reply_descriptor(struct request *req, const char *content_type, int fd, size_t size);
/* Sends the blob itself: it must not change any more. */
STEP reply_blob(struct request *req, int status, const char *content_type, struct blob *body);
/* No body: 204, 304. */
STEP reply_empty(struct request *req, int status);

/* application/problem+json (RFC 9457): type "about:blank", title from the status, detail
 * from the format, requestId, and `field` (the offending one) unless NULL. Sets
 * req->note to the detail if it is not set. */
STEP reply_problem(struct request *req, int status, const char *field, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* 429 with Retry-After, for whoever has to wait that long. */
STEP reply_too_many(struct request *req, int64_t wait_ms, const char *detail);

/* Replies 200 with `body` and ETag `etag` (with its quotes), or 304 if If-None-Match
 * holds it or "*" (RFC 9110, 13.1.2: lists, weak comparison). */
STEP reply_json_etag(struct request *req, struct span body, const char *etag);
bool request_has_etag(const struct request *req, const char *etag);

#endif
