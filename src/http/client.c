/* The client: one request on an event base of its own. */
#include "http/client.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <strings.h>

enum { REPLY_MAX = 1024 * 1024 };

struct call {
	struct event_base *base;
	struct text *reply;
	int status;
	const char *error; /* why there is no status */
};

static void call_on_error(enum evhttp_request_error error, void *arg)
{
	struct call *call = arg;

	switch (error) {
	case EVREQ_HTTP_TIMEOUT: call->error = "no reply in time"; break;
	case EVREQ_HTTP_EOF: call->error = "the server closed the connection without a reply"; break;
	case EVREQ_HTTP_DATA_TOO_LONG: call->error = "the reply is too long"; break;
	default: call->error = "the reply is not HTTP"; break;
	}
}

/* Without a connection evhttp gives a request with no status; after an error, none. */
static void call_on_reply(struct evhttp_request *evreq, void *arg)
{
	struct call *call = arg;

	if (evreq != NULL)
		call->status = evhttp_request_get_response_code(evreq);
	if (call->status != 0) {
		struct evbuffer *input = evhttp_request_get_input_buffer(evreq);
		size_t n = evbuffer_get_length(input);
		const char *body = n ? (const char *)evbuffer_pullup(input, -1) : NULL;

		if (body != NULL)
			text_add(call->reply, (struct span){body, n});
	} else if (call->error == NULL) {
		call->error = "could not connect";
	}
	event_base_loopbreak(call->base);
}

static struct evhttp_connection *connection_new(struct event_base *base, const struct evhttp_uri *uri,
						int timeout_secs)
{
	const char *host = evhttp_uri_get_host(uri);
	int port = evhttp_uri_get_port(uri);
	struct evhttp_connection *connection;
	char name[256];

	/* An IPv6 address stands in brackets in a URL only. */
	if (host[0] == '[')
		snprintf(name, sizeof(name), "%.*s", (int)strlen(host) - 2, host + 1);
	else
		snprintf(name, sizeof(name), "%s", host);
	connection = evhttp_connection_base_new(base, NULL, name, port > 0 ? (uint16_t)port : 80);
	if (connection != NULL) {
		evhttp_connection_set_timeout(connection, timeout_secs);
		evhttp_connection_set_max_body_size(connection, REPLY_MAX);
	}
	return connection;
}

static struct evhttp_request *request_new(struct call *call, const struct evhttp_uri *uri, struct span body)
{
	struct evhttp_request *evreq = evhttp_request_new(call_on_reply, call);
	int port = evhttp_uri_get_port(uri);
	struct evkeyvalq *headers;
	char host[300];

	if (evreq == NULL)
		return NULL;
	headers = evhttp_request_get_output_headers(evreq);
	snprintf(host, sizeof(host), port > 0 ? "%s:%d" : "%s", evhttp_uri_get_host(uri), port);
	evhttp_request_set_error_cb(evreq, call_on_error);
	evhttp_add_header(headers, "Host", host);
	evhttp_add_header(headers, "Connection", "close");
	if (body.p != NULL) {
		evhttp_add_header(headers, "Content-Type", "application/json");
		evbuffer_add(evhttp_request_get_output_buffer(evreq), body.p, body.n);
	}
	return evreq;
}

static const char *uri_fault(const struct evhttp_uri *uri)
{
	const char *scheme = uri ? evhttp_uri_get_scheme(uri) : NULL;
	const char *host = uri ? evhttp_uri_get_host(uri) : NULL;

	if (scheme != NULL && strcasecmp(scheme, "https") == 0)
		return "https is not supported; use http";
	if (scheme == NULL || strcasecmp(scheme, "http") != 0 || host == NULL || host[0] == '\0')
		return "not an http:// URL";
	if (evhttp_uri_get_userinfo(uri) != NULL)
		return "a user name in the URL is not supported";
	return NULL;
}

/* A request without a body is a GET. The request belongs to the connection as soon as it is made. */
static int call_run(struct call *call, const struct evhttp_uri *uri, const char *header_name,
		    const char *header_value, struct span body, int timeout_secs)
{
	struct evhttp_connection *connection = connection_new(call->base, uri, timeout_secs);
	struct evhttp_request *evreq = request_new(call, uri, body);
	const struct timeval timeout = {timeout_secs, 0};
	const char *path = evhttp_uri_get_path(uri), *query = evhttp_uri_get_query(uri);
	struct text target;

	if (connection == NULL || evreq == NULL) {
		call->error = "out of memory";
		if (evreq != NULL)
			evhttp_request_free(evreq);
	} else {
		if (header_name != NULL)
			evhttp_add_header(evhttp_request_get_output_headers(evreq), header_name,
					  header_value);
		text_init(&target, call->reply->arena, 64);
		text_addf(&target, "%s%s%s", path && *path ? path : "/", query ? "?" : "",
			  query ? query : "");
		if (evhttp_make_request(connection, evreq, body.p ? EVHTTP_REQ_POST : EVHTTP_REQ_GET, target.p) != 0)
			call->error = "could not connect";
		else if (call->status == 0 && call->error == NULL) {
			event_base_loopexit(call->base, &timeout);
			event_base_dispatch(call->base);
		}
	}
	if (connection != NULL)
		evhttp_connection_free(connection);
	return call->status;
}

static int call_url(const char *url, const char *header_name, const char *header_value, struct span body,
		    int timeout_secs, struct text *reply, const char **error)
{
	struct call call = {.reply = reply};
	struct evhttp_uri *uri = evhttp_uri_parse(url);

	*error = uri_fault(uri);
	if (*error == NULL) {
		call.base = event_base_new();
		if (call.base == NULL) {
			*error = "out of memory";
		} else {
			if (call_run(&call, uri, header_name, header_value, body, timeout_secs) == 0)
				*error = call.error ? call.error : "no reply in time";
			event_base_free(call.base);
		}
	}
	if (uri != NULL)
		evhttp_uri_free(uri);
	return call.status;
}

int http_post_json(const char *url, const char *header_name, const char *header_value, struct span body,
		   int timeout_secs, struct text *reply, const char **error)
{
	return call_url(url, header_name, header_value, body.p ? body : SPAN(""), timeout_secs, reply, error);
}

int http_get(const char *url, int timeout_secs, struct text *reply, const char **error)
{
	return call_url(url, NULL, NULL, SPAN_ABSENT, timeout_secs, reply, error);
}
