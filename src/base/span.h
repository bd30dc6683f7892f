/* Spans: bytes from the wire, with a length and without an owner.
 *
 * A span borrows: whoever made it says how long its bytes live. A span whose
 * pointer is NULL means "absent" (an SQL NULL, a JSON member that isn't there);
 * an empty span that is present has a pointer. */
#ifndef DEBRIEF_BASE_SPAN_H
#define DEBRIEF_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *p;
	size_t n;
};

#define SPAN(literal) ((struct span){"" literal, sizeof(literal) - 1})
#define SPAN_ABSENT ((struct span){NULL, 0})

/* printf("%.*s", SPAN_ARG(s)) */
#define SPAN_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct span span_of(const char *text)
{
	return (struct span){text, text ? strlen(text) : 0};
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool span_is(struct span a, const char *text)
{
	return a.p != NULL && span_eq(a, span_of(text));
}

bool span_starts_with(struct span s, struct span prefix);
bool span_ieq(struct span a, struct span b);          /* ASCII case ignored */
struct span span_trim(struct span s);                 /* spaces and tabs at both ends */

/* Cuts *rest at the first `at`: returns what is before it, leaves what is
 * behind it; without one returns all and leaves *rest absent. */
struct span span_cut(struct span *rest, char at);

/* A number's digits, in `buffer`; of SPAN_DIGITS as long as the block around it. For hot paths: printf() takes ten
 * times as long. */
enum { SPAN_DIGITS_MAX = 24 };
struct span span_digits(int64_t number, char buffer[SPAN_DIGITS_MAX]);
#define SPAN_DIGITS(number) span_digits((number), (char[SPAN_DIGITS_MAX]){0})

/* Digits only, no sign, no space; false on anything else or beyond int64. */
bool span_to_int64(struct span s, int64_t *value);

#endif
