#include "broker/body.h"

#include <cjson/cJSON.h>
#include <inttypes.h>

#include "base/json.h"

void body_refuse(struct body *body, const char *field, const char *problem)
{
	if (body->problem)
		return;
	body->field = field;
	body->problem = problem;
}

void body_open(struct body *body, struct request *req)
{
	struct text clean;
	bool lossy;
	size_t error_at;

	*body = (struct body){.req = req};
	/* cJSON takes much that is not JSON: it only ever sees cleaned text */
	text_init(&clean, &req->job.arena, req->body.n + 16);
	if (!json_clean(req->body, &clean, &lossy, &error_at)) {
		body_refuse(body, NULL,
			    arena_printf(&req->job.arena, "the body is not valid JSON (at byte %zu)", error_at));
		return;
	}
	body->text = text_span(&clean);
	body->tree = cJSON_ParseWithLength(clean.p, clean.n);
	if (!cJSON_IsObject(body->tree))
		body_refuse(body, NULL, "the body must be a JSON object");
}

void body_close(struct body *body)
{
	cJSON_Delete(body->tree);
	body->tree = NULL;
}

/* NULL for a member that is missing or null, having complained if it is required. */
static const cJSON *member(struct body *body, const char *field, bool required)
{
	const cJSON *value = body->problem ? NULL : cJSON_GetObjectItemCaseSensitive(body->tree, field);

	if (value && !cJSON_IsNull(value))
		return value;
	if (required)
		body_refuse(body, field, arena_printf(&body->req->job.arena, "%s is required", field));
	return NULL;
}

struct span body_string(struct body *body, const char *field, bool required)
{
	const cJSON *value = member(body, field, required);

	if (!value)
		return SPAN_ABSENT;
	if (!cJSON_IsString(value)) {
		body_refuse(body, field, arena_printf(&body->req->job.arena, "%s must be a string", field));
		return SPAN_ABSENT;
	}
	return arena_span(&body->req->job.arena, span_of(value->valuestring));
}

int64_t body_int64(struct body *body, const char *field, int64_t fallback, int64_t low, int64_t high)
{
	const cJSON *value = member(body, field, false);

	if (!value)
		return fallback;
	if (!cJSON_IsNumber(value) || !(value->valuedouble >= (double)low && value->valuedouble <= (double)high) ||
	    value->valuedouble != (double)(int64_t)value->valuedouble) {
		body_refuse(body, field,
			    arena_printf(&body->req->job.arena, "%s must be a whole number from %" PRId64 " to %" PRId64,
					 field, low, high));
		return fallback;
	}
	return (int64_t)value->valuedouble;
}

struct span body_object(struct body *body, const char *field, bool required)
{
	/* not from the tree: its numbers are doubles, and an id of 17 digits is none */
	struct span value = member(body, field, required) ? json_member(body->text, field) : SPAN_ABSENT;

	if (value.p && json_type(value) != JSON_OBJECT) {
		body_refuse(body, field, arena_printf(&body->req->job.arena, "%s must be an object", field));
		return SPAN_ABSENT;
	}
	return value;
}

STEP reply_body_problem(const struct body *body)
{
	return reply_problem(body->req, 400, body->field, "%s", body->problem);
}
