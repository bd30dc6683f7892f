/* Cleaning: one pass over hostile bytes, a grammar with a stack of bits, and runs.
 *
 * Everything from `run` to `p` is clean and not copied yet, so a body without white
 * space and without anything to mend is copied in one piece. */
#include "base/json.h"

#include <float.h>
#include <stdlib.h>

enum {
	/* far more than a double tells apart, far less than numeric's 131072 digits and
	 * 16383 decimals, all of which it writes out */
	NUMBER_LEN_MAX = 400,
	EXPONENT_MAX = 400,
	/* below this power of ten no double overflows */
	DOUBLE_POWER_SAFE = 308,
	LEVELS_PER_WORD = 64
};

#define REPLACEMENT SPAN("\xEF\xBF\xBD") /* U+FFFD */

enum expect {
	EXPECT_VALUE,
	EXPECT_VALUE_OR_CLOSE, /* after [ */
	EXPECT_NAME,
	EXPECT_NAME_OR_CLOSE, /* after { */
	EXPECT_COLON,
	EXPECT_COMMA_OR_CLOSE,
	EXPECT_END
};

struct cleaner {
	const char *p, *end;
	const char *run;
	struct text *out;
	enum expect expect;
	uint64_t *objects; /* one bit a level, set for an object */
	size_t words;      /* allocated in `objects` */
	size_t depth;
	bool muted; /* deeper than JSON_DEPTH_MAX: checked and not written */
	bool lossy;
	struct json_ends *ends; /* may be NULL */
	size_t begins[JSON_ENDS_LEVELS]; /* in `out`, of the outer containers that are open */
};

static void flush(struct cleaner *c)
{
	if (!c->muted && c->p > c->run)
		text_add(c->out, (struct span){c->run, (size_t)(c->p - c->run)});
	c->run = c->p;
}

/* Writes `text` in place of the next n bytes. */
static void replace(struct cleaner *c, size_t n, struct span text)
{
	flush(c);
	if (!c->muted)
		text_add(c->out, text);
	c->lossy = true;
	c->p += n;
	c->run = c->p;
}

static bool is_space(char ch)
{
	return ch == ' ' || ch == '\n' || ch == '\r' || ch == '\t';
}

static void skip_space(struct cleaner *c)
{
	if (c->p == c->end || !is_space(*c->p))
		return;
	flush(c);
	while (c->p < c->end && is_space(*c->p))
		c->p++;
	c->run = c->p;
}

static bool is_object(const struct cleaner *c, size_t level)
{
	return c->objects[level / LEVELS_PER_WORD] >> (level % LEVELS_PER_WORD) & 1;
}

/* Where in `out` the byte at `p` comes to stand. */
static size_t place(const struct cleaner *c)
{
	return c->out->n + (size_t)(c->p - c->run);
}

/* An outer container has ended. */
static void note_end(struct cleaner *c)
{
	struct json_ends *ends = c->ends;
	size_t end = place(c);

	if (end - c->begins[c->depth] >= JSON_ENDS_LEN_MIN && ends->n < JSON_ENDS_MAX)
		ends->at[ends->n++] = (struct json_range){c->begins[c->depth], end};
}

/* After a whole value, and after a container's end. */
static bool value_done(struct cleaner *c)
{
	c->expect = c->depth > 0 ? EXPECT_COMMA_OR_CLOSE : EXPECT_END;
	return true;
}

static bool open_container(struct cleaner *c, bool object)
{
	size_t word = c->depth / LEVELS_PER_WORD;
	uint64_t bit = (uint64_t)1 << (c->depth % LEVELS_PER_WORD);

	if (c->depth == JSON_DEPTH_MAX) {
		replace(c, 0, SPAN("null"));
		c->muted = true;
	}
	if (word == c->words) {
		c->words = c->words ? c->words * 2 : 4;
		c->objects = xrealloc(c->objects, c->words * sizeof(*c->objects));
	}
	if (object)
		c->objects[word] |= bit;
	else
		c->objects[word] &= ~bit;
	if (c->depth < JSON_ENDS_LEVELS)
		c->begins[c->depth] = place(c);
	c->depth++;
	c->p++;
	c->expect = object ? EXPECT_NAME_OR_CLOSE : EXPECT_VALUE_OR_CLOSE;
	return true;
}

static bool close_container(struct cleaner *c)
{
	if (*c->p != (is_object(c, c->depth - 1) ? '}' : ']'))
		return false;
	c->p++;
	c->depth--;
	if (c->muted && c->depth == JSON_DEPTH_MAX) {
		c->muted = false;
		c->run = c->p;
	}
	if (c->ends && c->depth < JSON_ENDS_LEVELS)
		note_end(c);
	return value_done(c);
}

