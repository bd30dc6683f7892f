/* The provider's signature and payloads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arena_fixture.h"
#include "base/digest.h"
#include "provider/elevenlabs.h"

/* The vendor's SDKs verify this one. */
#define KNOWN_SECRET "wsec_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KNOWN_BODY                                                                                           \
	"{\"type\":\"post_call_transcription\",\"event_timestamp\":1739537297,\"data\":{\"agent_id\":"       \
	"\"agent_x\",\"conversation_id\":\"conv_abc\",\"status\":\"done\"}}"
#define KNOWN_MAC "ee8b15966d88296cac344a7b8b9eef239ce353e13ac2c9cd85420e4fcfd33b1c"
#define KNOWN_HEADER "t=1739537297,v0=" KNOWN_MAC
#define OTHER_MAC "0000000000000000000000000000000000000000000000000000000000000000"

enum { TOLERANCE_SECS = 3600 };
static const int64_t known_secs = 1739537297;

static char *known_items[] = {KNOWN_SECRET};
static const struct config_list known_secrets = {known_items, 1};
static const struct config_list no_agents = {NULL, 0};

static struct conversation conversation;
static const char *reason;

static enum signature_result verify_at(const char *header, int64_t now_secs)
{
	return elevenlabs_verify(&known_secrets, span_of(header), SPAN(KNOWN_BODY), now_secs, TOLERANCE_SECS);
}

static void check_header(const char *header, enum signature_result expected)
{
	enum signature_result result = verify_at(header, known_secs);

	if (result != expected)
		fail_msg("%s: %s", header, signature_result_text(result));
}

static void test_known_answer(void **state)
{
	char header[128];

	(void)state;
	check_header(KNOWN_HEADER, SIGNATURE_OK);
	elevenlabs_sign(KNOWN_SECRET, known_secs, SPAN(KNOWN_BODY), header, sizeof(header));
	assert_string_equal(header, KNOWN_HEADER);
}

static void test_header_forms(void **state)
{
	(void)state;
	assert_int_equal(
	    elevenlabs_verify(&known_secrets, SPAN_ABSENT, SPAN(KNOWN_BODY), known_secs, TOLERANCE_SECS),
	    SIGNATURE_MISSING);
	check_header("v0=" KNOWN_MAC ",t=1739537297", SIGNATURE_OK);
	check_header("v1=x,,t=1739537297,foo,v0=" KNOWN_MAC, SIGNATURE_OK);
	check_header("t=1739537297,v0=" OTHER_MAC ",v0=" KNOWN_MAC, SIGNATURE_OK);
	check_header("t=1739537297,v0=" KNOWN_MAC ",v0=" OTHER_MAC, SIGNATURE_OK);
	check_header("", SIGNATURE_MALFORMED);
	check_header("t=1739537297", SIGNATURE_MALFORMED);
	check_header("v0=" KNOWN_MAC, SIGNATURE_MALFORMED);
	check_header("t=1739537297, v0=" KNOWN_MAC, SIGNATURE_MALFORMED);
	check_header(KNOWN_HEADER ",t=1739537297", SIGNATURE_MALFORMED);
	check_header("t=,t=1739537297,v0=" KNOWN_MAC, SIGNATURE_MALFORMED);
	check_header("t=,v0=" KNOWN_MAC, SIGNATURE_MALFORMED);
	check_header("t=+1739537297,v0=" KNOWN_MAC, SIGNATURE_MALFORMED);
	check_header("t=-1,v0=" KNOWN_MAC, SIGNATURE_MALFORMED);
	check_header("t=1739537297.0,v0=" KNOWN_MAC, SIGNATURE_MALFORMED);
	check_header("t=0001739537297,v0=" KNOWN_MAC, SIGNATURE_MALFORMED);
}

