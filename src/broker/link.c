#include "broker/link.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "broker/journal.h"
#include "broker/link_parts.h"
#include "broker/partition.h"

/* A user's bucket asks for more as long as what it got brings new neighbours; a chain
 * of them longer than this is more than a bucket holds anyway. */
enum { HYDRATE_ROUNDS_MAX = 8 };

void link_init(struct link *link, struct worker *worker, struct job *job, enum step (*done)(void *ctx), void *ctx)
{
	*link = (struct link){.worker = worker, .job = job, .done = done, .ctx = ctx, .ledger_until_ms = INT64_MAX};
	snprintf(link->replid, sizeof(link->replid), "%s", redis_replid(worker->redis));
}

STEP link_end(struct link *link, enum link_result result, const char *error)
{
	link->result = result;
	link->error = error;
	return link->done(link->ctx);
}

/* ── save: check the claim → session index → visits → decisions ─────────────────────── */

static STEP session_start(struct link *link);

STEP link_save(struct link *link, const char *user, struct span sid, struct span save, struct span claim)
{
	link->user = user;
	link->sid = sid;
	link->save = save;
	if (!claim.p)
		return session_start(link);
	/* a claim of another user's conversation is refused before anything is registered */
	link_visit_check(link, claim, user);
	return link_visit_next(link, session_start);
}

/* ── session index ──────────────────────────────────────────────────────────────────── */

static enum step session_on_reply(void *ctx, const struct redis_reply *reply);
static enum step session_on_facts(void *ctx, const struct postgres_reply *reply);

static STEP session_start(struct link *link)
{
	struct span words[LINK_SESSION_WORDS];

	if (link->ledger_first && !link->hydrate.p)
		return link_read_facts_of(link, STATEMENT_SESSION_FACTS, link->sid, session_on_facts);
	link_session_words(link, words);
	return link_script(link, SCRIPT_SESSION_INDEX, link->sid,
			   key_of_session(&link->job->arena, link->worker->config->partitions, link->sid),
			   LINK_SESSION_WORDS, words, session_on_reply);
}

static enum step session_on_facts(void *ctx, const struct postgres_reply *reply)
{
	struct link *link = ctx;

	if (link_ledger_answered(link, reply))
		link->hydrate = link_keep(link, postgres_value(reply->rows[0], 0, 0));
	else if (!link->forced)
		return link_end(link, LINK_LEDGER_AWAY, link->error);
	return session_start(link);
}

/* Every conversation that the session claims or that names it is in play. */
static void session_plan_visits(struct link *link, const struct redis_reply *reply)
{
	struct span claim = json_decode_string(&link->job->arena, json_member(link->session, "claim"));
	struct span told = json_decode_string(&link->job->arena, json_member(link->fact, "claim"));
	struct json_iter iter = json_iter(link_keep(link, reply->v[2]));
	struct span name, value, replaced = link_value(reply, 5);

	if (replaced.n > 0)
		link_visit_unclaim(link, link_keep(link, replaced), link->sid);
	/* what was told when the ledger could not be asked, which knew of an earlier claim */
	if (told.p && !span_eq(told, claim))
		link->lost_claim = told;
	if (link->lost_claim.p && !span_eq(link->lost_claim, replaced))
		link_visit_unclaim(link, link->lost_claim, link->sid);
	if (claim.p)
		link_visit_claim(link, claim, link->session);
	while (json_next(&iter, &name, &value))
		link_visit_named(link, json_decode_string(&link->job->arena, value), link->sid, link->user);
}

static STEP decide_all(struct link *link);

/* A webhook: who owns the session that it names is a fact about the conversation. */
static STEP conversation_on_session(struct link *link)
{
	struct span owner = json_decode_string(&link->job->arena, json_member(link->session, "user"));

	if (owner.p) {
		struct span content = json_member(link->facts, "content");
		struct span named = json_decode_string(&link->job->arena, json_member(content, "named_user"));

		if (named.p && !span_eq(named, owner) && link->repeats == 0)
			metrics_count(&link->worker->metrics, METRIC_LINK_CONFLICT);
		link_visit_name_owner(link, link->sid, owner);
	}
	return link_visit_next(link, decide_all);
}

static enum step session_on_reply(void *ctx, const struct redis_reply *reply)
{
	struct link *link = ctx;

	if (!link_redis_answered(link, reply))
		return link_end(link, LINK_REDIS_AWAY, link->error);
	if (span_is(reply->v[0], "CONFLICT"))
		return link_end(link, LINK_SESSION_TAKEN, NULL);
	if (span_is(reply->v[0], "HYDRATE"))
		return link_read_facts_of(link, STATEMENT_SESSION_FACTS, link->sid, session_on_facts);

	link_note_times(link, reply);
	journal_size_note(link->worker->journal, partition_of(link->sid, link->worker->config->partitions),
			  link_value(reply, 7));
	link->session = link_keep(link, reply->v[1]);
	link->entry = link_keep(link, link_value(reply, 6));
	if (!link->user)
		return conversation_on_session(link);
	link_user_add_session(link, link->user, link->session);
	session_plan_visits(link, reply);
	return link_visit_next(link, decide_all);
}

