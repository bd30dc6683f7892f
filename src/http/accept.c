/* Content negotiation (RFC 9110, 12.4.2 and 12.5): lists with weights. */
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <sys/queue.h>

#include "http/exchange.h"

/* qvalue of RFC 9110, 12.4.2, in thousandths; 1000 without one or for an empty one; -1 if it is none. */
static int quality(struct span parameters)
{
	while (parameters.p) {
		struct span value = span_cut(&parameters, ';'), name;
		int thousandths, digit = 100;

		name = span_trim(span_cut(&value, '='));
		value = span_trim(value);
		if (!span_ieq(name, SPAN("q")))
			continue;
		if (value.n == 0)
			return 1000;
		if ((value.p[0] != '0' && value.p[0] != '1') || value.n > 5 || (value.n > 1 && value.p[1] != '.'))
			return -1;
		thousandths = (value.p[0] - '0') * 1000;
		for (size_t i = 2; i < value.n; i++, digit /= 10) {
			if (value.p[i] < '0' || value.p[i] > '9')
				return -1;
			thousandths += (value.p[i] - '0') * digit;
		}
		return thousandths > 1000 ? -1 : thousandths;
	}
	return 1000;
}

void http_accept_coding(struct span list, const char *coding, int *quality_named, int *quality_any)
{
	while (list.p) {
		struct span parameters = span_cut(&list, ','), name = span_trim(span_cut(&parameters, ';'));
		int value = quality(parameters);

		if (value < 0)
			continue;
		if (span_ieq(name, span_of(coding)))
			*quality_named = value;
		else if (span_is(name, "*"))
			*quality_any = value;
	}
}

bool request_accepts_coding(const struct request *req, const char *coding)
{
	struct evhttp_request *evreq = req->exchange->evreq;
	const struct evkeyval *header;
	int wanted = -1, any = -1, identity = -1, any_identity = -1;

	if (evreq == NULL)
		return false;
	TAILQ_FOREACH(header, evhttp_request_get_input_headers(evreq), next) {
		if (!http_name_is(header->key, "Accept-Encoding"))
			continue;
		http_accept_coding(span_of(header->value), coding, &wanted, &any);
		http_accept_coding(span_of(header->value), "identity", &identity, &any_identity);
	}
	if (wanted < 0)
		wanted = any;
	return wanted > 0 && wanted >= identity;
}

/* Of repeated headers only the first is read: no browser sends two. */
bool request_accepts(const struct request *req, const char *header, const char *item)
{
	int named = -1, any = -1;

	http_accept_coding(request_header(req, header), item, &named, &any);
	return named > 0;
}
