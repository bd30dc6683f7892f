/* What a link asks of the stores: scripts of Redis, facts of the ledger; and what they answered. */
#include "broker/link_parts.h"
#include "broker/partition.h"

/* The value of a script's first word, or a store that is away. */
bool link_redis_answered(struct link *link, const struct redis_reply *reply)
{
	if (reply->status == CALL_OK && reply->n > 0)
		return true;
	link->error = arena_printf(&link->job->arena, "redis: %s: %.*s", call_status_name(reply->status),
				   SPAN_ARG(reply->error));
	return false;
}

bool link_ledger_answered(struct link *link, const struct postgres_reply *reply)
{
	if (reply->status == CALL_OK && postgres_row_count(reply->rows[0]) > 0)
		return true;
	link->error = arena_printf(&link->job->arena, "ledger: %s: %s", call_status_name(reply->status),
				   reply->error ? reply->error : "no row");
	if (link->may_force)
		link->forced = true;
	return false;
}

/* `id` is what the key is of. All know when their partition was emptied; some write its journal. Empty words at the
 * end stay here: each that is sent costs Redis as much as what a script does with it. */
STEP link_script(struct link *link, enum script name, struct span id, struct span key, size_t count,
		 const struct span *words, redis_step *next)
{
	const struct config *config = link->worker->config;
	struct arena *arena = &link->job->arena;
	struct journal_keys journal = keys_of_journal(arena, partition_of(id, config->partitions));
	struct span keys[] = {key, journal.emptied, journal.stream, journal.bytes};
	struct span args[2 + LINK_WORDS_MAX] = {
		span_of(redis_replid(link->worker->redis)),
		SPAN_DIGITS(config->session_ttl_secs * 1000),
	};

	while (count > 0 && words[count - 1].n == 0)
		count--;
	memcpy(args + 2, words, count * sizeof(*words));
	return redis_script(link->worker->redis, link->job, name, name == SCRIPT_SESSION_INDEX && link->journal ? 4 : 2, keys,
			    2 + count, args, next, link);
}

STEP link_read_facts(struct link *link, enum statement statement, size_t count, const char *const *params,
		     postgres_step *next)
{
	struct postgres_query query = {.statement = statement, .param_count = count, .params = params};

	metrics_count(&link->worker->metrics, METRIC_HYDRATION);
	return postgres_submit_until(link->worker->ledger_reader, link->job, link->ledger_until_ms, NULL, 1, &query, next,
				     link);
}

STEP link_read_facts_of(struct link *link, enum statement statement, struct span id, postgres_step *next)
{
	const char *param = arena_strdup(&link->job->arena, id);

	return link_read_facts(link, statement, 1, &param, next);
}

struct span link_keep(struct link *link, struct span value)
{
	return arena_span(&link->job->arena, value);
}

struct span link_value(const struct redis_reply *reply, size_t at)
{
	return at < reply->n ? reply->v[at] : SPAN_ABSENT;
}

void link_note_times(struct link *link, const struct redis_reply *reply)
{
	int64_t emptied_ms, now_ms;

	if (link->began_ms == 0 && span_to_int64(link_value(reply, REPLY_NOW), &now_ms))
		link->began_ms = now_ms;
	if (span_to_int64(link_value(reply, REPLY_EMPTIED), &emptied_ms) && emptied_ms > link->emptied_ms)
		link->emptied_ms = emptied_ms;
}