static bool clean_literal(struct cleaner *c, const char *literal)
{
	for (; *literal; literal++, c->p++)
		if (c->p == c->end || *c->p != *literal)
			return false;
	return value_done(c);
}

/* Skips digits: how many there were. */
static size_t skip_digits(struct cleaner *c)
{
	const char *start = c->p;

	while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		c->p++;
	return (size_t)(c->p - start);
}

/* Skips e, a sign and digits; *exponent stops growing beyond EXPONENT_MAX. */
static bool skip_exponent(struct cleaner *c, int *exponent)
{
	bool negative = false;
	const char *digit;

	c->p++;
	if (c->p < c->end && (*c->p == '+' || *c->p == '-'))
		negative = *c->p++ == '-';
	digit = c->p;
	if (skip_digits(c) == 0)
		return false;
	for (; digit < c->p && *exponent <= EXPONENT_MAX; digit++)
		*exponent = *exponent * 10 + (*digit - '0');
	if (negative)
		*exponent = -*exponent;
	return true;
}

/* Whether both a double and a numeric hold this number. */
static bool number_fits(const char *number, size_t len, size_t integer_digits, int exponent)
{
	char copy[NUMBER_LEN_MAX + 1];
	double value;

	if (len > NUMBER_LEN_MAX || exponent > EXPONENT_MAX || exponent < -EXPONENT_MAX)
		return false;
	if ((int)integer_digits + exponent <= DOUBLE_POWER_SAFE)
		return true;
	memcpy(copy, number, len);
	copy[len] = '\0';
	value = strtod(copy, NULL);
	return value <= DBL_MAX && value >= -DBL_MAX;
}

static bool clean_number(struct cleaner *c)
{
	const char *start = c->p;
	size_t integer_digits;
	int exponent = 0;

	if (*c->p == '-')
		c->p++;
	if (c->p < c->end && *c->p == '0') {
		integer_digits = 1;
		c->p++;
	} else if ((integer_digits = skip_digits(c)) == 0) {
		return false;
	}
	if (c->p < c->end && *c->p == '.') {
		c->p++;
		if (skip_digits(c) == 0)
			return false;
	}
	if (c->p < c->end && (*c->p == 'e' || *c->p == 'E'))
		if (!skip_exponent(c, &exponent))
			return false;
	if (!number_fits(start, (size_t)(c->p - start), integer_digits, exponent)) {
		size_t len = (size_t)(c->p - start);

		c->p = start;
		replace(c, len, SPAN("null"));
	}
	return value_done(c);
}

static bool is_plain(unsigned char ch)
{
	return ch >= 0x20 && ch < 0x80 && ch != '"' && ch != '\\';
}

/* True if one of eight bytes is a control character, a quote, a backslash or not
 * ASCII. */
