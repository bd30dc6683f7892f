/* Jobs: one unit of work that waits for stores, as a column of steps.
 *
 * Each step returns PARKED, having named its successor to one adaptor
 * (redis_script(), pg_submit(), …), or DONE, having replied. The adaptors promise:
 * the next step is called exactly once, never from inside the submitting call, on
 * the same thread, with a value. A job waits for one thing at a time.
 * Whoever gets DONE from a step ends the job: job_run() is that place. */
#ifndef DEBRIEF_BASE_JOB_H
#define DEBRIEF_BASE_JOB_H

#include "base/arena.h"

enum step { PARKED, DONE };
#define STEP __attribute__((warn_unused_result)) enum step

/* How a call to a store ended. */
enum call_status {
	CALL_OK,
	CALL_ERROR,   /* the store answered with an error */
	CALL_TIMEOUT, /* no answer in time; whether it was carried out is unknown */
	CALL_DOWN,    /* not connected, or the connection broke (outcome unknown too) */
	CALL_BUSY     /* our queue to it is full; nothing was sent */
};
const char *call_status_name(enum call_status status);

struct job {
	struct arena arena;             /* everything between steps; gone after `end` */
	int64_t deadline_ms;            /* monotonic; a call waits no longer */
	void (*end)(struct job *job);   /* frees the job and its arena */
};

void job_init(struct job *job, int64_t deadline_ms, void (*end)(struct job *job));

/* Ends the job if its step is done. */
static inline void job_run(struct job *job, enum step step)
{
	if (step == DONE)
		job->end(job);
}

#endif
