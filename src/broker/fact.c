#include "broker/fact.h"

#include <inttypes.h>

bool conversation_awaits_evaluation(const struct config *config, const struct conversation *conversation)
{
	return config->evaluator == EVALUATOR_EXTERNAL && !conversation->failure_reason.p;
}

static void add_member(struct text *out, const char *name, struct span value)
{
	if (!value.p)
		return;
	text_addf(out, "\"%s\":", name);
	text_add_json(out, value);
	text_addc(out, ',');
}

static void add_time(struct text *out, const char *name, int64_t ms)
{
	if (ms >= 0)
		text_addf(out, "\"%s\":%" PRId64 ",", name, ms);
}

static void add_evaluation(struct text *out, const struct config *config, const struct conversation *c)
{
	bool pending = conversation_awaits_evaluation(config, c);
	const char *reason = pending ? NULL : c->evaluation_reason;

	text_add(out, SPAN("\"evaluation\":{\"at\":0,"));
	add_member(out, "reason", span_of(reason));
	text_addf(out, "\"status\":\"%s\"},", pending ? "pending" : c->evaluation_status);
}

/* Members in the order of encode_conversation() in lua/conversations.lua: the scripts keep it as it is. */
struct span conversation_fact(struct arena *arena, const struct config *config, const struct conversation *c,
			      int64_t received_ms)
{
	struct text out;

	text_init(&out, arena, 768);
	text_addc(&out, '{');
	add_member(&out, "agent", c->agent_id);
	add_member(&out, "cid", c->id);
	add_time(&out, "ended_at", c->ended_ms);
	add_evaluation(&out, config, c);
	text_addf(&out, "\"event_at\":%" PRId64 ",", c->event_timestamp_secs);
	add_member(&out, "failure", c->failure_reason);
	text_addf(&out, "\"final\":%d,\"hash\":\"%s\",\"id\":\"%s\",", c->final, c->body_sha256, c->interview_id.text);
	add_member(&out, "named_session", c->named_session);
	add_member(&out, "named_user", c->named_user.text[0] ? span_of(c->named_user.text) : SPAN_ABSENT);
	if (received_ms > 0)
		add_time(&out, "received_at", received_ms);
	add_time(&out, "started_at", c->started_ms);
	out.p[out.n - 1] = '}';
	return text_span(&out);
}
