/* The scanner's rules for request lines and headers (RFC 9110, 5; RFC 9112, 3 and 5). */
#include "http/scan.h"

enum { METHOD_MIN = 3, METHOD_MAX = 20, LENGTH_DIGITS_MAX = 15 };

/* tchar of RFC 9110, 5.6.2, and what a host is made of: reg-name without what nobody uses,
 * IP literals, a port. */
enum { TOKEN = 1, HOST = 2, ALNUM = TOKEN | HOST };

/* clang-format off */
static const unsigned char classes[256] = {
	['0'] = ALNUM, ['1'] = ALNUM, ['2'] = ALNUM, ['3'] = ALNUM, ['4'] = ALNUM, ['5'] = ALNUM, ['6'] = ALNUM,
	['7'] = ALNUM, ['8'] = ALNUM, ['9'] = ALNUM,
	['a'] = ALNUM, ['b'] = ALNUM, ['c'] = ALNUM, ['d'] = ALNUM, ['e'] = ALNUM, ['f'] = ALNUM, ['g'] = ALNUM,
	['h'] = ALNUM, ['i'] = ALNUM, ['j'] = ALNUM, ['k'] = ALNUM, ['l'] = ALNUM, ['m'] = ALNUM, ['n'] = ALNUM,
	['o'] = ALNUM, ['p'] = ALNUM, ['q'] = ALNUM, ['r'] = ALNUM, ['s'] = ALNUM, ['t'] = ALNUM, ['u'] = ALNUM,
	['v'] = ALNUM, ['w'] = ALNUM, ['x'] = ALNUM, ['y'] = ALNUM, ['z'] = ALNUM,
	['A'] = ALNUM, ['B'] = ALNUM, ['C'] = ALNUM, ['D'] = ALNUM, ['E'] = ALNUM, ['F'] = ALNUM, ['G'] = ALNUM,
	['H'] = ALNUM, ['I'] = ALNUM, ['J'] = ALNUM, ['K'] = ALNUM, ['L'] = ALNUM, ['M'] = ALNUM, ['N'] = ALNUM,
	['O'] = ALNUM, ['P'] = ALNUM, ['Q'] = ALNUM, ['R'] = ALNUM, ['S'] = ALNUM, ['T'] = ALNUM, ['U'] = ALNUM,
	['V'] = ALNUM, ['W'] = ALNUM, ['X'] = ALNUM, ['Y'] = ALNUM, ['Z'] = ALNUM,
	['!'] = TOKEN, ['#'] = TOKEN, ['$'] = TOKEN, ['%'] = TOKEN | HOST, ['&'] = TOKEN, ['\''] = TOKEN,
	['*'] = TOKEN, ['+'] = TOKEN, ['-'] = TOKEN | HOST, ['.'] = TOKEN | HOST, ['^'] = TOKEN,
	['_'] = TOKEN | HOST, ['`'] = TOKEN, ['|'] = TOKEN, ['~'] = TOKEN | HOST,
	[':'] = HOST, ['['] = HOST, [']'] = HOST,
};
/* clang-format on */

static size_t prefix_of(struct span s, unsigned char class)
{
	size_t n = 0;

	while (n < s.n && (classes[(unsigned char)s.p[n]] & class))
		n++;
	return n;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether one of 8 bytes is below 0x20 or is 0x7f; a byte over 0x7f is neither. */
static bool word_has_control(uint64_t word)
{
	uint64_t low = (word - EACH(0x20)) & ~word;
	uint64_t del = word ^ EACH(0x7f);

	return ((low | ((del - EACH(1)) & ~del)) & EACH(0x80)) != 0;
}

/* Control characters but the tab (RFC 9110, 5.5). */
static bool has_control(struct span s)
{
	size_t i = 0;

	for (; s.n - i >= 8; i += 8) {
		uint64_t word;

		memcpy(&word, s.p + i, sizeof(word));
		if (word_has_control(word))
			break;
	}
	for (; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return true;
	}
	return false;
}

/* Printable ASCII alone, without what no URI may hold and proxies rewrite. */
static const char *target_fault(struct span target)
{
	if (target.n == 0 || target.p[0] != '/')
		return "the request target must begin with a slash";
	if (target.n > 1 && target.p[1] == '/')
		return "the request target begins with two slashes";
	for (size_t i = 0; i < target.n; i++) {
		unsigned char c = (unsigned char)target.p[i];

		if (c <= ' ' || c >= 0x7f)
			return "the request target holds a space, a control character or a byte that is not ASCII";
		if (c == '#' || c == '\\')
			return "the request target holds # or a backslash";
	}
	return NULL;
}

/* Only what evhttp reads a body of; of others it takes the body for the next request. */
static bool method_takes_body(struct span method)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (span_is(method, methods[i]))
			return true;
	return false;
}

