#include "broker/agent_lag.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "broker/partition.h"

enum {
	SLOTS = 128,
	FRESH_MS = 15000,       /* a slot is read again after this, if it is looked at */
	NOTES_MS = 1000,        /* as many lags as are kept go to Redis within this, of one agent */
	LAG_MAX_MS = 3600 * 1000, /* later ones were retries, or replays */
	TTL_MS = 7 * 86400 * 1000,
	KNOWN_MIN = 3,          /* fewer lags say nothing */
	RETRY_MAX_SECS = 5,
	LATE_GRACE_MS = 10000,  /* that much past four times the usual, a webhook is late, */
	LATE_STEP_MS = 30000    /* and for each of these polls thin out by a second */
};

struct lag_slot {
	uint32_t use;    /* 0: never used */
	bool reading;
	int64_t read_ms; /* monotonic */
	char agent[AGENT_LAG_NAME_MAX + 1];
	size_t count;
	int64_t lags_ms[AGENT_LAGS_MAX];
};

/* What this worker told Redis of an agent lately. */
struct lag_notes {
	uint64_t agent; /* its hash */
	int64_t since_ms; /* monotonic */
	unsigned count;
};

struct agent_lags {
	struct worker *worker;
	struct hash_key key;
	uint32_t uses;
	struct lag_slot slots[SLOTS];
	struct lag_notes notes[SLOTS];
};

/* Asks Redis, for the slot or for nobody. */
struct lag_job {
	struct job job;
	struct agent_lags *lags;
	struct agent_lag_ref ref;
};

struct agent_lags *agent_lags_new(struct worker *worker)
{
	struct agent_lags *lags = xcalloc(1, sizeof(*lags));

	lags->worker = worker;
	lags->key = hash_key_random();
	return lags;
}

void agent_lags_free(struct agent_lags *lags)
{
	free(lags);
}

static void lag_job_end(struct job *job)
{
	arena_deinit(&job->arena);
	free(job);
}

static struct lag_job *lag_job_new(struct agent_lags *lags)
{
	struct lag_job *job = xcalloc(1, sizeof(*job));

	job_init(&job->job, INT64_MAX, lag_job_end);
	job->lags = lags;
	return job;
}

static struct lag_slot *slot_of(struct agent_lags *lags, struct agent_lag_ref ref)
{
	struct lag_slot *slot = &lags->slots[ref.slot];

	return ref.use != 0 && slot->use == ref.use ? slot : NULL;
}

/* ── a webhook has come ─────────────────────────────────────────────────────────────── */

static enum step note_on_reply(void *ctx, const struct redis_reply *reply)
{
	(void)ctx;
	(void)reply; /* one lag more or less */
	return DONE;
}

/* In a burst the latest would only push each other out of the list, and each is a script of its own. */
static bool notes_are_enough(struct agent_lags *lags, struct span agent)
{
	uint64_t hash = hash_slot(&lags->key, agent);
	struct lag_notes *notes = &lags->notes[hash % SLOTS];
	int64_t now_ms = clock_monotonic_ms();

	if (notes->agent != hash || now_ms >= notes->since_ms + NOTES_MS)
		*notes = (struct lag_notes){.agent = hash, .since_ms = now_ms};
	return notes->count++ >= AGENT_LAGS_MAX;
}

static void note(struct worker *worker, struct span agent, int64_t lag_ms)
{
	if (notes_are_enough(worker->lags, agent))
		return;

	struct lag_job *job = lag_job_new(worker->lags);
	struct span key = key_of_lag(&job->job.arena, worker->config->partitions, agent);
	struct span args[] = {
		span_of(arena_printf(&job->job.arena, "%lld", (long long)lag_ms)),
		span_of(arena_printf(&job->job.arena, "%d", TTL_MS)),
	};

	job_run(&job->job, redis_script(worker->redis, &job->job, SCRIPT_LAG, 1, &key, 2, args, note_on_reply, job));
}

