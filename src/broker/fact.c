#include "broker/fact.h"

bool conversation_awaits_evaluation(const struct config *config, const struct conversation *conversation)
{
	return config->evaluator == EVALUATOR_EXTERNAL && !conversation->failure_reason.p;
}

static void add_member(struct text *out, const char *name, struct span value)
{
	if (!value.p)
		return;
	TEXT_ADD(out, SPAN("\""), span_of(name), SPAN("\":"));
	text_add_json(out, value);
	text_addc(out, ',');
}

static void add_time(struct text *out, const char *name, int64_t ms)
{
	if (ms >= 0)
		TEXT_ADD(out, SPAN("\""), span_of(name), SPAN("\":"), SPAN_DIGITS(ms), SPAN(","));
}

static void add_evaluation(struct text *out, const struct config *config, const struct conversation *c)
{
	bool pending = conversation_awaits_evaluation(config, c);
	const char *reason = pending ? NULL : c->evaluation_reason;

	text_add(out, SPAN("\"evaluation\":{\"at\":0,"));
	add_member(out, "reason", span_of(reason));
	TEXT_ADD(out, SPAN("\"status\":\""), span_of(pending ? "pending" : c->evaluation_status), SPAN("\"},"));
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
	TEXT_ADD(&out, SPAN("\"event_at\":"), SPAN_DIGITS(c->event_timestamp_secs), SPAN(","));
	add_member(&out, "failure", c->failure_reason);
	TEXT_ADD(&out, SPAN("\"final\":"), c->final ? SPAN("1") : SPAN("0"), SPAN(",\"hash\":\""), span_of(c->body_sha256),
		 SPAN("\",\"id\":\""), span_of(c->interview_id.text), SPAN("\","));
	add_member(&out, "named_session", c->named_session);
	add_member(&out, "named_user", c->named_user.text[0] ? span_of(c->named_user.text) : SPAN_ABSENT);
	if (received_ms > 0)
		add_time(&out, "received_at", received_ms);
	add_time(&out, "started_at", c->started_ms);
	out.p[out.n - 1] = '}';
	return text_span(&out);
}
