/* Refusals in evhttp's place: of bytes that it must not read, or need not wait for. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <sys/socket.h>

#include "http/exchange.h"

/* What still comes is read and forgotten: closing with unread bytes would make the
 * kernel send a reset, and the client might lose the answer over it. Its argument is not
 * used: evhttp may call it with its own. */
static void refusal_on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);

	(void)arg;
	evbuffer_drain(input, evbuffer_get_length(input));
}

static void refusal_on_write(struct bufferevent *bev, void *arg)
{
	(void)arg;
	shutdown(bufferevent_getfd(bev), SHUT_WR);
}

static void refusal_on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	http_connection_close(arg);
}

static void add_cors(const struct http_connection *connection, struct text *head)
{
	const struct config_list *origins = connection->server->options.cors_origins;

	if (origins != NULL && origins->count > 0)
		text_add(head, SPAN("Vary: Origin\r\n"));
	if (connection->origin != NULL)
		text_addf(head,
			  "Access-Control-Allow-Origin: %s\r\n"
			  "Access-Control-Expose-Headers: " HTTP_EXPOSED_HEADERS "\r\n",
			  connection->origin);
}

static struct span refusal(const struct http_connection *connection, const struct http_refusal *why,
			   struct arena *arena)
{
	struct text body, reply;

	text_init(&body, arena, 256);
	http_problem_body(&body, why->status, why->field, why->detail, why->request_id);
	text_init(&reply, arena, 1024);
	text_addf(&reply,
		  "HTTP/1.1 %d %s\r\n"
		  "Content-Type: application/problem+json\r\n"
		  "Content-Length: %zu\r\n"
		  "Connection: close\r\n"
		  "X-Request-Id: %s\r\n"
		  "X-Content-Type-Options: nosniff\r\n"
		  "Cache-Control: no-store\r\n",
		  why->status, http_status_title(why->status), body.n, why->request_id);
	if (why->retry_secs > 0)
		text_addf(&reply, "Retry-After: %d\r\n", why->retry_secs);
	add_cors(connection, &reply);
	text_add(&reply, SPAN("\r\n"));
	if (!connection->scan.is_head)
		text_add(&reply, text_span(&body));
	return text_span(&reply);
}

static struct http_refusal explain(struct http_connection *connection, int status, int retry_secs, const char *field,
				   const char *detail)
{
	if (connection->request_id[0] == '\0')
		http_new_request_id(connection->server, connection->request_id);
	return (struct http_refusal){.status = status,
				     .retry_secs = retry_secs,
				     .field = field,
				     .detail = detail,
				     .request_id = connection->request_id,
				     .peer = connection->peer};
}

static void tell(const struct http_server *server, const struct http_refusal *why)
{
	if (server->options.refused != NULL)
		server->options.refused(server->options.app, why);
}

void http_refuse(struct http_connection *connection, int status, int retry_secs, const char *field,
		 const char *detail)
{
	struct http_refusal why = explain(connection, status, retry_secs, field, detail);
	struct bufferevent *bev = connection->bev;
	struct arena arena;
	struct span reply;

	arena_init(&arena);
	reply = refusal(connection, &why, &arena);
	http_connection_release(connection, 0);
	connection->phase = CONNECTION_REFUSED;
	connection->deadline_ms = connection->server->connections.now_ms + CONNECTION_LINGER_MS;
	bufferevent_setcb(bev, refusal_on_read, refusal_on_write, refusal_on_event, connection);
	bufferevent_write(bev, reply.p, reply.n);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	arena_deinit(&arena);
	tell(connection->server, &why);
}

void http_refuse_at_once(struct http_connection *connection, int status, int retry_secs, const char *detail)
{
	struct http_refusal why = explain(connection, status, retry_secs, NULL, detail);
	struct http_server *server = connection->server;
	struct arena arena;
	struct span reply;

	arena_init(&arena);
	reply = refusal(connection, &why, &arena);
	send(connection->fd, reply.p, reply.n, MSG_DONTWAIT | MSG_NOSIGNAL); /* or not, then not */
	tell(server, &why);
	http_connection_close(connection);
	arena_deinit(&arena);
}
