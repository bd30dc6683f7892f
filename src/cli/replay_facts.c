/* Stored webhooks, read again: page → each: body → parse → what is different → update. */
#include <stdlib.h>

#include "broker/ledger_params.h"
#include "cli/progress.h"
#include "cli/replay.h"
#include "provider/elevenlabs.h"

enum { PAGE = 100 };
/* columns of sql/command_replay_page.sql */
enum {
	ID,
	MICROS,
	CID,
	AGENT,
	STATUS,
	FINAL,
	STARTED,
	ENDED,
	DURATION,
	NAMED_SESSION,
	NAMED_USER,
	FAILURE,
	HASH,
	RAW,
	BODY
};

/* A fact as it stands in its column, and as it is read today. */
struct difference {
	const char *name;
	int column;
	const char *now; /* a parameter of sql/command_replay_fact.sql */
};

static bool is_same(struct span stored, const char *now)
{
	return now ? span_is(stored, now) : !stored.p;
}

static void note(struct replay *replay, struct arena *arena, const struct postgres_rows *rows, size_t row,
		 const struct difference *list, size_t count)
{
	struct span cid = postgres_value(rows, row, CID);
	struct text line;

	text_init(&line, arena, 256);
	replay_add_object(&replay->facts_json);
	text_add(&replay->facts_json, SPAN("\"conversationId\":"));
	text_add_json(&replay->facts_json, cid);
	text_add(&replay->facts_json, SPAN(",\"changes\":["));
	for (size_t i = 0, n = 0; i < count; i++) {
		struct span stored = postgres_value(rows, row, (size_t)list[i].column);

		if (is_same(stored, list[i].now))
			continue;
		text_addf(&line, "%s%s %s -> %s", n ? ", " : "", list[i].name, replay_plain(arena, stored),
			  replay_plain(arena, span_of(list[i].now)));
		text_addf(&replay->facts_json, "%s{\"fact\":\"%s\",\"was\":", n++ ? "," : "", list[i].name);
		text_add_json(&replay->facts_json, stored);
		text_add(&replay->facts_json, SPAN(",\"is\":"));
		text_add_json(&replay->facts_json, span_of(list[i].now));
		text_addc(&replay->facts_json, '}');
	}
	text_add(&replay->facts_json, SPAN("]}"));
	replay_say(replay, "facts    %s: %s", replay_plain(arena, cid), line.p);
}

/* False only if the ledger can't be written. */
static bool compare(struct replay *replay, struct arena *arena, const struct postgres_rows *rows, size_t row,
		    const struct conversation *c)
{
	struct difference list[] = {
		{"agent", AGENT, arena_strdup(arena, c->agent_id)},
		{"status", STATUS, arena_strdup(arena, c->status)},
		{"final", FINAL, c->final ? "t" : "f"},
		{"started_ms", STARTED, ledger_number(arena, c->started_ms)},
		{"ended_ms", ENDED, ledger_number(arena, c->ended_ms)},
		{"duration_secs", DURATION, ledger_number(arena, c->duration_secs)},
		{"named_session", NAMED_SESSION,
		 c->named_session.p ? arena_strdup(arena, c->named_session) : NULL},
		{"named_user", NAMED_USER, c->named_user.text[0] ? c->named_user.text : NULL},
		{"failure", FAILURE, c->failure_reason.p ? arena_strdup(arena, c->failure_reason) : NULL},
	};
	enum { COUNT = sizeof(list) / sizeof(list[0]) };
	const char *params[2 + COUNT] = {arena_strdup(arena, postgres_value(rows, row, CID)),
					 arena_strdup(arena, postgres_value(rows, row, HASH))};
	bool same = true;

	for (size_t i = 0; i < COUNT; i++) {
		same = same && is_same(postgres_value(rows, row, (size_t)list[i].column), list[i].now);
		params[2 + i] = list[i].now;
	}
	if (same)
		return true;
	replay->changed++;
	note(replay, arena, rows, row, list, COUNT);
	replay_add_id(&replay->cids, span_of(params[0]));
	return postgres_blocking_run(replay->postgres, COMMAND_REPLAY_FACT, 2 + COUNT, params) != NULL;
}

/* What is read today out of a row's body. False if it is no conversation of ours any more: then it stays as
 * it is. */
static bool read_again(struct replay *replay, struct arena *arena, const struct postgres_rows *rows,
		       size_t row, struct conversation *conversation)
{
	struct span raw = postgres_value(rows, row, RAW);
	struct span body =
		raw.p ? replay_bytes(arena, raw) : arena_span(arena, postgres_value(rows, row, BODY));
	const char *reason;

	if (elevenlabs_parse(arena, body, &replay->config->elevenlabs_agents, conversation, &reason) ==
	    WEBHOOK_CONVERSATION)
		return true;
	replay_say(replay, "facts    %s: would not be kept today (%s); it stays",
		   replay_plain(arena, postgres_value(rows, row, CID)), reason);
	return false;
}

/* The page's rows outlive the updates: each row is read into `conversations` first. */
static bool replay_page(struct replay *replay, struct arena *arena, const struct postgres_rows *rows,
			size_t count)
{
	for (size_t row = 0; row < count; row++) {
		struct conversation conversation;

		replay->read++;
		if (read_again(replay, arena, rows, row, &conversation) &&
		    !compare(replay, arena, rows, row, &conversation))
			return false;
	}
	return true;
}

bool replay_facts(struct replay *replay)
{
	char micros[24] = "", id[UUID_TEXT_LEN + 1] = "";
	struct progress progress;
	size_t count = PAGE;
	bool ok = true;

	progress_begin(&progress, "webhooks read", 0);
	while (ok && count == PAGE) {
		const char *params[] = {replay->least_ms,          replay->conversation, replay->user,
					micros[0] ? micros : NULL, id[0] ? id : NULL,    "100"};
		struct postgres_rows *rows =
			postgres_blocking_take(replay->postgres, COMMAND_REPLAY_PAGE, 6, params);
		struct arena arena;

		if (!rows)
			return false;
		arena_init(&arena);
		count = postgres_row_count(rows);
		if (count > 0) {
			snprintf(micros, sizeof(micros), "%.*s",
				 SPAN_ARG(postgres_value(rows, count - 1, MICROS)));
			snprintf(id, sizeof(id), "%.*s", SPAN_ARG(postgres_value(rows, count - 1, ID)));
		}
		ok = replay_page(replay, &arena, rows, count);
		postgres_blocking_drop(rows);
		arena_deinit(&arena);
		progress_show(&progress, replay->read);
	}
	progress_end(&progress);
	return ok;
}
