/* Cleaning: one pass over hostile bytes, a grammar with a stack of bits, and runs. */
#include "base/json_cleaner.h"

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

void json_cleaner_flush(struct json_cleaner *c)
{
	if (!c->muted && c->p > c->run)
		text_add(c->out, (struct span){c->run, (size_t)(c->p - c->run)});
	c->run = c->p;
}

void json_cleaner_replace(struct json_cleaner *c, size_t n, struct span text)
{
	json_cleaner_flush(c);
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

static void skip_spaces(struct json_cleaner *c)
{
	json_cleaner_flush(c);
	while (c->p < c->end && is_space(*c->p))
		c->p++;
	c->run = c->p;
}

/* Whether the next token begins with `ch`; false at the end. */
static bool next_is(struct json_cleaner *c, char ch)
{
	if (c->p < c->end && is_space(*c->p))
		skip_spaces(c);
	return c->p < c->end && *c->p == ch;
}

static bool is_object(const struct json_cleaner *c, size_t level)
{
	return c->objects[level / LEVELS_PER_WORD] >> (level % LEVELS_PER_WORD) & 1;
}

/* Where in `out` the byte at `p` comes to stand. */
static size_t place(const struct json_cleaner *c)
{
	return c->out->n + (size_t)(c->p - c->run);
}

/* An outer container has ended. */
static void note_end(struct json_cleaner *c)
{
	struct json_ends *ends = c->ends;
	size_t end = place(c);

	if (end - c->begins[c->depth] >= JSON_ENDS_LEN_MIN && ends->n < JSON_ENDS_MAX)
		ends->at[ends->n++] = (struct json_range){c->begins[c->depth], end};
}

/* After a whole value, and after a container's end. */
static bool value_done(struct json_cleaner *c)
{
	c->expect = c->depth > 0 ? EXPECT_COMMA_OR_CLOSE : EXPECT_END;
	return true;
}

static bool open_container(struct json_cleaner *c, bool object)
{
	size_t word = c->depth / LEVELS_PER_WORD;
	uint64_t bit = (uint64_t)1 << (c->depth % LEVELS_PER_WORD);

	if (c->depth == JSON_DEPTH_MAX) {
		json_cleaner_replace(c, 0, SPAN("null"));
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

static bool close_container(struct json_cleaner *c)
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

static bool clean_literal(struct json_cleaner *c, struct span literal)
{
	size_t left = (size_t)(c->end - c->p), n = 0;

	if (left >= literal.n && memcmp(c->p, literal.p, literal.n) == 0) {
		c->p += literal.n;
		return value_done(c);
	}
	while (n < left && n < literal.n && c->p[n] == literal.p[n])
		n++;
	c->p += n;
	return false;
}

/* Skips digits: how many there were. */
static size_t skip_digits(struct json_cleaner *c)
{
	const char *start = c->p;

	while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		c->p++;
	return (size_t)(c->p - start);
}

/* Skips e, a sign and digits; *exponent stops growing beyond EXPONENT_MAX. */
static bool skip_exponent(struct json_cleaner *c, int *exponent)
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

static bool clean_number(struct json_cleaner *c)
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
		json_cleaner_replace(c, len, SPAN("null"));
	}
	return value_done(c);
}

static bool clean_value(struct json_cleaner *c)
{
	switch (*c->p) {
	case '"':
		return json_clean_string(c) && value_done(c);
	case '{':
		return open_container(c, true);
	case '[':
		return open_container(c, false);
	case 't':
		return clean_literal(c, SPAN("true"));
	case 'f':
		return clean_literal(c, SPAN("false"));
	case 'n':
		return clean_literal(c, SPAN("null"));
	default:
		return clean_number(c);
	}
}

/* A member's name, and the colon behind it. */
static bool clean_name(struct json_cleaner *c)
{
	if (!next_is(c, '"') || !json_clean_string(c) || !next_is(c, ':'))
		return false;
	c->p++;
	c->expect = EXPECT_VALUE;
	return true;
}

static bool clean_comma(struct json_cleaner *c)
{
	c->p++;
	if (is_object(c, c->depth - 1))
		return clean_name(c);
	c->expect = EXPECT_VALUE;
	return true;
}

static bool clean_token(struct json_cleaner *c)
{
	switch (c->expect) {
	case EXPECT_VALUE:
		return clean_value(c);
	case EXPECT_VALUE_OR_CLOSE:
		return *c->p == ']' ? close_container(c) : clean_value(c);
	case EXPECT_NAME_OR_CLOSE:
		return *c->p == '}' ? close_container(c) : clean_name(c);
	case EXPECT_COMMA_OR_CLOSE:
		return *c->p == ',' ? clean_comma(c) : close_container(c);
	case EXPECT_END:
		break;
	}
	return false;
}

/* False at the first offending byte, or at the end if something is missing. */
static bool clean_all(struct json_cleaner *c)
{
	bool ok;

	do {
		if (c->p < c->end && is_space(*c->p))
			skip_spaces(c);
		ok = c->p == c->end ? c->expect == EXPECT_END : clean_token(c);
	} while (ok && c->p < c->end);
	free(c->objects);
	return ok && c->expect == EXPECT_END;
}

static struct json_cleaner cleaner(struct span in, struct text *out)
{
	const char *start = in.p ? in.p : "";

	return (struct json_cleaner){.p = start, .end = start + in.n, .run = start, .out = out};
}

bool json_clean(struct span in, struct text *out, bool *lossy, size_t *error_at)
{
	struct json_cleaner c = cleaner(in, out);
	bool ok = clean_all(&c);

	*lossy = c.lossy;
	*error_at = in.n - (size_t)(c.end - c.p);
	if (ok)
		json_cleaner_flush(&c);
	return ok;
}

bool json_clean_ends(struct arena *arena, struct span in, struct span *clean, struct json_ends *ends, bool *lossy,
		     size_t *error_at)
{
	struct text out = {.arena = arena, .capacity = in.n + 1};
	struct json_cleaner c = cleaner(in, &out);
	const char *start = c.p;
	bool ok;

	ends->n = 0;
	c.ends = ends;
	ok = clean_all(&c);
	*lossy = c.lossy;
	*error_at = in.n - (size_t)(c.end - c.p);
	if (ok && c.run > start)
		json_cleaner_flush(&c);
	*clean = c.run == start ? in : text_span(&out);
	ends->text = clean->p;
	return ok;
}