/* ── conversation index: one visit a conversation ───────────────────────────────────── */

static enum step visit_on_reply(void *ctx, const struct redis_reply *reply);
static enum step visit_on_facts(void *ctx, const struct postgres_reply *reply);

static STEP visit_start(struct link *link)
{
	struct span words[LINK_VISIT_WORDS];

	if (link->ledger_first && !link->visits->hydrate.p)
		return link_read_facts_of(link, STATEMENT_CONVERSATION_FACTS, link->visits->cid, visit_on_facts);
	link_visit_words(link, words);
	return link_script(link, SCRIPT_CONVERSATION_INDEX, link->visits->cid,
			   key_of_conversation(&link->job->arena, link->worker->config->partitions, link->visits->cid),
			   LINK_VISIT_WORDS, words, visit_on_reply);
}

STEP link_visit_next(struct link *link, enum step (*visited)(struct link *link))
{
	link->visited = visited;
	return link->visits ? visit_start(link) : visited(link);
}

static enum step visit_on_facts(void *ctx, const struct postgres_reply *reply)
{
	struct link *link = ctx;

	if (link_ledger_answered(link, reply))
		link->visits->hydrate = link_keep(link, postgres_value(reply->rows[0], 0, 0));
	else if (!link->forced)
		return link_end(link, LINK_LEDGER_AWAY, link->error);
	return visit_start(link);
}

static STEP decide_start(struct link *link, struct link_user *user, enum step (*decided)(struct link *link));

void link_give(struct link *link, struct span cid, struct span fact, struct span sessions)
{
	const char *owner = arena_strdup(&link->job->arena, link->owner);
	struct span session_user = json_decode_string(&link->job->arena, json_member(link->session, "user"));

	link_user_add_conversation(link, owner, cid, fact, link->epoch, sessions);
	if (span_is(session_user, owner))
		link_user_add_session(link, owner, link->session);
}

/* Whom the ledger takes for the owner, if that is another: an earlier try may have ended before it
 * was told. */
static void visit_correct_ledger(struct link *link, const struct redis_reply *reply)
{
	struct span holder = json_decode_string(&link->job->arena, json_member(link->visits->hydrate, "holder"));

	if (holder.p && reply->v[5].n > 0 && !span_eq(holder, reply->v[1]))
		link_user_remove(link, arena_strdup(&link->job->arena, holder), link->visits->cid, reply->v[2],
				 link_keep(link, reply->v[5]));
}

/* On a repeat: whoever got it the first time, into a bucket that Redis had just lost, and is not its
 * owner after all. The index has forgotten them. */
static void visit_take_back(struct link *link, const struct redis_reply *reply)
{
	for (struct link_gift *gift = link->gifts; gift && reply->v[5].n > 0; gift = gift->next)
		if (span_eq(gift->cid, link->visits->cid) && !span_is(reply->v[1], gift->user))
			link_user_remove(link, gift->user, gift->cid, reply->v[2], link_keep(link, reply->v[5]));
}

static enum step visit_on_reply(void *ctx, const struct redis_reply *reply)
{
	struct link *link = ctx;
	struct link_visit *visit = link->visits;

	if (!link_redis_answered(link, reply))
		return link_end(link, LINK_REDIS_AWAY, link->error);
	if (span_is(reply->v[0], "CONFLICT"))
		return link_end(link, LINK_CONVERSATION_TAKEN, NULL);
	if (span_is(reply->v[0], "FULL"))
		return link_end(link, LINK_FULL, NULL);
	if (span_is(reply->v[0], "HYDRATE"))
		return link_read_facts_of(link, STATEMENT_CONVERSATION_FACTS, visit->cid, visit_on_facts);

	link_note_times(link, reply);
	if (visit->check) {
		link->visits = visit->next;
		return link_visit_next(link, link->visited);
	}
	if (link_value(reply, 6).n > 0) {
		/* only when it has left its former holder's bucket may it get another: visit_start again */
		visit->former = arena_strdup(&link->job->arena, link_value(reply, 6));
		return decide_start(link,
				    link_user_remove(link, visit->former, visit->cid, reply->v[2],
						     link_keep(link, reply->v[5])),
				    visit_start);
	}
	link->owner = link_keep(link, reply->v[1]);
	link->epoch = link_keep(link, reply->v[2]);
	if (!visit->former)
		visit_correct_ledger(link, reply);
	if (link->repeats > 0)
		visit_take_back(link, reply);
	if (link->owner.n > 0)
		link_give(link, visit->cid, link_keep(link, reply->v[5]), link_keep(link, link_value(reply, 7)));
	link->visits = visit->next;
	return link_visit_next(link, link->visited);
}

/* ── decisions: one a user in play ──────────────────────────────────────────────────── */

