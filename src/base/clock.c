#include "base/clock.h"

#include <time.h>

/* 9999-12-31T23:59:59.999Z: RFC 3339 has no five-digit years. */
#define WALL_MS_MAX INT64_C(253402300799999)

static int64_t clock_us(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
	return clock_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_monotonic_ms(void)
{
	return clock_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_monotonic_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

void text_add_json_time(struct text *text, int64_t wall_ms)
{
	struct tm tm;
	time_t secs = (time_t)(wall_ms / 1000);

	if (wall_ms < 0 || wall_ms > WALL_MS_MAX || !gmtime_r(&secs, &tm)) {
		text_add(text, SPAN("null"));
		return;
	}
	text_addf(text, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		  tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(wall_ms % 1000));
}
