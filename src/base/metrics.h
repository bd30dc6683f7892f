/* Metrics in Prometheus's conventions: counters, gauges and histograms.
 *
 * A set belongs to one thread, which alone writes it; any thread may read. So counting is
 * a load and a store without a lock, and a page is the sum over all sets. Labels are
 * known when this is compiled (the route is an index): no string is looked at to count. */
#ifndef DEBRIEF_BASE_METRICS_H
#define DEBRIEF_BASE_METRICS_H

#include <stdatomic.h>

#include "base/metrics_table.h"
#include "base/text.h"

/* clang-format takes the X() of a list for a word of the next line. */
/* clang-format off */
enum metric_counter {
#define X(id, name, help) METRIC_##id,
	METRIC_COUNTERS(X)
#undef X
	/* of webhooks: what became of them, for each event; see metric_of_event() */
#define X(id, result) METRIC_WEBHOOK_##id,
	METRIC_WEBHOOK_RESULTS(X)
#undef X
	METRIC_WEBHOOK_END,
	METRIC_WEBHOOK_RESULT_COUNT = METRIC_WEBHOOK_END - METRIC_WEBHOOK_ACCEPTED,
	METRIC_COUNT = METRIC_WEBHOOK_ACCEPTED + METRIC_WEBHOOK_RESULT_COUNT * METRIC_EVENT_COUNT
};

enum metric_gauge {
#define X(id, kind, name, help) GAUGE_##id,
	METRIC_GAUGES(X)
#undef X
	GAUGE_COUNT
};

enum metric_histogram {
#define X(id, bounds, name, help) HISTOGRAM_##id,
	METRIC_HISTOGRAMS(X)
#undef X
	HISTOGRAM_COUNT
};
/* clang-format on */

enum { METRIC_BUCKETS_MAX = 16, METRIC_ROUTES_MAX = 32, METRIC_METHODS_MAX = 8, METRIC_STATUS_MAX = 28 };

/* Buckets are not cumulative; the last one that is used is +Inf's. */
struct metric_buckets {
	atomic_ullong counts[METRIC_BUCKETS_MAX];
	atomic_llong sum; /* µs, or whatever is observed */
};

/* Of one route; the last is of requests that none took. */
struct metric_route {
	atomic_ullong requests[METRIC_METHODS_MAX][METRIC_STATUS_MAX];
	struct metric_buckets seconds;
};

struct metrics {
	atomic_ullong counters[METRIC_COUNT];
	atomic_llong gauges[GAUGE_COUNT];
	struct metric_buckets histograms[HISTOGRAM_COUNT];
	struct metric_route routes[METRIC_ROUTES_MAX];
};

static inline void metrics_add(struct metrics *metrics, enum metric_counter counter, unsigned long long n)
{
	atomic_ullong *slot = &metrics->counters[counter];

	atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void metrics_count(struct metrics *metrics, enum metric_counter counter)
{
	metrics_add(metrics, counter, 1);
}

static inline enum metric_counter metric_of_event(enum metric_counter result, enum metric_event event)
{
	return (enum metric_counter)((int)result + METRIC_WEBHOOK_RESULT_COUNT * (int)event);
}

static inline void metrics_set(struct metrics *metrics, enum metric_gauge gauge, int64_t value)
{
	atomic_store_explicit(&metrics->gauges[gauge], value, memory_order_relaxed);
}

const char *metric_event_name(enum metric_event event); /* as the provider calls it */
/* Seconds are observed in µs, sizes as they are. */
void metrics_observe(struct metrics *metrics, enum metric_histogram histogram, int64_t value);

/* An answered request. Negative µs: it was held back on purpose, which says nothing of our speed. */
void metrics_request(struct metrics *metrics, size_t route, size_t method, int status, int64_t duration_us);

/* Adds the page's part that the tables know. Routes beyond `route_count` are "other". */
struct metric_names {
	const char *const *routes;
	size_t route_count;
	const char *const *methods; /* METRIC_METHODS_MAX of them */
};
void metrics_write(const struct metrics *const *sets, size_t count, const struct metric_names *names, int64_t now_ms,
		   struct text *out);

#endif
