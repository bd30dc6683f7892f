/* Replies: the one place where a request leaves us. */
#include "http/exchange.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

const char *http_status_title(int status)
{
	switch (status) {
	case 200: return "OK";
	case 201: return "Created";
	case 202: return "Accepted";
	case 204: return "No Content";
	case 304: return "Not Modified";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 406: return "Not Acceptable";
	case 408: return "Request Timeout";
	case 409: return "Conflict";
	case 410: return "Gone";
	case 412: return "Precondition Failed";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 415: return "Unsupported Media Type";
	case 422: return "Unprocessable Content";
	case 417: return "Expectation Failed";
	case 429: return "Too Many Requests";
	case 431: return "Request Header Fields Too Large";
	case 500: return "Internal Server Error";
	case 501: return "Not Implemented";
	case 502: return "Bad Gateway";
	case 503: return "Service Unavailable";
	case 504: return "Gateway Timeout";
	default: return "Status";
	}
}

static char *format_text(struct arena *arena, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
static char *format_text(struct arena *arena, const char *format, va_list args)
{
	va_list again;
	char *text;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	text = arena_alloc(arena, n < 0 ? 1 : (size_t)n + 1);
	if (n > 0)
		vsnprintf(text, (size_t)n + 1, format, args);
	return text;
}

void reply_header(struct request *req, const char *name, const char *value)
{
	struct http_exchange *ex = req->exchange;
	size_t n = strcspn(value, "\r\n");

	if (ex->evreq == NULL)
		return;
	if (value[n] != '\0')
		value = arena_strdup(&req->job.arena, (struct span){value, n});
	http_head_add(ex, name, value);
}

void reply_headerf(struct request *req, const char *name, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reply_header(req, name, format_text(&req->job.arena, format, args));
	va_end(args);
}

void http_add_common_headers(struct http_exchange *ex)
{
	http_head_add(ex, "X-Request-Id", ex->req.request_id);
	http_head_add(ex, "X-Content-Type-Options", "nosniff");
	if (!ex->has_cache_control)
		http_head_add(ex, "Cache-Control", "no-store");
	if (ex->server->options.cors_origins != NULL && ex->server->options.cors_origins->count > 0)
		http_head_add(ex, "Vary", "Origin");
	if (ex->origin != NULL) {
		http_head_add(ex, "Access-Control-Allow-Origin", ex->origin);
		http_head_add(ex, "Access-Control-Expose-Headers", HTTP_EXPOSED_HEADERS);
	}
	if (ex->server->bound == NULL || (ex->connection != NULL && http_connection_must_close(ex->connection)))
		http_head_add(ex, "Connection", "close");
}

/* evhttp would leave it out for HEAD, and for HTTP/1.0. */
static void add_content_length(struct http_exchange *ex, size_t n)
{
	http_head_add(ex, "Content-Length", arena_strdup(&ex->req.job.arena, SPAN_DIGITS((int64_t)n)));
}

/* What is in evhttp's buffer is the body. evhttp's request is gone behind this. */
static void send_buffered(struct http_exchange *ex, int status, const char *content_type)
{
	struct evhttp_request *evreq = ex->evreq;
	struct http_connection *connection;
	bool alone = ex->connection != NULL && http_connection_is_flushed(ex->connection);

	request_watch(&ex->req, NULL, NULL);
	http_add_common_headers(ex);
	if (content_type != NULL)
		http_head_add(ex, "Content-Type", content_type);
	http_head_give(ex);
	evhttp_send_reply(evreq, status, http_status_title(status), NULL);
	connection = ex->connection; /* NULL: evhttp has dropped the reply, and the request */
	if (connection != NULL)
		http_connection_answered(connection, evreq);
	/* counted and logged before anybody can have the reply and look */
	http_exchange_answered(ex, status);
	if (connection != NULL && alone)
		http_connection_write(connection);
}

void http_exchange_answered(struct http_exchange *ex, int status)
{
	ex->connection = NULL;
	ex->evreq = NULL;
	ex->path = SPAN_ABSENT;
	ex->query = SPAN_ABSENT;
	ex->req.body = SPAN_ABSENT;
	ex->req.status = status;
	ex->server->unanswered--;
	if (ex->server->options.answered != NULL)
		ex->server->options.answered(&ex->req);
}

static void blob_on_sent(const void *data, size_t n, void *arg)
{
	(void)data;
	(void)n;
	blob_release(arg);
}

/* An absent body is none at all (204, 304). */
static void send_reply(struct http_exchange *ex, int status, const char *content_type, struct span body,
		       struct blob *blob)
{
	struct evbuffer *output;

	if (ex->evreq == NULL)
		return;
	output = evhttp_request_get_output_buffer(ex->evreq);
	if (body.p != NULL)
		add_content_length(ex, body.n);
	if (body.p != NULL && ex->req.method != HTTP_HEAD) {
		if (blob == NULL)
			evbuffer_add(output, body.p, body.n);
		else if (evbuffer_add_reference(output, blob->p, blob->n, blob_on_sent, blob) == 0)
			blob_hold(blob);
	}
	send_buffered(ex, status, content_type);
}

STEP reply_json(struct request *req, int status, struct span body)
{
	return reply_body(req, status, "application/json", body);
}

STEP reply_body(struct request *req, int status, const char *content_type, struct span body)
{
	send_reply(req->exchange, status, content_type, body.p ? body : SPAN(""), NULL);
	return DONE;
}

STEP reply_blob(struct request *req, int status, const char *content_type, struct blob *body)
{
	send_reply(req->exchange, status, content_type, blob_span(body), body);
	return DONE;
}

/* Without the flag libevent would map the file, and copy it into its buffers when that fails. With it the file is
 * sent by sendfile(); if it shrinks meanwhile, libevent finds that nothing more is sent and closes the connection. */
STEP reply_descriptor(struct request *req, const char *content_type, int fd, size_t size)
{
	struct http_exchange *ex = req->exchange;
	struct evbuffer *output = ex->evreq ? evhttp_request_get_output_buffer(ex->evreq) : NULL;

	if (output == NULL || req->method == HTTP_HEAD) {
		close(fd);
	} else {
		evbuffer_set_flags(output, EVBUFFER_FLAG_DRAINS_TO_FD);
		if (evbuffer_add_file(output, fd, 0, (ev_off_t)size) != 0) {
			close(fd);
			http_head_clear(ex);
			return reply_problem(req, 503, NULL, "out of memory");
		}
	}
	if (output != NULL) {
		add_content_length(ex, size);
		send_buffered(ex, 200, content_type);
	}
	return DONE;
}

STEP reply_empty(struct request *req, int status)
{
	bool bodiless = status == 204 || status == 304;

	send_reply(req->exchange, status, NULL, bodiless ? SPAN_ABSENT : SPAN(""), NULL);
	return DONE;
}

/* Details may quote what a peer sent, and JSON must be UTF-8. */
static void keep_ascii(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text > 0x7e)
			*text = '?';
}

