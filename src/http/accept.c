/* Content negotiation: lists with weights. */
#include "http/exchange.h"

#include <strings.h>

/* "q=0", "q=0.000": not acceptable */
static bool is_zero_weight(struct span parameter)
{
	struct span value = span_trim(parameter);
	struct span name = span_trim(span_cut(&value, '='));

	if (!span_ieq(name, SPAN("q")) || value.p == NULL)
		return false;
	value = span_trim(value);
	if (value.n == 0 || value.p[0] != '0')
		return false;
	for (size_t i = 1; i < value.n; i++)
		if (value.p[i] != '0' && value.p[i] != '.')
			return false;
	return true;
}

/* Of repeated headers only the first is read: no browser sends two. */
bool request_accepts(const struct request *req, const char *header, const char *item)
{
	struct span rest = request_header(req, header);

	while (rest.p != NULL) {
		struct span parameters = span_cut(&rest, ',');
		bool zero = false;

		if (!span_ieq(span_trim(span_cut(&parameters, ';')), span_of(item)))
			continue;
		while (parameters.p != NULL)
			zero |= is_zero_weight(span_cut(&parameters, ';'));
		return !zero;
	}
	return false;
}
