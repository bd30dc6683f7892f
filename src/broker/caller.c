#include "broker/caller.h"

#include "base/clock.h"
#include "base/digest.h"

static enum auth_result verify(struct request *req, struct auth_token *token)
{
	struct span text = auth_bearer_token(request_header(req, "Authorization"));
	struct worker *worker = worker_of(req);
	enum auth_result result;

	if (!text.p)
		return AUTH_MISSING;
	result = token_cache_verify(worker->tokens, worker->keys, text, clock_wall_ms() / 1000, token);
	metrics_count(&worker->metrics,
		      token_cache_was_hit(worker->tokens) ? METRIC_TOKEN_CACHE_HIT : METRIC_TOKEN_CACHE_MISS);
	return result;
}

bool caller_of(struct request *req, int kinds, struct caller *caller)
{
	const char *service_token = worker_of(req)->config->service_token;
	struct auth_token token;

	if ((kinds & CALLER_SERVICE) && service_token) {
		struct span text = auth_bearer_token(request_header(req, "Authorization"));

		if (text.p && digest_equal(text, span_of(service_token))) {
			caller->is_service = true;
			return true;
		}
	}
	if (!(kinds & CALLER_USER) || verify(req, &token) != AUTH_OK)
		return false;
	caller->is_service = false;
	caller->user = token.user;
	caller->expires_secs = token.expires_secs;
	req->user = arena_strdup(&req->job.arena, span_of(token.user.text));
	return true;
}

STEP reply_unauthorized(struct request *req)
{
	struct auth_token token;
	enum auth_result result = verify(req, &token);

	if (result == AUTH_MISSING) {
		reply_header(req, "WWW-Authenticate", "Bearer");
		return reply_problem(req, 401, NULL, "an Authorization: Bearer token is needed");
	}
	/* a user's token on a service's route is as good as none */
	const char *text = result == AUTH_OK ? "this token is not valid here" : auth_result_text(result);

	reply_headerf(req, "WWW-Authenticate", "Bearer error=\"invalid_token\", error_description=\"%s\"", text);
	return reply_problem(req, 401, NULL, "%s", text);
}

STEP reply_session_id_malformed(struct request *req)
{
	return reply_problem(req, 400, "sessionId",
			     "sessionId must be 1 to 128 characters of A-Z a-z 0-9 . _ : - "
			     "and not begin with \"fallback:\"");
}

STEP reply_unavailable(struct request *req, const char *store, const char *why)
{
	req->note = why;
	reply_header(req, "Retry-After", "1");
	return reply_problem(req, 503, NULL, "%s is not available; try again", store);
}
