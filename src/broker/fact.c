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
	text_addf(out, ",\"%s\":", name);
	text_add_json(out, value);
}

static void add_time(struct text *out, const char *name, int64_t ms)
{
	if (ms >= 0)
		text_addf(out, ",\"%s\":%" PRId64, name, ms);
}

struct span conversation_fact(struct arena *arena, const struct config *config, const struct conversation *c,
			      int64_t received_ms)
{
	bool pending = conversation_awaits_evaluation(config, c);
	const char *reason = pending ? NULL : c->evaluation_reason;
	struct text out;

	text_init(&out, arena, 512);
	text_add(&out, SPAN("{\"cid\":"));
	text_add_json(&out, c->id);
	text_addf(&out, ",\"id\":\"%s\",\"final\":%d,\"event_at\":%" PRId64 ",\"hash\":\"%s\"", c->interview_id.text,
		  c->final, c->event_timestamp_secs, c->body_sha256);
	add_member(&out, "agent", c->agent_id);
	add_member(&out, "named_user", c->named_user.text[0] ? span_of(c->named_user.text) : SPAN_ABSENT);
	add_member(&out, "named_session", c->named_session);
	add_member(&out, "failure", c->failure_reason);
	add_time(&out, "started_at", c->started_ms);
	add_time(&out, "ended_at", c->ended_ms);
	if (received_ms > 0)
		add_time(&out, "received_at", received_ms);
	text_addf(&out, ",\"evaluation\":{\"at\":0,\"status\":\"%s\"", pending ? "pending" : c->evaluation_status);
	add_member(&out, "reason", span_of(reason));
	text_add(&out, SPAN("}}"));
	return text_span(&out);
}
