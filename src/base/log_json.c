#include "base/log_json.h"

struct json_line {
	char *p;
	size_t n, size;
	bool full;
};

/* Room for the closing brace is kept by log_to_json(). */
static void put(struct json_line *out, struct span text)
{
	if (out->full || text.n > out->size - out->n) {
		out->full = true;
		return;
	}
	memcpy(out->p + out->n, text.p, text.n);
	out->n += text.n;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of JSON's own. Bytes beyond ASCII stand as U+0080 to U+00FF: they may be no UTF-8. */
static void put_char(struct json_line *out, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	char text[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};

	if (c == '"' || c == '\\') {
		text[1] = (char)c;
		put(out, (struct span){text, 2});
	} else if (c < 0x20 || c >= 0x7f) {
		put(out, (struct span){text, sizeof(text)});
	} else {
		text[0] = (char)c;
		put(out, (struct span){text, 1});
	}
}

/* What log_quote() escaped: \" \\ \n \xNN. Takes it off *rest. */
static unsigned char unescape(struct span *rest)
{
	char c = rest->p[0];
	int high, low;

	rest->p++, rest->n--;
	if (c == 'n')
		return '\n';
	if (c != 'x' || rest->n < 2 || (high = hex_digit(rest->p[0])) < 0 ||
	    (low = hex_digit(rest->p[1])) < 0)
		return (unsigned char)c;
	rest->p += 2, rest->n -= 2;
	return (unsigned char)(high << 4 | low);
}

/* The value at the head of *rest, quoted or not, as a JSON string; takes it off. */
static void put_value(struct json_line *out, struct span *rest)
{
	bool quoted = rest->n > 0 && rest->p[0] == '"';

	put(out, SPAN("\""));
	if (quoted)
		rest->p++, rest->n--;
	while (rest->n > 0 && rest->p[0] != (quoted ? '"' : ' ')) {
		char c = rest->p[0];

		rest->p++, rest->n--;
		put_char(out, quoted && c == '\\' && rest->n > 0 ? unescape(rest) : (unsigned char)c);
	}
	if (quoted && rest->n > 0)
		rest->p++, rest->n--;
	put(out, SPAN("\""));
}

static bool ends_with(struct span s, struct span end)
{
	return s.n >= end.n && memcmp(s.p + s.n - end.n, end.p, end.n) == 0;
}

/* "12" or "0.345" (RFC 8259, 6). */
static bool is_number(struct span key, struct span value)
{
	struct span whole = span_cut(&value, '.');
	int64_t number;

	if (!(ends_with(key, SPAN("status")) || ends_with(key, SPAN("worker")) ||
	      ends_with(key, SPAN("workers")) || ends_with(key, SPAN("_ms"))))
		return false;
	if (!span_to_int64(whole, &number) || (whole.n > 1 && whole.p[0] == '0'))
		return false;
	return !value.p || span_to_int64(value, &number);
}

size_t log_to_json(struct span line, char *out, size_t size)
{
	struct json_line json = {.p = out, .size = size - 1};
	size_t whole = 0; /* up to the last pair that fitted */

	while (line.p && line.n > 0) {
		struct span key = span_cut(&line, '='), rest = line, bare;

		if (!line.p)
			break; /* no pair: nothing that log_event() writes */
		put(&json, whole == 0 ? SPAN("{\"") : SPAN(",\""));
		for (size_t i = 0; i < key.n; i++)
			put_char(&json, (unsigned char)key.p[i]);
		put(&json, SPAN("\":"));
		bare = span_cut(&rest, ' ');
		if (is_number(key, bare)) {
			put(&json, bare);
			line = rest;
		} else {
			put_value(&json, &line);
			span_cut(&line, ' ');
		}
		if (json.full)
			break;
		whole = json.n;
	}
	if (whole == 0)
		whole = 0, out[whole++] = '{';
	out[whole++] = '}';
	return whole;
}
