#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "http/client.h"
#include "provider/elevenlabs.h"

enum {
	DELAY_MAX_SECS = 3600,
	DUPLICATES_MAX = 1000,
	PAST_MAX_SECS = 30 * 86400,
	TURNS_MAX = 10000,
	REPLY_TIMEOUT_SECS = 30
};

static const char help[] =
	"Usage: debrief trigger [--config FILE] [--url URL] [--user UUID] [--session ID] …\n"
	"\n"
	"Plays ElevenLabs: makes a webhook as it would be sent at the end of a call, signs\n"
	"it with the first elevenlabs_webhook_secret of the configuration or environment\n"
	"(DEBRIEF_ELEVENLABS_WEBHOOK_SECRET, or …_FILE), posts it, and prints the status of\n"
	"each reply and the conversation id. Exits with 0 if every reply was 200, else 1;\n"
	"so with --bad-signature it exits with 1 where all is well.\n"
	"\n"
	"  --config FILE        read this configuration file\n"
	"  --url URL            where to post; http only (made from `listen`)\n"
	"  --type TYPE          post_call_transcription (this if not given), post_call_audio\n"
	"                       or call_initiation_failure\n"
	"  --user UUID          name this user as the caller\n"
	"  --session ID         name this client session\n"
	"  --agent ID           the agent (the first of elevenlabs_agents, or agent_trigger)\n"
	"  --conversation ID    the conversation (random)\n"
	"  --started-ago SECS   when the call began (so that it ends now)\n"
	"  --duration SECS      how long it took (300)\n"
	"  --turns N            turns of the transcript (12)\n"
	"  --no-analysis        send no analysis\n"
	"  --delay SECS         wait before posting\n"
	"  --duplicates N       post the same bytes N more times\n"
	"  --bad-signature      sign with another secret\n"
	"  --print              print the body (and, on standard error, its signature), and\n"
	"                       post nothing\n"
	"  --json               print conversation_id and statuses as one JSON object\n"
	"  --help               show this\n";

struct call {
	const char *type;
	const char *user; /* these three NULL: not named */
	const char *session;
	const char *agent;
	struct span conversation;
	int64_t started_secs;
	int64_t duration_secs;
	int64_t turns;
	bool no_analysis;
};

struct delivery {
	char *url;
	const char *secret;
	int64_t delay_secs;
	int64_t duplicates;
	bool bad_signature;
	bool print;
	bool json;
};

/* `"name":"value"`, the value escaped; null without one. */
static void add_member(struct text *body, const char *name, const char *value)
{
	text_addf(body, "\"%s\":", name);
	text_add_json(body, span_of(value));
}

static void add_transcript(struct text *body, const struct call *call)
{
	static const char *const questions[] = {
		"Hi, are you ready to start?", "Tell me about your last project.",
		"What would you do differently today?", "How did you test it?"};
	static const char *const answers[] = {
		"Yes, let's go.", "I moved our billing to a queue with retries.",
		"I would begin with the failure modes.", "With a model, and by killing it."};

	text_add(body, SPAN("\"transcript\":["));
	for (int64_t i = 0; i < call->turns; i++) {
		bool agent = i % 2 == 0;

		text_addf(body, "%s{\"role\":\"%s\",", i ? "," : "", agent ? "agent" : "user");
		add_member(body, "message", (agent ? questions : answers)[i / 2 % 4]);
		text_addf(
			body,
			",\"tool_calls\":[],\"tool_results\":[],\"feedback\":null,\"time_in_call_secs\":%lld,"
			"\"interrupted\":false,\"source_medium\":%s}",
			(long long)(call->duration_secs * i / call->turns), agent ? "null" : "\"audio\"");
	}
	text_add(body, SPAN("],"));
}

