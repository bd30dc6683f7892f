/* A step that runs later. */
#ifndef DEBRIEF_BROKER_DELAY_H
#define DEBRIEF_BROKER_DELAY_H

#include "base/job.h"

struct event_base;

STEP delay_step(struct event_base *base, struct job *job, int64_t delay_ms, enum step (*next)(void *ctx), void *ctx);

#endif