void http_problem_body(struct text *body, int status, const char *field, const char *detail,
		       const char *request_id)
{
	text_addf(body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":",
		  http_status_title(status), status);
	text_add_json(body, span_of(detail));
	text_add(body, SPAN(",\"requestId\":"));
	text_add_json(body, span_of(request_id));
	if (field != NULL) {
		text_add(body, SPAN(",\"field\":"));
		text_add_json(body, span_of(field));
	}
	text_addc(body, '}');
}

void http_send_problem(struct http_exchange *ex, int status, const char *field, const char *detail)
{
	struct request *req = &ex->req;
	struct text body;

	text_init(&body, &req->job.arena, 256);
	http_problem_body(&body, status, field, detail, req->request_id);
	if (req->note == NULL)
		req->note = detail;
	send_reply(ex, status, "application/problem+json", text_span(&body), NULL);
}

STEP reply_problem(struct request *req, int status, const char *field, const char *format, ...)
{
	va_list args;
	char *detail;

	va_start(args, format);
	detail = format_text(&req->job.arena, format, args);
	va_end(args);
	keep_ascii(detail);
	http_send_problem(req->exchange, status, field, detail);
	return DONE;
}

STEP reply_too_many(struct request *req, int64_t wait_ms, const char *detail)
{
	reply_headerf(req, "Retry-After", "%lld", (long long)(wait_ms + 999) / 1000);
	return reply_problem(req, 429, NULL, "%s", detail);
}

STEP reply_json_etag(struct request *req, struct span body, const char *etag)
{
	reply_header(req, "ETag", etag);
	if (request_has_etag(req, etag))
		return reply_empty(req, 304);
	return reply_json(req, 200, body);
}