static void add_metadata(struct text *body, const struct call *call)
{
	text_addf(body,
		  "\"metadata\":{\"start_time_unix_secs\":%lld,\"accepted_time_unix_secs\":%lld,"
		  "\"call_duration_secs\":%lld,\"cost\":%lld,\"authorization_method\":\"signed_url\","
		  "\"termination_reason\":\"end_call tool was called.\",\"error\":null,\"warnings\":[],"
		  "\"main_language\":\"en\",\"phone_call\":null,\"text_only\":false,"
		  "\"conversation_initiation_source\":\"react_sdk\"},",
		  (long long)call->started_secs, (long long)call->started_secs,
		  (long long)call->duration_secs, (long long)call->duration_secs * 4);
}

static void add_analysis(struct text *body, const struct call *call)
{
	if (call->no_analysis) {
		text_add(body, SPAN("\"analysis\":null,"));
		return;
	}
	text_add(body, SPAN("\"analysis\":{\"evaluation_criteria_results\":{\"interview_completed\":{"
			    "\"criteria_id\":\"interview_completed\",\"result\":\"success\","
			    "\"rationale\":\"All sections were covered.\"}},"
			    "\"data_collection_results\":{\"years_of_experience\":{"
			    "\"data_collection_id\":\"years_of_experience\",\"value\":6,"
			    "\"json_schema\":{\"type\":\"integer\",\"description\":\"Years of experience\"},"
			    "\"rationale\":\"The candidate said six years.\"}},"
			    "\"call_successful\":\"success\",\"call_success_score\":null,"
			    "\"transcript_summary\":\"A structured interview was held and completed.\","
			    "\"call_summary_title\":\"Interview\"},"));
}

/* What the browser gave at the start of the call, and the provider's own variables. */
static void add_client_data(struct text *body, const struct call *call)
{
	text_add(body, SPAN("\"conversation_initiation_client_data\":{\"conversation_config_override\":{},"
			    "\"custom_llm_extra_body\":{},"));
	add_member(body, "user_id", call->user);
	text_add(body, SPAN(",\"source_info\":{\"source\":\"react_sdk\",\"version\":\"1.15.2\"},"
			    "\"dynamic_variables\":{"));
	if (call->session != NULL) {
		add_member(body, "client_session_id", call->session);
		text_addc(body, ',');
	}
	if (call->user != NULL) {
		add_member(body, "user_id", call->user);
		text_addc(body, ',');
	}
	add_member(body, "system__agent_id", call->agent);
	text_addf(body, ",\"system__conversation_id\":");
	text_add_json(body, call->conversation);
	text_addf(body, ",\"system__call_duration_secs\":%lld,\"system__caller_id\":null}}",
		  (long long)call->duration_secs);
}

static void add_transcription(struct text *body, const struct call *call)
{
	text_add(body, SPAN(",\"agent_name\":\"Interviewer\",\"status\":\"done\","));
	add_member(body, "user_id", call->user);
	text_add(body, SPAN(",\"branch_id\":null,\"environment\":\"production\",\"tag_ids\":[],"));
	add_transcript(body, call);
	add_metadata(body, call);
	add_analysis(body, call);
	add_client_data(body, call);
	text_add(body, SPAN(",\"has_audio\":true,\"has_user_audio\":true,\"has_response_audio\":true"));
}

static struct span build_body(struct arena *arena, const struct call *call, int64_t now_secs)
{
	struct text body;

	text_init(&body, arena, 8192);
	text_addf(&body, "{\"type\":\"%s\",\"event_timestamp\":%lld,\"data\":{", call->type,
		  (long long)now_secs);
	add_member(&body, "agent_id", call->agent);
	text_add(&body, SPAN(",\"conversation_id\":"));
	text_add_json(&body, call->conversation);
	if (strcmp(call->type, "post_call_transcription") == 0)
		add_transcription(&body, call);
	else if (strcmp(call->type, "post_call_audio") == 0)
		text_add(&body, SPAN(",\"full_audio\":\"SUQzBAAAAAAAI1RTU0UAAAAPAAADTGF2ZjU4\""));
	else
		text_add(&body,
			 SPAN(",\"failure_reason\":\"no-answer\",\"metadata\":{\"type\":\"twilio\","
			      "\"body\":{\"CallStatus\":\"no-answer\",\"Direction\":\"outbound-api\"}}"));
	text_add(&body, SPAN("}}"));
	return text_span(&body);
}

