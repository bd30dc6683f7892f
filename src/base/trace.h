/* W3C Trace Context, level 1: the `traceparent` header. */
#ifndef DEBRIEF_BASE_TRACE_H
#define DEBRIEF_BASE_TRACE_H

#include "base/span.h"

struct trace {
	char trace_id[33];  /* 32 lower-case hex digits, not all zero */
	char parent_id[17]; /* 16 likewise */
};

/* False, and an empty trace, for anything that section 3.2 of the recommendation calls invalid. */
bool trace_parse(struct span traceparent, struct trace *trace);

#endif
