/* Parked requests: their sockets stay in epoll, and it is noticed that their clients have gone. */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <poll.h>

#include "http/exchange.h"

/* While a request is under way evhttp reads nothing and would not have this event either; nor may it be called again
 * and again for what stands there unread. The first call may still be of the request itself. */
static void stay_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct http_connection *connection = arg;

	(void)fd;
	(void)what;
	if (connection->phase >= CONNECTION_BUSY && !connection->stay_settles)
		event_del(connection->stay);
	connection->stay_settles = false;
}

/* evhttp takes its event back for each request, and adds it behind the reply: two calls of epoll_ctl, if no other event
 * is there meanwhile. */
void http_connection_stay(struct http_connection *connection)
{
	connection->stay_settles = true;
	if (connection->stay == NULL)
		connection->stay = event_new(bufferevent_get_base(connection->bev), connection->fd, EV_READ | EV_PERSIST,
					     stay_on_readable, connection);
	if (connection->stay != NULL && !event_pending(connection->stay, EV_READ, NULL))
		(void)event_add(connection->stay, NULL);
}

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
	if (ex->connection != NULL && ex->connection->stay != NULL)
		event_del(ex->connection->stay); /* no two kinds of event on one socket */
	ex->watch = event_new(bufferevent_get_base(bev), bufferevent_getfd(bev), EV_CLOSED | EV_READ | EV_ET | EV_PERSIST,
			      watch_on_closed, ex);
	if (ex->watch != NULL && event_add(ex->watch, NULL) != 0) {
		event_free(ex->watch);
		ex->watch = NULL;
	}
}
