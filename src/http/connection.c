/* Connections: counted, scanned, and given up when they take too long. */
#include "http/connection.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "http/exchange.h"

static struct throttle_key key_of(const struct inet *client)
{
	struct throttle_key key;

	memcpy(key.bytes, client->bytes, sizeof(key.bytes));
	return key;
}

void http_connection_phase(struct http_connection *connection, enum connection_phase phase, int64_t limit_ms)
{
	connection->phase = phase;
	connection->deadline_ms = limit_ms > 0 ? connection->server->connections.now_ms + limit_ms : 0;
}

/* ── beginning and end ──────────────────────────────────────────────────────────────── */

static struct http_connection *connection_new(struct http_server *server, struct bufferevent *bev)
{
	struct http_connection *connection = xcalloc(1, sizeof(*connection));

	connection->server = server;
	connection->bev = bev;
	connection->fd = -1;
	scan_init(&connection->scan, server->options.header_max, server->options.signature_name, http_on_part,
		  connection);
	http_connection_phase(connection, CONNECTION_HEAD, server->options.header_timeout_ms);
	LIST_INSERT_HEAD(&server->connections.newcomers, connection, next);
	server->connections.count++;
	return connection;
}

static void connection_free(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	struct http_connections *all = &server->connections;
	struct throttle_key key = key_of(&connection->client);

	if (connection->counted)
		tally_drop(&all->addresses, &key);
	if (connection->phase == CONNECTION_WRITING)
		server->unwritten--;
	if (connection->exchange != NULL)
		connection->exchange->connection = NULL;
	if (connection->fd >= 0 && (size_t)connection->fd < all->by_fd_count &&
	    all->by_fd[connection->fd] == connection)
		all->by_fd[connection->fd] = NULL;
	all->held -= connection->held;
	all->count--;
	LIST_REMOVE(connection, next);
	if (connection->stay != NULL)
		event_free(connection->stay);
	scan_deinit(&connection->scan);
	free(connection);
}

static void connection_on_close(struct evhttp_connection *evcon, void *arg)
{
	struct http_connection *connection = arg;
	struct http_exchange *ex = connection->exchange;

	evhttp_connection_set_closecb(evcon, NULL, NULL);
	connection_free(connection);
	if (ex != NULL && ex->streaming)
		http_stream_gone(ex);
}

void http_connection_close(struct http_connection *connection)
{
	evhttp_connection_free(connection->evcon); /* calls connection_on_close() */
}

/* evhttp asks for a bufferevent before it tells us whose it will be: that is looked up
 * by connections_on_newcomers(), which runs before anything can be read. */
static struct bufferevent *connections_on_accept(struct event_base *base, void *arg)
{
	struct http_server *server = arg;
	struct http_connections *all = &server->connections;
	struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
	struct http_connection *connection;

	if (bev == NULL)
		return NULL; /* then it makes one, whose requests http_connection_of() won't find */
	connection = connection_new(server, bev);
	bufferevent_incref(bev); /* until it is adopted: evhttp may give it up at once */
	evbuffer_add_cb(bufferevent_get_input(bev), http_on_input, connection);
	event_active(all->on_newcomers, EV_TIMEOUT, 0);
	if (all->count >= server->options.connections_max && server->bound != NULL)
		evconnlistener_disable(evhttp_bound_socket_get_listener(server->bound));
	return bev;
}

static void remember_fd(struct http_connections *all, struct http_connection *connection)
{
	size_t fd = (size_t)connection->fd;

	if (fd >= all->by_fd_count) {
		size_t count = fd < 64 ? 128 : fd * 2;

		all->by_fd = xrealloc(all->by_fd, count * sizeof(*all->by_fd));
		memset(all->by_fd + all->by_fd_count, 0, (count - all->by_fd_count) * sizeof(*all->by_fd));
		all->by_fd_count = count;
	}
	all->by_fd[fd] = connection;
}

