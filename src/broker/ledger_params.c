#include "broker/ledger_params.h"

#include <inttypes.h>
#include <string.h>

#include "base/digest.h"
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
	return number < 0 ? NULL : arena_printf(arena, "%" PRId64, number);
}

static const char *text_or_null(struct arena *arena, struct span s)
{
	return s.p ? arena_strdup(arena, s) : NULL;
}

void ledger_conversation_params(struct arena *arena, const struct config *config,
				const struct conversation *c, struct span body, int64_t received_ms,
				const char **content, const char **evaluation)
{
	bool pending = conversation_awaits_evaluation(config, c);
	const char *cid = arena_strdup(arena, c->id);

	memset(content, 0, LEDGER_CONTENT_PARAMS * sizeof(*content));
	content[0] = c->interview_id.text;
	content[1] = cid;
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

	evaluation[0] = cid;
	evaluation[1] = pending ? "pending" : c->evaluation_status;
	evaluation[2] = pending ? NULL : text_or_null(arena, c->evaluation_result);
	evaluation[3] = pending ? NULL : c->evaluation_reason;
	evaluation[4] = c->body_sha256;
	evaluation[5] = config->evaluator == EVALUATOR_EXTERNAL ? "true" : "false";
	evaluation[6] = content[18];
}
