/* A conversation from the journal: whoever put it there linked it on what Redis had. Mostly the indexes have
 * nothing to learn from it any more, and reading them does instead of their scripts.
 *
 *   session entry (read) → ledger: its facts → conversation entry (read) → decide
 *        │ not whole, or of nobody named                  │ something is new to the index
 *        └─▶ session index's script later                 └─▶ as any webhook, with what the ledger said */
#include "base/json.h"
#include "broker/link_parts.h"
#include "broker/partition.h"

static enum step journaled_on_session(void *ctx, const struct redis_reply *reply);
static STEP journaled_read_facts(struct link *link);
static enum step journaled_on_facts(void *ctx, const struct postgres_reply *reply);
static enum step journaled_on_entry(void *ctx, const struct redis_reply *reply);

static struct span content_string(struct link *link, const char *name)
{
	return json_decode_string(&link->job->arena, json_member(json_member(link->facts, "content"), name));
}

STEP link_journaled(struct link *link, struct span cid, struct span content)
{
	struct arena *arena = &link->job->arena;
	struct span named;

	link->cid = cid;
	link->facts = span_of(arena_printf(arena, "{\"content\":%.*s}", SPAN_ARG(content)));
	link->ledger_first = true; /* it could not be asked then */
	named = content_string(link, "named_session");
	if (!named.p) {
		link->session = SPAN("");
		return journaled_read_facts(link);
	}
	struct span words[] = {SPAN("HMGET"), key_of_session(arena, link->worker->config->partitions, named),
			       SPAN("r"), SPAN("s"), SPAN("n")};

	return redis_command(link->worker->redis, link->job, 5, words, journaled_on_session, link);
}

static bool names_contain(struct arena *arena, struct span names, struct span cid)
{
	struct json_iter iter = json_iter(names);
	struct span name, value;

	while (json_next(&iter, &name, &value))
		if (span_eq(json_decode_string(arena, value), cid))
			return true;
	return false;
}

/* {replid, session fact, [cid …]}. An entry that was filled under this replid is whole; if it knows besides that this
 * conversation names it, its script would change nothing and say what stands here. */
static enum step journaled_on_session(void *ctx, const struct redis_reply *reply)
{
	struct link *link = ctx;
	struct arena *arena = &link->job->arena;

	if (!link_redis_answered(link, reply))
		return link_end(link, LINK_REDIS_AWAY, link->error);
	if (reply->n == 3 && span_is(reply->v[0], link->replid) && names_contain(arena, reply->v[2], link->cid))
		link->session = reply->v[1].p ? arena_span(arena, reply->v[1]) : SPAN("");
	return journaled_read_facts(link);
}

static STEP journaled_read_facts(struct link *link)
{
	return link_read_facts_of(link, STATEMENT_CONVERSATION_FACTS, link->cid, journaled_on_facts);
}

/* Whether the ledger has never heard of it: neither of itself nor of a session that claims it. */
static bool facts_are_none(struct span facts)
{
	struct json_iter iter = json_iter(facts);
	struct span name, value;

	while (json_next(&iter, &name, &value)) {
		struct json_iter claims = json_iter(value);
		struct span claim, none;

		if (!span_is(name, "\"claims\"") || json_next(&claims, &claim, &none))
			return false;
	}
	return true;
}

static enum step journaled_on_facts(void *ctx, const struct postgres_reply *reply)
{
	struct link *link = ctx;
	struct arena *arena = &link->job->arena;

	if (!link_ledger_answered(link, reply))
		return link_end(link, LINK_LEDGER_AWAY, link->error);
	link->hydrate_conversation = link_keep(link, postgres_value(reply->rows[0], 0, 0));
	if (!link->session.p || !content_string(link, "named_user").p || !facts_are_none(link->hydrate_conversation))
		return link_conversation_start(link, link->hydrate_conversation);
	struct span words[] = {SPAN("HGETALL"), key_of_conversation(arena, link->worker->config->partitions, link->cid)};

	return redis_command(link->worker->redis, link->job, 2, words, journaled_on_entry, link);
}

/* The entry of a conversation that names its user, who therefore is its owner whatever else is known. If it has this
 * content, that owner, and no claims, and the ledger has nothing on it, then its script would change nothing
 * but the mark that the ledger was asked: that is left to the next who needs it. */
static bool entry_is_settled(struct link *link, const struct redis_reply *entry)
{
	struct arena *arena = &link->job->arena;
	struct span fact = SPAN_ABSENT, owner = SPAN_ABSENT, epoch = SPAN_ABSENT;

	for (size_t i = 0; i + 1 < entry->n; i += 2) {
		struct span field = entry->v[i], value = entry->v[i + 1];

		if (span_is(field, "c"))
			fact = value;
		else if (span_is(field, "h"))
			owner = value;
		else if (span_is(field, "e"))
			epoch = value;
		else if (span_is(field, "l") || span_starts_with(field, SPAN("k:")))
			return false;
	}
	if (!fact.p || !owner.p || !epoch.p || !span_eq(owner, content_string(link, "named_user")) ||
	    !span_eq(json_decode_string(arena, json_member(fact, "hash")), content_string(link, "hash")))
		return false;
	link->owner = arena_span(arena, owner);
	link->epoch = arena_span(arena, epoch);
	link_give(link, link->cid, arena_span(arena, fact), SPAN("[]"));
	return true;
}

static enum step journaled_on_entry(void *ctx, const struct redis_reply *reply)
{
	struct link *link = ctx;

	if (reply->status != CALL_OK)
		return link_end(link, LINK_REDIS_AWAY, "redis: a conversation's entry could not be read");
	if (!entry_is_settled(link, reply))
		return link_conversation_start(link, link->hydrate_conversation);
	return link_again(link, 0);
}
