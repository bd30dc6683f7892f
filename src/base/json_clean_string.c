/* Cleaning of strings: control characters, escapes and UTF-8. */
#include <endian.h>

#include "base/json_cleaner.h"

#define REPLACEMENT SPAN("\xEF\xBF\xBD") /* U+FFFD */

static bool is_plain(unsigned char ch)
{
	return ch >= 0x20 && ch < 0x80 && ch != '"' && ch != '\\';
}

/* Of eight bytes, the first in the lowest place: the high bit of each that is a control character, a
 * quote, a backslash or not ASCII. A borrow may set it for others as well, but only behind one of these. */
static uint64_t specials(uint64_t word)
{
	const uint64_t ones = UINT64_MAX / 255, highs = ones * 0x80;
	uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';

	return (word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & highs;
}

static const char *skip_plain(const char *p, const char *end)
{
	uint64_t word, found;

	for (; end - p >= (ptrdiff_t)sizeof(word); p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		found = specials(le64toh(word));
		if (found)
			return p + __builtin_ctzll(found) / 8;
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

static void clean_utf8(struct json_cleaner *c)
{
	bool valid;
	size_t n = utf8_sequence(c->p, c->end, &valid);

	if (valid)
		c->p += n;
	else
		json_cleaner_replace(c, n, REPLACEMENT);
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

static bool clean_unicode_escape(struct json_cleaner *c)
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
		json_cleaner_replace(c, 6, REPLACEMENT);
	else
		c->p += 6;
	return true;
}

static bool clean_escape(struct json_cleaner *c)
{
	if (c->p + 1 < c->end && c->p[1] == 'u')
		return clean_unicode_escape(c);
	c->p++;
	if (c->p == c->end || *c->p == '\0' || strchr("\"\\/bfnrt", *c->p) == NULL)
		return false;
	c->p++;
	return true;
}

/* What isn't plain, nor the closing quote. Apart, so that the way of most strings has few registers to save. */
static __attribute__((noinline)) bool clean_special(struct json_cleaner *c)
{
	if (c->p == c->end || (unsigned char)*c->p < 0x20)
		return false;
	if (*c->p == '\\')
		return clean_escape(c);
	clean_utf8(c);
	return true;
}

bool json_clean_string(struct json_cleaner *c)
{
	c->p++;
	for (;;) {
		c->p = skip_plain(c->p, c->end);
		if (c->p < c->end && *c->p == '"') {
			c->p++;
			return true;
		}
		if (!clean_special(c))
			return false;
	}
}
