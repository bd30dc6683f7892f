/* Any bytes as a webhook's body: cleaning is a projection, and parsing yields clean JSON. */
#include <stdlib.h>

#include "provider/elevenlabs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Cleaned text cleans to itself. */
static void check_clean(struct arena *arena, struct span value)
{
	struct text again;
	bool lossy;
	size_t error_at;

	text_init(&again, arena, value.n + 1);
	must(json_clean(value, &again, &lossy, &error_at));
	must(!lossy && span_eq(value, text_span(&again)));
}

/* Every container can be walked, and every string and number read. */
static void walk(struct arena *arena, struct span value, int depth)
{
	struct json_iter iter = json_iter(value);
	struct span name, member, text;
	int64_t number;

	must(depth <= JSON_DEPTH_MAX);
	text = json_decode_string(arena, value);
	must(text.p == NULL || memchr(text.p, '\0', text.n) == NULL);
	(void)json_int64(value, true, &number);
	(void)json_member(value, "a\n");
	while (json_next(&iter, &name, &member))
		walk(arena, member, depth + 1);
}

static void check_cleaning(struct arena *arena, struct span body)
{
	struct text clean;
	bool lossy;
	size_t error_at = SIZE_MAX;

	text_init(&clean, arena, body.n + 1);
	if (!json_clean(body, &clean, &lossy, &error_at)) {
		must(error_at <= body.n);
		return;
	}
	check_clean(arena, text_span(&clean));
	walk(arena, text_span(&clean), 0);
}

static void check_conversation(struct arena *arena, const struct conversation *conversation)
{
	const struct span raw[] = {conversation->transcript, conversation->analysis, conversation->metadata,
				   conversation->payload, conversation->evaluation_result};

	must(conversation->id.n > 0 && conversation->id.n <= 256);
	must(conversation->agent_id.p != NULL && conversation->status.n > 0);
	must(conversation->event_timestamp_secs >= 0 && conversation->started_ms >= -1);
	must(conversation->duration_secs >= -1 && conversation->ended_ms >= -1);
	must(conversation->named_session.p == NULL || session_id_valid(conversation->named_session));
	must((conversation->evaluation_reason != NULL) == (conversation->evaluation_result.p == NULL));
	for (size_t i = 0; i < sizeof(raw) / sizeof(*raw); i++)
		if (raw[i].p != NULL)
			check_clean(arena, raw[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct config_list agents = {NULL, 0};
	const struct span body = {(const char *)data, size};
	struct conversation conversation;
	struct arena arena;
	const char *reason = NULL;

	arena_init(&arena);
	check_cleaning(&arena, body);
	if (elevenlabs_parse(&arena, body, &agents, &conversation, &reason) == WEBHOOK_CONVERSATION)
		check_conversation(&arena, &conversation);
	else
		must(reason != NULL);
	arena_deinit(&arena);
	return 0;
}