static void set_peer(struct http_connection *connection)
{
	struct sockaddr_storage storage = {.ss_family = AF_UNSPEC}; /* whose peer may have no name */
	socklen_t size = sizeof(storage);
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&storage;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&storage;
	struct inet peer = {.bytes = {[10] = 0xff, [11] = 0xff}};

	if (getpeername(connection->fd, (struct sockaddr *)&storage, &size) != 0)
		return;
	if (storage.ss_family == AF_INET)
		memcpy(peer.bytes + 12, &v4->sin_addr, 4);
	else if (storage.ss_family == AF_INET6)
		memcpy(peer.bytes, &v6->sin6_addr, 16);
	inet_print(&peer, connection->peer);
	connection->trusted = http_is_trusted(connection->server, &peer);
	connection->client = inet_client(&peer);
}

/* False if evhttp has given it up, or the address has too many already. */
static bool adopt(struct http_connection *connection)
{
	struct http_server *server = connection->server;
	struct http_connections *all = &server->connections;
	struct bufferevent *bev = connection->bev;
	struct throttle_key key;
	void *evcon = NULL;

	LIST_REMOVE(connection, next);
	LIST_INSERT_HEAD(&all->list, connection, next);
	bufferevent_getcb(bev, NULL, NULL, NULL, &evcon);
	connection->fd = bufferevent_getfd(bev);
	bufferevent_decref(bev);
	if (evcon == NULL || connection->fd < 0) {
		connection_free(connection);
		return false;
	}
	connection->evcon = evcon;
	evhttp_connection_set_closecb(connection->evcon, connection_on_close, connection);
	remember_fd(all, connection);
	set_peer(connection);
	if (connection->trusted || server->options.connections_per_address_max == 0)
		return true;
	key = key_of(&connection->client);
	connection->counted = true;
	if (tally_add(&all->addresses, &key) <= server->options.connections_per_address_max)
		return true;
	http_refuse_at_once(connection, 429, 1, "this address has too many connections");
	return false;
}

static void adopt_all(struct http_server *server)
{
	struct http_connection *connection;

	while ((connection = LIST_FIRST(&server->connections.newcomers)) != NULL)
		(void)adopt(connection);
}

static void connections_on_newcomers(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	adopt_all(arg);
}

void http_connection_release(struct http_connection *connection, size_t kept)
{
	connection->server->connections.held -= connection->held;
	connection->server->connections.held += kept;
	connection->held = kept;
}

/* ── requests on it ─────────────────────────────────────────────────────────────────── */

struct http_connection *http_connection_of(const struct http_server *server, struct evhttp_request *evreq)
{
	struct evhttp_connection *evcon = evhttp_request_get_connection(evreq);
	int fd = evcon ? bufferevent_getfd(evhttp_connection_get_bufferevent(evcon)) : -1;

	if (fd < 0 || (size_t)fd >= server->connections.by_fd_count)
		return NULL;
	return server->connections.by_fd[fd];
}

void http_connection_begin(struct http_connection *connection, struct http_exchange *ex)
{
	connection->started++;
	connection->exchange = ex;
	http_connection_phase(connection, CONNECTION_BUSY, 0);
}

bool http_connection_must_close(const struct http_connection *connection)
{
	return connection->scan.state == SCAN_BROKEN && connection->scanned == connection->started;
}

/* evhttp has written the reply and reads on from here, unless a header says close. */
static void connection_on_written(struct evhttp_request *evreq, void *arg)
{
	struct http_connection *connection = arg;
	struct http_server *server = connection->server;

	server->unwritten--;
	http_connection_release(connection, evbuffer_get_length(bufferevent_get_input(connection->bev)));
	if (http_connection_must_close(connection))
		evhttp_add_header(evhttp_request_get_output_headers(evreq), "Connection", "close");
	http_connection_phase(connection, CONNECTION_IDLE, CONNECTION_IDLE_MS);
	http_time_reading(connection);
}

/* Counts the reply until it is written: a drained server that is freed too early would
 * cut it off. */
