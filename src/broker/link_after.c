/* What follows on a link: does Redis still know of it, is it in the journal, must it be made again? */
#include <string.h>

#include "broker/journal.h"
#include "broker/link_parts.h"
#include "broker/partition.h"

bool link_was_emptied(const struct link *link)
{
	return link->emptied_ms >= link->began_ms || strcmp(link->replid, redis_replid(link->worker->redis)) != 0;
}

void link_note_confirm(struct link *link, struct span emptied)
{
	int64_t emptied_ms;

	/* when Redis is away now, it tells by its replid how it came back */
	if (emptied.p && link->repeats < LINK_REPEATS_MAX)
		link->lost = link_was_emptied(link) || !span_to_int64(emptied, &emptied_ms) || emptied_ms >= link->began_ms;
}

static enum step confirm_on_reply(void *ctx, const struct redis_reply *reply)
{
	struct link *link = ctx;

	/* it went with all other keys, if it isn't there */
	if (reply->status == CALL_OK)
		link_note_confirm(link, reply->v[0].p ? reply->v[0] : SPAN(""));
	return link->done(link->ctx);
}

STEP link_confirm(struct link *link, enum step (*done)(void *ctx), void *ctx)
{
	struct span id = link->users ? span_of(link->users->user) : link->cid;
	struct span words[] = {SPAN("GET"), key_of_emptied(&link->job->arena, link->worker->config->partitions, id)};

	link->done = done;
	link->ctx = ctx;
	link->lost = false;
	return redis_command(link->worker->redis, link->job, 2, words, confirm_on_reply, link);
}

static enum step strike_on_reply(void *ctx, const struct redis_reply *reply)
{
	struct link *link = ctx;
	struct worker *worker = link->worker;

	if (reply->status != CALL_OK) /* it stays, and the sweeper finds that the ledger has it */
		return link->done(link->ctx);
	journal_size_note(worker->journal, partition_of(link->sid, worker->config->partitions), reply->v[1]);
	link_note_confirm(link, reply->v[2]);
	return link->done(link->ctx);
}

STEP link_strike(struct link *link, enum step (*done)(void *ctx), void *ctx)
{
	struct span entry = link->entry;

	if (entry.n == 0)
		return link_confirm(link, done, ctx);
	link->done = done;
	link->ctx = ctx;
	link->lost = false;
	link->entry = SPAN_ABSENT;
	return journal_strike(link->worker, link->job, partition_of(link->sid, link->worker->config->partitions), 1, &entry,
			      &SPAN_ABSENT, strike_on_reply, link);
}

STEP link_repeat(struct link *link, enum step (*done)(void *ctx), void *ctx)
{
	struct link again;

	link_init(&again, link->worker, link->job, done, ctx);
	again.repeats = link->repeats + 1;
	again.may_force = link->may_force;
	again.journal = link->journal;
	again.ledger_until_ms = link->ledger_until_ms;
	again.pin = link->pin;
	again.user = link->user;
	again.sid = link->sid;
	again.cid = link->cid;
	again.facts = link->facts;
	if (link->user)
		again.fact = link->session;
	again.lost_claim = link->lost_claim;
	again.gifts = link->gifts;
	*link = again;
	for (struct link_gift *gift = link->gifts; gift; gift = gift->next)
		if (!span_eq(gift->cid, link->cid))
			link_visit_again(link, gift->cid);
	return link_start_again(link);
}

STEP link_pin(struct link *link, enum step (*done)(void *ctx), void *ctx)
{
	link->done = done;
	link->ctx = ctx;
	link->forced = true;
	return link_again(link, 0);
}

void link_unpin(struct link *link)
{
	struct arena *arena = &link->job->arena;
	const char *user = link->user ? link->user : arena_strdup(arena, link->owner);
	struct span words[] = {SPAN("HDEL"), key_of_user(arena, link->worker->config->partitions, user),
			       span_of(arena_printf(arena, "p:%.*s", SPAN_ARG(link->pin)))};

	/* a pin that stays keeps a group in the bucket for as long as that lives, no more */
	if (user[0] != '\0')
		redis_command_before(link->worker->redis, link->job, 3, words);
}
