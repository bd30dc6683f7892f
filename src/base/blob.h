/* Blobs: bytes that several replies send at once, without copies. One thread's own. */
#ifndef DEBRIEF_BASE_BLOB_H
#define DEBRIEF_BASE_BLOB_H

#include "base/span.h"

struct blob {
	unsigned refs;
	size_t n;
	char p[];
};

struct blob *blob_new(struct span bytes); /* one reference, the caller's; copies */
struct blob *blob_hold(struct blob *blob);
void blob_release(struct blob *blob);     /* NULL is nothing */

static inline struct span blob_span(const struct blob *blob)
{
	return (struct span){blob->p, blob->n};
}

/* gzip (RFC 1952); NULL if it would not be shorter. */
struct blob *blob_gzip(struct span bytes, int level);

#endif
