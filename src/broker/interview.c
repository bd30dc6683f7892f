#include "broker/interview.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/json.h"
#include "broker/fact.h"
#include "broker/view.h"

/* The columns of sql/results.sql. */
enum {
	COL_CONVERSATION, COL_USER, COL_AGENT, COL_SESSION, COL_STATUS, COL_STARTED, COL_ENDED, COL_DURATION,
	COL_RECEIVED, COL_SUMMARY, COL_FAILURE, COL_TRANSCRIPT, COL_METADATA, COL_EVALUATION, COL_RESULT, COL_REASON,
	COL_COMPLETED
};

static int64_t time_value(const struct postgres_rows *rows, size_t column)
{
	int64_t ms;

	return span_to_int64(postgres_value(rows, 0, column), &ms) ? ms : -1;
}

struct interview interview_of_row(const char *id, const struct postgres_rows *rows)
{
	return (struct interview){
		.id = id,
		.conversation_id = postgres_value(rows, 0, COL_CONVERSATION),
		.agent_id = postgres_value(rows, 0, COL_AGENT),
		.user = postgres_value(rows, 0, COL_USER),
		.session = postgres_value(rows, 0, COL_SESSION),
		.status = postgres_value(rows, 0, COL_STATUS),
		.failure = postgres_value(rows, 0, COL_FAILURE),
		.started_ms = time_value(rows, COL_STARTED),
		.ended_ms = time_value(rows, COL_ENDED),
		.received_ms = time_value(rows, COL_RECEIVED),
		.duration_secs = postgres_value(rows, 0, COL_DURATION),
		.summary = postgres_value(rows, 0, COL_SUMMARY),
		.transcript = postgres_value(rows, 0, COL_TRANSCRIPT),
		.metadata = postgres_value(rows, 0, COL_METADATA),
		.evaluation_status = postgres_value(rows, 0, COL_EVALUATION),
		.evaluation_reason = postgres_value(rows, 0, COL_REASON),
		.evaluation_result = postgres_value(rows, 0, COL_RESULT),
		.evaluated_ms = time_value(rows, COL_COMPLETED),
	};
}

struct interview interview_of_conversation(struct arena *arena, const struct config *config,
					   const struct conversation *conversation, int64_t received_ms)
{
	bool pending = conversation_awaits_evaluation(config, conversation);
	struct interview interview = {
		.id = conversation->interview_id.text,
		.conversation_id = conversation->id,
		.agent_id = conversation->agent_id,
		.status = conversation->status,
		.failure = conversation->failure_reason,
		.started_ms = conversation->started_ms,
		.ended_ms = conversation->ended_ms,
		.received_ms = received_ms,
		.summary = json_decode_string(arena, json_member(conversation->analysis, "transcript_summary")),
		.transcript = conversation->transcript,
		.metadata = conversation->metadata,
		.evaluation_status = span_of(pending ? "pending" : conversation->evaluation_status),
		.evaluated_ms = -1,
	};

	if (conversation->duration_secs >= 0)
		interview.duration_secs = span_of(arena_printf(arena, "%" PRId64, conversation->duration_secs));
	if (!pending) {
		interview.evaluation_reason = span_of(conversation->evaluation_reason);
		interview.evaluation_result = conversation->evaluation_result;
		interview.evaluated_ms = received_ms;
	}
	return interview;
}

/* What the provider calls done is a completed interview; its other words stay. */
static struct span interview_status(const struct interview *interview)
{
	if (interview->failure.p)
		return SPAN("failed");
	return span_is(interview->status, "done") ? SPAN("completed") : interview->status;
}

static void add_raw(struct text *out, const char *name, struct span json)
{
	text_addf(out, ",\"%s\":", name);
	text_add(out, json.p ? json : SPAN("null"));
}

/* A turn as browsers get it. What the tools were called with stays here: it names the
 * customer's own servers. */
static void add_turn(struct text *out, struct span turn)
{
	struct json_iter iter = json_iter(turn);
	struct span name, value, role = SPAN("null"), message = SPAN("null"), seconds = SPAN("null"),
				 interrupted = SPAN_ABSENT;

	while (json_next(&iter, &name, &value)) {
		if (span_is(name, "\"role\""))
			role = value;
		else if (span_is(name, "\"message\""))
			message = value;
		else if (span_is(name, "\"time_in_call_secs\""))
			seconds = value;
		else if (span_is(name, "\"interrupted\""))
			interrupted = value;
	}
	text_add(out, SPAN("{\"role\":"));
	text_add(out, role);
	text_add(out, SPAN(",\"message\":"));
	text_add(out, message);
	text_add(out, SPAN(",\"timeInCallSecs\":"));
	text_add(out, seconds);
	if (interrupted.p)
		add_raw(out, "interrupted", interrupted);
	text_addc(out, '}');
}

static void add_transcript(struct text *out, struct span transcript)
{
	struct json_iter iter = json_iter(transcript);
	struct span turn;
	bool first = true;

	text_add(out, SPAN(",\"transcript\":["));
	while (json_next(&iter, NULL, &turn)) {
		if (!first)
			text_addc(out, ',');
		first = false;
		add_turn(out, turn);
	}
	text_addc(out, ']');
}

static void add_evaluation(struct text *out, const struct interview *interview, const struct config *config,
			   int64_t now_ms)
{
	struct span status = interview->evaluation_status, reason = interview->evaluation_reason;

	if (!status.p)
		status = SPAN("pending");
	if (evaluation_is_overdue(config, status, interview->received_ms, now_ms)) {
		status = SPAN("failed");
		reason = SPAN("evaluation_timeout");
	}
	text_add(out, SPAN(",\"evaluation\":{\"status\":"));
	text_add_json(out, status);
	add_raw(out, "result", interview->evaluation_result);
	text_add(out, SPAN(",\"reason\":"));
	text_add_json(out, reason);
	text_add(out, SPAN(",\"completedAt\":"));
	text_add_json_time(out, interview->evaluated_ms);
	text_addc(out, '}');
}

void interview_write(const struct interview *interview, const struct config *config, int64_t now_ms, struct text *out)
{
	text_addf(out, "{\"interview\":{\"id\":\"%s\",\"conversationId\":", interview->id);
	text_add_json(out, interview->conversation_id);
	text_add(out, SPAN(",\"agentId\":"));
	text_add_json(out, interview->agent_id);
	text_add(out, SPAN(",\"sessionId\":"));
	text_add_json(out, interview->session);
	text_add(out, SPAN(",\"status\":"));
	text_add_json(out, interview_status(interview));
	text_add(out, SPAN(",\"startedAt\":"));
	text_add_json_time(out, interview->started_ms);
	text_add(out, SPAN(",\"endedAt\":"));
	text_add_json_time(out, interview->ended_ms);
	add_raw(out, "durationSecs", interview->duration_secs);
	text_add(out, SPAN(",\"summary\":"));
	text_add_json(out, interview->summary);
	add_transcript(out, interview->transcript);
	text_addc(out, '}');
	add_evaluation(out, interview, config, now_ms);
	add_raw(out, "metadata", interview->metadata);
	text_addc(out, '}');
}
