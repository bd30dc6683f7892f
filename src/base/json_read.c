/* Reading cleaned JSON: spans within the text, found by scanning. */
#include "base/json.h"

/* Past the string that begins at p. A quote ends it unless an odd number of
 * backslashes stands before it. */
static const char *string_end(const char *p, const char *end)
{
	const char *quote = p, *back;

	do {
		quote = memchr(quote + 1, '"', (size_t)(end - quote - 1));
		for (back = quote; back[-1] == '\\';)
			back--;
	} while ((quote - back) % 2 != 0);
	return quote + 1;
}

/* Past the container that begins at p. */
static const char *container_end(const char *p, const char *end)
{
	size_t depth = 0;

	do {
		switch (*p) {
		case '"':
			p = string_end(p, end);
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			depth--;
			break;
		default:
			break;
		}
		p++;
	} while (depth > 0);
	return p;
}

static const char *value_end(const char *p, const char *end)
{
	if (*p == '"')
		return string_end(p, end);
	if (*p == '{' || *p == '[')
		return container_end(p, end);
	while (p < end && *p != ',' && *p != '}' && *p != ']' && *p != ' ')
		p++;
	return p;
}

/* jsonb's own text has a space behind each ',' and ':'. */
static const char *skip_spaces(const char *p)
{
	while (*p == ' ')
		p++;
	return p;
}

enum json_type json_type(struct span value)
{
	if (value.p == NULL || value.n == 0)
		return JSON_ABSENT;
	switch (value.p[0]) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
	case 'f':
		return JSON_BOOL;
	case 'n':
		return JSON_NULL;
	default:
		return JSON_NUMBER;
	}
}

struct json_iter json_iter(struct span container)
{
	enum json_type type = json_type(container);

	if (type != JSON_OBJECT && type != JSON_ARRAY)
		return (struct json_iter){.rest = SPAN_ABSENT};
	return (struct json_iter){.rest = {container.p + 1, container.n - 1}, .first = true};
}

/* Past the container that begins at p, or NULL where that is not noted. */
static const char *noted_end(const struct json_ends *ends, const char *p)
{
	size_t begin = (size_t)(p - ends->text);

	for (size_t i = 0; i < ends->n; i++)
		if (ends->at[i].begin == begin)
			return ends->text + ends->at[i].end;
	return NULL;
}

bool json_next(struct json_iter *iter, struct span *name, struct span *value)
{
	const char *p, *end, *begin, *noted = NULL;

	/* the closing bracket is the last byte of `rest`, always */
	if (iter->rest.n <= 1)
		return false;
	p = iter->rest.p;
	end = p + iter->rest.n;
	if (!iter->first)
		p = skip_spaces(p + 1);
	iter->first = false;
	if (name != NULL)
		*name = SPAN_ABSENT;
	if (end[-1] == '}') {
		begin = p;
		p = string_end(p, end);
		if (name != NULL)
			*name = (struct span){begin, (size_t)(p - begin)};
		p = skip_spaces(p + 1);
	}
	begin = p;
	if (iter->ends && (*p == '{' || *p == '['))
		noted = noted_end(iter->ends, p);
	p = noted ? noted : value_end(p, end);
	*value = (struct span){begin, (size_t)(p - begin)};
	iter->rest = (struct span){p, (size_t)(end - p)};
	return true;
}

static unsigned hex_digit(char ch)
{
	return ch <= '9' ? (unsigned)(ch - '0') : (unsigned)((ch | 0x20) - 'a' + 10);
}

/* The code unit of \uXXXX at p. */
static uint32_t escape_unit(const char *p)
{
	return hex_digit(p[2]) << 12 | hex_digit(p[3]) << 8 | hex_digit(p[4]) << 4 | hex_digit(p[5]);
}

static size_t utf8_encode(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xC0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3F));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xE0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3F));
		out[2] = (char)(0x80 | (code & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3F));
	out[2] = (char)(0x80 | (code >> 6 & 0x3F));
	out[3] = (char)(0x80 | (code & 0x3F));
	return 4;
}

/* Decodes the escape at *p and moves past it: how many bytes went to `out`. */
static size_t decode_escape(const char **p, char out[4])
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *simple;
	uint32_t code;

	if ((*p)[1] != 'u') {
		simple = strchr(from, (*p)[1]);
		out[0] = simple != NULL ? to[simple - from] : (*p)[1];
		*p += 2;
		return 1;
	}
	code = escape_unit(*p);
	*p += 6;
	if (code >= 0xD800 && code <= 0xDBFF) {
		code = 0x10000 + ((code - 0xD800) << 10) + (escape_unit(*p) - 0xDC00);
		*p += 6;
	}
	return utf8_encode(code, out);
}

