/* HTTP server: the only room that knows evhttp.
 *
 * One server per worker thread and one for the admin listener; a server belongs
 * to its event base's thread. Routes are a table given by the room above. */
#ifndef DEBRIEF_HTTP_SERVER_H
#define DEBRIEF_HTTP_SERVER_H

#include "base/config.h"
#include "http/request.h"

struct event_base;
struct http_server;

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_PATCH, HTTP_OPTIONS, HTTP_METHODS };

/* Patterns are matched segment by segment; ":name" takes one segment, decoded
 * (RFC 3986, 2.1), and is read with request_param(). First match wins. */
struct http_route {
	enum http_method method;
	const char *pattern;
	enum step (*start)(struct request *req);
	size_t body_max; /* larger bodies get 413; 0: no body is read by it */
};

/* A request that was answered before evhttp had it. */
struct http_refusal {
	int status;
	int retry_secs;         /* 0: no Retry-After */
	const char *field;      /* or NULL */
	const char *detail;     /* static text */
	const char *request_id;
	const char *peer;
};

struct http_server_options {
	const struct http_route *routes; /* lives as long as the server */
	size_t route_count;
	/* Starts requests of any method for paths that no route has; NULL: they get 404. */
	enum step (*fallback)(struct request *req);
	const struct config_list *cors_origins; /* exact origins; NULL: no CORS */
	size_t body_max;                 /* for all routes */
	int64_t request_timeout_ms;      /* becomes the job's deadline */
	void *app;                       /* for request_app() */
	void (*answered)(struct request *req); /* once a request, after its reply: for the log; or NULL */
	void (*refused)(void *app, const struct http_refusal *refusal); /* the same; or NULL */

	/* Limits. 0 or NULL: none, unless it says otherwise. */
	size_t header_max;          /* request line and headers; 0: 16 KiB */
	int64_t header_timeout_ms;  /* from the accept, or a later head's first byte, to its end; 0: 10 s */
	int64_t body_timeout_ms;    /* from there to the end of the body; 0: 30 s. Also for the reply, */
	int64_t send_rate;          /* and longer for one of many bytes: by this many a ms; 0: 64 */
	size_t connections_max;
	size_t connections_per_address_max; /* trusted proxies apart */
	size_t buffered_max;        /* bytes of requests under way: beyond, large bodies get 503 */
	int64_t address_rate;       /* requests a second of one address, */
	int64_t address_burst;      /* and at once; the signed path and trusted proxies apart */
	const struct config_list *trusted_proxies; /* CIDRs: whose X-Forwarded-For counts */

	/* Bodies over unsigned_body_max are read only at signed_path (no pattern), and only with
	 * a header signature_name of which signature_fault() gives NULL: asked at the head's
	 * end, before any of the body is read. */
	size_t unsigned_body_max;
	const char *signed_path;
	const char *signature_name;
	const char *(*signature_fault)(void *app, struct span value); /* static text; absent: no header */
};

/* Lets libevent allocate from the pool (base/pool.h): before anything of it is made. */
void http_use_pool(void);

/* A listening socket for "host:port" or "[v6]:port" (port 0: any): non-blocking,
 * close-on-exec, TCP_NODELAY, SO_REUSEADDR, backlog 4096; with `shared` also
 * SO_REUSEPORT, so that each worker has its own. -1 and *error (static text or
 * strerror's) on failure. */
int http_listen(const char *address, bool shared, const char **error) __attribute__((warn_unused_result));

/* Fails if another process listens there: asked once before sockets are shared,
 * because SO_REUSEPORT would join it silently. */
bool http_address_is_free(const char *address, const char **error) __attribute__((warn_unused_result));

/* "127.0.0.1:8080" as bound, into a buffer of the caller's. */
void http_listen_name(int fd, char *buffer, size_t size);

/* Takes the listening socket. NULL on failure. */
struct http_server *http_server_new(struct event_base *base, int fd, const struct http_server_options *options);

/* For requests from now on. The list and its strings live until the server is freed. */
void http_server_set_cors_origins(struct http_server *server, const struct config_list *origins);
/* Stops accepting; requests under way go on and their connections close after them. */
void http_server_drain(struct http_server *server);
/* Requests that were started and whose replies the kernel has not got yet. */
size_t http_server_pending(const struct http_server *server);
size_t http_server_connections(const struct http_server *server);
size_t http_server_held_bytes(const struct http_server *server); /* of requests that are not answered yet */
/* Closes every connection. Requires http_server_pending() == 0. */
void http_server_free(struct http_server *server);

#endif
