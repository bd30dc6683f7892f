/* Who the client is: the peer, or what proxies of ours say of it in X-Forwarded-For. */
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "http/exchange.h"

enum { FORWARDED_HEADERS_MAX = 8, FORWARDED_HOPS_MAX = 32 };

void http_trust(struct http_server *server, const struct config_list *networks)
{
	server->trusted = xcalloc(networks->count, sizeof(*server->trusted));
	for (size_t i = 0; i < networks->count; i++)
		if (inet_parse_network(span_of(networks->items[i]), &server->trusted[server->trusted_count]))
			server->trusted_count++; /* config_check() has named the others */
}

bool http_is_trusted(const struct http_server *server, const struct inet *address)
{
	for (size_t i = 0; i < server->trusted_count; i++)
		if (inet_in_network(address, &server->trusted[i]))
			return true;
	return false;
}

/* All headers of that name in their order; with too many of them the first are left out,
 * which are the ones farthest from us. */
static size_t forwarded_headers(struct http_exchange *ex, struct span values[FORWARDED_HEADERS_MAX])
{
	const struct evkeyval *header;
	size_t count = 0;

	TAILQ_FOREACH(header, evhttp_request_get_input_headers(ex->evreq), next) {
		if (!http_name_is(header->key, "X-Forwarded-For"))
			continue;
		if (count == FORWARDED_HEADERS_MAX) {
			memmove(values, values + 1, (FORWARDED_HEADERS_MAX - 1) * sizeof(*values));
			count--;
		}
		values[count++] = span_of(header->value);
	}
	return count;
}

/* Cuts the last element off a list. */
static struct span cut_last(struct span *list)
{
	const char *comma = list->n > 0 ? memrchr(list->p, ',', list->n) : NULL;
	struct span last = *list;

	if (comma == NULL) {
		*list = SPAN_ABSENT;
		return span_trim(last);
	}
	last = (struct span){comma + 1, (size_t)(list->p + list->n - comma - 1)};
	list->n = (size_t)(comma - list->p);
	return span_trim(last);
}

/* From the nearest hop to the farthest: the first that is no proxy of ours is the client.
 * What stands before it anybody can have made up. */
void http_set_client(struct http_exchange *ex)
{
	struct span values[FORWARDED_HEADERS_MAX];
	size_t count, hops = 0;

	ex->client = ex->connection->client;
	ex->limited = !ex->connection->trusted;
	if (ex->limited || !ex->connection->forwarded)
		return;
	count = forwarded_headers(ex, values);
	while (count > 0 && hops++ < FORWARDED_HOPS_MAX) {
		struct inet hop;

		if (!inet_parse(cut_last(&values[count - 1]), &hop))
			return;
		if (!http_is_trusted(ex->server, &hop)) {
			ex->client = inet_client(&hop);
			ex->limited = ex->forwarded = true;
			return;
		}
		if (values[count - 1].p == NULL)
			count--;
	}
}

const char *request_forwarded(const struct request *req)
{
	struct http_exchange *ex = req->exchange;
	char *text;

	if (!ex->forwarded)
		return NULL;
	text = arena_alloc(&ex->req.job.arena, INET_TEXT_SIZE);
	inet_print(&ex->client, text);
	return text;
}

int64_t http_address_wait(struct http_exchange *ex)
{
	struct throttle_key key;

	if (ex->server->addresses == NULL || !request_client(&ex->req, &key))
		return 0;
	return throttle_take(ex->server->addresses, &key, clock_monotonic_ms());
}