static void print_result(const struct call *call, const struct text *statuses)
{
	struct text out;

	text_init(&out, statuses->arena, 256);
	text_add(&out, SPAN("{\"conversation_id\":"));
	text_add_json(&out, call->conversation);
	text_addf(&out, ",\"statuses\":[%s]}", statuses->n ? statuses->p : "");
	puts(out.p);
}

static int post(struct arena *arena, const struct delivery *delivery, const struct call *call,
		struct span body, const char *signature)
{
	struct text statuses;
	bool good = true;

	text_init(&statuses, arena, 64);
	for (int64_t i = 0; i <= delivery->duplicates; i++) {
		struct text reply;
		const char *error;
		int status;

		text_init(&reply, arena, 0);
		status = http_post_json(delivery->url, "ElevenLabs-Signature", signature, body,
					REPLY_TIMEOUT_SECS, &reply, &error);
		text_addf(&statuses, "%s%d", i ? "," : "", status);
		good = good && status == 200;
		if (status == 0)
			cli_fail("%s: %s", delivery->url, error);
		else if (status != 200)
			cli_fail("%s: %d %.*s", delivery->url, status, SPAN_ARG(text_span(&reply)));
		if (status != 0 && !delivery->json)
			printf("%d %.*s\n", status, SPAN_ARG(call->conversation));
	}
	if (delivery->json)
		print_result(call, &statuses);
	return good ? EXIT_OK : EXIT_FAILED;
}

static int deliver(struct arena *arena, const struct delivery *delivery, const struct call *call)
{
	struct timespec delay = {.tv_sec = (time_t)delivery->delay_secs};
	const char *secret = delivery->bad_signature ? "wsec_another" : delivery->secret;
	char signature[128];
	struct span body;
	int64_t now_secs;
	int status = EXIT_OK;

	while (nanosleep(&delay, &delay) != 0)
		;
	now_secs = clock_wall_ms() / 1000;
	body = build_body(arena, call, now_secs);
	elevenlabs_sign(secret, now_secs, body, signature, sizeof(signature));
	if (delivery->print) {
		fprintf(stderr, "ElevenLabs-Signature: %s\n", signature);
		puts(body.p);
	} else {
		status = post(arena, delivery, call, body, signature);
	}
	if (fflush(stdout) != 0)
		return cli_fail("standard output can't be written");
	return status;
}

/* Fills in what the command line left to the configuration. */
static int complete(struct arena *arena, const struct config *config, struct delivery *delivery,
		    struct call *call)
{
	if (config->elevenlabs_webhook_secret.count == 0)
		return cli_fail("a webhook is signed with elevenlabs_webhook_secret "
				"(DEBRIEF_ELEVENLABS_WEBHOOK_SECRET), which is not set");
	delivery->secret = config->elevenlabs_webhook_secret.items[0];
	if (delivery->url == NULL)
		delivery->url = cli_url_of(arena, config->listen ? config->listen : "", "/webhooks/elevenlabs");
	if (delivery->url == NULL)
		return cli_fail("`listen` names no port to post to; give --url");
	if (call->agent == NULL)
		call->agent = config->elevenlabs_agents.count ? config->elevenlabs_agents.items[0]
							      : "agent_trigger";
	return CLI_GO_ON;
}

struct number {
	const char *name;
	const char *text; /* as given, or NULL */
	int64_t max;
	int64_t *value;
};

static int read_numbers(const struct number *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int64_t value;

		if (numbers[i].text == NULL)
			continue;
		if (!span_to_int64(span_of(numbers[i].text), &value) || value > numbers[i].max)
			return cli_usage("trigger", "--%s takes 0 to %lld", numbers[i].name,
					 (long long)numbers[i].max);
		*numbers[i].value = value;
	}
	return CLI_GO_ON;
}

