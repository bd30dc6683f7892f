#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

enum { WIDTH = 30, REDRAW_MS = 100 };

void progress_begin(struct progress *progress, const char *what, size_t total)
{
	*progress = (struct progress){.what = what, .total = total, .shown = isatty(STDERR_FILENO)};
	progress_show(progress, 0);
}

void progress_show(struct progress *progress, size_t done)
{
	int64_t now_ms = clock_monotonic_ms();
	char bar[WIDTH + 1];

	if (!progress->shown ||
	    (done > 0 && done < progress->total && now_ms - progress->drawn_ms < REDRAW_MS))
		return;
	progress->drawn_ms = now_ms;
	if (progress->total == 0) {
		fprintf(stderr, "\r\033[K%s %zu", progress->what, done);
		return;
	}
	for (size_t i = 0; i < WIDTH; i++)
		bar[i] = i * progress->total < done * WIDTH ? '#' : '.';
	bar[WIDTH] = '\0';
	fprintf(stderr, "\r\033[K%s [%s] %zu of %zu", progress->what, bar, done, progress->total);
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
}
