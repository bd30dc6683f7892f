#include "base/job.h"

const char *call_status_name(enum call_status status)
{
	switch (status) {
	case CALL_OK: return "ok";
	case CALL_ERROR: return "error";
	case CALL_TIMEOUT: return "timeout";
	case CALL_DOWN: return "down";
	case CALL_BUSY: return "busy";
	}
	return "unknown";
}

void job_init(struct job *job, int64_t deadline_ms, void (*end)(struct job *job))
{
	arena_init(&job->arena);
	job->deadline_ms = deadline_ms;
	job->end = end;
}
