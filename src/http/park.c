/* Parked requests: noticing that their clients have gone. */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

#include "http/exchange.h"

static void watch_on_closed(evutil_socket_t fd, short what, void *arg)
{
	struct http_exchange *ex = arg;
	request_left *left = ex->left;

	(void)fd;
	(void)what;
	event_free(ex->watch);
	ex->watch = NULL;
	left(&ex->req, ex->left_arg);
}

/* Reading stays off (exchange.h): the kernel's word on the peer's half is enough. */
void request_watch(struct request *req, request_left *left, void *arg)
{
	struct http_exchange *ex = req->exchange;
	struct evhttp_connection *connection;
	struct bufferevent *bev;

	ex->left = left;
	ex->left_arg = arg;
	if (left == NULL || ex->evreq == NULL) {
		if (ex->watch != NULL)
			event_free(ex->watch);
		ex->watch = NULL;
		return;
	}
	connection = evhttp_request_get_connection(ex->evreq);
	if (ex->watch != NULL || connection == NULL)
		return;
	bev = evhttp_connection_get_bufferevent(connection);
	ex->watch = event_new(bufferevent_get_base(bev), bufferevent_getfd(bev), EV_CLOSED, watch_on_closed, ex);
	if (ex->watch != NULL && event_add(ex->watch, NULL) != 0) {
		event_free(ex->watch);
		ex->watch = NULL;
	}
}
