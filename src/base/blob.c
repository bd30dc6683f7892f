#include "base/blob.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/arena.h"

static struct blob *blob_alloc(size_t n)
{
	struct blob *blob = xmalloc(sizeof(*blob) + n);

	blob->refs = 1;
	blob->n = n;
	return blob;
}

struct blob *blob_new(struct span bytes)
{
	struct blob *blob = blob_alloc(bytes.n);

	if (bytes.n > 0)
		memcpy(blob->p, bytes.p, bytes.n);
	return blob;
}

struct blob *blob_hold(struct blob *blob)
{
	blob->refs++;
	return blob;
}

void blob_release(struct blob *blob)
{
	if (blob && --blob->refs == 0)
		free(blob);
}

struct blob *blob_gzip(struct span bytes, int level)
{
	enum { GZIP_WINDOW = 15 + 16, MEMORY_LEVEL = 8 };
	z_stream stream = {.next_in = (Bytef *)(uintptr_t)bytes.p, .avail_in = (uInt)bytes.n};
	struct blob *blob;

	if (bytes.n > UINT32_MAX / 2 ||
	    deflateInit2(&stream, level, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	blob = blob_alloc(bytes.n);
	stream.next_out = (Bytef *)blob->p;
	stream.avail_out = (uInt)bytes.n;
	if (deflate(&stream, Z_FINISH) != Z_STREAM_END) { /* it doesn't fit into as much */
		blob_release(blob);
		blob = NULL;
	} else {
		blob->n = stream.total_out;
		blob = xrealloc(blob, sizeof(*blob) + blob->n);
	}
	deflateEnd(&stream);
	return blob;
}
