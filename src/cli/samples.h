/* A page of metrics, read back: series by name and labels, in Prometheus's text format. */
#ifndef DEBRIEF_CLI_SAMPLES_H
#define DEBRIEF_CLI_SAMPLES_H

#include "base/text.h"

struct sample {
	struct span name;   /* without labels */
	struct span labels; /* `route="…",code="200"`, or empty */
	double value;
};

struct samples {
	struct sample *list; /* in the arena of the page */
	size_t count;
};

/* Spans borrow from `page`. Lines that are none are passed over. */
struct samples samples_read(struct arena *arena, struct span page);

/* The sum over all series of that name whose labels hold `label` (`result="hit"`; NULL: all), and, if given,
 * `also`. 0 if there is none. */
double samples_sum(const struct samples *samples, const char *name, const char *label, const char *also);

/* The value of a label; absent if there is none. */
struct span sample_label(const struct sample *sample, const char *name);

/* The smallest bucket's upper bound that holds the quantile `q` of what was observed since `before` (NULL:
 * ever), in seconds; negative if nothing was, INFINITY if it is beyond the last one. */
double samples_quantile(const struct samples *now, const struct samples *before, const char *histogram,
			const char *label, double q);

#endif