void http_connection_answered(struct http_connection *connection, struct evhttp_request *evreq)
{
	const struct http_server_options *options = &connection->server->options;
	size_t n = evbuffer_get_length(bufferevent_get_output(connection->bev));

	connection->exchange = NULL;
	connection->server->unwritten++;
	evhttp_request_set_on_complete_cb(evreq, connection_on_written, connection);
	http_connection_phase(connection, CONNECTION_WRITING,
			      options->body_timeout_ms + (int64_t)n / options->send_rate);
}

bool http_connection_is_flushed(const struct http_connection *connection)
{
	return evbuffer_get_length(bufferevent_get_output(connection->bev)) == 0;
}

/* libevent would wait for epoll's word first, and then write 16 KB a turn. What the socket doesn't take now, and an
 * error, are left to it. Once all is written evhttp is told so, later in this turn: it may free the connection. Were there
 * something before the reply, such as "100 Continue", its own word of that might be on the way as well. */
void http_connection_write(struct http_connection *connection)
{
	struct evbuffer *output = bufferevent_get_output(connection->bev);

	evbuffer_unfreeze(output, 1);
	(void)evbuffer_write(output, connection->fd);
	evbuffer_freeze(output, 1);
	if (evbuffer_get_length(output) == 0)
		bufferevent_trigger(connection->bev, EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

/* ── deadlines ──────────────────────────────────────────────────────────────────────── */

static void give_up(struct http_connection *connection)
{
	if (connection->phase == CONNECTION_HEAD && scan_within(&connection->scan))
		http_refuse(connection, 408, 0, NULL, "the headers took too long");
	else if (connection->phase == CONNECTION_BODY)
		http_refuse(connection, 408, 0, NULL, "the body took too long");
	else
		http_connection_close(connection);
}

static void connections_on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *server = arg;
	struct http_connections *all = &server->connections;
	struct http_connection *connection, *next;
	bool full = all->count >= server->options.connections_max;
	int64_t idle_until_ms;

	(void)fd;
	(void)what;
	all->now_ms = clock_monotonic_ms();
	/* an idle connection's deadline, had it only the time of a full house */
	idle_until_ms = all->now_ms + (full ? CONNECTION_IDLE_MS - CONNECTION_FULL_IDLE_MS : 0);
	for (connection = LIST_FIRST(&all->list); connection != NULL; connection = next) {
		next = LIST_NEXT(connection, next);
		if (connection->deadline_ms != 0 &&
		    connection->deadline_ms <=
			    (connection->phase == CONNECTION_IDLE ? idle_until_ms : all->now_ms))
			give_up(connection);
	}
	if (server->bound != NULL && all->count < server->options.connections_max)
		evconnlistener_enable(evhttp_bound_socket_get_listener(server->bound));
}

/* ── of a server ────────────────────────────────────────────────────────────────────── */

bool http_connections_start(struct http_server *server)
{
	const struct timeval period = {.tv_usec = CONNECTION_SWEEP_MS * 1000};
	struct http_connections *all = &server->connections;
	struct event_base *base = server->base;

	LIST_INIT(&all->list);
	LIST_INIT(&all->newcomers);
	tally_init(&all->addresses);
	all->now_ms = clock_monotonic_ms();
	all->on_newcomers = event_new(base, -1, 0, connections_on_newcomers, server);
	all->on_sweep = event_new(base, -1, EV_PERSIST, connections_on_sweep, server);
	if (all->on_newcomers == NULL || all->on_sweep == NULL || event_add(all->on_sweep, &period) != 0)
		return false;
	evhttp_set_bevcb(server->evhttp, connections_on_accept, server);
	return true;
}

void http_connections_stop(struct http_server *server)
{
	if (server->connections.on_newcomers != NULL)
		adopt_all(server);
}

void http_connections_end(struct http_server *server)
{
	struct http_connections *all = &server->connections;

	if (all->on_newcomers != NULL)
		event_free(all->on_newcomers);
	if (all->on_sweep != NULL)
		event_free(all->on_sweep);
	tally_deinit(&all->addresses);
	free(all->by_fd);
}
