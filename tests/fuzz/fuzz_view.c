/* What the scripts leave in Redis for polls, up to the reply that is made of it: any JSON,
 * for another version's node may have written it. */
#include <stdlib.h>

#include "base/json.h"
#include "broker/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static bool is_one_of(const char *text, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(text, *list) == 0)
			return true;
	return false;
}

/* At `now_ms`, what is said must be JSON, and hold until it says that it turns. */
static void check(struct arena *arena, struct span json, const struct config *config, int64_t now_ms)
{
	static const char *const states[] = {"started", "ended_pending_webhook", "completed", "failed", NULL};
	struct poll_view view = poll_view_read(arena, json, config, now_ms), later;
	struct text out, clean;
	char etag[ETAG_SIZE];
	bool lossy;
	size_t error_at;

	must(is_one_of(view.status, states));
	text_init(&out, arena, 256);
	poll_view_write(&view, &out);
	text_init(&clean, arena, out.n + 16);
	must(json_clean(text_span(&out), &clean, &lossy, &error_at));
	etag_write(text_span(&out), etag);
	must(strlen(etag) == ETAG_SIZE - 1);
	if (view.turns_ms != INT64_MAX && view.turns_ms - 1 > now_ms) {
		later = poll_view_read(arena, json, config, view.turns_ms - 1);
		must(strcmp(view.status, later.status) == 0 && view.final == later.final);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config = {.webhook_deadline_secs = 3600, .evaluation_deadline_secs = 600, .longest_call_secs = 7200};
	struct arena arena;
	struct text clean;
	bool lossy;
	size_t error_at;

	arena_init(&arena);
	text_init(&clean, &arena, size + 16);
	if (json_clean((struct span){(const char *)data, size}, &clean, &lossy, &error_at)) {
		check(&arena, text_span(&clean), &config, 0);
		check(&arena, text_span(&clean), &config, INT64_C(1763870400000));
	}
	arena_deinit(&arena);
	return 0;
}
