/* Any path of a target: what is taken names something beneath the root, and is no hidden file. */
#include <stdlib.h>

#include "http/static_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct span path)
{
	struct span rest = path;

	if (memchr(path.p, '\0', path.n) != NULL || memchr(path.p, '\\', path.n) != NULL)
		abort();
	while (rest.p != NULL) {
		struct span segment = span_cut(&rest, '/');

		if (segment.n == 0 || segment.p[0] == '.')
			abort();
	}
	if (static_path_is_hashed(path) && !span_starts_with(path, SPAN("assets/")))
		abort();
	if (static_path_type(path) == NULL)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span raw = {(const char *)data, size}, path;
	struct arena arena;

	arena_init(&arena);
	if (static_path_resolve(&arena, raw, &path) && !span_is(raw, "/"))
		check(path);
	arena_deinit(&arena);
	return 0;
}
