/* Parked requests: noticing that their clients have gone. */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <poll.h>

#include "http/exchange.h"

static void watch_on_closed(evutil_socket_t fd, short what, void *arg)
{
	struct http_exchange *ex = arg;
	request_left *left = ex->left;
	struct pollfd now = {.fd = fd, .events = POLLRDHUP};

	/* a reset counts as readable; so does the next request, which waits its turn */
	if (!(what & EV_CLOSED) && poll(&now, 1, 0) == 0)
		return;
	event_free(ex->watch);
	ex->watch = NULL;
	left(&ex->req, ex->left_arg);
}

/* Reading stays off (exchange.h): the kernel's word is enough. Edge-triggered, because neither what the
 * client sends meanwhile nor an error of the socket goes away; evhttp has no event on the socket then. */
void request_watch(struct request *req, request_left *left, void *arg)
{
	struct http_exchange *ex = req->exchange;
	struct evhttp_connection *connection;
	struct bufferevent *bev;

	ex->left = left;
	ex->left_arg = arg;
	if (ex->streaming)
		return; /* evhttp notices by itself */
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
	ex->watch = event_new(bufferevent_get_base(bev), bufferevent_getfd(bev), EV_CLOSED | EV_READ | EV_ET | EV_PERSIST,
			      watch_on_closed, ex);
	if (ex->watch != NULL && event_add(ex->watch, NULL) != 0) {
		event_free(ex->watch);
		ex->watch = NULL;
	}
}