static struct span string_inside(struct span value)
{
	return (struct span){value.p + 1, value.n - 2};
}

/* Compares a raw name with its quotes, decoded, to `name`. */
static bool name_is(struct span raw, struct span name)
{
	struct span inside = string_inside(raw);
	const char *p = inside.p, *end = p + inside.n;

	if (memchr(inside.p, '\\', inside.n) == NULL)
		return span_eq(inside, name);
	while (p < end) {
		char bytes[4];
		size_t n = 1;

		if (*p == '\\')
			n = decode_escape(&p, bytes);
		else
			bytes[0] = *p++;
		if (n > name.n || memcmp(bytes, name.p, n) != 0)
			return false;
		name.p += n;
		name.n -= n;
	}
	return name.n == 0;
}

struct span json_member(struct span object, const char *name)
{
	struct json_iter iter = json_iter(object);
	struct span member, value, found = SPAN_ABSENT, wanted = span_of(name);

	if (json_type(object) != JSON_OBJECT)
		return SPAN_ABSENT;
	while (json_next(&iter, &member, &value))
		if (name_is(member, wanted))
			found = value;
	return found;
}

struct span json_decode_string(struct arena *arena, struct span value)
{
	struct span inside;
	const char *p, *end, *escape;
	char *out, *start;

	if (json_type(value) != JSON_STRING)
		return SPAN_ABSENT;
	inside = string_inside(value);
	start = out = arena_take(arena, inside.n + 1); /* decoding never lengthens */
	for (p = inside.p, end = p + inside.n; p < end;) {
		escape = memchr(p, '\\', (size_t)(end - p));
		escape = escape != NULL ? escape : end;
		memcpy(out, p, (size_t)(escape - p));
		out += escape - p;
		p = escape;
		if (p < end) {
			char bytes[4];
			size_t n = decode_escape(&p, bytes);

			memcpy(out, bytes, n);
			out += n;
		}
	}
	*out = '\0';
	return (struct span){start, (size_t)(out - start)};
}

/* A number taken apart: digits without sign and point, times ten to the `scale`. */
struct decimal {
	char digits[400]; /* as long as a cleaned number can be */
	size_t n;
	int scale;
	bool negative;
};

static void decimal_read(struct span number, struct decimal *decimal)
{
	const char *p = number.p, *end = p + number.n;
	bool fraction = false, minus = false;
	int exponent = 0;

	*decimal = (struct decimal){.negative = *p == '-'};
	for (p += decimal->negative; p < end && (*p | 0x20) != 'e'; p++) {
		if (*p == '.') {
			fraction = true;
			continue;
		}
		decimal->scale -= fraction;
		if (decimal->n > 0 || *p != '0')
			decimal->digits[decimal->n++] = *p;
	}
	if (p < end && (p[1] == '+' || p[1] == '-'))
		minus = *++p == '-';
	for (p++; p < end; p++)
		exponent = exponent * 10 + (*p - '0');
	decimal->scale += minus ? -exponent : exponent;
}

/* Exact, where a double would round. */
static bool number_to_int64(struct span number, int64_t *value)
{
	struct decimal decimal;
	int64_t sum = 0;

	if (number.n > sizeof(decimal.digits))
		return false;
	decimal_read(number, &decimal);
	for (; decimal.scale < 0 && decimal.n > 0; decimal.scale++)
		if (decimal.digits[--decimal.n] != '0')
			return false;
	for (size_t i = 0; i < decimal.n; i++)
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_sub_overflow(sum, decimal.digits[i] - '0', &sum))
			return false;
	for (; decimal.scale > 0 && sum != 0; decimal.scale--)
		if (__builtin_mul_overflow(sum, 10, &sum))
			return false;
	/* summed up below zero, where INT64_MIN has room */
	if (!decimal.negative && __builtin_sub_overflow(0, sum, &sum))
		return false;
	*value = sum;
	return true;
}

bool json_int64(struct span value, bool or_text, int64_t *number)
{
	switch (json_type(value)) {
	case JSON_NUMBER:
		return number_to_int64(value, number);
	case JSON_STRING:
		return or_text && span_to_int64(string_inside(value), number);
	default:
		return false;
	}
}
