/* The caller's traceparent, taken while evhttp's request is still ours. */
#include "http/exchange.h"

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <sys/queue.h>

void http_take_trace(struct http_exchange *ex)
{
	const struct evkeyval *header;
	struct span found = SPAN_ABSENT;

	TAILQ_FOREACH (header, evhttp_request_get_input_headers(ex->evreq), next) {
		if (!http_name_is(header->key, "traceparent"))
			continue;
		if (found.p)
			return; /* of two, neither can be trusted */
		found = span_trim(span_of(header->value));
	}
	if (found.p)
		(void)trace_parse(found, &ex->req.trace);
}
