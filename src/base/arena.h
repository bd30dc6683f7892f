/* Arenas: memory that lives and dies with one job.
 *
 * Allocation never returns NULL: a process that can't get memory any more
 * aborts, and what it had answered is in the stores. What comes from outside is
 * bounded before it is allocated. */
#ifndef DEBRIEF_BASE_ARENA_H
#define DEBRIEF_BASE_ARENA_H

#include "base/span.h"

struct arena_block;

struct arena {
	struct arena_block *head; /* newest block, or NULL */
	size_t used;              /* bytes given out of `head` */
	size_t total;             /* bytes of all blocks, for back-pressure */
};

void arena_init(struct arena *arena);
void arena_deinit(struct arena *arena); /* frees everything that came from it */

/* Zeroed, aligned for any type; lives until arena_deinit(). */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));
#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))

/* The same, not zeroed: for what is written over at once. */
void *arena_take(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));

/* NUL-terminated copies in the arena. */
char *arena_strdup(struct arena *arena, struct span s);
struct span arena_span(struct arena *arena, struct span s);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* malloc and friends that abort instead of returning NULL; free() with free(). */
void out_of_memory(void) __attribute__((noreturn));
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));

#endif
