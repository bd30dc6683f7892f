#include "base/lz4_frame.h"

#include <lz4frame.h>

/* LZ4 can't make less than one byte of 255. */
enum { RATIO_MAX = 255 };

struct span lz4_frame_pack(struct arena *arena, struct span bytes)
{
	/* blocks of their own: unpacking needs no room for those before */
	const LZ4F_preferences_t preferences = {
		.frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent, .contentSize = bytes.n},
	};
	size_t room = LZ4F_compressFrameBound(bytes.n, &preferences);
	char *frame = arena_take(arena, room);
	size_t n = LZ4F_compressFrame(frame, room, bytes.p, bytes.n, &preferences);

	return LZ4F_isError(n) || n >= bytes.n ? bytes : (struct span){frame, n};
}

static bool is_frame(struct span bytes)
{
	return bytes.n >= 4 && memcmp(bytes.p, "\x04\x22\x4d\x18", 4) == 0;
}

/* False if it isn't exactly one frame. */
static bool unpack(LZ4F_dctx *context, struct arena *arena, struct span bytes, struct span *content)
{
	const LZ4F_decompressOptions_t options = {.stableDst = 1};
	LZ4F_frameInfo_t info;
	size_t taken = bytes.n, wanted = LZ4F_getFrameInfo(context, &info, bytes.p, &taken);
	size_t room, n;
	char *text;

	if (LZ4F_isError(wanted) || info.contentSize == 0 || info.contentSize / RATIO_MAX > bytes.n)
		return false;
	room = (size_t)info.contentSize;
	text = arena_take(arena, room + 1);
	for (n = 0; wanted > 0 && taken < bytes.n;) {
		size_t given = room - n, left = bytes.n - taken;

		wanted = LZ4F_decompress(context, text + n, &given, bytes.p + taken, &left, &options);
		if (LZ4F_isError(wanted) || given + left == 0) /* it holds more than it says */
			return false;
		n += given;
		taken += left;
	}
	text[n] = '\0';
	*content = (struct span){text, n};
	return wanted == 0 && taken == bytes.n && n == info.contentSize;
}

bool lz4_frame_unpack(struct arena *arena, struct span bytes, struct span *content)
{
	LZ4F_dctx *context;
	bool ok;

	if (!is_frame(bytes)) {
		*content = arena_span(arena, bytes);
		return true;
	}
	if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
		return false;
	ok = unpack(context, arena, bytes, content);
	LZ4F_freeDecompressionContext(context);
	return ok;
}
