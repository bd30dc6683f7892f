#include "base/config_options.h"

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define DAY_SECS INT64_C(86400)

static const char *const evaluator_names[] = {"provider", "external", NULL};
static const char *const durability_names[] = {"ledger", "ledger-only", "journal", NULL};
static const char *const environment_names[] = {"production", "development", NULL};
static const char *const log_level_names[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_format_names[] = {"logfmt", "json", NULL};

#define AT(field) .name = #field, .offset = offsetof(struct config, field)
#define STRING .kind = OPTION_STRING
#define SECRET .kind = OPTION_STRING, .secret = true
#define LIST .kind = OPTION_LIST
#define INT(low, high) .kind = OPTION_INT, .min = (low), .max = (high)
#define SIZE(low, high) .kind = OPTION_SIZE, .min = (low), .max = (high)
#define BOOL .kind = OPTION_BOOL
#define ENUM(list) .kind = OPTION_ENUM, .names = (list)

const struct config_option option_table[OPTION_COUNT] = {
	{AT(listen), STRING, .value = "127.0.0.1:8080", .help = "address and port of the public interface"},
	{AT(admin_listen), STRING, .value = "127.0.0.1:8081",
	 .help = "address and port for /metrics and the probes; keep it private"},
	{AT(workers), INT(0, 1024), .value = "0", .help = "threads; 0: as many as there are cores"},
	{AT(redis_url), SECRET, .value = "redis://127.0.0.1:6379/0",
	 .help = "redis://[user[:password]@]host[:port][/db] or unix:///path"},
	{AT(database_url), SECRET, .help = "PostgreSQL connection string or URI"},
	{AT(database_connections), INT(1, 16), .value = "2",
	 .help = "connections per worker for writing; one more reads"},
	{AT(jwt_secret), SECRET, .min = 32, .help = "HS256 key for users' tokens, at least 32 bytes"},
	{AT(jwt_public_key_file), STRING, .help = "PEM file with the RS256 or ES256 public key"},
	{AT(jwt_jwks_file), STRING, .help = "JWKS file with several keys, chosen by kid"},
	{AT(jwt_audience), STRING, .help = "aud that a token must carry"},
	{AT(jwt_issuer), STRING, .help = "iss that a token must carry"},
	{AT(elevenlabs_webhook_secret), LIST, .secret = true,
	 .help = "secret of the provider's webhook; several, comma-separated, while rotating"},
	{AT(elevenlabs_agents), LIST, .help = "agents whose conversations are kept, comma-separated; none: all"},
	{AT(signature_tolerance_secs), INT(1, 7 * DAY_SECS), .value = "3600",
	 .help = "greatest age of a webhook's signature"},
	{AT(service_token), SECRET, .min = 32, .help = "bearer token for evaluators, at least 32 bytes"},
	{AT(evaluator), ENUM(evaluator_names), .value = "provider",
	 .help = "who evaluates: the provider's own analysis, or a service through the API"},
	{AT(match_window_secs), INT(0, DAY_SECS), .value = "600",
	 .help = "greatest distance of a session and a conversation linked by time; 0: never by time"},
	{AT(claim_unowned), BOOL, .value = "on",
	 .help = "whether a user's claim suffices for a conversation that names nobody"},
	{AT(webhook_deadline_secs), INT(1, 7 * DAY_SECS), .value = "3600",
	 .help = "after a session's end without a webhook, it has failed"},
	{AT(evaluation_deadline_secs), INT(1, 7 * DAY_SECS), .value = "600",
	 .help = "after a conversation's arrival without an evaluation, that has failed"},
	{AT(longest_call_secs), INT(1, 7 * DAY_SECS), .value = "7200",
	 .help = "when a session is taken to have ended of which no end was heard"},
	{AT(durability), ENUM(durability_names), .value = "ledger",
	 .help = "what a 200 waits for: the ledger for a while, only the ledger, or the journal"},
	{AT(ledger_patience_ms), INT(0, 60000), .value = "2000",
	 .help = "how long an answer waits for the ledger before the journal is enough"},
	{AT(journal_max_bytes), SIZE(64 * KIB, 1024 * GIB), .value = "256 MiB",
	 .help = "facts in Redis that the ledger has not taken yet"},
	{AT(webhook_body_max), SIZE(KIB, 256 * MIB), .value = "32 MiB", .help = "largest webhook body"},
	{AT(session_ttl_secs), INT(1, 30 * DAY_SECS), .value = "86400",
	 .help = "how long Redis remembers a user's facts"},
	{AT(partitions), INT(1, 4096), .value = "64",
	 .help = "partitions of the users; fixed by the first migration"},
	{AT(session_cache_entries), INT(16, 16 * MIB), .value = "32768",
	 .help = "sessions that each worker remembers between polls, about 600 bytes each"},
	{AT(result_cache_max), SIZE(0, 64 * GIB), .value = "32 MiB",
	 .help = "results that each worker keeps ready for sending"},
	{AT(cors_origins), LIST, .help = "origins that browsers may call from, comma-separated, exact"},
	{AT(web_root), STRING, .help = "directory of a static web application to serve"},
	{AT(web_connect_src), LIST, .value = "https://*.elevenlabs.io, wss://*.elevenlabs.io",
	 .help = "origins that the web application may connect to besides its own, comma-separated"},
	{AT(trusted_proxies), LIST, .value = "127.0.0.0/8, ::1",
	 .help = "networks (CIDR) of proxies whose X-Forwarded-For is believed, comma-separated; or none"},
	{AT(header_timeout_secs), INT(1, 3600), .value = "10", .help = "how long the headers of a request may take"},
	{AT(body_timeout_secs), INT(1, 3600), .value = "30", .help = "how long the body of a request may take"},
	{AT(header_max), SIZE(KIB, MIB), .value = "16 KiB", .help = "largest request line and headers together"},
	{AT(body_buffer_max), SIZE(MIB, 64 * GIB), .value = "64 MiB",
	 .help = "bodies under way in each worker, together; beyond, large ones get 503"},
	{AT(connections_max), INT(16, 10000000), .value = "65536",
	 .help = "connections of the node; beyond, new ones wait"},
	{AT(connections_per_address_max), INT(0, 10000000), .value = "1000",
	 .help = "connections of one address to each worker, trusted proxies apart; 0: no limit"},
	{AT(parked_max), INT(0, 10000000), .value = "50000",
	 .help = "long polls and event streams that wait in each worker; 0: no limit"},
	{AT(parked_per_user_max), INT(0, 10000000), .value = "1000",
	 .help = "the same of one user; 0: no limit"},
	{AT(rate_limit_address_per_sec), INT(0, 1000000), .value = "1000",
	 .help = "requests a second of one address to each worker, twice as many at once; webhooks and "
		 "trusted proxies apart; 0: no limit"},
	{AT(rate_limit_user_per_sec), INT(0, 1000000), .value = "0",
	 .help = "requests a second of one user to each worker, twice as many at once; 0: no limit"},
	{AT(rate_limit_bad_token_per_sec), INT(0, 1000000), .value = "20",
	 .help = "refused tokens a second of one address to each worker, five times as many at once; 0: no limit"},
	{AT(request_timeout_ms), INT(100, 600000), .value = "10000", .help = "deadline of a request"},
	{AT(drain_timeout_secs), INT(0, 3600), .value = "30",
	 .help = "how long requests under way may take after SIGTERM"},
	{AT(log_level), ENUM(log_level_names), .value = "info", .help = "least level that is logged"},
	{AT(log_format), ENUM(log_format_names), .value = "logfmt", .help = "how log lines are written"},
	{AT(log_sample), INT(1, 1000000), .value = "100", .help = "one line in so many polls is logged"},
	{AT(environment), ENUM(environment_names), .value = "production",
	 .help = "development allows what only tests need"},
	{AT(simulate_webhook_delay_ms), INT(0, 600000), .value = "0",
	 .help = "delays the processing of webhooks, in development (also SIMULATE_WEBHOOK_DELAY_MS)"},
};

const struct config_option *option_find(struct span name)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (span_is(name, option_table[i].name))
			return &option_table[i];
	return NULL;
}

void option_variable(const struct config_option *option, const char *suffix, char out[OPTION_VARIABLE_MAX])
{
	snprintf(out, OPTION_VARIABLE_MAX, "DEBRIEF_%s%s", option->name, suffix);
	for (char *p = out; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - ('a' - 'A'));
}
