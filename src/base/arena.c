#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/pool.h"

enum { BLOCK_MIN = 1024, BLOCK_MAX = 65536 }; /* a parked request keeps its first block: small */

struct arena_block {
	struct arena_block *next;
	size_t capacity; /* of data[] */
	alignas(max_align_t) char data[];
};

void out_of_memory(void)
{
	fputs("debrief: out of memory\n", stderr);
	abort();
}

static size_t size_add(size_t a, size_t b)
{
	size_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		out_of_memory();
	return sum;
}

void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xrealloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (!p)
		out_of_memory();
	return p;
}

char *xstrdup(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		out_of_memory();
	return copy;
}

void arena_init(struct arena *arena)
{
	*arena = (struct arena){0};
}

void arena_deinit(struct arena *arena)
{
	struct arena_block *block = arena->head;

	while (block) {
		struct arena_block *next = block->next;

		pool_free(block);
		block = next;
	}
	arena_init(arena);
}

/* Large ones stand behind the head, whose rest stays in use. */
static void *arena_take_large(struct arena *arena, size_t size)
{
	struct arena_block *block = pool_alloc(size_add(sizeof(*block), size));

	block->next = NULL;
	block->capacity = size;
	arena->total += sizeof(*block) + size;
	if (arena->head) {
		block->next = arena->head->next;
		arena->head->next = block;
	} else {
		arena->head = block;
		arena->used = size;
	}
	return block->data;
}

static void arena_add_block(struct arena *arena)
{
	size_t size = BLOCK_MIN;

	while (size < BLOCK_MAX && size < arena->total)
		size *= 2;
	struct arena_block *block = pool_alloc(size);
	block->next = arena->head;
	block->capacity = size - sizeof(*block);
	arena->head = block;
	arena->used = 0;
	arena->total += size;
}

static size_t size_rounded(size_t size)
{
	return size_add(size ? size : 1, alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

void *arena_take(struct arena *arena, size_t size)
{
	size_t rounded = size_rounded(size);
	void *p;

	if (!arena->head || rounded > arena->head->capacity - arena->used) {
		if (rounded > BLOCK_MIN / 2)
			return arena_take_large(arena, rounded);
		arena_add_block(arena);
	}
	p = arena->head->data + arena->used;
	arena->used += rounded;
	return p;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	return memset(arena_take(arena, size), 0, size);
}

char *arena_strdup(struct arena *arena, struct span s)
{
	char *copy = arena_take(arena, size_add(s.n, 1));

	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

struct span arena_span(struct arena *arena, struct span s)
{
	return s.p ? (struct span){arena_strdup(arena, s), s.n} : SPAN_ABSENT;
}

/* At once into what is left of the head, or else into as much as that has said is needed. */
char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	va_list again;
	size_t room = arena->head ? arena->head->capacity - arena->used : 0;
	char *p = room > 0 ? arena->head->data + arena->used : NULL;

	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(p, room, format, args);
	if (n < 0)
		out_of_memory();
	if ((size_t)n < room) {
		arena->used += size_rounded((size_t)n + 1);
	} else {
		p = arena_take(arena, (size_t)n + 1);
		vsnprintf(p, (size_t)n + 1, format, again);
	}
	va_end(again);
	va_end(args);
	return p;
}
