#include "broker/limits.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/tally.h"
#include "broker/body.h"
#include "broker/worker.h"
#include "provider/elevenlabs.h"

enum {
	REQUEST_BURST_SECS = 2,
	BAD_TOKEN_BURST_SECS = 5,
};

struct limits {
	struct throttle *users;      /* NULL: no limit, as the next */
	struct throttle *bad_tokens; /* by address */
	struct tally parked;         /* by user */
	size_t parked_count;
	size_t parked_max, parked_per_user_max;
};

static size_t or_none(int64_t max)
{
	return max > 0 ? (size_t)max : SIZE_MAX;
}

struct limits *limits_new(const struct config *config)
{
	struct limits *limits = xcalloc(1, sizeof(*limits));
	int64_t users = config->rate_limit_user_per_sec, bad_tokens = config->rate_limit_bad_token_per_sec;

	tally_init(&limits->parked);
	limits->parked_max = or_none(config->parked_max);
	limits->parked_per_user_max = or_none(config->parked_per_user_max);
	if (users > 0)
		limits->users = throttle_new(users, users * REQUEST_BURST_SECS);
	if (bad_tokens > 0)
		limits->bad_tokens = throttle_new(bad_tokens, bad_tokens * BAD_TOKEN_BURST_SECS);
	return limits;
}

void limits_free(struct limits *limits)
{
	if (limits == NULL)
		return;
	throttle_free(limits->users);
	throttle_free(limits->bad_tokens);
	tally_deinit(&limits->parked);
	free(limits);
}

static struct throttle_key key_of(const struct uuid *user)
{
	struct throttle_key key;

	uuid_bytes(user, key.bytes);
	return key;
}

int64_t limits_user_wait(struct limits *limits, const struct uuid *user)
{
	struct throttle_key key;

	if (limits->users == NULL)
		return 0;
	key = key_of(user);
	return throttle_take(limits->users, &key, clock_monotonic_ms());
}

int64_t limits_token_wait(struct limits *limits, const struct request *req)
{
	struct throttle_key key;

	if (limits->bad_tokens == NULL || !request_client(req, &key))
		return 0;
	return throttle_peek(limits->bad_tokens, &key, clock_monotonic_ms());
}

void limits_token_refused(struct limits *limits, const struct request *req)
{
	struct throttle_key key;

	if (limits->bad_tokens != NULL && request_client(req, &key) &&
	    throttle_take(limits->bad_tokens, &key, clock_monotonic_ms()) > 0)
		return; /* it was the last of a burst; the next has to wait */
}

bool limits_park(struct limits *limits, const struct uuid *user)
{
	struct throttle_key key = key_of(user);

	if (limits->parked_count >= limits->parked_max ||
	    tally_of(&limits->parked, &key) >= limits->parked_per_user_max)
		return false;
	tally_add(&limits->parked, &key);
	limits->parked_count++;
	return true;
}

void limits_unpark(struct limits *limits, const struct uuid *user)
{
	struct throttle_key key = key_of(user);

	tally_drop(&limits->parked, &key);
	limits->parked_count--;
}

size_t limits_parked(const struct limits *limits)
{
	return limits->parked_count;
}

/* The MAC covers the body, which is still to come: this only keeps out who doesn't even
 * try to look like the provider. */
static const char *signature_fault(void *app, struct span header)
{
	const struct worker *worker = app;
	enum signature_result result =
		elevenlabs_precheck(header, clock_wall_ms() / 1000, worker->config->signature_tolerance_secs);

	return result == SIGNATURE_OK ? NULL : signature_result_text(result);
}

void limits_of_http(const struct config *config, struct http_server_options *options)
{
	options->header_max = (size_t)config->header_max;
	options->header_timeout_ms = config->header_timeout_secs * 1000;
	options->body_timeout_ms = config->body_timeout_secs * 1000;
	options->buffered_max = (size_t)config->body_buffer_max;
	options->connections_max = (size_t)((config->connections_max + config->workers - 1) / config->workers);
	options->connections_per_address_max = (size_t)config->connections_per_address_max;
	options->address_rate = config->rate_limit_address_per_sec;
	options->address_burst = config->rate_limit_address_per_sec * REQUEST_BURST_SECS;
	options->trusted_proxies = &config->trusted_proxies;
	options->body_max = (size_t)config->webhook_body_max;
	options->unsigned_body_max = USER_BODY_MAX;
	options->signed_path = "/webhooks/elevenlabs";
	options->signature_name = "ElevenLabs-Signature";
	options->signature_fault = signature_fault;
}
