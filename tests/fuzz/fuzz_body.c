/* Any bytes as the body of a save or an evaluation: what is read of it is what it says, or
 * a problem that names its field. */
#include <stdlib.h>

#include "base/json.h"
#include "broker/body.h"
#include "provider/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_string(struct body *body, const char *field, bool required)
{
	struct span value = body_string(body, field, required);

	must(value.p == NULL || (body->problem == NULL && memchr(value.p, '\0', value.n) == NULL));
	must(value.p != NULL || !required || body->problem != NULL);
	if (value.p != NULL)
		(void)session_id_valid(value);
}

static void check_object(struct body *body, struct arena *arena)
{
	struct span object = body_object(body, "result", false);
	struct text clean;
	bool lossy;
	size_t error_at;

	if (object.p == NULL)
		return;
	text_init(&clean, arena, object.n + 16);
	must(json_clean(object, &clean, &lossy, &error_at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request req = {.body = {(const char *)data, size}};
	struct body body;
	int64_t ago_ms;

	if (size > USER_BODY_MAX)
		return 0;
	arena_init(&req.job.arena);
	body_open(&body, &req);
	check_string(&body, "client_session_id", true);
	check_string(&body, "conversation_id", false);
	check_string(&body, "ended_by", false);
	check_string(&body, "agent_id", false);
	ago_ms = body_int64(&body, "ended_ago_ms", -1, 0, 604800000);
	must(ago_ms == -1 || (ago_ms >= 0 && ago_ms <= 604800000));
	check_string(&body, "status", false);
	check_object(&body, &req.job.arena);
	must(body.field == NULL || body.problem != NULL);
	body_close(&body);
	arena_deinit(&req.job.arena);
	return 0;
}
