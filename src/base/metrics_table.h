/* What is measured. A new line here is a new series; entries of one family stand together,
 * and the first of them has its help. */
#ifndef DEBRIEF_BASE_METRICS_TABLE_H
#define DEBRIEF_BASE_METRICS_TABLE_H

/* X(identifier, name with labels, help) */
#define METRIC_COUNTERS(X) \
	X(LINK_SESSION_ID, "debrief_links_total{evidence=\"session_id\"}", \
	  "Links made or moved, by their evidence; fallback: a conversation kept without a session.") \
	X(LINK_CONVERSATION_ID, "debrief_links_total{evidence=\"conversation_id\"}", NULL) \
	X(LINK_WINDOW, "debrief_links_total{evidence=\"window\"}", NULL) \
	X(LINK_FALLBACK, "debrief_links_total{evidence=\"fallback\"}", NULL) \
	X(LINK_MOVED, "debrief_links_moved_total", "Links that stronger or nearer evidence took away again.") \
	X(LINK_CONFLICT, "debrief_link_conflicts_total", "Webhooks that named a session of another user.") \
	X(HYDRATION, "debrief_hydrations_total", "Reads of facts from the ledger into Redis.") \
	X(DECISION_APPLIED, "debrief_decisions_total{result=\"applied\"}", "Decisions by what the ledger did.") \
	X(DECISION_STALE, "debrief_decisions_total{result=\"stale\"}", NULL) \
	X(FACT_REJECTED, "debrief_rejected_facts_total", "Facts that the ledger refused for their content.") \
	X(JOURNALED_SAVE, "debrief_journaled_total{kind=\"save\"}", "Facts answered while only the journal had them.") \
	X(JOURNALED_WEBHOOK, "debrief_journaled_total{kind=\"webhook\"}", NULL) \
	X(SWEPT, "debrief_swept_total", "Facts that a sweeper brought to the ledger, or decided.") \
	X(SESSION_READ, "debrief_session_reads_total", "Reads of a session from a store, each for all who asked.") \
	X(INVALIDATION, "debrief_invalidations_total", "Changes that Redis reported to the workers' caches.") \
	X(TRACKING_LOST, "debrief_tracking_losses_total", "Losses of what reports changes; polls then read Redis each.") \
	X(TOKEN_CACHE_HIT, "debrief_cache_reads_total{cache=\"tokens\",result=\"hit\"}", \
	  "Reads of a worker's own memory, by what they found.") \
	X(TOKEN_CACHE_MISS, "debrief_cache_reads_total{cache=\"tokens\",result=\"miss\"}", NULL) \
	X(VIEW_CACHE_HIT, "debrief_cache_reads_total{cache=\"views\",result=\"hit\"}", NULL) \
	X(VIEW_CACHE_MISS, "debrief_cache_reads_total{cache=\"views\",result=\"miss\"}", NULL) \
	X(RESULT_CACHE_HIT, "debrief_cache_reads_total{cache=\"results\",result=\"hit\"}", NULL) \
	X(RESULT_CACHE_MISS, "debrief_cache_reads_total{cache=\"results\",result=\"miss\"}", NULL)

/* X(identifier, result): METRIC_WEBHOOK_…; ACCEPTED stays the first */
#define METRIC_WEBHOOK_RESULTS(X) \
	X(ACCEPTED, "accepted") \
	X(DUPLICATE, "duplicate") \
	X(IGNORED, "ignored") \
	X(BAD_SIGNATURE, "bad_signature") \
	X(MALFORMED, "malformed") \
	X(REJECTED, "rejected") \
	X(UNAVAILABLE, "unavailable")

enum metric_event { EVENT_UNREAD, EVENT_TRANSCRIPTION, EVENT_AUDIO, EVENT_INITIATION_FAILURE, EVENT_OTHER,
		    METRIC_EVENT_COUNT };

