#include "base/span.h"

bool span_starts_with(struct span s, struct span prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static unsigned char ascii_lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

/* Not strncasecmp(): its notion of a letter follows the locale. */
bool span_ieq(struct span a, struct span b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (ascii_lower((unsigned char)a.p[i]) != ascii_lower((unsigned char)b.p[i]))
			return false;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
	while (s.n > 0 && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct span span_cut(struct span *rest, char at)
{
	struct span all = *rest;
	const char *found = all.n > 0 ? memchr(all.p, at, all.n) : NULL;

	if (!found) {
		*rest = SPAN_ABSENT;
		return all;
	}
	size_t before = (size_t)(found - all.p);
	*rest = (struct span){found + 1, all.n - before - 1};
	return (struct span){all.p, before};
}

struct span span_digits(int64_t number, char buffer[SPAN_DIGITS_MAX])
{
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	char *end = buffer + SPAN_DIGITS_MAX, *p = end;

	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	if (number < 0)
		*--p = '-';
	return (struct span){p, (size_t)(end - p)};
}

bool span_to_int64(struct span s, int64_t *value)
{
	int64_t number = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, s.p[i] - '0', &number))
			return false;
	}
	*value = number;
	return true;
}
