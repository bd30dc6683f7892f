/* Facts that the ledger had refused, tried once more: each in a savepoint of its own. */
#include <stdlib.h>

#include "base/json.h"
#include "broker/ledger_params.h"
#include "cli/replay.h"
#include "provider/elevenlabs.h"

enum { PAGE = 100 };
/* columns of sql/command_replay_rejected.sql */
enum { ID, KIND, SUBJECT, FACT, AT, ERROR };

/* NULL, or why it isn't taken. It counts as received when it was refused. */
static const char *take_conversation(struct replay *replay, struct arena *arena, struct span body,
				     int64_t at_ms)
{
	const char *params[LEDGER_CONVERSATION_PARAMS], *evaluation[LEDGER_EVALUATION_PARAMS], *reason;
	struct conversation conversation;

	if (elevenlabs_parse(arena, body, &replay->config->elevenlabs_agents, &conversation, &reason) !=
	    WEBHOOK_CONVERSATION)
		return reason;
	ledger_conversation_params(arena, replay->config, &conversation, body, at_ms, params);
	ledger_evaluation_params(params, evaluation);
	if (!postgres_blocking_statement(replay->postgres, STATEMENT_KEEP_CONVERSATION, LEDGER_CONVERSATION_PARAMS,
					 params) ||
	    !postgres_blocking_statement(replay->postgres, STATEMENT_KEEP_EVALUATION,
					 LEDGER_EVALUATION_PARAMS, evaluation))
		return postgres_blocking_error(replay->postgres);
	replay_add_id(&replay->cids, conversation.id);
	return NULL;
}

static const char *take_session(struct replay *replay, struct arena *arena, struct span fact)
{
	struct span user = json_decode_string(arena, json_member(fact, "user"));
	struct span sid = json_decode_string(arena, json_member(fact, "sid"));
	const char *params[] = {user.p ? arena_strdup(arena, user) : NULL, arena_strdup(arena, fact), "true",
				sid.p ? arena_strdup(arena, sid) : NULL};
	const char *lock[] = {params[0], "0"};
	const struct postgres_rows *rows;

	if (!user.p || !sid.p)
		return "it names no user or no session";
	if (!postgres_blocking_statement(replay->postgres, STATEMENT_LOCK_USER, 2, lock))
		return postgres_blocking_error(replay->postgres);
	rows = postgres_blocking_statement(replay->postgres, STATEMENT_KEEP_SESSION, 4, params);
	if (!rows)
		return postgres_blocking_error(replay->postgres);
	if (postgres_row_count(rows) == 0)
		return "the session belongs to another user";
	replay_add_id(&replay->sids, sid);
	return NULL;
}

static void note(struct replay *replay, struct arena *arena, const struct postgres_rows *rows, size_t row,
		 const char *why_not)
{
	struct text *json = &replay->refused_json;

	replay_add_object(json);
	text_add(json, SPAN("\"kind\":"));
	text_add_json(json, postgres_value(rows, row, KIND));
	text_add(json, SPAN(",\"subject\":"));
	text_add_json(json, postgres_value(rows, row, SUBJECT));
	text_addf(json, ",\"taken\":%s,\"error\":", why_not ? "false" : "true");
	text_add_json(json, span_of(why_not));
	text_addc(json, '}');
	replay_say(replay, "refused  %s %s: %s", replay_plain(arena, postgres_value(rows, row, KIND)),
		   replay_plain(arena, postgres_value(rows, row, SUBJECT)),
		   why_not ? arena_printf(arena, "still refused: %s", replay_plain(arena, span_of(why_not)))
			   : "taken");
}

/* False only if the transaction can't go on. */
static bool take(struct replay *replay, struct arena *arena, const struct postgres_rows *rows, size_t row)
{
	struct span fact = replay_bytes(arena, postgres_value(rows, row, FACT)),
		    kind = postgres_value(rows, row, KIND);
	const char *id = arena_strdup(arena, postgres_value(rows, row, ID)), *why_not;
	int64_t at_ms = 0;

	(void)span_to_int64(postgres_value(rows, row, AT), &at_ms);
	if (!postgres_blocking_do(replay->postgres, "SAVEPOINT one"))
		return false;
	postgres_blocking_hush(replay->postgres, true);
	if (span_is(kind, "conversation"))
		why_not = take_conversation(replay, arena, fact, at_ms);
	else if (span_is(kind, "session"))
		why_not = take_session(replay, arena, fact);
	else
		why_not = "a kind that can't be replayed";
	postgres_blocking_hush(replay->postgres, false);
	note(replay, arena, rows, row, why_not);
	if (why_not) {
		replay->refused++;
		return postgres_blocking_do(replay->postgres, "ROLLBACK TO SAVEPOINT one");
	}
	replay->taken++;
	return postgres_blocking_run(replay->postgres, COMMAND_REPLAY_TAKEN, 1, &id) != NULL;
}

bool replay_refused(struct replay *replay)
{
	char last[24] = "0";
	size_t count = PAGE;
	bool ok = true;

	while (ok && count == PAGE) {
		const char *params[] = {replay->least_ms, replay->conversation, last, "100"};
		struct postgres_rows *rows =
			postgres_blocking_take(replay->postgres, COMMAND_REPLAY_REJECTED, 4, params);
		struct arena arena;

		if (!rows)
			return false;
		arena_init(&arena);
		count = postgres_row_count(rows);
		for (size_t row = 0; ok && row < count; row++)
			ok = take(replay, &arena, rows, row);
		if (count > 0)
			snprintf(last, sizeof(last), "%.*s", SPAN_ARG(postgres_value(rows, count - 1, ID)));
		postgres_blocking_drop(rows);
		arena_deinit(&arena);
	}
	return ok;
}
