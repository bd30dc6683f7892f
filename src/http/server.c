/* The server: evhttp's settings, and the start and end of each request. */
#include "http/exchange.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"

#define PREFLIGHT_HEADERS "Authorization, Content-Type, If-None-Match, Prefer, Last-Event-ID, traceparent"
#define PREFLIGHT_MAX_AGE "7200"

enum {
	ALL_METHODS = 0xffff, /* unknown ones too: it is us who refuse them, in our words */
	BODY_SLACK = 64 * 1024,
};

static const char *const method_names[HTTP_METHODS] = {
	[HTTP_GET] = "GET",       [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",       [HTTP_PUT] = "PUT",
	[HTTP_DELETE] = "DELETE", [HTTP_PATCH] = "PATCH", [HTTP_OPTIONS] = "OPTIONS",
};

/* HTTP_METHODS for those that no route can have. */
static int method_of(struct evhttp_request *evreq)
{
	switch (evhttp_request_get_command(evreq)) {
	case EVHTTP_REQ_GET: return HTTP_GET;
	case EVHTTP_REQ_HEAD: return HTTP_HEAD;
	case EVHTTP_REQ_POST: return HTTP_POST;
	case EVHTTP_REQ_PUT: return HTTP_PUT;
	case EVHTTP_REQ_DELETE: return HTTP_DELETE;
	case EVHTTP_REQ_PATCH: return HTTP_PATCH;
	case EVHTTP_REQ_OPTIONS: return HTTP_OPTIONS;
	default: return HTTP_METHODS;
	}
}

/* "GET, HEAD, OPTIONS" */
static const char *method_list(struct arena *arena, unsigned methods)
{
	struct text list;

	text_init(&list, arena, 48);
	for (int method = 0; method < HTTP_METHODS; method++)
		if (methods & 1u << method)
			text_addf(&list, "%s%s", list.n ? ", " : "", method_names[method]);
	return list.n ? list.p : "";
}

bool http_request_id_usable(struct span id)
{
	if (id.n == 0 || id.n > HTTP_REQUEST_ID_MAX)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		char c = id.p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		      c == '.' || c == '_' || c == '-'))
			return false;
	}
	return true;
}

