/* What serving asks of the options together. */
#include "base/config_options.h"

#include <stdarg.h>

#include "base/inet.h"

struct check {
	config_problem_cb *report;
	void *arg;
	bool failed;
};

static void find(struct check *check, bool fatal, const char *source, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void find(struct check *check, bool fatal, const char *source, const char *format, ...)
{
	char message[512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (fatal)
		check->failed = true;
	if (check->report)
		check->report(&(struct config_problem){fatal, source, message}, check->arg);
}

static void check_required(struct check *check, const struct config *config)
{
	if (!config->database_url)
		find(check, true, "database_url", "set database_url to a PostgreSQL connection string or URI");
	if (!config->jwt_secret && !config->jwt_public_key_file && !config->jwt_jwks_file)
		find(check, true, "jwt_secret", "set jwt_secret, jwt_public_key_file or jwt_jwks_file");
	if (config->elevenlabs_webhook_secret.count == 0)
		find(check, false, "elevenlabs_webhook_secret", "not set: every webhook will be refused");
	if (config->evaluator == EVALUATOR_EXTERNAL && !config->service_token)
		find(check, false, "evaluator", "evaluator = external, but without a service_token none can get in");
}

static void check_address(struct check *check, const char *name, const char *address)
{
	const char *port = strrchr(address, ':');
	int64_t number;

	if (!port || !span_to_int64(span_of(port + 1), &number) || number > 65535)
		find(check, true, name, "%s is not of the form host:port, [IPv6]:port or :port",
		     log_quote((char[128]){0}, 128, span_of(address)));
}

/* Port 0 asks for any free one, twice if need be. */
static bool same_address(const char *a, const char *b)
{
	const char *port = strrchr(a, ':');

	return strcmp(a, b) == 0 && !(port && strcmp(port, ":0") == 0);
}

static bool is_loopback(const char *address)
{
	struct span s = span_of(address);

	return span_starts_with(s, SPAN("127.")) || span_starts_with(s, SPAN("[::1]:")) ||
	       span_starts_with(s, SPAN("localhost:"));
}

static void check_listeners(struct check *check, const struct config *config)
{
	check_address(check, "listen", config->listen);
	check_address(check, "admin_listen", config->admin_listen);
	if (same_address(config->listen, config->admin_listen))
		find(check, true, "admin_listen", "listen and admin_listen are the same address, %s", config->listen);
	if (!is_loopback(config->admin_listen))
		find(check, false, "admin_listen", "%s may be reached from other machines, without authentication",
		     config->admin_listen);
}

/* RFC 6454, 6.2: scheme://host[:port], without a path. Browsers send it so, and it is compared bytewise. */
static bool is_origin(const char *origin)
{
	struct span s = span_of(origin);
	struct span host = s;

	span_cut(&host, ':');
	if (!span_starts_with(s, SPAN("http://")) && !span_starts_with(s, SPAN("https://")))
		return false;
	host = (struct span){host.p + 2, host.n - 2};
	if (host.n == 0)
		return false;
	for (size_t i = 0; i < host.n; i++)
		if (strchr("/?#@* ", host.p[i]) || (host.p[i] >= 'A' && host.p[i] <= 'Z'))
			return false;
	return true;
}

static void check_origins(struct check *check, const struct config *config)
{
	for (size_t i = 0; i < config->cors_origins.count; i++) {
		const char *origin = config->cors_origins.items[i];

		if (!is_origin(origin))
			find(check, true, "cors_origins",
			     "%s is not an exact origin, such as https://app.example.org (lower case, no path, no *)",
			     log_quote((char[256]){0}, 256, span_of(origin)));
	}
}

/* A source of a Content-Security-Policy, and nothing that could end it: scheme://[*.]host[:port]. */
static bool is_connect_source(const char *source)
{
	static const char *const schemes[] = {"https://", "wss://", "http://", "ws://"};
	struct span host = SPAN_ABSENT;

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]) && host.p == NULL; i++)
		if (span_starts_with(span_of(source), span_of(schemes[i])))
			host = span_of(source + strlen(schemes[i]));
	if (span_starts_with(host, SPAN("*.")))
		host = (struct span){host.p + 2, host.n - 2};
	if (host.n == 0)
		return false;
	for (size_t i = 0; i < host.n; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789.-:[]", host.p[i]))
			return false;
	return true;
}

static void check_connect_src(struct check *check, const struct config *config)
{
	for (size_t i = 0; i < config->web_connect_src.count; i++) {
		const char *source = config->web_connect_src.items[i];

		if (!is_connect_source(source))
			find(check, true, "web_connect_src",
			     "%s is not of the form https://host, wss://host or https://*.host (lower case, no path)",
			     log_quote((char[256]){0}, 256, span_of(source)));
	}
}

static void check_proxies(struct check *check, const struct config *config)
{
	struct inet_network network;

	for (size_t i = 0; i < config->trusted_proxies.count; i++) {
		struct span text = span_of(config->trusted_proxies.items[i]);

		if (span_is(text, "none"))
			continue; /* an empty list would be the default one */
		if (!inet_parse_network(text, &network))
			find(check, true, "trusted_proxies",
			     "%s is not a network such as 10.0.0.0/8 or 2001:db8::/32 (no bits set behind the prefix)",
			     log_quote((char[128]){0}, 128, text));
		else if (network.prefix == 0 || span_is(text, "0.0.0.0/0"))
			find(check, false, "trusted_proxies", "every client can choose the address that it is taken for");
	}
}

static void check_choices(struct check *check, const struct config *config)
{
	if (config->environment == ENVIRONMENT_DEVELOPMENT)
		find(check, false, "environment", "environment = development is not for real interviews");
	else if (config->simulate_webhook_delay_ms > 0)
		find(check, true, "simulate_webhook_delay_ms",
		     "simulate_webhook_delay_ms is refused while environment = production; "
		     "unset it or set environment = development");
	if (config->signature_tolerance_secs > 3600)
		find(check, false, "signature_tolerance_secs",
		     "a webhook that somebody recorded can be replayed for more than an hour");
}

bool config_check(const struct config *config, config_problem_cb *report, void *arg)
{
	struct check check = {.report = report, .arg = arg};

	check_required(&check, config);
	check_listeners(&check, config);
	check_origins(&check, config);
	check_connect_src(&check, config);
	check_proxies(&check, config);
	check_choices(&check, config);
	return !check.failed;
}
