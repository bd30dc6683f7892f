/* What comes in: scanned before evhttp has it, timed, and bounded. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "http/exchange.h"

enum {
	SMALL_BODY = 64 * 1024,   /* never refused for the sake of others' */
	PIPELINE_MAX = 64 * 1024, /* read ahead while a request is under way */
	VECTORS = 8,
	READ_MAX = 256 * 1024, /* of one connection in one turn */
	WHOLE_MAX = 120 * 1024 /* of a body that is read into one piece: beyond, malloc() would map it */
};

static void note_request_id(struct http_connection *connection, struct span id)
{
	if (!http_request_id_usable(id))
		return;
	memcpy(connection->request_id, id.p, id.n);
	connection->request_id[id.n] = '\0';
}

void http_on_part(enum scan_part part, struct span value, void *arg)
{
	struct http_connection *connection = arg;
	const struct http_server_options *options = &connection->server->options;

	switch (part) {
	case SCAN_TARGET:
		connection->signed_path = options->signed_path != NULL &&
					  span_is(span_cut(&value, '?'), options->signed_path);
		connection->has_signature = false;
		connection->signature_fault = NULL;
		connection->body = NULL;
		connection->origin = NULL;
		connection->request_id[0] = '\0';
		break;
	case SCAN_ORIGIN:
		connection->origin = http_known_origin(connection->server, value);
		break;
	case SCAN_REQUEST_ID:
		note_request_id(connection, value);
		break;
	case SCAN_FORWARDED:
		connection->forwarded = true;
		break;
	case SCAN_SIGNATURE: /* of repeated ones the first, as handlers read it */
		if (connection->signed_path && !connection->has_signature) {
			connection->has_signature = true;
			connection->signature_fault = options->signature_fault(options->app, value);
		}
		break;
	}
}

/* Whether the bytes that evhttp reads next are those that the scanner has come to. */
static bool in_step(const struct http_connection *connection)
{
	return connection->phase <= CONNECTION_BODY && connection->scanned == connection->started;
}

/* At once if evhttp would read the faulty bytes now; else it never comes to them, because
 * the reply to what came before ends the connection. */
static void refuse(struct http_connection *connection, int status, int retry_secs, const char *field, const char *detail)
{
	connection->scan.state = SCAN_BROKEN;
	if (in_step(connection))
		http_refuse(connection, status, retry_secs, field, detail);
}

static void refuse_long(struct http_connection *connection)
{
	const struct http_server_options *options = &connection->server->options;

	if (!connection->signed_path || connection->scan.body_max == options->body_max)
		refuse(connection, 413, 0, NULL, "the body is larger than is taken here");
	else
		refuse(connection, 401, 0, options->signature_name,
		       connection->has_signature ? connection->signature_fault :
						   options->signature_fault(options->app, SPAN_ABSENT));
}

static uint64_t body_max_of(const struct http_connection *connection)
{
	const struct http_server_options *options = &connection->server->options;
	bool vouched = connection->signed_path && connection->has_signature && connection->signature_fault == NULL;

	if (vouched || options->unsigned_body_max == 0 || options->unsigned_body_max > options->body_max)
		return options->body_max;
	return options->unsigned_body_max;
}

/* False if there is nothing more to scan. */
static bool scan_bytes(struct http_connection *connection, struct span bytes)
{
	struct scan *scan = &connection->scan;

	for (;;) {
		switch (scan_feed(scan, &bytes)) {
		case SCAN_MORE:
			return true;
		case SCAN_HEAD:
			scan->body_max = body_max_of(connection);
			break;
		case SCAN_END:
			connection->scanned++;
			break;
		case SCAN_LONG:
			refuse_long(connection);
			return false;
		case SCAN_FAULT:
			refuse(connection, scan->status, 0, NULL, scan->fault);
			return false;
		}
	}
}

/* The last `n` bytes of the buffer. */
static void scan_added(struct http_connection *connection, struct evbuffer *input, size_t n)
{
	uint64_t blind = scan_blind(&connection->scan);

	if (blind >= n) {
		scan_skip(&connection->scan, n);
		(void)scan_bytes(connection, SPAN(""));
		return;
	}
	while (n > 0) {
		struct evbuffer_iovec vectors[VECTORS];
		size_t at = evbuffer_get_length(input) - n;
		struct evbuffer_ptr start;
		int count;

		if (at > 0 && evbuffer_ptr_set(input, &start, at, EVBUFFER_PTR_SET) != 0)
			return;
		count = evbuffer_peek(input, (ev_ssize_t)n, at > 0 ? &start : NULL, vectors, VECTORS);
		if (count > VECTORS)
			count = VECTORS;
		for (int i = 0; i < count; i++) {
			size_t taken = vectors[i].iov_len < n ? vectors[i].iov_len : n;

			if (!scan_bytes(connection, (struct span){vectors[i].iov_base, taken}))
				return;
			n -= taken;
		}
	}
}

