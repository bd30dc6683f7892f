#include "broker/link_parts.h"

#include "base/json.h"

/* ── visits ─────────────────────────────────────────────────────────────────────────── */

static struct link_visit *visit_of(struct link *link, struct span cid)
{
	struct link_visit **at = &link->visits;

	for (; *at; at = &(*at)->next)
		if (span_eq((*at)->cid, cid))
			return *at;
	*at = ARENA_NEW(&link->job->arena, struct link_visit);
	(*at)->cid = cid;
	text_init(&(*at)->asks, &link->job->arena, 256);
	return *at;
}

void link_visit_check(struct link *link, struct span cid, const char *user)
{
	struct link_visit *visit = visit_of(link, cid);

	visit->check = true;
	text_addf(&visit->asks, ",\"check\":\"%s\"", user);
}

void link_visit_claim(struct link *link, struct span cid, struct span session_fact)
{
	text_addf(&visit_of(link, cid)->asks, ",\"claim\":%.*s", SPAN_ARG(session_fact));
}

void link_visit_unclaim(struct link *link, struct span cid, struct span sid)
{
	struct link_visit *visit = visit_of(link, cid);

	text_add(&visit->asks, SPAN(",\"unclaim\":"));
	text_add_json(&visit->asks, sid);
}

void link_visit_named(struct link *link, struct span cid, struct span sid, const char *owner)
{
	struct link_visit *visit = visit_of(link, cid);

	visit->named = sid;
	visit->named_owner = owner;
}

void link_visit_name_owner(struct link *link, struct span sid, struct span owner)
{
	link_visit_named(link, link->visits->cid, sid, arena_strdup(&link->job->arena, owner));
}

void link_visit_again(struct link *link, struct span cid)
{
	visit_of(link, cid);
}

void link_visit_content(struct link *link, struct span cid, struct span content, struct span facts)
{
	struct link_visit *visit = visit_of(link, cid);

	visit->hydrate = facts;
	if (facts.p && facts.p == link->facts.p) /* its content is in them */
		return;
	if (!json_member(link->facts, "claims").p) { /* it is not from the ledger */
		visit->content = content;
	} else {
		text_add(&visit->asks, SPAN(",\"content\":"));
		text_add(&visit->asks, content);
	}
}

/* ── users ──────────────────────────────────────────────────────────────────────────── */

static struct link_user *user_of(struct link *link, const char *name)
{
	struct link_user **at = &link->users, *user;

	while (*at && strcmp((*at)->user, name) < 0)
		at = &(*at)->next;
	if (*at && strcmp((*at)->user, name) == 0) {
		(*at)->pending = true;
		return *at;
	}
	user = ARENA_NEW(&link->job->arena, struct link_user);
	user->user = name;
	user->pending = true;
	text_init(&user->sessions, &link->job->arena, 256);
	text_init(&user->conversations, &link->job->arena, 256);
	text_init(&user->removed, &link->job->arena, 16);
	text_init(&user->hydrate, &link->job->arena, 16);
	user->next = *at;
	*at = user;
	return user;
}

static void add_item(struct text *list, struct span item)
{
	if (list->n > 0)
		text_addc(list, ',');
	text_add(list, item);
}

void link_user_add_session(struct link *link, const char *user, struct span fact)
{
	add_item(&user_of(link, user)->sessions, fact);
}

void link_user_add_conversation(struct link *link, const char *user, struct span cid, struct span fact,
				struct span epoch, struct span sessions)
{
	struct link_user *to = user_of(link, user);
	struct json_iter iter = json_iter(sessions);
	struct span name, session;

	struct link_gift *gift = ARENA_NEW(&link->job->arena, struct link_gift);

	*gift = (struct link_gift){cid, user, link->gifts};
	link->gifts = gift;
	/* the fact is an object with members: the epoch goes before them */
	add_item(&to->conversations, SPAN("{\"epoch\":"));
	text_add(&to->conversations, epoch);
	text_addc(&to->conversations, ',');
	text_add(&to->conversations, (struct span){fact.p + 1, fact.n - 1});
	while (json_next(&iter, &name, &session))
		add_item(&to->sessions, session);
}

