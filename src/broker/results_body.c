#include "broker/results_body.h"

#include "base/clock.h"
#include "base/json.h"
#include "broker/view.h"

static int64_t time_value(struct span value)
{
	int64_t ms;

	return span_to_int64(value, &ms) ? ms : -1;
}

/* What the provider calls done is a completed interview; its other words stay. */
static struct span interview_status(const struct span columns[COL_COUNT])
{
	struct span status = columns[COL_STATUS];

	if (columns[COL_FAILURE].p)
		return SPAN("failed");
	return span_is(status, "done") ? SPAN("completed") : status;
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

static void add_evaluation(struct text *out, const struct config *config, const struct span columns[COL_COUNT],
			   int64_t now_ms, int64_t *turns_ms)
{
	struct span status = columns[COL_EVALUATION], reason = columns[COL_REASON];
	int64_t received_ms = time_value(columns[COL_RECEIVED]);

	if (!status.p)
		status = SPAN("pending");
	*turns_ms = INT64_MAX;
	if (evaluation_is_overdue(config, status, received_ms, now_ms)) {
		status = SPAN("failed");
		reason = SPAN("evaluation_timeout");
	} else if (span_is(status, "pending")) {
		*turns_ms = received_ms + config->evaluation_deadline_secs * 1000 + 1;
	}
	text_add(out, SPAN(",\"evaluation\":{\"status\":"));
	text_add_json(out, status);
	add_raw(out, "result", columns[COL_RESULT]);
	text_add(out, SPAN(",\"reason\":"));
	text_add_json(out, reason);
	text_add(out, SPAN(",\"completedAt\":"));
	text_add_json_time(out, time_value(columns[COL_COMPLETED]));
	text_addc(out, '}');
}

struct span results_body(struct arena *arena, const struct config *config, const char *id,
			 const struct span columns[COL_COUNT], int64_t now_ms, int64_t *turns_ms)
{
	struct text out;

	text_init(&out, arena, columns[COL_TRANSCRIPT].n + 2048);
	text_addf(&out, "{\"interview\":{\"id\":\"%s\",\"conversationId\":", id);
	text_add_json(&out, columns[COL_CONVERSATION]);
	text_add(&out, SPAN(",\"agentId\":"));
	text_add_json(&out, columns[COL_AGENT]);
	text_add(&out, SPAN(",\"sessionId\":"));
	text_add_json(&out, columns[COL_SESSION]);
	text_add(&out, SPAN(",\"status\":"));
	text_add_json(&out, interview_status(columns));
	text_add(&out, SPAN(",\"startedAt\":"));
	text_add_json_time(&out, time_value(columns[COL_STARTED]));
	text_add(&out, SPAN(",\"endedAt\":"));
	text_add_json_time(&out, time_value(columns[COL_ENDED]));
	add_raw(&out, "durationSecs", columns[COL_DURATION]);
	text_add(&out, SPAN(",\"summary\":"));
	text_add_json(&out, columns[COL_SUMMARY]);
	add_transcript(&out, columns[COL_TRANSCRIPT]);
	text_addc(&out, '}');
	add_evaluation(&out, config, columns, now_ms, turns_ms);
	add_raw(&out, "metadata", columns[COL_METADATA].p ? columns[COL_METADATA] : SPAN("{}"));
	text_addc(&out, '}');
	return text_span(&out);
}
