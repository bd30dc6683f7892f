#include "broker/strikes.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/clock.h"
#include "broker/journal.h"

enum { STRIKE_DEADLINE_MS = 60000 };

struct strikes {
	struct worker *worker;
	struct event *turn;
	struct strike *first, **last; /* those of this turn */
};

/* Some of one partition: a job while they are being struck. */
struct strike_call {
	struct job job; /* first */
	struct worker *worker;
	unsigned partition;
	size_t count;
	struct strike *strikes[JOURNAL_STRIKES_MAX];
};

static void call_end(struct job *job)
{
	arena_deinit(&job->arena);
	free(job);
}

/* Ends what waited for them: none is looked at again after its step. */
static enum step call_on_reply(void *ctx, const struct redis_reply *reply)
{
	struct strike_call *call = ctx;
	bool ok = reply->status == CALL_OK && reply->n == 3 + call->count;
	struct strike_reply answer = {.status = ok ? CALL_OK : reply->status == CALL_OK ? CALL_ERROR : reply->status};

	if (ok) {
		journal_size_note(call->worker->journal, call->partition, reply->v[1]);
		answer.emptied = arena_span(&call->job.arena, reply->v[2]);
	}
	for (size_t i = 0; i < call->count; i++) {
		struct job *job = call->strikes[i]->job;

		answer.found = ok && span_is(reply->v[3 + i], "1");
		job_run(job, call->strikes[i]->next(call->strikes[i]->ctx, &answer));
	}
	return DONE;
}

static void call_send(struct strike_call *call)
{
	struct span entries[JOURNAL_STRIKES_MAX], bodies[JOURNAL_STRIKES_MAX];

	for (size_t i = 0; i < call->count; i++) {
		entries[i] = call->strikes[i]->entry;
		bodies[i] = call->strikes[i]->body;
	}
	job_run(&call->job, journal_strike(call->worker, &call->job, call->partition, call->count, entries, bodies,
					   call_on_reply, call));
}

/* Takes out the first and those that go with it. */
static struct strike_call *strikes_take(struct strikes *strikes)
{
	struct strike_call *call = xcalloc(1, sizeof(*call));
	struct strike **at = &strikes->first;

	job_init(&call->job, clock_monotonic_ms() + STRIKE_DEADLINE_MS, call_end);
	call->worker = strikes->worker;
	call->partition = strikes->first->partition;
	while (*at && call->count < JOURNAL_STRIKES_MAX) {
		if ((*at)->partition != call->partition) {
			at = &(*at)->after;
			continue;
		}
		call->strikes[call->count++] = *at;
		*at = (*at)->after;
	}
	for (strikes->last = &strikes->first; *strikes->last;)
		strikes->last = &(*strikes->last)->after;
	return call;
}

static void strikes_on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct strikes *strikes = arg;

	(void)fd;
	(void)what;
	while (strikes->first)
		call_send(strikes_take(strikes));
}

STEP strikes_add(struct strikes *strikes, struct strike *strike)
{
	strike->after = NULL;
	*strikes->last = strike;
	strikes->last = &strike->after;
	event_active(strikes->turn, EV_TIMEOUT, 0);
	return PARKED;
}

struct strikes *strikes_new(struct worker *worker)
{
	struct strikes *strikes = xcalloc(1, sizeof(*strikes));

	strikes->worker = worker;
	strikes->last = &strikes->first;
	strikes->turn = evtimer_new(worker->base, strikes_on_turn, strikes);
	if (!strikes->turn) {
		free(strikes);
		return NULL;
	}
	return strikes;
}

void strikes_free(struct strikes *strikes)
{
	static const struct redis_reply gone = {.status = CALL_DOWN};

	if (!strikes)
		return;
	while (strikes->first) {
		struct strike_call *call = strikes_take(strikes);

		job_run(&call->job, call_on_reply(call, &gone));
	}
	event_free(strikes->turn);
	free(strikes);
}
