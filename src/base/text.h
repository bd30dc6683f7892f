/* Text: a growing, NUL-terminated string in an arena, and JSON written into it. */
#ifndef DEBRIEF_BASE_TEXT_H
#define DEBRIEF_BASE_TEXT_H

#include "base/arena.h"

struct text {
	struct arena *arena;
	char *p; /* NUL-terminated once anything was added */
	size_t n;
	size_t capacity;
};

void text_init(struct text *text, struct arena *arena, size_t capacity);
struct span text_span(const struct text *text); /* valid until the next addition */

void text_add(struct text *text, struct span s);
void text_addc(struct text *text, char c);
/* Several spans, one behind the other; absent ones are nothing. */
void text_add_spans(struct text *text, size_t count, const struct span *spans);
#define TEXT_ADD(text, ...) \
	text_add_spans((text), sizeof((const struct span[]){__VA_ARGS__}) / sizeof(struct span), \
		       (const struct span[]){__VA_ARGS__})
void text_addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes, or `null` for an absent span. The bytes must be
 * UTF-8; control characters, `"` and `\` are escaped (RFC 8259, 7). */
void text_add_json(struct text *text, struct span s);

#endif
