#include "broker/view.h"

#include "base/digest.h"
#include "base/json.h"

bool evaluation_is_overdue(const struct config *config, struct span status, int64_t received_ms, int64_t now_ms)
{
	return span_is(status, "pending") && received_ms > 0 &&
	       now_ms > received_ms + config->evaluation_deadline_secs * 1000;
}

static int64_t time_member(struct span json, const char *name)
{
	int64_t ms;

	return json_int64(json_member(json, name), false, &ms) ? ms : -1;
}

static void read_unlinked(struct poll_view *view, const struct config *config, int64_t started_ms, int64_t ended_ms,
			  int64_t now_ms)
{
	int64_t last_ms = ended_ms >= 0 ? ended_ms : started_ms + config->longest_call_secs * 1000;

	view->status = ended_ms >= 0 ? "ended_pending_webhook" : "started";
	view->turns_ms = last_ms + config->webhook_deadline_secs * 1000 + 1;
	if (now_ms >= view->turns_ms) {
		view->turns_ms = INT64_MAX;
		view->status = "failed";
		view->reason = SPAN("webhook_never_arrived");
		view->final = true;
	}
}

static void read_linked(struct poll_view *view, const struct config *config, int64_t received_ms, int64_t now_ms)
{
	if (evaluation_is_overdue(config, view->evaluation_status, received_ms, now_ms)) {
		view->evaluation_status = SPAN("failed");
		view->reason = SPAN("evaluation_timeout");
	} else if (span_is(view->evaluation_status, "pending") && received_ms > 0) {
		view->turns_ms = received_ms + config->evaluation_deadline_secs * 1000 + 1;
	}
	view->final = !span_is(view->evaluation_status, "pending");
}

struct poll_view poll_view_read(struct arena *arena, struct span json, const struct config *config, int64_t now_ms)
{
	struct span status = json_decode_string(arena, json_member(json, "status"));
	int64_t started_ms = time_member(json, "startedAt"), ended_ms = time_member(json, "endedAt");
	struct poll_view view = {
		.interview_id = json_decode_string(arena, json_member(json, "interviewId")),
		.conversation_id = json_decode_string(arena, json_member(json, "conversationId")),
		.evaluation_status = json_decode_string(arena, json_member(json, "evaluationStatus")),
		.reason = json_decode_string(arena, json_member(json, "reason")),
		.ended_ms = ended_ms,
		.turns_ms = INT64_MAX,
	};

	if (span_is(status, "linked") || span_is(status, "failed")) {
		view.status = span_is(status, "linked") ? "completed" : "failed";
		read_linked(&view, config, time_member(json, "receivedAt"), now_ms);
	} else {
		read_unlinked(&view, config, started_ms, ended_ms, now_ms);
	}
	return view;
}

void poll_view_write(const struct poll_view *view, struct text *out)
{
	text_add(out, SPAN("{\"interviewId\":"));
	text_add_json(out, view->interview_id);
	text_add(out, SPAN(",\"conversationId\":"));
	text_add_json(out, view->conversation_id);
	text_addf(out, ",\"status\":\"%s\",\"evaluationStatus\":", view->status);
	text_add_json(out, view->evaluation_status);
	text_add(out, SPAN(",\"reason\":"));
	text_add_json(out, view->reason);
	text_addc(out, '}');
}

void etag_write(struct span body, char etag[ETAG_SIZE])
{
	unsigned char digest[SHA256_LEN];

	digest_sha256(body, digest);
	etag[0] = '"';
	digest_hex(digest, 16, etag + 1);
	memcpy(etag + ETAG_SIZE - 2, "\"", 2);
}

const char *etag_of(struct arena *arena, struct span body)
{
	char *etag = arena_alloc(arena, ETAG_SIZE);

	etag_write(body, etag);
	return etag;
}
