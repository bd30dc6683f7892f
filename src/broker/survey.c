#include "broker/survey.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/worker.h"

enum { SURVEY_EVERY_SECS = 15, SURVEY_FIRST_MS = 200, SURVEY_DEADLINE_MS = 10000 };

struct survey {
	struct worker *worker;
	struct event *timer;
	bool busy;
};

/* One round: a job. */
struct survey_round {
	struct job job;
	struct survey *survey;
};

/* What the columns of sql/survey.sql are. */
static const enum metric_gauge columns[] = {
	GAUGE_PENDING_SESSIONS,   GAUGE_PENDING_SESSIONS_OLDEST,
	GAUGE_MISSING_SESSIONS,   GAUGE_UNMATCHED,
	GAUGE_UNMATCHED_OLDEST,   GAUGE_UNDECIDED,
	GAUGE_UNDECIDED_OLDEST,   GAUGE_EVALUATIONS,
	GAUGE_EVALUATIONS_OLDEST,
};

static enum step round_on_counts(void *ctx, const struct postgres_reply *reply);

static STEP round_start(struct survey_round *round)
{
	struct worker *worker = round->survey->worker;
	struct arena *arena = &round->job.arena;
	const char *params[] = {
		arena_printf(arena, "%lld", (long long)worker->config->webhook_deadline_secs),
		arena_printf(arena, "%lld", (long long)worker->config->session_ttl_secs),
	};
	struct postgres_query query = {STATEMENT_SURVEY, 2, params};

	return postgres_submit(worker->ledger_reader, &round->job, NULL, 1, &query, round_on_counts, round);
}

static enum step round_on_counts(void *ctx, const struct postgres_reply *reply)
{
	struct survey_round *round = ctx;
	struct metrics *metrics = &round->survey->worker->metrics;

	if (reply->status != CALL_OK) {
		log_event(LOG_WARN, "survey_failed", "reason=%s error=%s", call_status_name(reply->status),
			  LOG_TEXT(span_of(reply->error)));
		return DONE;
	}
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		int64_t value = 0; /* no row, no oldest */

		(void)span_to_int64(postgres_value(reply->rows[0], 0, i), &value);
		metrics_set(metrics, columns[i], value);
	}
	metrics_set(metrics, GAUGE_SURVEY_AT, clock_wall_ms());
	return DONE;
}

static void round_end(struct job *job)
{
	struct survey_round *round = (struct survey_round *)job;

	round->survey->busy = false;
	arena_deinit(&job->arena);
	free(round);
}

static void survey_on_time(evutil_socket_t fd, short what, void *arg)
{
	struct survey *survey = arg;
	struct timeval every = {.tv_sec = SURVEY_EVERY_SECS}, soon = {.tv_usec = SURVEY_FIRST_MS * 1000};
	bool up = postgres_ready(survey->worker->ledger_reader);
	struct survey_round *round;

	(void)fd;
	(void)what;
	event_add(survey->timer, up ? &every : &soon);
	if (survey->busy || !up || survey->worker->draining)
		return;
	round = xcalloc(1, sizeof(*round));
	job_init(&round->job, clock_monotonic_ms() + SURVEY_DEADLINE_MS, round_end);
	round->survey = survey;
	survey->busy = true;
	job_run(&round->job, round_start(round));
}

struct survey *survey_new(struct worker *worker)
{
	struct survey *survey = xcalloc(1, sizeof(*survey));
	struct timeval first = {.tv_usec = SURVEY_FIRST_MS * 1000};

	survey->worker = worker;
	survey->timer = event_new(worker->base, -1, 0, survey_on_time, survey);
	if (!survey->timer || event_add(survey->timer, &first) != 0) {
		survey_free(survey);
		return NULL;
	}
	return survey;
}

void survey_free(struct survey *survey)
{
	if (survey->timer)
		event_free(survey->timer);
	free(survey);
}
