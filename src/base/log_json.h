/* A logfmt line as one JSON object: what log_event() made, for log_format = json. */
#ifndef DEBRIEF_BASE_LOG_JSON_H
#define DEBRIEF_BASE_LOG_JSON_H

#include "base/span.h"

/* Values are strings, but for whole and decimal numbers of keys that end in "status", "worker", "workers" or
 * "_ms". A pair that doesn't fit any more is left out, and those behind it. Returns the length, without a
 * NUL. */
size_t log_to_json(struct span line, char *out, size_t size);

#endif
