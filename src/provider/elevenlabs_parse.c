/* From a signed body to struct conversation. Beyond type, data and the conversation
 * id nothing can be relied on: what is null or of another type counts as absent. */
#include "provider/elevenlabs.h"

#include <stdlib.h>

#include "base/digest.h"

#define PROVIDER "elevenlabs"

enum { ID_LEN_MAX = 256 };

#define TIMESTAMP_SECS_MAX INT64_C(253402300799) /* the end of the year 9999 */
/* in 2286: later milliseconds have more digits than Lua's JSON keeps */
#define START_SECS_MAX     INT64_C(9990000000)
#define DURATION_SECS_MAX  INT64_C(2592000)      /* thirty days */

/* A member that is looked for, and where its raw value goes. */
struct pick {
	const char *name;
	struct span *value;
};
#define COUNT(picks) (sizeof(picks) / sizeof((picks)[0]))

struct envelope {
	struct span type;
	struct span event_timestamp;
	struct span data;
};

/* The members of `data`, raw. */
struct call {
	struct span agent_id;
	struct span conversation_id;
	struct span status;
	struct span user_id;
	struct span failure_reason;
	struct span transcript;
	struct span analysis;
	struct span metadata;
	struct span client_data;
	struct span payload; /* all others and these, without the three before */
};

static struct span name_text(struct arena *arena, struct span name)
{
	if (memchr(name.p, '\\', name.n) == NULL)
		return (struct span){name.p + 1, name.n - 2};
	return json_decode_string(arena, name);
}

static void pick_one(struct span name, struct span value, const struct pick *picks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_is(name, picks[i].name))
			*picks[i].value = value;
}

/* Walks an object once; of repeated members the last counts, as in jsonb. */
static void pick_members_ends(struct arena *arena, struct span object, const struct json_ends *ends,
			      const struct pick *picks, size_t count)
{
	struct json_iter iter = json_iter(object);
	struct span name, value;

	iter.ends = ends;
	if (json_type(object) != JSON_OBJECT)
		return;
	while (json_next(&iter, &name, &value))
		pick_one(name_text(arena, name), value, picks, count);
}

static void pick_members(struct arena *arena, struct span object, const struct pick *picks, size_t count)
{
	pick_members_ends(arena, object, NULL, picks, count);
}

static struct span typed(struct span value, enum json_type type)
{
	return json_type(value) == type ? value : SPAN_ABSENT;
}

/* A string that can be an id: short, not empty, without control characters. */
static struct span id_string(struct arena *arena, struct span value)
{
	struct span text = json_decode_string(arena, value);

	if (text.n == 0 || text.n > ID_LEN_MAX)
		return SPAN_ABSENT;
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7F)
			return SPAN_ABSENT;
	return text;
}

/* Whole seconds, floored, from 0 to `max`; else -1. */
static int64_t seconds(struct arena *arena, struct span value, bool or_text, int64_t max)
{
	int64_t whole;
	double number;

	if (!json_int64(value, or_text, &whole)) {
		if (json_type(value) != JSON_NUMBER)
			return -1;
		number = strtod(arena_strdup(arena, value), NULL);
		if (number < 0 || number > (double)max)
			return -1;
		whole = (int64_t)number;
	}
	return whole >= 0 && whole <= max ? whole : -1;
}

static void envelope_read(struct arena *arena, struct span root, const struct json_ends *ends, struct envelope *envelope)
{
	const struct pick picks[] = {
		{"type", &envelope->type},
		{"event_timestamp", &envelope->event_timestamp},
		{"data", &envelope->data},
	};

	pick_members_ends(arena, root, ends, picks, COUNT(picks));
	envelope->type = json_decode_string(arena, envelope->type);
}

/* Transcript, analysis and metadata have columns of their own. */
static bool kept_apart(struct span name)
{
	return span_is(name, "transcript") || span_is(name, "analysis") || span_is(name, "metadata");
}

static void call_read(struct arena *arena, struct span data, const struct json_ends *ends, struct call *call)
{
	const struct pick picks[] = {
		{"agent_id", &call->agent_id},
		{"conversation_id", &call->conversation_id},
		{"status", &call->status},
		{"user_id", &call->user_id},
		{"failure_reason", &call->failure_reason},
		{"transcript", &call->transcript},
		{"analysis", &call->analysis},
		{"metadata", &call->metadata},
		{"conversation_initiation_client_data", &call->client_data},
	};
	struct json_iter iter = json_iter(data);
	struct span name, value, text;
	struct text payload;

	iter.ends = ends;
	text_init(&payload, arena, 0);
	text_addc(&payload, '{');
	while (json_next(&iter, &name, &value)) {
		text = name_text(arena, name);
		pick_one(text, value, picks, COUNT(picks));
		if (kept_apart(text))
			continue;
		if (payload.n > 1)
			text_addc(&payload, ',');
		text_add(&payload, (struct span){name.p, (size_t)(value.p + value.n - name.p)});
	}
	text_addc(&payload, '}');
	call->payload = text_span(&payload);
}