struct link_user *link_user_remove(struct link *link, const char *user, struct span cid, struct span epoch,
				   struct span fact)
{
	struct link_user *from = user_of(link, user);

	add_item(&from->removed, SPAN("{\"cid\":"));
	text_add_json(&from->removed, cid);
	text_addf(&from->removed, ",\"epoch\":%.*s,\"fact\":%.*s}", SPAN_ARG(epoch), SPAN_ARG(fact));
	return from;
}

void link_user_hydrate(struct link_user *user, struct span facts)
{
	add_item(&user->hydrate, SPAN("{\"covered\":"));
	text_add(&user->hydrate, user->ranges);
	text_addc(&user->hydrate, ',');
	text_add(&user->hydrate, (struct span){facts.p + 1, facts.n - 1});
}

/* ── the scripts' words ─────────────────────────────────────────────────────────────── */

static struct span flag(bool set)
{
	return set ? SPAN("1") : SPAN_ABSENT;
}

void link_session_words(const struct link *link, struct span words[LINK_SESSION_WORDS])
{
	words[0] = link->sid;
	words[1] = link->named_by;
	words[2] = flag(link->forced);
	words[3] = flag(link->began_ms == 0);
	words[4] = flag(link->journal);
	words[5] = link->save;
	words[6] = link->fact;
	words[7] = link->hydrate;
}

/* The members that visits gathered, as an object; absent if there are none. */
static struct span asks_of(const struct link *link, const struct link_visit *visit)
{
	struct arena *arena = &link->job->arena;
	const char *settle = visit->former ? arena_printf(arena, ",\"settle\":\"%s\"", visit->former) : "";
	const char *asks = arena_printf(arena, "%.*s%s", SPAN_ARG(text_span(&visit->asks)), settle);

	return asks[0] ? span_of(arena_printf(arena, "{%s}", asks + 1)) : SPAN_ABSENT;
}

void link_visit_words(struct link *link, struct span words[LINK_VISIT_WORDS])
{
	const struct link_visit *visit = link->visits;

	words[0] = span_of(worker_window_param(link->worker, &link->job->arena));
	words[1] = flag(span_is(span_of(worker_claim_unowned_param(link->worker)), "true"));
	words[2] = flag(link->forced);
	words[3] = visit->named;
	words[4] = span_of(visit->named_owner);
	words[5] = visit->content;
	words[6] = visit->hydrate;
	words[7] = asks_of(link, visit);
	words[8] = flag(link->began_ms == 0);
}

void link_decide_words(struct link *link, const struct link_user *user, struct span words[LINK_DECIDE_WORDS])
{
	words[0] = span_of(worker_window_param(link->worker, &link->job->arena));
	words[1] = arena_span(&link->job->arena, SPAN_DIGITS(link->floor));
	words[2] = flag(link->forced);
	words[3] = link->view_sid;
	words[4] = link->forced ? link->pin : SPAN_ABSENT;
	words[5] = text_span(&user->sessions);
	words[6] = text_span(&user->conversations);
	words[7] = text_span(&user->removed);
	words[8] = text_span(&user->hydrate);
	words[9] = flag(link->began_ms == 0);
}

struct span link_evidence(const struct link *link, bool by_cid, struct span id, struct span *other)
{
	struct arena *arena = &link->job->arena;

	for (const struct link_user *user = link->users; user; user = user->next) {
		struct json_iter iter = json_iter(json_member(user->decision, "sessions"));
		struct span name, session;

		while (json_next(&iter, &name, &session)) {
			if (!span_eq(json_decode_string(arena, json_member(session, by_cid ? "cid" : "sid")), id))
				continue;
			*other = json_decode_string(arena, json_member(session, by_cid ? "sid" : "cid"));
			return json_decode_string(arena, json_member(session, "evidence"));
		}
	}
	return SPAN_ABSENT;
}