bool scan_request_line(struct scan *scan, struct span line)
{
	struct span version = line;
	struct span method = span_cut(&version, ' ');
	struct span target = span_cut(&version, ' ');
	const char *fault;

	if (method.n < METHOD_MIN || method.n > METHOD_MAX || prefix_of(method, TOKEN) < method.n)
		return scan_refuse(scan, 400, "the method is malformed");
	if (target.p == NULL || version.p == NULL)
		return scan_refuse(scan, 400, "the request line is not of three parts");
	if (!span_is(version, "HTTP/1.1") && !span_is(version, "HTTP/1.0"))
		return scan_refuse(scan, 400, "the HTTP version is neither 1.0 nor 1.1");
	fault = span_is(method, "CONNECT") ? "this is no proxy" : target_fault(target);
	if (fault != NULL)
		return scan_refuse(scan, 400, fault);
	scan->http_1_0 = version.p[version.n - 1] == '0';
	scan->is_head = span_is(method, "HEAD");
	scan->takes_body = method_takes_body(method);
	scan->state = SCAN_IN_HEADERS;
	scan->part(SCAN_TARGET, target, scan->arg);
	return true;
}

static bool read_host(struct scan *scan, struct span value)
{
	if (++scan->hosts > 1)
		return scan_refuse(scan, 400, "exactly one Host header is needed");
	if (value.n == 0 || prefix_of(value, HOST) < value.n)
		return scan_refuse(scan, 400, "the Host header is malformed");
	return true;
}

static bool read_length(struct scan *scan, struct span value)
{
	int64_t length;

	if (++scan->lengths > 1)
		return scan_refuse(scan, 400, "the length of the body is given more than once");
	if (value.n > LENGTH_DIGITS_MAX || !span_to_int64(value, &length) || (value.n > 1 && value.p[0] == '0'))
		return scan_refuse(scan, 400, "Content-Length is not a plain number");
	scan->length = (uint64_t)length;
	return true;
}

static bool read_encoding(struct scan *scan, struct span value)
{
	if (++scan->encodings > 1)
		return scan_refuse(scan, 400, "the length of the body is given more than once");
	if (!span_ieq(value, SPAN("chunked")))
		return scan_refuse(scan, 400, "the only Transfer-Encoding taken is chunked");
	scan->chunked = true;
	return true;
}

/* By the length first: of most headers no letter is compared. */
static bool read_known(struct scan *scan, struct span name, struct span value)
{
	switch (name.n) {
	case 4:
		if (span_ieq(name, SPAN("host")))
			return read_host(scan, value);
		break;
	case 6:
		if (span_ieq(name, SPAN("origin")))
			scan->part(SCAN_ORIGIN, value, scan->arg);
		else if (span_ieq(name, SPAN("expect")) && !span_ieq(value, SPAN("100-continue")))
			return scan_refuse(scan, 417, "the only expectation met is 100-continue");
		break;
	case 12:
		if (span_ieq(name, SPAN("x-request-id")))
			scan->part(SCAN_REQUEST_ID, value, scan->arg);
		break;
	case 14:
		if (span_ieq(name, SPAN("content-length")))
			return read_length(scan, value);
		break;
	case 15:
		if (span_ieq(name, SPAN("x-forwarded-for")))
			scan->part(SCAN_FORWARDED, value, scan->arg);
		break;
	case 17:
		if (span_ieq(name, SPAN("transfer-encoding")))
			return read_encoding(scan, value);
		break;
	default:
		break;
	}
	if (scan->signature_name != NULL && span_ieq(name, span_of(scan->signature_name)))
		scan->part(SCAN_SIGNATURE, value, scan->arg);
	return true;
}

bool scan_header_line(struct scan *scan, struct span line)
{
	size_t name_n = prefix_of(line, TOKEN);
	struct span value;

	if (++scan->headers > SCAN_HEADERS_MAX)
		return scan_refuse(scan, 431, "there are too many headers");
	if (line.p[0] == ' ' || line.p[0] == '\t')
		return scan_refuse(scan, 400, "a header is folded over several lines");
	if (name_n == 0 || name_n == line.n || line.p[name_n] != ':')
		return scan_refuse(scan, 400, "a header has a malformed name");
	value = (struct span){line.p + name_n + 1, line.n - name_n - 1};
	if (has_control(value))
		return scan_refuse(scan, 400, "a header holds a control character");
	return read_known(scan, (struct span){line.p, name_n}, span_trim(value));
}

bool scan_head_end(struct scan *scan)
{
	if (scan->hosts == 0 && !scan->http_1_0)
		return scan_refuse(scan, 400, "exactly one Host header is needed");
	if (scan->lengths > 0 && scan->encodings > 0)
		return scan_refuse(scan, 400, "the length of the body is given more than once");
	if (scan->chunked && scan->http_1_0)
		return scan_refuse(scan, 400, "HTTP/1.0 has no Transfer-Encoding");
	if ((scan->chunked || scan->length > 0) && !scan->takes_body)
		return scan_refuse(scan, 400, "this method takes no body");
	scan->state = SCAN_AT_BODY;
	return true;
}
