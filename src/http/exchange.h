/* Private to src/http: what stands between evhttp and a request.
 *
 *     evhttp ─▶ on_request ─▶ exchange_start ─▶ http_target_fault, http_routes_match,
 *               http_address_wait ─▶ route->start ─▶ … ─▶ reply_…() ─▶ evhttp
 *
 * The exchange owns evhttp's request from on_request until evhttp_send_reply().
 * While a handler is parked evhttp reads nothing from that connection, so it can
 * neither notice that the peer has gone nor free the request; enabling EV_READ
 * there would make libevent exit(1) on the first pipelined byte. */
#ifndef DEBRIEF_HTTP_EXCHANGE_H
#define DEBRIEF_HTTP_EXCHANGE_H

#include <strings.h>
#include <time.h>

#include "base/throttle.h"
#include "http/connection.h"

enum {
	HTTP_TARGET_MAX = 2048,
	HTTP_HEADERS_MAX = 16 * 1024,
	HTTP_HEADER_TIMEOUT_MS = 10000,
	HTTP_BODY_TIMEOUT_MS = 30000,
	HTTP_SEND_RATE = 64, /* 512 kbit/s */
	HTTP_SEGMENTS_MAX = 8,
	HTTP_PARAMS_MAX = 4
};

struct evhttp;
struct evhttp_bound_socket;
struct evhttp_request;
struct event_base;
struct http_routes;

#define HTTP_EXPOSED_HEADERS "ETag, Retry-After, Preference-Applied, X-Request-Id"

struct http_server {
	struct event_base *base;
	struct evhttp *evhttp;
	struct evhttp_bound_socket *bound; /* NULL once draining */
	struct http_connections connections;
	struct http_routes *routes;
	struct http_server_options options;
	struct inet_network *trusted; /* proxies */
	size_t trusted_count;
	struct throttle *addresses; /* requests of each; NULL: no limit */
	size_t unanswered; /* requests started, no reply given to evhttp */
	size_t unwritten;  /* replies given to evhttp, not yet to the kernel */
	uint64_t id_seed;  /* request ids: this plus a counter, mixed */
	uint64_t id_count;
	time_t date_secs;  /* of the Date header, made once a second */
	char date[48];
};

struct http_param {
	struct span name;
	struct span value; /* raw from http_routes_match(), decoded in an exchange */
};

struct http_match {
	const struct http_route *route; /* NULL: no such path, or not with this method */
	unsigned methods; /* 1 << enum http_method, for all that the path takes; 0: no such path */
	struct http_param params[HTTP_PARAMS_MAX];
	size_t param_count;
};

struct http_exchange {
	struct request req; /* first: its job's end frees the exchange */
	struct http_server *server;
	struct http_connection *connection; /* NULL once answered, or it has gone */
	struct evhttp_request *evreq; /* NULL once answered */
	struct span path, query;      /* raw, of evreq */
	struct http_match match;
	const char *origin; /* the configured origin that the request names, or NULL */
	struct event *watch; /* of the client's leaving, while parked; or NULL */
	struct text head;    /* headers of the reply: head.c */
	bool has_cache_control;
	bool streaming;      /* the reply is under way: stream.c */
	request_left *left;
	void *left_arg;
	struct inet client; /* as limits count it, if `limited` */
	bool limited;       /* it is not a proxy of ours */
	bool forwarded;     /* and one of those has said who it is */
	char request_id[HTTP_REQUEST_ID_MAX + 1];
	char peer[INET_TEXT_SIZE];
};

/* Names of headers are compared without case. Most differ in their first letter. */
static inline bool http_name_is(const char *name, const char *wanted)
{
	return ((name[0] ^ wanted[0]) & ~0x20) == 0 && strcasecmp(name, wanted) == 0;
}

/* Compiled once; NULL if a pattern has too many segments or parameters. */
struct http_routes *http_routes_new(const struct http_route *routes, size_t count);
void http_routes_free(struct http_routes *routes);
/* Path without query. HEAD takes GET's route where it has none of its own. */
void http_routes_match(const struct http_routes *routes, int method, struct span path,
		       struct http_match *match);
unsigned http_routes_methods(const struct http_routes *routes); /* of all routes together */

/* What is wrong with a request target, or NULL; then http_decode() can't fail on its parts. */
const char *http_target_fault(struct span target);
struct span http_decode(struct arena *arena, struct span raw, bool plus_is_space);

void http_take_trace(struct http_exchange *ex); /* trace.c */
/* The first preference of that name in one Prefer header: its value, unquoted, or empty. */
bool http_preference(struct span list, const char *name, struct span *value);

/* What one Accept-Encoding says of `coding` and of "*": thousandths, untouched if it says nothing. */
void http_accept_coding(struct span list, const char *coding, int *quality_named, int *quality_any);

/* head.c. The name and the value hold neither CR nor LF. */
void http_head_add(struct http_exchange *ex, const char *name, const char *value);
void http_head_clear(struct http_exchange *ex);
void http_head_give(struct http_exchange *ex); /* to evhttp, just before it sends */

/* reply.c, for stream.c */
void http_add_common_headers(struct http_exchange *ex);
/* evhttp's request is its own again. */
void http_exchange_answered(struct http_exchange *ex, int status);
/* The connection of a reply under way has gone. */
void http_stream_gone(struct http_exchange *ex);

/* reply_problem() for those who end no step with it. */
void http_send_problem(struct http_exchange *ex, int status, const char *field, const char *detail);
void http_problem_body(struct text *body, int status, const char *field, const char *detail,
		       const char *request_id);
const char *http_status_title(int status);

bool http_request_id_usable(struct span id);
void http_new_request_id(struct http_server *server, char id[HTTP_REQUEST_ID_MAX + 1]);
/* As configured, or NULL. */
const char *http_known_origin(const struct http_server *server, struct span origin);

/* forwarded.c */
void http_trust(struct http_server *server, const struct config_list *networks);
bool http_is_trusted(const struct http_server *server, const struct inet *address);
void http_set_client(struct http_exchange *ex);
/* 0, or how long this client has to wait, in ms. */
int64_t http_address_wait(struct http_exchange *ex);

#endif