static bool agent_is_ours(struct span agent_id, const struct config_list *agents)
{
	for (size_t i = 0; i < agents->count; i++)
		if (span_is(agent_id, agents->items[i]))
			return true;
	return agents->count == 0;
}

static void read_status(struct arena *arena, const struct call *call, bool began,
			struct conversation *conversation)
{
	if (began) {
		conversation->status = id_string(arena, call->status);
		if (conversation->status.p == NULL)
			conversation->status = SPAN("unknown");
	} else {
		conversation->status = SPAN("failed");
		conversation->failure_reason = json_decode_string(arena, call->failure_reason);
		if (conversation->failure_reason.n == 0)
			conversation->failure_reason = SPAN("call_initiation_failure");
	}
	conversation->final = span_is(conversation->status, "done") || span_is(conversation->status, "failed");
}

static void read_times(struct arena *arena, const struct envelope *envelope, struct conversation *conversation)
{
	struct span start = SPAN_ABSENT, duration = SPAN_ABSENT;
	const struct pick picks[] = {
		{"start_time_unix_secs", &start},
		{"call_duration_secs", &duration},
	};
	int64_t event_secs = seconds(arena, envelope->event_timestamp, true, TIMESTAMP_SECS_MAX);
	int64_t start_secs;

	pick_members(arena, conversation->metadata, picks, COUNT(picks));
	start_secs = seconds(arena, start, false, START_SECS_MAX);
	conversation->event_timestamp_secs = event_secs < 0 ? 0 : event_secs;
	conversation->duration_secs = seconds(arena, duration, false, DURATION_SECS_MAX);
	conversation->started_ms = start_secs < 0 ? -1 : start_secs * 1000;
	conversation->ended_ms = -1;
	if (start_secs >= 0 && conversation->duration_secs >= 0)
		conversation->ended_ms = (start_secs + conversation->duration_secs) * 1000;
}

/* Who and which session it names. The browser chose all of it: a claim. */
static void read_names(struct arena *arena, const struct call *call, struct conversation *conversation)
{
	struct span variables = SPAN_ABSENT, client_user = SPAN_ABSENT;
	struct span client_session_id = SPAN_ABSENT, session_id = SPAN_ABSENT;
	struct span user_id = SPAN_ABSENT, secret_user_id = SPAN_ABSENT;
	const struct pick client_picks[] = {
		{"dynamic_variables", &variables},
		{"user_id", &client_user},
	};
	const struct pick variable_picks[] = {
		{"client_session_id", &client_session_id},
		{"session_id", &session_id},
		{"user_id", &user_id},
		{"secret__user_id", &secret_user_id},
	};

	pick_members(arena, call->client_data, client_picks, COUNT(client_picks));
	pick_members(arena, variables, variable_picks, COUNT(variable_picks));

	const struct span sessions[] = {client_session_id, session_id};
	const struct span users[] = {user_id, secret_user_id, call->user_id, client_user};

	for (size_t i = 0; i < COUNT(sessions) && conversation->named_session.p == NULL; i++) {
		struct span sid = id_string(arena, sessions[i]);

		if (session_id_valid(sid))
			conversation->named_session = sid;
	}
	for (size_t i = 0; i < COUNT(users); i++)
		if (uuid_parse(id_string(arena, users[i]), &conversation->named_user))
			break;
}

static void add_member(struct text *text, const char *name, struct span value, const char *otherwise)
{
	TEXT_ADD(text, text->n == 0 ? SPAN("{\"") : SPAN(",\""), span_of(name), SPAN("\":"),
		 value.p != NULL ? value : span_of(otherwise));
}

/* The provider's own analysis, in the shape in which results are served. */
static struct span evaluation_of_analysis(struct arena *arena, struct span analysis)
{
	struct span successful = SPAN_ABSENT, score = SPAN_ABSENT, summary = SPAN_ABSENT, title = SPAN_ABSENT;
	struct span criteria = SPAN_ABSENT, collected = SPAN_ABSENT;
	const struct pick picks[] = {
		{"call_successful", &successful},
		{"call_success_score", &score},
		{"transcript_summary", &summary},
		{"call_summary_title", &title},
		{"evaluation_criteria_results", &criteria},
		{"data_collection_results", &collected},
	};
	struct text result;

	pick_members(arena, analysis, picks, COUNT(picks));
	text_init(&result, arena, 0);
	add_member(&result, "callSuccessful", typed(successful, JSON_STRING), "null");
	add_member(&result, "callSuccessScore", typed(score, JSON_NUMBER), "null");
	add_member(&result, "summary", typed(summary, JSON_STRING), "null");
	add_member(&result, "title", typed(title, JSON_STRING), "null");
	add_member(&result, "criteria", typed(criteria, JSON_OBJECT), "{}");
	add_member(&result, "dataCollection", typed(collected, JSON_OBJECT), "{}");
	text_addc(&result, '}');
	return text_span(&result);
}

