#include "broker/ledger_params.h"

#include <string.h>

#include "base/digest.h"
#include "base/json.h"
#include "broker/fact.h"

const char *ledger_bytea(struct arena *arena, struct span bytes)
{
	char *text = arena_alloc(arena, 2 * bytes.n + 3);

	memcpy(text, "\\x", 2);
	digest_hex((const unsigned char *)bytes.p, bytes.n, text + 2);
	return text;
}

const char *ledger_number(struct arena *arena, int64_t number)
{
	return number < 0 ? NULL : arena_strdup(arena, SPAN_DIGITS(number));
}

static const char *text_or_null(struct arena *arena, struct span s)
{
	return s.p ? arena_strdup(arena, s) : NULL;
}

void ledger_conversation_params(struct arena *arena, const struct config *config,
				const struct conversation *c, struct span body, int64_t received_ms, const char **content)
{
	bool pending = conversation_awaits_evaluation(config, c);

	memset(content, 0, LEDGER_CONVERSATION_PARAMS * sizeof(*content));
	content[0] = c->interview_id.text;
	content[1] = arena_strdup(arena, c->id);
	content[2] = arena_strdup(arena, c->agent_id);
	content[3] = arena_strdup(arena, c->status);
	content[4] = c->final ? "true" : "false";
	content[5] = ledger_number(arena, c->event_timestamp_secs);
	content[6] = c->body_sha256;
	content[7] = ledger_number(arena, c->started_ms);
	content[8] = ledger_number(arena, c->ended_ms);
	content[9] = ledger_number(arena, c->duration_secs);
	content[10] = text_or_null(arena, c->named_session);
	content[11] = c->named_user.text[0] ? c->named_user.text : NULL;
	content[12] = text_or_null(arena, c->transcript);
	content[13] = text_or_null(arena, c->analysis);
	content[14] = text_or_null(arena, c->metadata);
	content[15] = text_or_null(arena, c->payload);
	content[16] = c->lossy ? ledger_bytea(arena, body) : NULL;
	content[17] = text_or_null(arena, c->failure_reason);
	if (received_ms > 0)
		content[18] = ledger_number(arena, received_ms);

	content[22] = pending ? "pending" : c->evaluation_status;
	content[23] = pending ? NULL : text_or_null(arena, c->evaluation_result);
	content[24] = pending ? NULL : c->evaluation_reason;
	content[25] = config->evaluator == EVALUATOR_EXTERNAL ? "true" : "false";
}

void ledger_evaluation_params(const char *const *content, const char **params)
{
	const char *evaluation[LEDGER_EVALUATION_PARAMS] = {content[1], content[22], content[23], content[24],
							    content[6], content[25], content[18]};

	memcpy(params, evaluation, sizeof(evaluation));
}

/* ── decisions ──────────────────────────────────────────────────────────────────────── */

/* columns of a row */
enum { USER, REVISION, SID, CID, EVIDENCE, HASH, EPOCH, OWN, WHOLE, COLUMNS };

struct decision {
	struct arena *arena;
	const char **rows;
	size_t count;
};

static size_t elements(struct span array)
{
	struct json_iter iter = json_iter(array);
	struct span value;
	size_t n = 0;

	while (json_next(&iter, NULL, &value))
		n++;
	return n;
}

static const char *string_of(struct decision *decision, struct span object, const char *name)
{
	return json_decode_string(decision->arena, json_member(object, name)).p;
}

static const char **row_add(struct decision *decision)
{
	return decision->rows + COLUMNS * decision->count++;
}

static void add_conversation(struct decision *decision, struct span entry)
{
	const char **row = row_add(decision);
	int64_t epoch;

	row[CID] = string_of(decision, entry, "cid");
	row[HASH] = string_of(decision, entry, "hash");
	if (json_int64(json_member(entry, "epoch"), false, &epoch))
		row[EPOCH] = ledger_number(decision->arena, epoch);
	row[OWN] = json_member(entry, "own").p ? "true" : "false";
}

/* With its conversation, which is one of the first `conversations` rows; a link to any other is none. */
static void add_session(struct decision *decision, struct span entry, size_t conversations)
{
	const char *sid = string_of(decision, entry, "sid"), *cid = string_of(decision, entry, "cid");

	for (size_t i = 0; cid && i < conversations; i++) {
		const char **row = decision->rows + COLUMNS * i;

		if (row[SID] || !row[CID] || strcmp(row[CID], cid) != 0)
			continue;
		row[SID] = sid;
		row[EVIDENCE] = string_of(decision, entry, "evidence");
		return;
	}
	row_add(decision)[SID] = sid;
}

const char *const *ledger_decision_rows(struct arena *arena, const char *user, struct span revision, struct span text,
					size_t *count)
{
	struct span sessions = json_member(text, "sessions"), conversations = json_member(text, "conversations"),
		    gone = json_member(text, "gone"), entry;
	size_t room = elements(sessions) + elements(conversations) + elements(gone) + 1;
	const char *digits = arena_strdup(arena, revision), *whole = arena_strdup(arena, text);
	struct decision decision = {arena, arena_alloc(arena, room * COLUMNS * sizeof(char *)), 0};
	struct json_iter iter = json_iter(conversations);
	size_t known;

	while (json_next(&iter, NULL, &entry))
		add_conversation(&decision, entry);
	known = decision.count;
	iter = json_iter(sessions);
	while (json_next(&iter, NULL, &entry))
		add_session(&decision, entry, known);
	iter = json_iter(gone);
	while (json_next(&iter, NULL, &entry)) {
		const char **row = decision.rows + COLUMNS * decision.count;

		add_conversation(&decision, entry);
		row[HASH] = NULL;
	}
	if (decision.count == 0) /* of nothing; its revision counts */
		row_add(&decision);
	for (size_t i = 0; i < decision.count; i++) {
		const char **row = decision.rows + COLUMNS * i;

		row[USER] = user;
		row[REVISION] = digits;
		row[WHOLE] = i == 0 ? whole : NULL;
	}
	*count = COLUMNS * decision.count;
	return decision.rows;
}