/* The digits are signed as they were sent, so the same second written otherwise is wrong. */
static void test_wrong_signatures(void **state)
{
	(void)state;
	check_header("t=1739537298,v0=" KNOWN_MAC, SIGNATURE_WRONG);
	check_header("t=01739537297,v0=" KNOWN_MAC, SIGNATURE_WRONG);
	check_header("t=1739537297,v0=" OTHER_MAC, SIGNATURE_WRONG);
	check_header("t=1739537297,v0=EE8B15966D88296CAC344A7B8B9EEF239CE353E13AC2C9CD85420E4FCFD33B1C",
		     SIGNATURE_WRONG);
	check_header("t=1739537297,v0=", SIGNATURE_WRONG);
	check_header("t=1739537297,v0=ee8b15966d88296c", SIGNATURE_WRONG);
	check_header("t=1739537297,v0=" KNOWN_MAC "00", SIGNATURE_WRONG);
	check_header("t=1739537297,v0= " KNOWN_MAC, SIGNATURE_WRONG);
}

static void test_what_the_header_alone_tells(void **state)
{
	static const struct {
		const char *header;
		int64_t now_secs;
		enum signature_result result;
	} cases[] = {
		{NULL, known_secs, SIGNATURE_MISSING},
		{"", known_secs, SIGNATURE_MALFORMED},
		{"t=1739537297", known_secs, SIGNATURE_MALFORMED},
		{"v0=" KNOWN_MAC, known_secs, SIGNATURE_MALFORMED},
		{KNOWN_HEADER, known_secs, SIGNATURE_OK},
		{"t=1739537297,v0=" OTHER_MAC, known_secs, SIGNATURE_OK},
		{KNOWN_HEADER, known_secs + TOLERANCE_SECS, SIGNATURE_OK},
		{KNOWN_HEADER, known_secs + TOLERANCE_SECS + 1, SIGNATURE_STALE},
		{KNOWN_HEADER, known_secs - ELEVENLABS_FUTURE_SECS - 1, SIGNATURE_STALE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(elevenlabs_precheck(span_of(cases[i].header), cases[i].now_secs, TOLERANCE_SECS),
				 cases[i].result);
}

static void test_every_changed_byte_is_noticed(void **state)
{
	char body[] = KNOWN_BODY;

	(void)state;
	for (size_t i = 0; i < sizeof(body) - 1; i++) {
		body[i] ^= 1;
		assert_int_equal(elevenlabs_verify(&known_secrets, SPAN(KNOWN_HEADER),
						   (struct span){body, sizeof(body) - 1}, known_secs,
						   TOLERANCE_SECS),
				 SIGNATURE_WRONG);
		body[i] ^= 1;
	}
	assert_int_equal(elevenlabs_verify(&known_secrets, SPAN(KNOWN_HEADER),
					   (struct span){body, sizeof(body) - 2}, known_secs, TOLERANCE_SECS),
			 SIGNATURE_WRONG);
}

static void test_window(void **state)
{
	(void)state;
	assert_int_equal(verify_at(KNOWN_HEADER, known_secs + TOLERANCE_SECS), SIGNATURE_OK);
	assert_int_equal(verify_at(KNOWN_HEADER, known_secs + TOLERANCE_SECS + 1), SIGNATURE_STALE);
	assert_int_equal(verify_at(KNOWN_HEADER, known_secs - ELEVENLABS_FUTURE_SECS), SIGNATURE_OK);
	assert_int_equal(verify_at(KNOWN_HEADER, known_secs - ELEVENLABS_FUTURE_SECS - 1), SIGNATURE_STALE);
	check_header("t=999999999999,v0=" KNOWN_MAC, SIGNATURE_STALE);
	check_header("t=0,v0=" KNOWN_MAC, SIGNATURE_STALE);
}

static void test_several_secrets(void **state)
{
	char *items[] = {"wsec_new", KNOWN_SECRET};
	char *bare[] = {&KNOWN_SECRET[5]};
	const struct config_list both = {items, 2}, first = {items, 1}, none = {NULL, 0},
				 unprefixed = {bare, 1};
	const struct span header = SPAN(KNOWN_HEADER), body = SPAN(KNOWN_BODY);

	(void)state;
	assert_int_equal(elevenlabs_verify(&both, header, body, known_secs, TOLERANCE_SECS), SIGNATURE_OK);
	assert_int_equal(elevenlabs_verify(&first, header, body, known_secs, TOLERANCE_SECS),
			 SIGNATURE_WRONG);
	assert_int_equal(elevenlabs_verify(&none, header, body, known_secs, TOLERANCE_SECS), SIGNATURE_WRONG);
	assert_int_equal(elevenlabs_verify(&unprefixed, header, body, known_secs, TOLERANCE_SECS),
			 SIGNATURE_WRONG);
}

static void test_header_is_bounded(void **state)
{
	struct text header;

	(void)state;
	text_init(&header, &arena, 0);
	text_add(&header, SPAN("t=1739537297"));
	for (int i = 0; i < 7; i++)
		text_add(&header, SPAN(",v0=" OTHER_MAC));
	text_add(&header, SPAN(",v0=" KNOWN_MAC));
	check_header(header.p, SIGNATURE_OK);

	text_init(&header, &arena, 0);
	text_add(&header, SPAN("t=1739537297"));
	for (int i = 0; i < 8; i++)
		text_add(&header, SPAN(",v0=" OTHER_MAC));
	text_add(&header, SPAN(",v0=" KNOWN_MAC));
	check_header(header.p, SIGNATURE_WRONG);

	text_init(&header, &arena, 0);
	text_add(&header, SPAN(KNOWN_HEADER ",x="));
	while (header.n < 1024)
		text_addc(&header, 'x');
	check_header(header.p, SIGNATURE_OK);
	text_addc(&header, 'x');
	check_header(header.p, SIGNATURE_MALFORMED);
}

static struct span read_payload(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char *path = arena_printf(&arena, "%s/tests/fixtures/payloads/%s", srcdir ? srcdir : ".", name);
	char *bytes = arena_alloc(&arena, 65536);
	FILE *file = fopen(path, "rb");
	size_t n;

	if (file == NULL)
		fail_msg("can't open %s", path);
	n = fread(bytes, 1, 65536, file);
	fclose(file);
	return (struct span){bytes, n};
}

static enum webhook_kind parse(struct span body)
{
	return elevenlabs_parse(&arena, body, &no_agents, &conversation, &reason);
}

/* A transcription whose `data` has these members beside its conversation id. */
static void parse_data(const char *members)
{
	const char *body =
	    arena_printf(&arena,
			 "{\"type\":\"post_call_transcription\",\"event_timestamp\":1792000512,"
			 "\"data\":{\"conversation_id\":\"conv_1\"%s%s}}",
			 *members ? "," : "", members);

	if (parse(span_of(body)) != WEBHOOK_CONVERSATION)
		fail_msg("%s: %s", body, reason);
}

/* One with these dynamic variables. */
static void parse_variables(const char *variables)
{
	parse_data(arena_printf(
	    &arena, "\"conversation_initiation_client_data\":{\"dynamic_variables\":{%s}}", variables));
}

static void check_span(struct span span, const char *expected)
{
	if (!span_is(span, expected))
		fail_msg("%.*s instead of %s", SPAN_ARG(span), expected);
}

static void test_transcription(void **state)
{
	struct span body = read_payload("post_call_transcription.json"), first;
	struct json_iter turns;
	unsigned char digest[SHA256_LEN];
	char hex[SHA256_HEX_LEN + 1];

	(void)state;
	assert_int_equal(parse(body), WEBHOOK_CONVERSATION);
	assert_string_equal(conversation.provider, "elevenlabs");
	check_span(conversation.id, "conv_5701k5y60q87f088mtebx508wg7y");
	check_span(conversation.agent_id, "agent_3701k3ttaq12ewp8b7qv5rfyszkz");
	check_span(conversation.status, "done");
	assert_true(conversation.final);
	assert_int_equal(conversation.event_timestamp_secs, 1792000512);
	assert_true(conversation.started_ms == INT64_C(1791999940000));
	assert_true(conversation.ended_ms == INT64_C(1792000507000));
	assert_int_equal(conversation.duration_secs, 567);
	check_span(conversation.named_session, "01JZ3YV8QK6T7S0M4E4Q7V3B2N");
	assert_string_equal(conversation.named_user.text, "");
	assert_null(conversation.failure_reason.p);
	assert_false(conversation.lossy);
	assert_string_equal(conversation.interview_id.text,
			    uuid_of_interview("elevenlabs", conversation.id).text);
	digest_sha256(body, digest);
	digest_hex(digest, sizeof(digest), hex);
	assert_string_equal(conversation.body_sha256, hex);

	turns = json_iter(conversation.transcript);
	assert_true(json_next(&turns, NULL, &first));
	check_span(json_decode_string(&arena, json_member(first, "message")), "Hi Ana, ready to start?");
	check_span(json_member(conversation.metadata, "cost"), "2430");
	check_span(json_member(conversation.analysis, "call_successful"), "\"success\"");
}

static void test_payload_is_the_rest(void **state)
{
	static const char *const apart[] = {"transcript", "analysis", "metadata"};
	struct text again;
	bool lossy;
	size_t error_at;

	(void)state;
	assert_int_equal(parse(read_payload("post_call_transcription.json")), WEBHOOK_CONVERSATION);
	for (size_t i = 0; i < 3; i++)
		assert_null(json_member(conversation.payload, apart[i]).p);
	check_span(json_member(conversation.payload, "agent_name"), "\"Interviewer\"");
	check_span(json_member(conversation.payload, "branch_id"), "null");
	check_span(json_member(conversation.payload, "has_auxiliary_audio"), "false");
	assert_int_equal(json_type(json_member(conversation.payload, "conversation_initiation_client_data")),
			 JSON_OBJECT);
	text_init(&again, &arena, 0);
	assert_true(json_clean(conversation.payload, &again, &lossy, &error_at));
	assert_true(span_eq(conversation.payload, text_span(&again)));

	assert_int_equal(
	    parse(SPAN("{\"type\":\"post_call_transcription\",\"data\":{\"transcript\":[],\"a\\\"\":1,"
		       "\"conversation_id\":\"c\",\"meta\\u0064ata\":{},\"analysis\":{}}}")),
	    WEBHOOK_CONVERSATION);
	check_span(conversation.payload, "{\"a\\\"\":1,\"conversation_id\":\"c\"}");
	check_span(conversation.metadata, "{}");
}

static void test_evaluation_of_analysis(void **state)
{
	struct span result, criterion;

	(void)state;
	assert_int_equal(parse(read_payload("post_call_transcription.json")), WEBHOOK_CONVERSATION);
	assert_string_equal(conversation.evaluation_status, "complete");
	assert_null(conversation.evaluation_reason);
	result = conversation.evaluation_result;
	check_span(json_member(result, "callSuccessful"), "\"success\"");
	check_span(json_member(result, "callSuccessScore"), "null");
	check_span(json_member(result, "summary"), "\"A structured interview was held and completed.\"");
	check_span(json_member(result, "title"), "\"SQL interview\"");
	criterion = json_member(json_member(result, "criteria"), "interview_completed");
	check_span(json_member(criterion, "rationale"), "\"All sections were covered.\"");
	check_span(
	    json_member(json_member(json_member(result, "dataCollection"), "years_of_experience"), "value"),
	    "6");

	parse_data(
	    "\"analysis\":{\"call_successful\":true,\"call_success_score\":\"9\",\"transcript_summary\":[],"
	    "\"evaluation_criteria_results\":null,\"data_collection_results\":[]}");
	check_span(conversation.evaluation_result,
		   "{\"callSuccessful\":null,\"callSuccessScore\":null,\"summary\":null,\"title\":null,"
		   "\"criteria\":{},\"dataCollection\":{}}");
	parse_data("\"analysis\":{\"call_success_score\":0.5}");
	check_span(json_member(conversation.evaluation_result, "callSuccessScore"), "0.5");
}

static void test_minimal_transcription(void **state)
{
	(void)state;
	assert_int_equal(parse(read_payload("post_call_transcription.minimal.json")), WEBHOOK_CONVERSATION);
	check_span(conversation.id, "conv_min1");
	check_span(conversation.agent_id, "agent_min");
	assert_int_equal(conversation.event_timestamp_secs, 1792000900);
	assert_true(conversation.started_ms == -1 && conversation.ended_ms == -1);
	assert_true(conversation.duration_secs == -1);
	assert_null(conversation.named_session.p);
	assert_string_equal(conversation.named_user.text, "");
	assert_null(conversation.transcript.p);
	assert_null(conversation.analysis.p);
	assert_null(conversation.metadata.p);
	assert_string_equal(conversation.evaluation_status, "failed");
	assert_string_equal(conversation.evaluation_reason, "no_analysis");
	assert_null(conversation.evaluation_result.p);
	assert_false(conversation.lossy);
}

static void test_initiation_failure(void **state)
{
	(void)state;
	assert_int_equal(parse(read_payload("call_initiation_failure.json")), WEBHOOK_CONVERSATION);
	check_span(conversation.id, "conv_5701k5y60q87f088mtebx508wzz1");
	check_span(conversation.status, "failed");
	assert_true(conversation.final);
	check_span(conversation.failure_reason, "no-answer");
	check_span(json_member(conversation.metadata, "type"), "\"twilio\"");
	assert_string_equal(conversation.evaluation_status, "failed");
	assert_string_equal(conversation.evaluation_reason, "no-answer");

	assert_int_equal(
	    parse(SPAN("{\"type\":\"call_initiation_failure\",\"data\":{\"conversation_id\":\"c\","
		       "\"failure_reason\":null,\"status\":\"done\",\"analysis\":{}}}")),
	    WEBHOOK_CONVERSATION);
	check_span(conversation.status, "failed");
	check_span(conversation.failure_reason, "call_initiation_failure");
	assert_string_equal(conversation.evaluation_reason, "call_initiation_failure");
	assert_null(conversation.evaluation_result.p);
}

static void check_ignored(struct span body, const char *why)
{
	assert_int_equal(parse(body), WEBHOOK_IGNORED);
	assert_string_equal(reason, why);
}

static void test_other_types_are_ignored(void **state)
{
	(void)state;
	check_ignored(read_payload("post_call_audio.json"), "audio");
	check_ignored(SPAN("{\"data\":{\"full_audio\":\"SUQz\"},\"type\":\"post_call_audio\"}"), "audio");
	check_ignored(SPAN("{\"type\":\"of_tomorrow\",\"data\":null}"), "type");
	check_ignored(SPAN("{\"type\":\"\"}"), "type");
}

static void check_malformed(struct span body, const char *what)
{
	assert_int_equal(parse(body), WEBHOOK_MALFORMED);
	assert_string_equal(reason, what);
}

static void test_malformed(void **state)
{
	(void)state;
	check_malformed(SPAN(""), "JSON");
	check_malformed(SPAN("{\"type\":\"post_call_transcription\""), "JSON");
	check_malformed(SPAN("\"type\""), "type");
	check_malformed(SPAN("[{\"type\":\"post_call_audio\"}]"), "type");
	check_malformed(SPAN("{\"data\":{\"conversation_id\":\"c\"}}"), "type");
	check_malformed(SPAN("{\"type\":null}"), "type");
	check_malformed(SPAN("{\"type\":7}"), "type");
	check_malformed(SPAN("{\"type\":\"post_call_transcription\"}"), "data");
	check_malformed(SPAN("{\"type\":\"call_initiation_failure\",\"data\":[]}"), "data");
}

static enum webhook_kind parse_id(const char *raw)
{
	return parse(span_of(arena_printf(
	    &arena, "{\"type\":\"post_call_transcription\",\"data\":{\"conversation_id\":%s}}", raw)));
}

static void test_conversation_id(void **state)
{
	static const char *const refused[] = {"null", "7", "\"\"", "{}", "\"a\\nb\"", "\"a\\u007f\""};
	char longest[260];

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		assert_int_equal(parse_id(refused[i]), WEBHOOK_MALFORMED);
		assert_string_equal(reason, "data.conversation_id");
	}
	check_malformed(SPAN("{\"type\":\"post_call_transcription\",\"data\":{}}"), "data.conversation_id");
	memset(longest, 'a', sizeof(longest));
	snprintf(longest + 257, 3, "\"");
	longest[0] = '"';
	assert_int_equal(parse_id(longest), WEBHOOK_CONVERSATION);
	assert_int_equal(conversation.id.n, 256);
	longest[257] = 'a';
	snprintf(longest + 258, 2, "\"");
	assert_int_equal(parse_id(longest), WEBHOOK_MALFORMED);
	assert_int_equal(parse_id("\"a\\u0000b\""), WEBHOOK_CONVERSATION);
	check_span(conversation.id, "a\xEF\xBF\xBD"
				    "b");
	assert_true(conversation.lossy);
}

static void test_agents(void **state)
{
	char *items[] = {"agent_a", "agent_b"};
	const struct config_list agents = {items, 2};
	struct span body = SPAN("{\"type\":\"post_call_transcription\",\"data\":{\"conversation_id\":\"c\","
				"\"agent_id\":\"agent_b\"}}");

	(void)state;
	assert_int_equal(elevenlabs_parse(&arena, body, &agents, &conversation, &reason),
			 WEBHOOK_CONVERSATION);
	body = SPAN("{\"type\":\"post_call_transcription\",\"data\":{\"conversation_id\":\"c\",\"agent_id\":"
		    "\"agent\"}}");
	assert_int_equal(elevenlabs_parse(&arena, body, &agents, &conversation, &reason), WEBHOOK_IGNORED);
	assert_string_equal(reason, "agent");
	body = SPAN("{\"type\":\"post_call_transcription\",\"data\":{\"conversation_id\":\"c\"}}");
	assert_int_equal(elevenlabs_parse(&arena, body, &agents, &conversation, &reason), WEBHOOK_IGNORED);
	assert_int_equal(parse(body), WEBHOOK_CONVERSATION);
	check_span(conversation.agent_id, "");
	parse_data("\"agent_id\":7");
	check_span(conversation.agent_id, "");
}

/* What the journal gives back is read as it was, without its digest being made again. */
static void test_parsed_again(void **state)
{
	char digest[sizeof(conversation.body_sha256)];
	struct span body = SPAN(KNOWN_BODY), made_up = SPAN(OTHER_MAC);

	(void)state;
	assert_int_equal(parse(body), WEBHOOK_CONVERSATION);
	memcpy(digest, conversation.body_sha256, sizeof(digest));
	assert_int_equal(elevenlabs_parse_again(&arena, body, SPAN_ABSENT, &conversation, &reason), WEBHOOK_CONVERSATION);
	assert_string_equal(conversation.body_sha256, digest);
	assert_int_equal(elevenlabs_parse_again(&arena, body, made_up, &conversation, &reason), WEBHOOK_CONVERSATION);
	assert_string_equal(conversation.body_sha256, OTHER_MAC);
	check_span(conversation.id, "conv_abc");
	assert_int_equal(elevenlabs_parse_again(&arena, SPAN("{"), made_up, &conversation, &reason), WEBHOOK_MALFORMED);
}

static void test_status(void **state)
{
	(void)state;
	parse_data("\"status\":\"failed\"");
	assert_true(conversation.final);
	assert_null(conversation.failure_reason.p);
	parse_data("\"status\":\"in-progress\"");
	check_span(conversation.status, "in-progress");
	assert_false(conversation.final);
	parse_data("");
	check_span(conversation.status, "unknown");
	assert_false(conversation.final);
	parse_data("\"status\":null");
	check_span(conversation.status, "unknown");
}

#define USER_A "0b2a5f0e-1c2d-4e3f-8a9b-0c1d2e3f4a5b"
#define USER_B "1b2a5f0e-1c2d-4e3f-8a9b-0c1d2e3f4a5b"

static void parse_users(const char *variable, const char *secret, const char *data, const char *client)
{
	parse_data(arena_printf(&arena,
				"\"user_id\":%s,\"conversation_initiation_client_data\":{\"user_id\":%s,"
				"\"dynamic_variables\":{\"secret__user_id\":%s,\"user_id\":%s}}",
				data, client, secret, variable));
}

static void test_named_user(void **state)
{
	(void)state;
	parse_users("\"" USER_A "\"", "\"" USER_B "\"", "\"" USER_B "\"", "\"" USER_B "\"");
	assert_string_equal(conversation.named_user.text, USER_A);
	parse_users("\"candidate\"", "\"" USER_A "\"", "\"" USER_B "\"", "\"" USER_B "\"");
	assert_string_equal(conversation.named_user.text, USER_A);
	parse_users("7", "null", "\"" USER_A "\"", "\"" USER_B "\"");
	assert_string_equal(conversation.named_user.text, USER_A);
	parse_users("null", "true", "\"dashboard-user\"", "\"0B2A5F0E-1C2D-4E3F-8A9B-0C1D2E3F4A5B\"");
	assert_string_equal(conversation.named_user.text, USER_A);
	parse_users("\"x\"", "\"\"", "{}", "[\"" USER_A "\"]");
	assert_string_equal(conversation.named_user.text, "");
}

static void test_named_session(void **state)
{
	(void)state;
	parse_variables("\"session_id\":\"b\",\"client_session_id\":\"a\"");
	check_span(conversation.named_session, "a");
	parse_variables("\"client_session_id\":7,\"session_id\":\"b\"");
	check_span(conversation.named_session, "b");
	parse_variables("\"client_session_id\":\"fallback:x\",\"session_id\":\"b.c_d:e-f\"");
	check_span(conversation.named_session, "b.c_d:e-f");
	parse_variables("\"client_session_id\":\"a b\",\"session_id\":true");
	assert_null(conversation.named_session.p);
	parse_variables("\"client_session_id\":null");
	assert_null(conversation.named_session.p);
	parse_data("\"client_session_id\":\"a\",\"conversation_initiation_client_data\":[]");
	assert_null(conversation.named_session.p);
}

static void parse_times(const char *start, const char *duration)
{
	parse_data(arena_printf(
	    &arena, "\"metadata\":{\"start_time_unix_secs\":%s,\"call_duration_secs\":%s}", start, duration));
}

static void test_times(void **state)
{
	static const char *const starts[] = {"-1",   "9990000001", "1e300", "\"1791999940\"",
					     "null", "true",	     "-0.5"};
	static const char *const durations[] = {"-1",	"-0.1",	 "2592001", "2592000.5",
						"1e99", "\"5\"", "null"};

	(void)state;
	parse_times("1791999940.9", "567.4");
	assert_true(conversation.started_ms == INT64_C(1791999940000));
	assert_int_equal(conversation.duration_secs, 567);
	assert_true(conversation.ended_ms == INT64_C(1792000507000));
	parse_times("0", "0");
	assert_true(conversation.started_ms == 0 && conversation.ended_ms == 0 &&
		    conversation.duration_secs == 0);
	parse_times("9990000000", "2592000");
	assert_true(conversation.started_ms == INT64_C(9990000000000) &&
		    conversation.duration_secs == 2592000);
	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		parse_times(starts[i], "60");
		assert_true(conversation.started_ms == -1 && conversation.ended_ms == -1);
		assert_int_equal(conversation.duration_secs, 60);
	}
	for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
		parse_times("1791999940", durations[i]);
		assert_true(conversation.started_ms == INT64_C(1791999940000));
		assert_true(conversation.duration_secs == -1 && conversation.ended_ms == -1);
	}
}

