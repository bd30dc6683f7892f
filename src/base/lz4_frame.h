/* LZ4 frames (lz4_Frame_format.md, 1.6.1; what the lz4 program writes and reads). */
#ifndef DEBRIEF_BASE_LZ4_FRAME_H
#define DEBRIEF_BASE_LZ4_FRAME_H

#include "base/arena.h"

/* A frame that knows its content's size, in the arena; `bytes` themselves if that would not be shorter. */
struct span lz4_frame_pack(struct arena *arena, struct span bytes);

/* The content of a frame, in the arena and with a NUL behind it; what is no frame is its own content. False: a frame that
 * is damaged, cut off, not alone or without its content's size. */
bool lz4_frame_unpack(struct arena *arena, struct span bytes, struct span *content);

#endif