void agent_lag_note(struct worker *worker, struct span agent, int64_t lag_ms)
{
	if (lag_ms > LAG_MAX_MS || !redis_ready(worker->redis))
		return;
	lag_ms = lag_ms > 0 ? lag_ms : 0;
	note(worker, SPAN(""), lag_ms);
	if (agent.n > 0 && agent.n <= AGENT_LAG_NAME_MAX)
		note(worker, agent, lag_ms);
}

/* ── a poll wants to know ───────────────────────────────────────────────────────────── */

static enum step slot_on_reply(void *ctx, const struct redis_reply *reply)
{
	struct lag_job *job = ctx;
	struct lag_slot *slot = slot_of(job->lags, job->ref);

	if (!slot)
		return DONE;
	slot->reading = false;
	slot->read_ms = clock_monotonic_ms();
	if (reply->status != CALL_OK)
		return DONE;
	slot->count = 0;
	for (size_t i = 0; i < reply->n && slot->count < AGENT_LAGS_MAX; i++)
		if (span_to_int64(reply->v[i], &slot->lags_ms[slot->count]))
			slot->count++;
	return DONE;
}

static void slot_refresh(struct agent_lags *lags, struct agent_lag_ref ref)
{
	struct lag_slot *slot = &lags->slots[ref.slot];
	struct worker *worker = lags->worker;
	struct lag_job *job;

	if (slot->reading || !redis_ready(worker->redis) ||
	    (slot->read_ms != 0 && clock_monotonic_ms() < slot->read_ms + FRESH_MS))
		return;
	job = lag_job_new(lags);
	job->ref = ref;
	slot->reading = true;
	struct span words[] = {SPAN("LRANGE"),
			       key_of_lag(&job->job.arena, worker->config->partitions, span_of(slot->agent)),
			       SPAN("0"), SPAN("-1")};
	job_run(&job->job, redis_command(worker->redis, &job->job, 4, words, slot_on_reply, job));
}

struct agent_lag_ref agent_lag_look_up(struct worker *worker, struct span agent)
{
	struct agent_lags *lags = worker->lags;
	struct agent_lag_ref ref = {0};
	struct lag_slot *slot;

	if (agent.n > AGENT_LAG_NAME_MAX)
		agent = SPAN("");
	ref.slot = (uint32_t)(hash_slot(&lags->key, agent) % SLOTS);
	slot = &lags->slots[ref.slot];
	if (slot->use == 0 || !span_is((struct span){agent.p ? agent.p : "", agent.n}, slot->agent)) {
		*slot = (struct lag_slot){.use = ++lags->uses};
		if (agent.n > 0)
			memcpy(slot->agent, agent.p, agent.n);
	}
	ref.use = slot->use;
	slot_refresh(lags, ref);
	return ref;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static int bounded(int64_t secs)
{
	return secs < 1 ? 1 : secs > RETRY_MAX_SECS ? RETRY_MAX_SECS : (int)secs;
}

/* Until nearly the soonest that one came: as long as that takes. When most have come, and long past
 * that: ever more seldom. In between: once a second. */
int retry_secs_of_lags(int64_t *lags_ms, size_t count, int64_t ended_ms, int64_t now_ms)
{
	int64_t soonest_ms, usual_ms, age_ms = ended_ms >= 0 && now_ms > ended_ms ? now_ms - ended_ms : 0, late_ms;

	if (count < KNOWN_MIN)
		return 1;
	qsort(lags_ms, count, sizeof(*lags_ms), compare);
	soonest_ms = lags_ms[count / 8];
	usual_ms = lags_ms[count - 1 - count / 8];
	if (age_ms < soonest_ms)
		return bounded((soonest_ms - age_ms + 999) / 1000);
	late_ms = age_ms - 4 * usual_ms - LATE_GRACE_MS;
	return late_ms > 0 ? bounded(1 + late_ms / LATE_STEP_MS) : 1;
}

int agent_lag_retry_secs(struct worker *worker, struct agent_lag_ref ref, int64_t ended_ms, int64_t now_ms)
{
	struct lag_slot *slot = slot_of(worker->lags, ref);

	if (!slot)
		return 1;
	slot_refresh(worker->lags, ref);
	return retry_secs_of_lags(slot->lags_ms, slot->count, ended_ms, now_ms);
}