/* splitmix64: a bijection, so a server's own ids never repeat. */
static uint64_t next_id(struct http_server *server)
{
	uint64_t x = server->id_seed + ++server->id_count * 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void http_new_request_id(struct http_server *server, char id[HTTP_REQUEST_ID_MAX + 1])
{
	uint64_t number = next_id(server);

	for (int i = 0; i < 16; i++, number >>= 4)
		id[i] = "0123456789abcdef"[number & 15];
	id[16] = '\0';
}

static void set_request_id(struct http_exchange *ex)
{
	struct span given = request_header(&ex->req, "X-Request-Id");

	if (http_request_id_usable(given))
		memcpy(ex->request_id, given.p, given.n);
	else
		http_new_request_id(ex->server, ex->request_id);
	ex->req.request_id = ex->request_id;
}

const char *http_known_origin(const struct http_server *server, struct span origin)
{
	const struct config_list *origins = server->options.cors_origins;

	for (size_t i = 0; origins != NULL && i < origins->count; i++)
		if (span_is(origin, origins->items[i]))
			return origins->items[i];
	return NULL;
}

static void set_origin(struct http_exchange *ex)
{
	const struct config_list *origins = ex->server->options.cors_origins;

	if (origins != NULL && origins->count > 0)
		ex->origin = http_known_origin(ex->server, request_header(&ex->req, "Origin"));
}

static void set_connection(struct http_exchange *ex)
{
	ex->connection = http_connection_of(ex->server, ex->evreq);
	if (ex->connection == NULL)
		return;
	http_connection_begin(ex->connection, ex);
	memcpy(ex->peer, ex->connection->peer, sizeof(ex->peer));
	http_set_client(ex);
}

static void exchange_end(struct job *job)
{
	struct http_exchange *ex = request_of(job)->exchange;

	if (ex->evreq != NULL) {
		log_event(LOG_ERROR, "request_without_reply", "route=%s request_id=%s", ex->req.route,
			  ex->req.request_id);
		http_send_problem(ex, 500, NULL, "the request ended without a reply");
	}
	arena_deinit(&job->arena);
	pool_free(ex);
}

static struct http_exchange *exchange_new(struct http_server *server, struct evhttp_request *evreq)
{
	struct http_exchange *ex = pool_zalloc(sizeof(*ex));
	int64_t now_us = clock_monotonic_us();

	job_init(&ex->req.job, now_us / 1000 + server->options.request_timeout_ms, exchange_end);
	ex->server = server;
	ex->evreq = evreq;
	ex->req.exchange = ex;
	ex->req.method = method_of(evreq);
	ex->req.route = "-";
	ex->req.route_at = SIZE_MAX;
	ex->req.body = SPAN("");
	ex->req.started_us = now_us;
	set_request_id(ex);
	set_connection(ex);
	set_origin(ex);
	http_take_trace(ex);
	server->unanswered++;
	return ex;
}

static bool is_preflight(const struct request *req)
{
	return req->method == HTTP_OPTIONS && request_header(req, "Origin").p != NULL &&
	       request_header(req, "Access-Control-Request-Method").p != NULL;
}

/* A preflight needs no authentication and tells a stranger nothing (Fetch standard, 4.9). */
static enum step answer_options(struct http_exchange *ex)
{
	struct request *req = &ex->req;
	struct arena *arena = &req->job.arena;
	unsigned methods = ex->match.methods;

	if (is_preflight(req)) {
		if (ex->origin == NULL)
			return reply_empty(req, 204);
		if (methods == 0)
			methods = http_routes_methods(ex->server->routes);
		reply_header(req, "Access-Control-Allow-Methods", method_list(arena, methods));
		reply_header(req, "Access-Control-Allow-Headers", PREFLIGHT_HEADERS);
		reply_header(req, "Access-Control-Max-Age", PREFLIGHT_MAX_AGE);
		return reply_empty(req, 204);
	}
	if (methods == 0)
		return reply_problem(req, 404, NULL, "there is nothing at this path");
	reply_header(req, "Allow", method_list(arena, methods | 1u << HTTP_OPTIONS));
	return reply_empty(req, 204);
}

/* Starts the handler of the matched route. */
static enum step exchange_route(struct http_exchange *ex)
{
	const struct http_route *route = ex->match.route;
	struct evbuffer *input = evhttp_request_get_input_buffer(ex->evreq);
	size_t body_len = evbuffer_get_length(input);
	size_t body_max = route->body_max;
	struct request *req = &ex->req;

	if (body_max > ex->server->options.body_max)
		body_max = ex->server->options.body_max;
	req->route = route->pattern;
	req->route_at = (size_t)(route - ex->server->options.routes);
	for (size_t i = 0; i < ex->match.param_count; i++)
		ex->match.params[i].value = http_decode(&req->job.arena, ex->match.params[i].value, false);
	if (route->body_max > 0 && body_len > 0) {
		if (body_len > body_max)
			return reply_problem(req, 413, NULL,
					     "the body has %zu bytes, more than the limit of %zu", body_len,
					     body_max);
		req->body = http_take_body(ex->connection, input);
		if (req->body.p == NULL)
			return reply_problem(req, 503, NULL, "out of memory");
	}
	return route->start(req);
}

static enum step exchange_start(struct http_exchange *ex)
{
	struct span target = span_of(evhttp_request_get_uri(ex->evreq));
	struct request *req = &ex->req;
	const char *fault;
	int64_t wait_ms;

	if (target.n > HTTP_TARGET_MAX)
		return reply_problem(req, 414, NULL, "the request target has more than %d bytes",
				     HTTP_TARGET_MAX);
	fault = http_target_fault(target);
	if (fault != NULL)
		return reply_problem(req, 400, NULL, "%s", fault);
	ex->query = target;
	ex->path = span_cut(&ex->query, '?');

	http_routes_match(ex->server->routes, req->method, ex->path, &ex->match);
	wait_ms = span_is(ex->path, ex->server->options.signed_path) ? 0 : http_address_wait(ex);
	if (wait_ms > 0)
		return reply_too_many(req, wait_ms, "this address sends too many requests");
	if (ex->match.methods == 0 && ex->server->options.fallback != NULL && !is_preflight(req))
		return ex->server->options.fallback(req);
	if (req->method == HTTP_OPTIONS)
		return answer_options(ex);
	if (ex->match.methods == 0)
		return reply_problem(req, 404, NULL, "there is nothing at this path");
	if (ex->match.route == NULL) {
		reply_header(req, "Allow",
			     method_list(&req->job.arena, ex->match.methods | 1u << HTTP_OPTIONS));
		return reply_problem(req, 405, NULL, "this path does not take this method");
	}
	return exchange_route(ex);
}

static void server_on_request(struct evhttp_request *evreq, void *arg)
{
	struct http_exchange *ex = exchange_new(arg, evreq);
	enum step step = exchange_start(ex);

	if (step == PARKED && ex->connection != NULL && ex->watch == NULL)
		http_connection_stay(ex->connection);
	job_run(&ex->req.job, step);
}

/* Out of descriptors, mostly. Trying again at once would only burn the processor; the
 * next sweep over the connections does it. */
static void server_on_accept_error(struct evconnlistener *listener, void *arg)
{
	(void)arg; /* evhttp's, not ours */
	log_event(LOG_WARN, "accept_failed", "error=%s", LOG_TEXT(span_of(strerror(EVUTIL_SOCKET_ERROR()))));
	evconnlistener_disable(listener);
}

static void set_defaults(struct http_server_options *options)
{
	if (options->header_max == 0)
		options->header_max = HTTP_HEADERS_MAX;
	if (options->header_timeout_ms == 0)
		options->header_timeout_ms = HTTP_HEADER_TIMEOUT_MS;
	if (options->body_timeout_ms == 0)
		options->body_timeout_ms = HTTP_BODY_TIMEOUT_MS;
	if (options->send_rate == 0)
		options->send_rate = HTTP_SEND_RATE;
	if (options->connections_max == 0)
		options->connections_max = SIZE_MAX;
	if (options->buffered_max == 0)
		options->buffered_max = SIZE_MAX;
}

/* evhttp's own limits lie beyond the scanner's, which refuses in our words; and its
 * timeouts are of one read or write, which says nothing of a request. */
static bool server_start(struct http_server *server, struct event_base *base, int fd)
{
	const struct http_server_options *options = &server->options;

	server->base = base;
	server->evhttp = evhttp_new(base);
	server->routes = http_routes_new(options->routes, options->route_count);
	if (server->evhttp == NULL || server->routes == NULL || !http_connections_start(server))
		return false;
	if (getrandom(&server->id_seed, sizeof(server->id_seed), 0) != sizeof(server->id_seed))
		return false;
	if (options->trusted_proxies != NULL)
		http_trust(server, options->trusted_proxies);
	if (options->address_rate > 0)
		server->addresses = throttle_new(options->address_rate, options->address_burst);
	evhttp_set_allowed_methods(server->evhttp, ALL_METHODS);
	evhttp_set_default_content_type(server->evhttp, NULL);
	evhttp_set_max_headers_size(server->evhttp, (ev_ssize_t)options->header_max);
	evhttp_set_max_body_size(server->evhttp, (ev_ssize_t)(options->body_max + BODY_SLACK));
	evhttp_set_gencb(server->evhttp, server_on_request, server);
	server->bound = evhttp_accept_socket_with_handle(server->evhttp, fd);
	if (server->bound == NULL)
		return false;
	evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(server->bound), server_on_accept_error);
	return true;
}

