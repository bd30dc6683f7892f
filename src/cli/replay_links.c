/* How today's rules would link: each user's facts go through lua/decide.lua, on a bucket that is only for
 * that, and what comes out is compared with the links that hold. */
#include "base/json.h"
#include "cli/progress.h"
#include "cli/replay.h"

/* Both in one slot, as the script wants it; gone after each user, and after a minute in any case. */
#define BUCKET "debrief:{replay}:bucket"
#define EMPTIED "debrief:{replay}:emptied"
#define BUCKET_TTL_MS "60000"
#define ALL_TIME "[[0,9999999999999]]" /* ranges.lua's FAR */

/* columns of sql/command_replay_facts.sql */
enum { SESSIONS, CONVERSATIONS, LINKS, NEW };

static bool bucket_clear(struct replay *replay)
{
	struct span words[] = {SPAN("DEL"), SPAN(BUCKET), SPAN(EMPTIED)};

	return redis_blocking_command(replay->redis, 3, words);
}

/* A JSON list without its brackets. */
static struct span members_of(struct span list)
{
	return (struct span){list.p + 1, list.n - 2};
}

/* The decision's `sessions`; absent, having said why, if there is none. */
static struct span decide(struct replay *replay, struct arena *arena, const char *user, struct span sessions,
			  struct span conversations)
{
	struct span keys[] = {SPAN(BUCKET), SPAN(EMPTIED)}, args[11] = {{0}}, *values;
	int count;

	/* as if the ledger had just been asked for all of them, and all of them were new */
	args[0] = span_of(redis_blocking_replid(replay->redis));
	args[1] = SPAN(BUCKET_TTL_MS);
	args[2] = span_of(replay->window_ms);
	args[3] = SPAN("0");
	args[7] = members_of(sessions);
	args[8] = members_of(conversations);
	args[10] = span_of(arena_printf(arena,
					"{\"revision\":0,\"covered\":" ALL_TIME ",\"gone\":[],\"sessions\":%.*s,"
					"\"conversations\":%.*s}",
					SPAN_ARG(sessions), SPAN_ARG(conversations)));
	if (!bucket_clear(replay))
		return SPAN_ABSENT;
	count = redis_blocking_script(replay->redis, arena, SCRIPT_DECIDE, 2, keys, 11, args, &values);
	if (!bucket_clear(replay) || count < 0)
		return SPAN_ABSENT;
	if (count < 3 || !span_is(values[0], "OK")) {
		fprintf(stderr, "debrief: %s: the script did not decide: %.*s\n", user,
			count > 0 ? (int)values[0].n : 0, count > 0 ? values[0].p : "");
		return SPAN_ABSENT;
	}
	return json_member(values[2], "sessions");
}

static void add_link(struct text *json, const char *name, struct span cid, struct span evidence)
{
	text_addf(json, ",\"%s\":", name);
	if (!cid.p) {
		text_add(json, SPAN("null"));
		return;
	}
	text_add(json, SPAN("{\"conversationId\":"));
	text_add_json(json, cid);
	text_add(json, SPAN(",\"evidence\":"));
	text_add_json(json, evidence);
	text_addc(json, '}');
}

static const char *link_text(struct arena *arena, struct span cid, struct span evidence)
{
	return cid.p ? arena_printf(arena, "%s by %s", replay_plain(arena, cid),
				    replay_plain(arena, evidence))
		     : "nothing";
}

/* One session of the decision beside the link that holds. */
static void compare(struct replay *replay, struct arena *arena, struct span decided, struct span links)
{
	struct span sid = json_decode_string(arena, json_member(decided, "sid"));
	struct span cid = json_decode_string(arena, json_member(decided, "cid"));
	struct span evidence = json_decode_string(arena, json_member(decided, "evidence"));
	struct span held = json_member(links, arena_strdup(arena, sid));
	struct span held_cid = json_decode_string(arena, json_member(held, "cid"));
	struct span held_evidence = json_decode_string(arena, json_member(held, "evidence"));

	if (cid.p ? span_eq(cid, held_cid) && span_eq(evidence, held_evidence) : !held_cid.p)
		return;
	replay->links++;
	replay_add_object(&replay->links_json);
	text_add(&replay->links_json, SPAN("\"sid\":"));
	text_add_json(&replay->links_json, sid);
	add_link(&replay->links_json, "was", held_cid, held_evidence);
	add_link(&replay->links_json, "is", cid, evidence);
	text_addc(&replay->links_json, '}');
	replay_say(replay, "link     session %s: %s -> %s", replay_plain(arena, sid),
		   link_text(arena, held_cid, held_evidence), link_text(arena, cid, evidence));
	replay_add_id(&replay->sids, sid);
	if (cid.p)
		replay_add_id(&replay->cids, cid);
	if (held_cid.p)
		replay_add_id(&replay->cids, held_cid);
}

/* Conversations that would become this user's. */
static void note_owners(struct replay *replay, struct arena *arena, const char *user, struct span new)
{
	struct json_iter iter = json_iter(new);
	struct span name, value;

	while (json_next(&iter, &name, &value)) {
		struct span cid = json_decode_string(arena, name), was = json_decode_string(arena, value);

		replay->owners++;
		replay_add_object(&replay->owners_json);
		text_add(&replay->owners_json, SPAN("\"conversationId\":"));
		text_add_json(&replay->owners_json, cid);
		text_add(&replay->owners_json, SPAN(",\"was\":"));
		text_add_json(&replay->owners_json, was);
		text_addf(&replay->owners_json, ",\"is\":\"%s\"}", user);
		replay_say(replay, "owner    %s: %s -> %s", replay_plain(arena, cid),
			   was.p ? replay_plain(arena, was) : "nobody", user);
		replay_add_id(&replay->cids, cid);
	}
}

static bool replay_user(struct replay *replay, const char *user)
{
	const char *params[] = {user, replay->window_ms, replay->claim_unowned};
	struct postgres_rows *rows =
		postgres_blocking_take(replay->postgres, COMMAND_REPLAY_FACTS, 3, params);
	struct span decided, name, session;
	struct arena arena;

	if (!rows)
		return false;
	arena_init(&arena);
	decided = decide(replay, &arena, user, postgres_value(rows, 0, SESSIONS),
			 postgres_value(rows, 0, CONVERSATIONS));
	if (decided.p) {
		struct json_iter iter = json_iter(decided);

		note_owners(replay, &arena, user, postgres_value(rows, 0, NEW));
		while (json_next(&iter, &name, &session))
			compare(replay, &arena, session, postgres_value(rows, 0, LINKS));
	}
	arena_deinit(&arena);
	postgres_blocking_drop(rows);
	return decided.p != NULL;
}

bool replay_links(struct replay *replay)
{
	const char *params[] = {replay->least_ms, replay->conversation, replay->user, replay->window_ms,
				replay->claim_unowned};
	struct postgres_rows *users =
		postgres_blocking_take(replay->postgres, COMMAND_REPLAY_USERS, 5, params);
	struct progress progress;
	bool ok = users != NULL;

	if (!users)
		return false;
	progress_begin(&progress, "users", postgres_row_count(users));
	for (size_t i = 0; ok && i < postgres_row_count(users); i++) {
		ok = replay_user(replay, arena_strdup(&replay->arena, postgres_value(users, i, 0)));
		progress_show(&progress, i + 1);
	}
	progress_end(&progress);
	postgres_blocking_drop(users);
	return ok;
}