static bool word_is_special(uint64_t word)
{
	const uint64_t ones = UINT64_MAX / 255, highs = ones * 0x80;
	uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';

	return ((word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & highs) != 0;
}

static const char *skip_plain(const char *p, const char *end)
{
	uint64_t word;

	while (end - p >= (ptrdiff_t)sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		if (word_is_special(word))
			break;
		p += sizeof(word);
	}
	while (p < end && is_plain((unsigned char)*p))
		p++;
	return p;
}

/* The length of the UTF-8 sequence at p (RFC 3629), or of the part of it that one
 * U+FFFD replaces (Unicode, 3.9, "maximal subparts"). */
static size_t utf8_sequence(const char *p, const char *end, bool *valid)
{
	unsigned char lead = (unsigned char)*p, low = 0x80, high = 0xBF;
	size_t len = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

	*valid = lead >= 0xC2 && lead <= 0xF4;
	if (!*valid)
		return 1;
	if (lead == 0xE0)
		low = 0xA0;
	else if (lead == 0xED)
		high = 0x9F;
	else if (lead == 0xF0)
		low = 0x90;
	else if (lead == 0xF4)
		high = 0x8F;
	for (size_t i = 1; i < len; i++, low = 0x80, high = 0xBF)
		if (p + i == end || (unsigned char)p[i] < low || (unsigned char)p[i] > high) {
			*valid = false;
			return i;
		}
	return len;
}

static void clean_utf8(struct cleaner *c)
{
	bool valid;
	size_t n = utf8_sequence(c->p, c->end, &valid);

	if (valid)
		c->p += n;
	else
		replace(c, n, REPLACEMENT);
}

static int hex_value(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	ch |= 0x20;
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* The code unit of the escape \uXXXX at p, or -1; *bad is then its first offending byte. */
static int escape_unit(const char *p, const char *end, const char **bad)
{
	int unit = 0, digit;

	for (int i = 0; i < 6; i++, p++) {
		*bad = p;
		if (p == end)
			return -1;
		if (i < 2) {
			if (*p != "\\u"[i])
				return -1;
			continue;
		}
		digit = hex_value(*p);
		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

static bool clean_unicode_escape(struct cleaner *c)
{
	const char *bad;
	int unit = escape_unit(c->p, c->end, &bad);
	int low;

	if (unit < 0) {
		c->p = bad;
		return false;
	}
	if (unit >= 0xD800 && unit <= 0xDBFF) {
		low = escape_unit(c->p + 6, c->end, &bad);
		if (low >= 0xDC00 && low <= 0xDFFF) {
			c->p += 12;
			return true;
		}
	}
	if (unit == 0 || (unit >= 0xD800 && unit <= 0xDFFF))
		replace(c, 6, REPLACEMENT);
	else
		c->p += 6;
	return true;
}

static bool clean_escape(struct cleaner *c)
{
	if (c->p + 1 < c->end && c->p[1] == 'u')
		return clean_unicode_escape(c);
	c->p++;
	if (c->p == c->end || *c->p == '\0' || strchr("\"\\/bfnrt", *c->p) == NULL)
		return false;
	c->p++;
	return true;
}

static bool clean_string(struct cleaner *c)
{
	c->p++;
	for (;;) {
		c->p = skip_plain(c->p, c->end);
		if (c->p == c->end || (unsigned char)*c->p < 0x20)
			return false;
		if (*c->p == '"') {
			c->p++;
			return true;
		}
		if (*c->p != '\\')
			clean_utf8(c);
		else if (!clean_escape(c))
			return false;
	}
}

static bool clean_value(struct cleaner *c)
{
	switch (*c->p) {
	case '"':
		return clean_string(c) && value_done(c);
	case '{':
		return open_container(c, true);
	case '[':
		return open_container(c, false);
	case 't':
		return clean_literal(c, "true");
	case 'f':
		return clean_literal(c, "false");
	case 'n':
		return clean_literal(c, "null");
	default:
		return clean_number(c);
	}
}

static bool clean_name(struct cleaner *c)
{
	if (*c->p != '"')
		return false;
	c->expect = EXPECT_COLON;
	return clean_string(c);
}

static bool clean_colon(struct cleaner *c)
{
	if (*c->p != ':')
		return false;
	c->p++;
	c->expect = EXPECT_VALUE;
	return true;
}

static bool clean_comma(struct cleaner *c)
{
	c->p++;
	c->expect = is_object(c, c->depth - 1) ? EXPECT_NAME : EXPECT_VALUE;
	return true;
}

static bool clean_token(struct cleaner *c)
{
	switch (c->expect) {
	case EXPECT_VALUE:
		return clean_value(c);
	case EXPECT_VALUE_OR_CLOSE:
		return *c->p == ']' ? close_container(c) : clean_value(c);
	case EXPECT_NAME:
		return clean_name(c);
	case EXPECT_NAME_OR_CLOSE:
		return *c->p == '}' ? close_container(c) : clean_name(c);
	case EXPECT_COLON:
		return clean_colon(c);
	case EXPECT_COMMA_OR_CLOSE:
		return *c->p == ',' ? clean_comma(c) : close_container(c);
	case EXPECT_END:
		break;
	}
	return false;
}

bool json_clean(struct span in, struct text *out, bool *lossy, size_t *error_at)
{
	return json_clean_ends(in, out, NULL, lossy, error_at);
}

bool json_clean_ends(struct span in, struct text *out, struct json_ends *ends, bool *lossy, size_t *error_at)
{
	const char *start = in.p ? in.p : "";
	struct cleaner c = {.p = start, .end = start + in.n, .run = start, .out = out, .ends = ends};
	bool ok;

	if (ends)
		ends->n = 0;

	do {
		skip_space(&c);
		ok = c.p == c.end ? c.expect == EXPECT_END : clean_token(&c);
	} while (ok && c.p < c.end);
	ok = ok && c.expect == EXPECT_END;
	if (ok)
		flush(&c);
	else
		*error_at = (size_t)(c.p - start);
	if (ends)
		ends->text = text_span(out).p;
	*lossy = c.lossy;
	free(c.objects);
	return ok;
}
