#include "broker/journal.h"

#include <stdlib.h>

#include "base/lz4_frame.h"

/* Enough for any call to be answered in, little for a body that nobody will ask for. */
#define BODY_UNKEPT_SECS "600"

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

bool journal_may_hide(const struct worker *worker)
{
	const struct journal_size *journal = worker->journal;

	if (atomic_load(&journal->total_bytes) > 0)
		return true;
	if (atomic_load(&journal->clean_ms) == 0) /* and who knows what came before it started */
		return worker->config->durability != DURABILITY_LEDGER_ONLY;
	return atomic_load(&journal->ledger_lost_ms) > atomic_load(&journal->clean_ms);
}

/* ── script calls ───────────────────────────────────────────────────────────────────── */

STEP journal_append(struct worker *worker, struct job *job, const struct conversation *c, struct span body,
		    redis_step *next, void *ctx)
{
	unsigned partition = partition_of(span_of(c->interview_id.text), worker->config->partitions);
	struct journal_keys journal = keys_of_journal(&job->arena, partition);
	struct span packed = lz4_frame_pack(&job->arena, body);
	struct uuid name = uuid_random();
	struct span key = key_of_body(&job->arena, partition, span_of(name.text));
	struct span set[] = {SPAN("SET"), key, packed, SPAN("EX"), SPAN(BODY_UNKEPT_SECS)};
	struct span keys[] = {journal.stream, journal.bytes, journal.interviews, journal.emptied, key};
	struct span args[] = {
		c->id,
		span_of(c->interview_id.text),
		c->final ? SPAN("1") : SPAN("0"),
		SPAN_DIGITS(c->event_timestamp_secs),
		span_of(c->body_sha256),
		span_of(name.text),
		SPAN_DIGITS((int64_t)packed.n),
		SPAN_DIGITS((int64_t)body.n),
	};

	/* the script tells whether that worked; should it not come to run, the body goes by itself */
	redis_command_before(worker->redis, job, 5, set);
	return redis_script(worker->redis, job, SCRIPT_JOURNAL_APPEND, 5, keys, 8, args, next, ctx);
}

STEP journal_strike(struct worker *worker, struct job *job, unsigned partition, size_t count, const struct span *entries,
		    const struct span *bodies, redis_step *next, void *ctx)
{
	struct arena *arena = &job->arena;
	struct journal_keys journal = keys_of_journal(arena, partition);
	struct span keys[4 + JOURNAL_STRIKES_MAX] = {journal.stream, journal.bytes, journal.interviews, journal.emptied};
	size_t key_count = 4;

	for (size_t i = 0; i < count; i++)
		if (bodies[i].n > 0)
			keys[key_count++] = key_of_body(arena, partition, bodies[i]);
	return redis_script(worker->redis, job, SCRIPT_JOURNAL_STRIKE, key_count, keys, count, entries, next, ctx);
}

STEP journal_find(struct worker *worker, struct job *job, const struct uuid *interview_id, redis_step *next, void *ctx)
{
	struct span id = span_of(interview_id->text);
	struct journal_keys journal = keys_of_journal(&job->arena, partition_of(id, worker->config->partitions));
	struct span keys[] = {journal.stream, journal.interviews};

	return redis_script(worker->redis, job, SCRIPT_JOURNAL_BODY, 2, keys, 1, &id, next, ctx);
}

STEP journal_body(struct worker *worker, struct job *job, unsigned partition, struct span name, redis_step *next, void *ctx)
{
	struct span words[] = {SPAN("GET"), key_of_body(&job->arena, partition, name)};

	return redis_command(worker->redis, job, 2, words, next, ctx);
}

int64_t journal_entry_ms(struct span entry)
{
	int64_t ms;

	return span_to_int64(span_cut(&entry, '-'), &ms) ? ms : 0;
}
