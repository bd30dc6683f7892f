/* Prefer (RFC 7240). */
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <sys/queue.h>

#include "http/exchange.h"

/* Cuts *rest at the first `at` outside of quotes, as span_cut(). */
static struct span cut_unquoted(struct span *rest, char at)
{
	struct span part = *rest;
	bool quoted = false;

	for (size_t i = 0; i < part.n; i++) {
		if (quoted && part.p[i] == '\\')
			i++;
		else if (part.p[i] == '"')
			quoted = !quoted;
		else if (part.p[i] == at && !quoted) {
			*rest = (struct span){part.p + i + 1, part.n - i - 1};
			part.n = i;
			return part;
		}
	}
	*rest = SPAN_ABSENT;
	return part;
}

static struct span unquote(struct span value)
{
	if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
		return (struct span){value.p + 1, value.n - 2};
	return value;
}

bool http_preference(struct span list, const char *name, struct span *value)
{
	while (list.p) {
		struct span preference = cut_unquoted(&list, ','), rest;
		struct span key = cut_unquoted(&preference, ';'); /* its parameters are for nobody here */

		rest = key;
		key = span_trim(cut_unquoted(&rest, '='));
		if (!span_ieq(key, span_of(name)))
			continue;
		*value = rest.p ? unquote(span_trim(rest)) : SPAN("");
		return true;
	}
	return false;
}

struct span request_preference(const struct request *req, const char *name)
{
	struct evhttp_request *evreq = req->exchange->evreq;
	const struct evkeyval *header;
	struct span value;

	if (evreq == NULL)
		return SPAN_ABSENT;
	TAILQ_FOREACH(header, evhttp_request_get_input_headers(evreq), next)
		if (http_name_is(header->key, "Prefer") && http_preference(span_of(header->value), name, &value))
			return value;
	return SPAN_ABSENT;
}
