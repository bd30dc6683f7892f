/* A quick allocator for what comes and goes with each request: free lists by size, each thread its own.
 *
 * malloc() keeps only a handful of free blocks of a size at hand, calloc() takes none of them; with many
 * requests in one turn of the loop both go the long way. What is freed by another thread than the one it
 * came from goes to that one's lists. Sizes beyond POOL_MAX are malloc()'s. Without the lists under
 * AddressSanitizer and, by -DLISTED_MAX=0, for the other tools that are to see each block on its own. */
#ifndef DEBRIEF_BASE_POOL_H
#define DEBRIEF_BASE_POOL_H

#include <stddef.h>

enum { POOL_MAX = 4096 + 64 };

/* As malloc(), realloc() and free(), NULL included: libevent's are set to these. */
void *pool_malloc(size_t size);
void *pool_realloc(void *p, size_t size);
void pool_free(void *p);

void *pool_calloc(size_t size); /* zeroed; large ones without a pass over fresh pages */

/* These abort instead of returning NULL. The latter is as pool_calloc(). */
void *pool_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *pool_zalloc(size_t size) __attribute__((malloc, returns_nonnull));

#endif
