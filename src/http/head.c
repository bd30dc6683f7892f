/* The head of a reply.
 *
 * evhttp keeps each header as three allocations and formats it on its own, which costs more than
 * all the rest of a poll. Those that evhttp itself doesn't look at are gathered here as text, and
 * given to it as if they were one: a name, and a value of several lines. */
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#include "base/pool.h"
#include "http/exchange.h"

/* Whether libevent allocates from the pool: what it is to free must come from where it frees to. */
static bool pooled;

void http_use_pool(void)
{
	event_set_mem_functions(pool_malloc, pool_realloc, pool_free);
	pooled = true;
}

static char *evhttp_copy(const char *p, size_t n)
{
	char *copy = pooled ? pool_alloc(n + 1) : xmalloc(n + 1);

	memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

/* Those that evhttp looks for when it sends a reply. */
static bool is_evhttps(const char *name)
{
	return http_name_is(name, "Content-Length") || http_name_is(name, "Connection") ||
	       http_name_is(name, "Transfer-Encoding");
}

/* It looks for the date too, and finds it: as the first, whose name stands for all of them. */
static void begin(struct http_exchange *ex)
{
	struct http_server *server = ex->server;
	time_t now = time(NULL);
	struct tm tm;

	if (now != server->date_secs) {
		gmtime_r(&now, &tm);
		server->date_secs = now;
		strftime(server->date, sizeof(server->date), "Date: %a, %d %b %Y %H:%M:%S GMT", &tm);
	}
	text_init(&ex->head, &ex->req.job.arena, 448);
	text_add(&ex->head, span_of(server->date));
}

void http_head_add(struct http_exchange *ex, const char *name, const char *value)
{
	struct text *head = &ex->head;

	if (is_evhttps(name)) {
		evhttp_add_header(evhttp_request_get_output_headers(ex->evreq), name, value);
		return;
	}
	if (head->arena == NULL)
		begin(ex);
	TEXT_ADD(head, SPAN("\r\n"), span_of(name), SPAN(": "), span_of(value));
	ex->has_cache_control = ex->has_cache_control || http_name_is(name, "Cache-Control");
}

void http_head_clear(struct http_exchange *ex)
{
	evhttp_clear_headers(evhttp_request_get_output_headers(ex->evreq));
	ex->head = (struct text){0};
	ex->has_cache_control = false;
}

void http_head_give(struct http_exchange *ex)
{
	const struct text *head = &ex->head;
	const char *colon = head->n > 0 ? memchr(head->p, ':', head->n) : NULL;
	struct evkeyval *header;

	if (colon == NULL)
		return;
	header = pooled ? pool_zalloc(sizeof(*header)) : xcalloc(1, sizeof(*header));
	header->key = evhttp_copy(head->p, (size_t)(colon - head->p));
	header->value = evhttp_copy(colon + 2, head->n - (size_t)(colon + 2 - head->p));
	TAILQ_INSERT_TAIL(evhttp_request_get_output_headers(ex->evreq), header, next);
}
