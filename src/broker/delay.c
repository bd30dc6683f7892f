#include "broker/delay.h"

#include <event2/event.h>

struct delay {
	struct job *job;
	enum step (*next)(void *ctx);
	void *ctx;
	struct event *timer;
};

static void delay_on_time(evutil_socket_t fd, short what, void *arg)
{
	struct delay *delay = arg;

	(void)fd;
	(void)what;
	event_free(delay->timer);
	job_run(delay->job, delay->next(delay->ctx));
}

STEP delay_step(struct event_base *base, struct job *job, int64_t delay_ms, enum step (*next)(void *ctx), void *ctx)
{
	struct delay *delay = ARENA_NEW(&job->arena, struct delay);
	struct timeval tv = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};

	*delay = (struct delay){.job = job, .next = next, .ctx = ctx, .timer = evtimer_new(base, delay_on_time, delay)};
	if (!delay->timer)
		return next(ctx);
	evtimer_add(delay->timer, &tv);
	return PARKED;
}