/* Only a request that has not come whole in one read has a deadline of its own. */
void http_time_reading(struct http_connection *connection)
{
	const struct http_server_options *options = &connection->server->options;
	const struct scan *scan = &connection->scan;

	if (!in_step(connection) || !scan_within(scan))
		return;
	if (scan->state > SCAN_IN_HEADERS) {
		if (connection->phase != CONNECTION_BODY)
			http_connection_phase(connection, CONNECTION_BODY, options->body_timeout_ms);
	} else if (connection->phase != CONNECTION_HEAD) {
		http_connection_phase(connection, CONNECTION_HEAD, options->header_timeout_ms);
	}
}

static void body_on_read(const void *data, size_t n, void *block)
{
	(void)data;
	(void)n;
	free(block);
}

/* The rest of a body, which stands then in one piece, with room in front for what of it has come before: if it has
 * come whole, and else as much as has. */
static void read_whole(struct http_connection *connection, struct evbuffer *input, size_t rest)
{
	size_t before = (size_t)connection->scan.length - rest;
	char *block = malloc(before + rest);
	ssize_t n = block ? recv(connection->fd, block + before, rest, 0) : -1;

	if (n > 0 && (size_t)n == rest &&
	    evbuffer_add_reference(input, block + before, rest, body_on_read, block) == 0) {
		connection->body = block;
		connection->body_before = before;
		return;
	}
	if (n > 0 && evbuffer_add(input, block + before, (size_t)n) != 0)
		abort(); /* bytes would be missing */
	free(block);
}

/* As much of the rest as has come. */
static void read_more(struct http_connection *connection, struct evbuffer *input, uint64_t rest)
{
	struct evbuffer_iovec space;
	int come = 0;
	ssize_t n;

	if (ioctl(connection->fd, FIONREAD, &come) != 0 || come <= 0)
		return;
	if (rest > READ_MAX)
		rest = READ_MAX;
	if ((uint64_t)come < rest)
		rest = (uint64_t)come;
	if (evbuffer_reserve_space(input, (ev_ssize_t)rest, &space, 1) != 1)
		return;
	n = recv(connection->fd, space.iov_base, (size_t)rest, 0);
	if (n <= 0)
		return;
	space.iov_len = (size_t)n;
	if (evbuffer_commit_space(input, &space, 1) != 0)
		abort(); /* bytes would be missing; it refuses none but space that isn't the buffer's */
}

/* libevent reads 4 KB at a time. What else of a body has come already is read in one go, within its
 * read (when the buffer may grow), which makes this a nested on_input. An error or the end stays, for libevent to
 * find. */
static void read_rest(struct http_connection *connection, struct evbuffer *input)
{
	uint64_t rest = scan_blind(&connection->scan);

	if (rest == 0 || connection->phase > CONNECTION_BODY)
		return;
	if (connection->scan.state == SCAN_IN_BODY && connection->scan.length <= WHOLE_MAX)
		read_whole(connection, input, (size_t)rest);
	else
		read_more(connection, input, rest);
}

struct span http_take_body(struct http_connection *connection, struct evbuffer *input)
{
	size_t n = evbuffer_get_length(input);
	struct evbuffer_iovec vectors[2] = {{0}};
	char *block = connection ? connection->body : NULL;
	size_t before = block ? connection->body_before : 0;
	int count = block ? evbuffer_peek(input, -1, NULL, vectors, 2) : 0;

	if (connection)
		connection->body = NULL;
	/* evhttp hands the blocks on as they are; were it otherwise, libevent would put them together */
	if (count != (before > 0 ? 2 : 1) || vectors[count - 1].iov_base != block + before ||
	    vectors[count - 1].iov_len != n - before)
		return (struct span){(char *)evbuffer_pullup(input, -1), n};
	evbuffer_copyout(input, block, before);
	return (struct span){block, n};
}

void http_on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct http_connection *connection = arg;
	struct http_connections *all = &connection->server->connections;
	bool nested = connection->reading;

	if (info->n_added == 0 || connection->phase == CONNECTION_REFUSED)
		return;
	connection->held += info->n_added;
	all->held += info->n_added;
	if (connection->scan.state != SCAN_BROKEN) {
		scan_added(connection, input, info->n_added);
		if (!nested) {
			connection->reading = true;
			read_rest(connection, input);
			connection->reading = false;
		}
		http_time_reading(connection);
	}
	if (connection->phase == CONNECTION_REFUSED)
		return;
	if (all->held > connection->server->options.buffered_max && connection->held > SMALL_BODY &&
	    in_step(connection))
		refuse(connection, 503, 1, NULL, "too many large bodies are on their way; try again");
	else if (connection->phase >= CONNECTION_BUSY && evbuffer_get_length(input) > PIPELINE_MAX)
		bufferevent_disable(connection->bev, EV_READ); /* evhttp enables it for the next request */
}
