#include "base/trace.h"

enum { VERSION_AT = 0, TRACE_AT = 3, PARENT_AT = 36, FLAGS_AT = 53, LENGTH = 55 };

/* `n` lower-case hex digits; with `not_zero` one of them is another than 0. */
static bool is_hex(const char *p, size_t n, bool not_zero)
{
	bool zero = true;

	for (size_t i = 0; i < n; i++) {
		if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
			return false;
		zero = zero && p[i] == '0';
	}
	return !(zero && not_zero);
}

bool trace_parse(struct span header, struct trace *trace)
{
	*trace = (struct trace){0};
	if (header.n < LENGTH || header.p[TRACE_AT - 1] != '-' || header.p[PARENT_AT - 1] != '-' ||
	    header.p[FLAGS_AT - 1] != '-')
		return false;
	if (!is_hex(header.p + VERSION_AT, 2, false) || memcmp(header.p, "ff", 2) == 0)
		return false;
	/* a later version may have more behind it, after a dash */
	if (header.n > LENGTH && (memcmp(header.p, "00", 2) == 0 || header.p[LENGTH] != '-'))
		return false;
	if (!is_hex(header.p + TRACE_AT, 32, true) || !is_hex(header.p + PARENT_AT, 16, true) ||
	    !is_hex(header.p + FLAGS_AT, 2, false))
		return false;
	memcpy(trace->trace_id, header.p + TRACE_AT, 32);
	memcpy(trace->parent_id, header.p + PARENT_AT, 16);
	return true;
}
