/* Reading a request: framing, target, headers, parameters, entity tags. */
#include "http/exchange.h"

#include <ctype.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <strings.h>
#include <sys/queue.h>

/* token of RFC 9110, 5.6.2 */
static bool is_token(const char *text)
{
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) && strchr("!#$%&'*+-.^_`|~", *text) == NULL)
			return false;
	return true;
}

static bool is_digits(const char *text)
{
	return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* The methods whose body evhttp reads; of others it takes the body for the next request. */
static bool method_reads_body(enum evhttp_cmd_type type)
{
	return (type & (EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_PATCH |
			EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_CONNECT)) != 0;
}

/* Whatever a proxy in front could read otherwise than evhttp does is refused, so that
 * nobody can hide a second request in a first (RFC 9112, 5.1, 6.3, 11.2). */
const char *http_framing_fault(struct evhttp_request *evreq)
{
	const struct evkeyval *header;
	int hosts = 0, lengths = 0, encodings = 0;
	bool body = false;

	TAILQ_FOREACH(header, evhttp_request_get_input_headers(evreq), next) {
		if (!is_token(header->key))
			return "a header has a malformed name";
		if (strcasecmp(header->key, "Host") == 0) {
			hosts++;
		} else if (strcasecmp(header->key, "Content-Length") == 0) {
			lengths++;
			if (!is_digits(header->value))
				return "Content-Length is not a number";
			body |= header->value[strspn(header->value, "0")] != '\0';
		} else if (strcasecmp(header->key, "Transfer-Encoding") == 0) {
			encodings++;
			if (strcasecmp(header->value, "chunked") != 0)
				return "the only Transfer-Encoding taken is chunked";
			body = true;
		}
	}
	if (evreq->major != 1 || evreq->minor < 0)
		return "the HTTP version is neither 1.0 nor 1.1";
	if (hosts > 1 || (hosts == 0 && evreq->minor > 0))
		return "exactly one Host header is needed";
	if (lengths + encodings > 1)
		return "the length of the body is given more than once";
	if (body && !method_reads_body(evhttp_request_get_command(evreq)))
		return "this method takes no body";
	return NULL;
}

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
			c = (char)(hex_value(raw.p[i + 1]) << 4 | hex_value(raw.p[i + 2]));
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
	const char *value = evreq ? evhttp_find_header(evhttp_request_get_input_headers(evreq), name) : NULL;

	return value ? span_trim(span_of(value)) : SPAN_ABSENT;
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

		if (strcasecmp(header->key, "If-None-Match") != 0)
			continue;
		list = span_trim(span_of(header->value));
		if (span_is(list, "*") || list_has_etag(list, wanted))
			return true;
	}
	return false;
}