static void test_event_timestamp(void **state)
{
	static const struct {
		const char *raw;
		int64_t secs;
	} cases[] = {{"1792000512", 1792000512},
		     {"1792000512.7", 1792000512},
		     {"\"1792000900\"", 1792000900},
		     {"-1", 0},
		     {"253402300800", 0},
		     {"\"soon\"", 0},
		     {"\"99999999999999999999\"", 0},
		     {"null", 0},
		     {"[1]", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *body =
		    arena_printf(&arena,
				 "{\"event_timestamp\":%s,\"type\":\"post_call_transcription\","
				 "\"data\":{\"conversation_id\":\"c\"}}",
				 cases[i].raw);

		assert_int_equal(parse(span_of(body)), WEBHOOK_CONVERSATION);
		assert_true(conversation.event_timestamp_secs == cases[i].secs);
	}
}

/* What has no column is only in the raw body, which must then be kept. */
static void test_mistyped_content_is_lossy(void **state)
{
	(void)state;
	parse_data("\"transcript\":{},\"analysis\":null,\"metadata\":null");
	assert_null(conversation.transcript.p);
	assert_true(conversation.lossy);
	parse_data("\"analysis\":\"text\"");
	assert_null(conversation.analysis.p);
	assert_string_equal(conversation.evaluation_reason, "no_analysis");
	assert_true(conversation.lossy);
	parse_data("\"metadata\":[]");
	assert_true(conversation.lossy);
	parse_data("\"transcript\":[],\"analysis\":{},\"metadata\":{}");
	assert_false(conversation.lossy);
	parse_data("\"transcript\":[{\"message\":\"\\u0000\"}]");
	check_span(conversation.transcript, "[{\"message\":\"\xEF\xBF\xBD\"}]");
	assert_true(conversation.lossy);
}

static void test_ids(void **state)
{
	char sid[130];

	(void)state;
	memset(sid, 'a', sizeof(sid));
	assert_true(session_id_valid((struct span){sid, 128}));
	assert_false(session_id_valid((struct span){sid, 129}));
	assert_true(session_id_valid(SPAN("aZ09._:-")));
	assert_true(session_id_valid(SPAN("fallback")));
	assert_false(session_id_valid(SPAN("fallback:conv_1")));
	assert_false(session_id_valid(SPAN("")));
	assert_false(session_id_valid(SPAN_ABSENT));
	assert_false(session_id_valid(SPAN("a/b")));
	assert_false(session_id_valid(SPAN("a\0b")));
	assert_false(session_id_valid(SPAN("\xC3\xA9")));

	assert_true(conversation_id_strong(SPAN("conv_5701k5y60q87f088mtebx508wg7y")));
	assert_false(conversation_id_strong(SPAN("conv_")));
	assert_false(conversation_id_strong(SPAN("conv_a_b")));
	assert_false(conversation_id_strong(SPAN("conv_a\n")));
	assert_false(conversation_id_strong(SPAN("room_1792000512000")));
	assert_false(conversation_id_strong(SPAN_ABSENT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answer),
		cmocka_unit_test(test_header_forms),
		cmocka_unit_test(test_wrong_signatures),
		cmocka_unit_test(test_what_the_header_alone_tells),
		cmocka_unit_test(test_every_changed_byte_is_noticed),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_several_secrets),
		cmocka_unit_test_setup_teardown(test_header_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transcription, setup, teardown),
		cmocka_unit_test_setup_teardown(test_payload_is_the_rest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_evaluation_of_analysis, setup, teardown),
		cmocka_unit_test_setup_teardown(test_minimal_transcription, setup, teardown),
		cmocka_unit_test_setup_teardown(test_initiation_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_types_are_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conversation_id, setup, teardown),
		cmocka_unit_test_setup_teardown(test_agents, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parsed_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_named_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_named_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_times, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_timestamp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mistyped_content_is_lossy, setup, teardown),
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests_name("elevenlabs", tests, NULL, NULL);
}
