/* Counters, one set a worker, summed when read. */
#ifndef DEBRIEF_BASE_METRICS_H
#define DEBRIEF_BASE_METRICS_H

#include <stdatomic.h>

#include "base/text.h"

/* X(identifier, Prometheus name with labels, help) */
#define METRIC_COUNTERS(X) \
	X(WEBHOOK_ACCEPTED, "debrief_webhooks_total{result=\"accepted\"}", "Webhooks by result.") \
	X(WEBHOOK_IGNORED, "debrief_webhooks_total{result=\"ignored\"}", NULL) \
	X(WEBHOOK_BAD_SIGNATURE, "debrief_webhooks_total{result=\"bad_signature\"}", NULL) \
	X(WEBHOOK_MALFORMED, "debrief_webhooks_total{result=\"malformed\"}", NULL) \
	X(WEBHOOK_UNAVAILABLE, "debrief_webhooks_total{result=\"unavailable\"}", NULL) \
	X(LINK_CONFLICT, "debrief_link_conflicts_total", "Webhooks that named a session of another user.") \
	X(HYDRATION, "debrief_hydrations_total", "Reads of facts from the ledger into Redis.") \
	X(DECISION_APPLIED, "debrief_decisions_total{result=\"applied\"}", "Decisions by what the ledger did.") \
	X(DECISION_STALE, "debrief_decisions_total{result=\"stale\"}", NULL) \
	X(FACT_REJECTED, "debrief_rejected_facts_total", "Facts that the ledger refused for their content.") \
	X(JOURNALED_SAVE, "debrief_journaled_total{kind=\"save\"}", "Facts answered while only the journal had them.") \
	X(JOURNALED_WEBHOOK, "debrief_journaled_total{kind=\"webhook\"}", NULL) \
	X(SWEPT, "debrief_swept_total", "Facts that a sweeper brought to the ledger, or decided.") \
	X(POLL_CACHED, "debrief_polls_total{from=\"worker\"}", "Polls by where their answer came from.") \
	X(POLL_READ, "debrief_polls_total{from=\"store\"}", NULL) \
	X(INVALIDATION, "debrief_invalidations_total", "Changes that Redis reported to the workers' caches.") \
	X(TRACKING_LOST, "debrief_tracking_losses_total", "Losses of what reports changes; polls then read Redis each.") \
	X(REQUESTS, "debrief_http_requests_total", "Requests answered.")

enum metric_counter {
#define X(id, name, help) METRIC_##id,
	METRIC_COUNTERS(X)
#undef X
	METRIC_COUNT
};

struct metrics {
	atomic_ullong counters[METRIC_COUNT];
};

static inline void metrics_count(struct metrics *metrics, enum metric_counter counter)
{
	atomic_fetch_add_explicit(&metrics->counters[counter], 1, memory_order_relaxed);
}

/* Adds the sums over `count` workers in Prometheus's text format. */
void metrics_write(const struct metrics *const *workers, size_t count, struct text *out);

#endif