/* How a gauge of all workers is made from theirs: the sum; or the seconds since the earliest time that is
 * set (wall clock, ms; 0 is none, and then the age is 0); or the latest such time itself. */
enum metric_gauge_kind { GAUGE_SUM, GAUGE_AGE, GAUGE_TIME };

/* X(identifier, kind, name with labels, help) */
#define METRIC_GAUGES(X) \
	X(CONNECTIONS, SUM, "debrief_http_connections", "Connections to the public port that are open.") \
	X(HELD_BYTES, SUM, "debrief_http_held_bytes", "Of requests that are not answered yet.") \
	X(PARKED_WAITS, SUM, "debrief_parked_clients{kind=\"wait\"}", "Clients whose reply is held back until there is news.") \
	X(PARKED_STREAMS, SUM, "debrief_parked_clients{kind=\"stream\"}", NULL) \
	X(JOURNAL_ENTRIES, SUM, "debrief_journal_entries", "Accepted facts in Redis that the ledger has not committed yet.") \
	X(JOURNAL_BYTES, SUM, "debrief_journal_bytes", "Their size.") \
	X(JOURNAL_OLDEST, AGE, "debrief_journal_oldest_age_seconds", "Since the oldest of them came; 0 if there is none.") \
	X(PENDING_SESSIONS, SUM, "debrief_pending_sessions", \
	  "Sessions that have ended and wait for their webhook, before the deadline; counted to 10000.") \
	X(PENDING_SESSIONS_OLDEST, AGE, "debrief_pending_sessions_oldest_age_seconds", \
	  "Since the end of the oldest of them; 0 if there is none.") \
	X(MISSING_SESSIONS, SUM, "debrief_missing_sessions", \
	  "Sessions whose deadline passed within the last hour without a webhook; counted to 10000.") \
	X(UNMATCHED, SUM, "debrief_unmatched_conversations", \
	  "Conversations of the last session_ttl_secs that have no session; counted to 10000.") \
	X(UNMATCHED_OLDEST, AGE, "debrief_unmatched_conversations_oldest_age_seconds", \
	  "Since the receipt of the oldest of them; 0 if there is none.") \
	X(UNDECIDED, SUM, "debrief_undecided_facts", "Facts kept in the ledger and not decided yet; counted to 10000.") \
	X(UNDECIDED_OLDEST, AGE, "debrief_undecided_facts_oldest_age_seconds", \
	  "Since the oldest of them was kept; 0 if there is none.") \
	X(EVALUATIONS, SUM, "debrief_pending_evaluations", "Evaluations that are waited for; counted to 10000.") \
	X(EVALUATIONS_OLDEST, AGE, "debrief_pending_evaluations_oldest_age_seconds", \
	  "Since the oldest of them was asked for; 0 if there is none.") \
	X(SURVEY_AT, TIME, "debrief_survey_timestamp_seconds", \
	  "When this node last counted the above in the ledger.")

/* X(identifier, bounds, name with labels, help). Bounds: see metrics.c; of seconds, in µs. */
#define METRIC_HISTOGRAMS(X) \
	X(WEBHOOK_LAG, LAGS, "debrief_webhook_lag_seconds", "From the provider's event to its receipt here.") \
	X(RESULT_LAG, LAGS, "debrief_result_lag_seconds", "From the end of a call until its result can be read.") \
	X(LEDGER_WRITE, TIMES, "debrief_ledger_batch_seconds{kind=\"write\"}", \
	  "A batch in the ledger, from sending it to its commit.") \
	X(LEDGER_READ, TIMES, "debrief_ledger_batch_seconds{kind=\"read\"}", NULL) \
	X(LEDGER_WRITE_CALLS, SIZES, "debrief_ledger_batch_calls{kind=\"write\"}", "Calls that one batch carried.") \
	X(LEDGER_READ_CALLS, SIZES, "debrief_ledger_batch_calls{kind=\"read\"}", NULL)

#endif
