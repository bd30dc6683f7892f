#include "broker/caller.h"

#include "base/clock.h"
#include "base/digest.h"

/* AUTH_OK and a wait_ms: what the token is nobody has looked. */
static enum auth_result verify(struct request *req, struct auth_token *token)
{
	struct worker *worker = worker_of(req);
	struct span text = auth_bearer_token(request_header(req, "Authorization"));
	int64_t now_secs = clock_wall_ms() / 1000;
	enum auth_result result;
	int64_t wait_ms;

	if (!text.p)
		return AUTH_MISSING;
	wait_ms = limits_token_wait(worker->limits, req);
	if (wait_ms > 0 && !token_cache_holds(worker->tokens, text, now_secs)) {
		req->wait_ms = wait_ms;
		return AUTH_OK;
	}
	result = token_cache_verify(worker->tokens, worker->keys, text, now_secs, token);
	metrics_count(&worker->metrics,
		      token_cache_was_hit(worker->tokens) ? METRIC_TOKEN_CACHE_HIT : METRIC_TOKEN_CACHE_MISS);
	if (result != AUTH_OK)
		limits_token_refused(worker->limits, req);
	return result;
}

static bool is_service(struct request *req)
{
	const char *service_token = worker_of(req)->config->service_token;
	struct span text = service_token ? auth_bearer_token(request_header(req, "Authorization")) : SPAN_ABSENT;

	return text.p && digest_equal(text, span_of(service_token));
}

bool caller_of(struct request *req, int kinds, struct caller *caller)
{
	struct auth_token token;

	if ((kinds & CALLER_SERVICE) && is_service(req)) {
		caller->is_service = true;
		return true;
	}
	req->denied = verify(req, &token);
	if (!(kinds & CALLER_USER) || req->denied != AUTH_OK || req->wait_ms > 0)
		return false;
	caller->is_service = false;
	caller->user = token.user;
	caller->expires_secs = token.expires_secs;
	req->user = arena_strdup(&req->job.arena, span_of(token.user.text));
	req->wait_ms = limits_user_wait(worker_of(req)->limits, &caller->user);
	return req->wait_ms == 0;
}

STEP reply_unauthorized(struct request *req)
{
	const char *text;

	if (req->wait_ms > 0)
		return reply_too_many(req, req->wait_ms,
				      req->user ? "this user sends too many requests" :
						  "too many tokens of this address were refused");
	if (req->denied == AUTH_MISSING) {
		reply_header(req, "WWW-Authenticate", "Bearer error=\"invalid_request\"");
		return reply_problem(req, 401, NULL, "an Authorization: Bearer token is needed");
	}
	/* a user's token on a service's route is as good as none */
	text = req->denied == AUTH_OK ? "this token is not valid here" : auth_result_text(req->denied);
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