static enum step decide_on_reply(void *ctx, const struct redis_reply *reply);

static STEP decide_call(struct link *link)
{
	struct link_user *user = link->deciding;
	struct span words[LINK_DECIDE_WORDS];

	link_decide_words(link, user, words);
	return link_script(link, SCRIPT_DECIDE, span_of(user->user),
			   key_of_user(&link->job->arena, link->worker->config->partitions, user->user), LINK_DECIDE_WORDS,
			   words, decide_on_reply);
}

static STEP decide_start(struct link *link, struct link_user *user, enum step (*decided)(struct link *link))
{
	link->deciding = user;
	link->decided = decided;
	return decide_call(link);
}

static STEP decide_all(struct link *link)
{
	struct link_user *user = link->users;

	while (user && !user->pending)
		user = user->next;
	return user ? decide_start(link, user, decide_all) : link_end(link, LINK_DECIDED, NULL);
}

static enum step decide_on_facts(void *ctx, const struct postgres_reply *reply)
{
	struct link *link = ctx;
	struct span facts;

	if (!link_ledger_answered(link, reply))
		return link->forced ? decide_call(link) : link_end(link, LINK_LEDGER_AWAY, link->error);
	facts = link_keep(link, postgres_value(reply->rows[0], 0, 0));
	if (span_is(json_member(facts, "more"), "true"))
		return link_end(link, LINK_FULL, NULL);
	link_user_hydrate(link->deciding, facts);
	return decide_call(link);
}

static STEP decide_read(struct link *link, struct span ranges, struct span ask_about)
{
	struct link_user *user = link->deciding;
	const char *params[] = {user->user, arena_strdup(&link->job->arena, ranges), worker_window_param(link->worker, &link->job->arena),
				worker_claim_unowned_param(link->worker), "200", arena_strdup(&link->job->arena, ask_about)};

	user->ranges = span_of(params[1]);
	if (++user->rounds > HYDRATE_ROUNDS_MAX)
		return link_end(link, LINK_FULL, NULL);
	return link_read_facts(link, STATEMENT_USER_FACTS, 6, params, decide_on_facts);
}

static enum step decide_on_reply(void *ctx, const struct redis_reply *reply)
{
	struct link *link = ctx;
	struct link_user *user = link->deciding;

	if (!link_redis_answered(link, reply))
		return link_end(link, LINK_REDIS_AWAY, link->error);
	if (span_is(reply->v[0], "FULL"))
		return link_end(link, LINK_FULL, NULL);
	if (span_is(reply->v[0], "HYDRATE"))
		return decide_read(link, reply->v[1], reply->v[2]);
	link_note_times(link, reply);
	link->unpinned = link->unpinned || !link->forced;
	user->pending = false;
	user->hydrate.n = 0;
	user->revision = link_keep(link, reply->v[1]);
	user->decision = link_keep(link, reply->v[2]);
	if (link->view_sid.p)
		link->view = link_keep(link, link_value(reply, 5));
	return link->decided(link);
}

/* ── the other ways in ──────────────────────────────────────────────────────────────── */

STEP link_conversation_start(struct link *link, struct span hydrate)
{
	struct arena *arena = &link->job->arena;
	struct span cid = link->cid, content = json_member(link->facts, "content");
	struct span named = json_decode_string(arena, json_member(content, "named_session"));

	link_visit_content(link, cid, content, hydrate);
	if (!named.p)
		return link_visit_next(link, decide_all);
	link->sid = named;
	link->named_by = cid;
	return link->session.p ? conversation_on_session(link) : session_start(link);
}

STEP link_fact(struct link *link, const char *user, struct span sid, struct span fact)
{
	link->user = user;
	link->sid = sid;
	link->fact = fact;
	return session_start(link);
}

STEP link_conversation(struct link *link, struct span cid, struct span facts)
{
	link->cid = cid;
	link->facts = facts;
	return link_conversation_start(link, facts);
}

STEP link_content(struct link *link, struct span cid, struct span content)
{
	link->cid = cid;
	link->facts = span_of(arena_printf(&link->job->arena, "{\"content\":%.*s}", SPAN_ARG(content)));
	return link_conversation_start(link, SPAN_ABSENT);
}

STEP link_start_again(struct link *link)
{
	return link->user ? session_start(link) : link_conversation_start(link, SPAN_ABSENT);
}

STEP link_session(struct link *link, const char *user, struct span sid, struct span fact)
{
	link->view_sid = sid;
	link_user_add_session(link, user, fact);
	return decide_all(link);
}

const struct link_user *link_owner(const struct link *link)
{
	const struct link_user *user = link->users;

	while (user && !span_is(link->owner, user->user))
		user = user->next;
	return user && user->revision.p ? user : NULL;
}

STEP link_again(struct link *link, int64_t floor)
{
	link->floor = floor;
	for (struct link_user *user = link->users; user; user = user->next) {
		user->pending = true;
		user->rounds = 0;
	}
	return decide_all(link);
}
