/* Clocks. Wall time is whole milliseconds since 1970 (UTC), as facts carry it. */
#ifndef DEBRIEF_BASE_CLOCK_H
#define DEBRIEF_BASE_CLOCK_H

#include "base/text.h"

int64_t clock_wall_ms(void);
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);

/* "2026-11-23T04:05:06.789Z" with its quotes, or null for a negative time (RFC 3339). */
void text_add_json_time(struct text *text, int64_t wall_ms);

#endif