static bool known_type(const char *type)
{
	return strcmp(type, "post_call_transcription") == 0 || strcmp(type, "post_call_audio") == 0 ||
	       strcmp(type, "call_initiation_failure") == 0;
}

static struct span random_conversation(struct arena *arena)
{
	struct uuid uuid = uuid_random();
	struct text id;

	text_init(&id, arena, 64);
	text_add(&id, SPAN("conv_"));
	for (const char *p = uuid.text; *p != '\0'; p++)
		if (*p != '-')
			text_addc(&id, *p);
	return text_span(&id);
}

/* Command line → call and delivery, as far as it says. */
static int read_wish(struct arena *arena, int argc, char **argv, const char **file, struct delivery *delivery,
		     struct call *call)
{
	const char *url = NULL, *conversation = NULL, *delay = NULL, *duplicates = NULL, *ago = NULL,
		   *duration = NULL, *turns = NULL;
	const struct cli_option options[] = {
		{.name = "config", .value = file},
		{.name = "url", .value = &url},
		{.name = "type", .value = &call->type},
		{.name = "user", .value = &call->user},
		{.name = "session", .value = &call->session},
		{.name = "agent", .value = &call->agent},
		{.name = "conversation", .value = &conversation},
		{.name = "started-ago", .value = &ago},
		{.name = "duration", .value = &duration},
		{.name = "turns", .value = &turns},
		{.name = "no-analysis", .given = &call->no_analysis},
		{.name = "delay", .value = &delay},
		{.name = "duplicates", .value = &duplicates},
		{.name = "bad-signature", .given = &delivery->bad_signature},
		{.name = "print", .given = &delivery->print},
		{.name = "json", .given = &delivery->json},
	};
	int status = cli_read_options(argc, argv, help, options, sizeof(options) / sizeof(options[0]), NULL,
				      0, NULL);
	int64_t ago_secs = -1;
	const struct number numbers[] = {
		{"started-ago", ago, PAST_MAX_SECS, &ago_secs},
		{"duration", duration, PAST_MAX_SECS, &call->duration_secs},
		{"turns", turns, TURNS_MAX, &call->turns},
		{"delay", delay, DELAY_MAX_SECS, &delivery->delay_secs},
		{"duplicates", duplicates, DUPLICATES_MAX, &delivery->duplicates},
	};
	struct uuid uuid;

	if (status == CLI_GO_ON)
		status = read_numbers(numbers, sizeof(numbers) / sizeof(numbers[0]));
	if (status != CLI_GO_ON)
		return status;
	if (!known_type(call->type))
		return cli_usage("trigger", "--type %s is not one of the types of webhook", call->type);
	if (call->user != NULL && !uuid_parse(span_of(call->user), &uuid))
		return cli_usage("trigger", "--user takes a UUID");
	call->started_secs = clock_wall_ms() / 1000 - (ago_secs < 0 ? call->duration_secs : ago_secs);
	call->conversation = conversation ? span_of(conversation) : random_conversation(arena);
	delivery->url = url ? arena_strdup(arena, span_of(url)) : NULL;
	return CLI_GO_ON;
}

int cli_trigger(int argc, char **argv)
{
	struct call call = {.type = "post_call_transcription", .duration_secs = 300, .turns = 12};
	struct delivery delivery = {0};
	const char *file = NULL;
	struct config config;
	struct arena arena;
	int status;

	signal(SIGPIPE, SIG_IGN); /* a server that closes early is an error to report */
	arena_init(&arena);
	status = read_wish(&arena, argc, argv, &file, &delivery, &call);
	if (status == CLI_GO_ON) {
		status = cli_load_config(&config, file) ? complete(&arena, &config, &delivery, &call)
							: EXIT_FAILED;
		if (status == CLI_GO_ON)
			status = deliver(&arena, &delivery, &call);
		config_deinit(&config);
	}
	arena_deinit(&arena);
	return status;
}
