#include "broker/journal.h"

#include <stdlib.h>

#include "broker/fact.h"

/* ── how much it holds ──────────────────────────────────────────────────────────────── */

struct journal_size *journal_size_new(unsigned partitions)
{
	struct journal_size *size = xcalloc(1, sizeof(*size));

	size->partitions = partitions;
	size->bytes = xcalloc(partitions, sizeof(*size->bytes));
	return size;
}

void journal_size_free(struct journal_size *size)
{
	if (!size)
		return;
	free(size->bytes);
	free(size);
}

void journal_size_note(struct journal_size *size, unsigned partition, struct span bytes)
{
	int64_t now;

	if (partition < size->partitions && span_to_int64(bytes, &now))
		atomic_fetch_add(&size->total_bytes, now - atomic_exchange(&size->bytes[partition], now));
}

bool journal_may_hold(const struct worker *worker)
{
	return atomic_load(&worker->journal->total_bytes) > 0;
}

const char *journal_refusal(const struct worker *worker)
{
	const struct config *config = worker->config;

	if (config->durability == DURABILITY_LEDGER_ONLY)
		return "durability is ledger-only";
	if (!redis_ready(worker->redis))
		return redis_reason(worker->redis);
	if (redis_undurable(worker->redis)[0])
		return redis_undurable(worker->redis);
	if (atomic_load(&worker->journal->total_bytes) >= config->journal_max_bytes)
		return "journal_max_bytes are in use";
	return NULL;
}

/* ── script calls ───────────────────────────────────────────────────────────────────── */

STEP journal_append(struct worker *worker, struct job *job, const struct conversation *c, struct span body,
		    redis_step *next, void *ctx)
{
	unsigned partition = partition_of(span_of(c->interview_id.text), worker->config->partitions);
	struct journal_keys journal = keys_of_journal(&job->arena, partition);
	struct span keys[] = {journal.stream, journal.bytes, journal.interviews, journal.emptied};
	struct span args[] = {conversation_fact(&job->arena, worker->config, c, 0), body};

	return redis_script(worker->redis, job, SCRIPT_JOURNAL_APPEND, 4, keys, 2, args, next, ctx);
}

STEP journal_strike(struct worker *worker, struct job *job, unsigned partition, struct span entry, redis_step *next,
		    void *ctx)
{
	struct journal_keys journal = keys_of_journal(&job->arena, partition);
	struct span keys[] = {journal.stream, journal.bytes, journal.interviews, journal.emptied};

	return redis_script(worker->redis, job, SCRIPT_JOURNAL_STRIKE, 4, keys, 1, &entry, next, ctx);
}

STEP journal_body(struct worker *worker, struct job *job, const struct uuid *interview_id, redis_step *next, void *ctx)
{
	struct span id = span_of(interview_id->text);
	struct journal_keys journal = keys_of_journal(&job->arena, partition_of(id, worker->config->partitions));
	struct span keys[] = {journal.stream, journal.interviews};

	return redis_script(worker->redis, job, SCRIPT_JOURNAL_BODY, 2, keys, 1, &id, next, ctx);
}

int64_t journal_entry_ms(struct span entry)
{
	int64_t ms;

	return span_to_int64(span_cut(&entry, '-'), &ms) ? ms : 0;
}
