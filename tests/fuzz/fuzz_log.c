/* What peers say, in the log: whatever the bytes, a line is one line, and its JSON is JSON that holds the
 * value; and any bytes as a line or as a traceparent. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/log_json.h"
#include "base/text.h"
#include "base/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* (A NUL is \u0000, which is JSON, though not to the ledger: `lossy`.) */
static void must_be_json(struct arena *arena, struct span json)
{
	struct text clean;
	size_t error_at;
	bool lossy;

	text_init(&clean, arena, json.n + 1);
	if (!json_clean(json, &clean, &lossy, &error_at) || memchr(json.p, '\n', json.n))
		abort();
}

/* A value between two others, as request_log.c writes it. */
static void log_value(struct arena *arena, struct span value)
{
	char line[1024], json[4096];
	struct span after;
	int n = snprintf(line, sizeof(line), "status=200 note=%s last=1", LOG_TEXT(value));

	if (n <= 0 || (size_t)n >= sizeof(line) || memchr(line, '\n', (size_t)n))
		abort();
	struct span whole = {json, log_to_json((struct span){line, (size_t)n}, json, sizeof(json))};
	must_be_json(arena, whole);
	after = json_decode_string(arena, json_member(whole, "last"));
	if (!span_is(after, "1") || !span_is(json_member(whole, "status"), "200"))
		abort();
}

static void trace(struct span header)
{
	struct trace trace;
	bool valid = trace_parse(header, &trace);

	if (valid != (strlen(trace.trace_id) == 32) || valid != (strlen(trace.parent_id) == 16))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = {(const char *)data, size};
	char json[256];
	struct arena arena;

	arena_init(&arena);
	log_value(&arena, bytes);
	/* any bytes as a line, into too small a buffer: keys that are no text of JSON's are not made by
	 * log_event() */
	must_be_json(&arena, (struct span){json, log_to_json(bytes, json, sizeof(json))});
	trace(bytes);
	arena_deinit(&arena);
	return 0;
}
