/* Reading a request: target, headers, parameters, entity tags. */
#include "http/exchange.h"

#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <sys/queue.h>

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const char *http_target_fault(struct span target)
{
	if (target.n == 0 || target.p[0] != '/')
		return "the request target must begin with a slash";
	for (size_t i = 0; i < target.n; i++) {
		unsigned char c = (unsigned char)target.p[i];

		if (c <= ' ' || c == 0x7f)
			return "the request target holds a space or a control character";
		if (c != '%')
			continue;
		if (target.n - i < 3 || hex_value(target.p[i + 1]) < 0 || hex_value(target.p[i + 2]) < 0)
			return "the request target holds a malformed percent-encoding";
		if (target.p[i + 1] == '0' && target.p[i + 2] == '0')
			return "the request target holds %00";
	}
	return NULL;
}

struct span http_decode(struct arena *arena, struct span raw, bool plus_is_space)
{
	char *out = arena_alloc(arena, raw.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (c == '%' && raw.n - i > 2) {
			c = (char)(hex_value(raw.p[i + 1]) * 16 + hex_value(raw.p[i + 2]));
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		out[n++] = c;
	}
	return (struct span){out, n};
}

void *request_app(const struct request *req)
{
	return req->exchange->server->options.app;
}

struct span request_header(const struct request *req, const char *name)
{
	struct evhttp_request *evreq = req->exchange->evreq;
	const struct evkeyval *header;

	if (evreq == NULL)
		return SPAN_ABSENT;
	TAILQ_FOREACH(header, evhttp_request_get_input_headers(evreq), next)
		if (http_name_is(header->key, name))
			return span_trim(span_of(header->value));
	return SPAN_ABSENT;
}

struct span request_param(const struct request *req, const char *name)
{
	const struct http_match *match = &req->exchange->match;

	for (size_t i = 0; i < match->param_count; i++)
		if (span_is(match->params[i].name, name))
			return match->params[i].value;
	return SPAN_ABSENT;
}

struct span request_query(const struct request *req, const char *name)
{
	struct arena *arena = &req->exchange->req.job.arena;
	struct span rest = req->exchange->query;

	while (rest.p != NULL) {
		struct span value = span_cut(&rest, '&');
		struct span key = span_cut(&value, '=');

		if (span_is(http_decode(arena, key, true), name))
			return value.p ? http_decode(arena, value, true) : SPAN("");
	}
	return SPAN_ABSENT;
}

struct span request_path(const struct request *req)
{
	return req->exchange->path;
}

const char *request_peer(const struct request *req)
{
	return req->exchange->peer;
}

bool request_client(const struct request *req, struct throttle_key *key)
{
	memcpy(key->bytes, req->exchange->client.bytes, sizeof(key->bytes));
	return req->exchange->limited;
}

static struct span without_weak(struct span etag)
{
	return span_starts_with(etag, SPAN("W/")) ? (struct span){etag.p + 2, etag.n - 2} : etag;
}

/* The next element of If-None-Match: [W/]"…", which may hold commas itself. Absent for
 * what is no tag; that is skipped up to the next comma. */
static struct span next_etag(struct span *rest)
{
	struct span list = without_weak(span_trim(*rest)), etag = SPAN_ABSENT;
	const char *close;

	if (list.n > 0 && list.p[0] == '"') {
		close = memchr(list.p + 1, '"', list.n - 1);
		if (close != NULL) {
			etag = (struct span){list.p, (size_t)(close + 1 - list.p)};
			list = (struct span){close + 1, list.n - etag.n};
		}
	}
	span_cut(&list, ',');
	*rest = list;
	return etag;
}

static bool list_has_etag(struct span list, struct span wanted)
{
	while (list.p != NULL) {
		struct span etag = next_etag(&list);

		if (etag.p != NULL && span_eq(etag, wanted))
			return true;
	}
	return false;
}

bool request_has_etag(const struct request *req, const char *etag)
{
	struct evhttp_request *evreq = req->exchange->evreq;
	struct span wanted = without_weak(span_of(etag));
	const struct evkeyval *header;

	if (evreq == NULL)
		return false;
	TAILQ_FOREACH(header, evhttp_request_get_input_headers(evreq), next) {
		struct span list;

		if (!http_name_is(header->key, "If-None-Match"))
			continue;
		list = span_trim(span_of(header->value));
		if (span_is(list, "*") || list_has_etag(list, wanted))
			return true;
	}
	return false;
}
