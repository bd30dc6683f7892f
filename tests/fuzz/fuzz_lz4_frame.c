/* Any bytes as a frame, and any bytes packed: those come back. */
#include <stdlib.h>

#include "base/lz4_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = {(const char *)data, size}, content;
	struct arena arena;

	arena_init(&arena);
	(void)lz4_frame_unpack(&arena, bytes, &content);
	/* what begins like a frame is never packed as it is: bodies are JSON */
	if (size > 0 && data[0] == '{' &&
	    (!lz4_frame_unpack(&arena, lz4_frame_pack(&arena, bytes), &content) || !span_eq(content, bytes)))
		abort();
	arena_deinit(&arena);
	return 0;
}
