#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_CAPACITY_MIN = 64 };

/* Makes room for `more` bytes and a NUL. What was outgrown stays in the arena:
 * by doubling, at most as much again as the text itself. */
static void text_reserve(struct text *text, size_t more)
{
	size_t needed;
	size_t capacity = text->capacity ? text->capacity : TEXT_CAPACITY_MIN;

	if (__builtin_add_overflow(text->n, more, &needed) || needed >= SIZE_MAX / 2)
		abort();
	if (text->p && needed < text->capacity)
		return;
	while (capacity <= needed)
		capacity *= 2;
	char *p = arena_take(text->arena, capacity);
	if (text->n > 0)
		memcpy(p, text->p, text->n);
	p[text->n] = '\0';
	text->p = p;
	text->capacity = capacity;
}

void text_init(struct text *text, struct arena *arena, size_t capacity)
{
	*text = (struct text){.arena = arena};
	if (capacity > 0) {
		text->p = arena_take(arena, capacity);
		text->p[0] = '\0';
		text->capacity = capacity;
	}
}

struct span text_span(const struct text *text)
{
	return (struct span){text->p ? text->p : "", text->n};
}

void text_add(struct text *text, struct span s)
{
	text_reserve(text, s.n);
	if (s.n > 0)
		memcpy(text->p + text->n, s.p, s.n);
	text->n += s.n;
	text->p[text->n] = '\0';
}

void text_add_spans(struct text *text, size_t count, const struct span *spans)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += spans[i].n;
	text_reserve(text, n);
	for (size_t i = 0; i < count; i++) {
		if (spans[i].n > 0)
			memcpy(text->p + text->n, spans[i].p, spans[i].n);
		text->n += spans[i].n;
	}
	text->p[text->n] = '\0';
}

void text_addc(struct text *text, char c)
{
	text_add(text, (struct span){&c, 1});
}

void text_addf(struct text *text, const char *format, ...)
{
	va_list args;
	va_list again;

	va_start(args, format);
	va_copy(again, args);
	text_reserve(text, 0);
	size_t room = text->capacity - text->n;
	int n = vsnprintf(text->p + text->n, room, format, args);
	if (n < 0)
		abort();
	if ((size_t)n >= room) {
		text_reserve(text, (size_t)n);
		vsnprintf(text->p + text->n, (size_t)n + 1, format, again);
	}
	text->n += (size_t)n;
	va_end(again);
	va_end(args);
}

static bool needs_escape(unsigned char c)
{
	return c < 0x20 || c == '"' || c == '\\';
}

static void text_add_escape(struct text *text, unsigned char c)
{
	static const char short_forms[][2] = {
		{'"', '"'}, {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'},
	};

	for (size_t i = 0; i < sizeof(short_forms) / sizeof(short_forms[0]); i++) {
		if (c == (unsigned char)short_forms[i][0]) {
			text_add(text, (struct span){(char[]){'\\', short_forms[i][1]}, 2});
			return;
		}
	}
	text_addf(text, "\\u%04x", c);
}

void text_add_json(struct text *text, struct span s)
{
	size_t plain = 0; /* start of the run that needs no escaping */

	if (!s.p) {
		text_add(text, SPAN("null"));
		return;
	}
	text_addc(text, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (!needs_escape((unsigned char)s.p[i]))
			continue;
		text_add(text, (struct span){s.p + plain, i - plain});
		text_add_escape(text, (unsigned char)s.p[i]);
		plain = i + 1;
	}
	text_add(text, (struct span){s.p + plain, s.n - plain});
	text_addc(text, '"');
}