static void evaluate(struct arena *arena, struct conversation *conversation)
{
	conversation->evaluation_status = "failed";
	if (conversation->failure_reason.p != NULL) {
		conversation->evaluation_reason = conversation->failure_reason.p;
	} else if (conversation->analysis.p == NULL) {
		conversation->evaluation_reason = "no_analysis";
	} else {
		conversation->evaluation_status = "complete";
		conversation->evaluation_result = evaluation_of_analysis(arena, conversation->analysis);
	}
}

/* True if the value is something that its column can't hold. */
static bool is_dropped(struct span raw, struct span kept)
{
	return kept.p == NULL && json_type(raw) != JSON_ABSENT && json_type(raw) != JSON_NULL;
}

static void read_content(struct arena *arena, const struct call *call, bool lossy, struct conversation *conversation)
{
	conversation->provider = PROVIDER;
	conversation->interview_id = uuid_of_interview(PROVIDER, conversation->id);
	conversation->transcript = typed(call->transcript, JSON_ARRAY);
	conversation->analysis = typed(call->analysis, JSON_OBJECT);
	conversation->metadata = typed(call->metadata, JSON_OBJECT);
	conversation->payload = call->payload;
	conversation->lossy = lossy || is_dropped(call->transcript, conversation->transcript) ||
			      is_dropped(call->analysis, conversation->analysis) ||
			      is_dropped(call->metadata, conversation->metadata);
	read_names(arena, call, conversation);
}

static enum webhook_kind malformed(const char **reason, const char *what)
{
	*reason = what;
	return WEBHOOK_MALFORMED;
}

static enum webhook_kind ignored(const char **reason, const char *why)
{
	*reason = why;
	return WEBHOOK_IGNORED;
}

static enum metric_event event_of(struct span type)
{
	if (span_is(type, "post_call_transcription"))
		return EVENT_TRANSCRIPTION;
	if (span_is(type, "post_call_audio"))
		return EVENT_AUDIO;
	return span_is(type, "call_initiation_failure") ? EVENT_INITIATION_FAILURE : EVENT_OTHER;
}

/* clean → envelope → call → conversation */
static enum webhook_kind parse(struct arena *arena, struct span body, const struct config_list *agents,
			       struct conversation *conversation, const char **reason)
{
	struct envelope envelope = {0};
	struct call call = {0};
	struct span clean;
	struct json_ends ends;
	bool lossy, began;
	size_t error_at;

	*conversation = (struct conversation){0};
	*reason = NULL;
	if (!json_clean_ends(arena, body, &clean, &ends, &lossy, &error_at))
		return malformed(reason, "JSON");
	envelope_read(arena, clean, &ends, &envelope);
	if (envelope.type.p == NULL)
		return malformed(reason, "type");
	conversation->event = event_of(envelope.type);
	if (conversation->event == EVENT_AUDIO)
		return ignored(reason, "audio");
	began = conversation->event == EVENT_TRANSCRIPTION;
	if (!began && conversation->event != EVENT_INITIATION_FAILURE)
		return ignored(reason, "type");
	if (json_type(envelope.data) != JSON_OBJECT)
		return malformed(reason, "data");

	call_read(arena, envelope.data, &ends, &call);
	conversation->agent_id = id_string(arena, call.agent_id);
	if (conversation->agent_id.p == NULL)
		conversation->agent_id = SPAN("");
	if (!agent_is_ours(conversation->agent_id, agents))
		return ignored(reason, "agent");
	conversation->id = id_string(arena, call.conversation_id);
	if (conversation->id.p == NULL)
		return malformed(reason, "data.conversation_id");

	read_content(arena, &call, lossy, conversation);
	read_status(arena, &call, began, conversation);
	read_times(arena, &envelope, conversation);
	evaluate(arena, conversation);
	return WEBHOOK_CONVERSATION;
}

enum webhook_kind elevenlabs_parse(struct arena *arena, struct span body, const struct config_list *agents,
				   struct conversation *conversation, const char **reason)
{
	enum webhook_kind kind = parse(arena, body, agents, conversation, reason);
	unsigned char digest[SHA256_LEN];

	if (kind == WEBHOOK_CONVERSATION) {
		digest_sha256(body, digest);
		digest_hex(digest, sizeof(digest), conversation->body_sha256);
	}
	return kind;
}

enum webhook_kind elevenlabs_parse_again(struct arena *arena, struct span body, struct span sha256,
					 struct conversation *conversation, const char **reason)
{
	static const struct config_list all_agents;
	enum webhook_kind kind;

	if (sha256.n != sizeof(conversation->body_sha256) - 1)
		return elevenlabs_parse(arena, body, &all_agents, conversation, reason);
	kind = parse(arena, body, &all_agents, conversation, reason);
	memcpy(conversation->body_sha256, sha256.p, sha256.n);
	return kind;
}