struct http_server *http_server_new(struct event_base *base, int fd,
				    const struct http_server_options *options)
{
	struct http_server *server = xcalloc(1, sizeof(*server));

	server->options = *options;
	set_defaults(&server->options);
	if (!server_start(server, base, fd)) {
		if (server->bound == NULL)
			close(fd);
		http_server_free(server);
		return NULL;
	}
	return server;
}

void http_server_set_cors_origins(struct http_server *server, const struct config_list *origins)
{
	server->options.cors_origins = origins;
}

void http_server_drain(struct http_server *server)
{
	if (server->bound == NULL)
		return;
	evhttp_del_accept_socket(server->evhttp, server->bound); /* closes the socket */
	server->bound = NULL;
}

size_t http_server_pending(const struct http_server *server)
{
	return server->unanswered + server->unwritten;
}

size_t http_server_connections(const struct http_server *server)
{
	return server->connections.count;
}

size_t http_server_held_bytes(const struct http_server *server)
{
	return server->connections.held;
}

void http_server_free(struct http_server *server)
{
	if (server == NULL)
		return;
	http_connections_stop(server);
	if (server->evhttp != NULL)
		evhttp_free(server->evhttp);
	http_connections_end(server);
	throttle_free(server->addresses);
	free(server->trusted);
	http_routes_free(server->routes);
	free(server);
}
