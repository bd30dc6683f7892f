/* Replies of unknown length, sent piece by piece.
 *
 * evhttp reads on while such a reply is under way, so it notices by itself when the client
 * goes: then its request is ours alone, without a connection. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

#include "http/exchange.h"

enum {
	UNSENT_MAX = 32 * 1024, /* in our buffer, behind a full one of the kernel's */
	UNREAD_MAX = 16 * 1024  /* of what the client sends meanwhile */
};

static struct bufferevent *stream_bufferevent(const struct http_exchange *ex)
{
	struct evhttp_connection *connection = ex->evreq ? evhttp_request_get_connection(ex->evreq) : NULL;

	return connection ? evhttp_connection_get_bufferevent(connection) : NULL;
}

void http_stream_gone(struct http_exchange *ex)
{
	if (ex->left != NULL)
		ex->left(&ex->req, ex->left_arg);
}

void stream_start(struct request *req, const char *content_type)
{
	struct http_exchange *ex = req->exchange;
	struct bufferevent *bev = stream_bufferevent(ex);
	request_left *left = ex->left;
	void *arg = ex->left_arg;

	request_watch(req, NULL, NULL);
	ex->left = left;
	ex->left_arg = arg;
	ex->streaming = true;
	reply_header(req, "Content-Type", content_type);
	http_add_common_headers(ex);
	if (bev != NULL)
		bufferevent_setwatermark(bev, EV_READ, 0, UNREAD_MAX);
	http_head_give(ex);
	evhttp_send_reply_start(ex->evreq, 200, "OK");
}

bool stream_send(struct request *req, struct span data)
{
	struct http_exchange *ex = req->exchange;
	struct bufferevent *bev = stream_bufferevent(ex);
	struct evbuffer *chunk;

	if (bev == NULL || evbuffer_get_length(bufferevent_get_output(bev)) > UNSENT_MAX)
		return false;
	chunk = evbuffer_new();
	if (chunk == NULL)
		return false;
	evbuffer_add(chunk, data.p, data.n);
	evhttp_send_reply_chunk(ex->evreq, chunk);
	evbuffer_free(chunk);
	return true;
}

/* A reader who is too slow gets no regular end: it would have to read all before. */
STEP stream_end(struct request *req)
{
	struct http_exchange *ex = req->exchange;
	struct evhttp_request *evreq = ex->evreq;
	struct bufferevent *bev = stream_bufferevent(ex);

	if (bev != NULL && ex->connection != NULL &&
	    evbuffer_get_length(bufferevent_get_output(bev)) > UNSENT_MAX) {
		ex->connection->exchange = NULL; /* it need not be told that its client has gone */
		http_connection_close(ex->connection); /* and evhttp's request with it */
	} else {
		if (bev != NULL)
			bufferevent_setwatermark(bev, EV_READ, 0, 0);
		if (ex->connection != NULL)
			http_connection_answered(ex->connection, evreq);
		evhttp_send_reply_end(evreq);
	}
	http_exchange_answered(ex, 200);
	return DONE;
}
