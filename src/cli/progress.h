/* A progress bar on standard error, where that is a terminal; else nothing. */
#ifndef DEBRIEF_CLI_PROGRESS_H
#define DEBRIEF_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	const char *what;
	size_t total;     /* 0: unknown */
	bool shown;       /* standard error is a terminal */
	int64_t drawn_ms; /* monotonic; drawn ten times a second at most */
};

void progress_begin(struct progress *progress, const char *what, size_t total);
void progress_show(struct progress *progress, size_t done);
void progress_end(struct progress *progress); /* takes the bar away */

#endif
