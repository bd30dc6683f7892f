#include <stdio.h>
#include <stdlib.h>

#include "auth/bearer.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/options.h"

enum { TTL_DEFAULT_SECS = 3600, TTL_MAX_SECS = 366 * 86400 };

static const char help[] =
	"Usage: debrief token [--config FILE] [--user UUID] [--ttl SECONDS] [--json]\n"
	"\n"
	"Mints a bearer token (HS256, with jwt_secret) for trying things out, and prints\n"
	"it on standard output. Refused while environment = production.\n"
	"\n"
	"  --config FILE   read this configuration file\n"
	"  --user UUID     whose token it is; without it, a random user's, which is\n"
	"                  printed on standard error\n"
	"  --ttl SECONDS   how long it lasts, 1 to 31622400 (3600)\n"
	"  --json          print token, user and expires_at as one JSON object\n"
	"  --help          show this\n";

struct wish {
	struct uuid user;
	bool random_user;
	int64_t ttl_secs;
	bool json;
};

static void print_json(const char *token, const struct uuid *user, int64_t expires_secs)
{
	struct arena arena;
	struct text out;

	arena_init(&arena);
	text_init(&out, &arena, 1024);
	text_add(&out, SPAN("{\"token\":"));
	text_add_json(&out, span_of(token));
	text_add(&out, SPAN(",\"user\":"));
	text_add_json(&out, span_of(user->text));
	text_add(&out, SPAN(",\"expires_at\":"));
	text_add_json_time(&out, expires_secs * 1000);
	text_add(&out, SPAN("}"));
	puts(out.p);
	arena_deinit(&arena);
}

static int mint(const struct config *config, const struct wish *wish)
{
	struct auth_options only_secret = {.secret = config->jwt_secret};
	int64_t now_secs = clock_wall_ms() / 1000;
	struct auth_keys *keys;
	char error[512];
	char *token;

	if (config->environment == ENVIRONMENT_PRODUCTION)
		return cli_fail("test tokens are not minted in production; set environment = development "
				"(DEBRIEF_ENVIRONMENT=development) where that is meant");
	if (!config->jwt_secret)
		return cli_fail("a test token is signed with jwt_secret (DEBRIEF_JWT_SECRET), which is not set");
	/* says what is wrong with a secret that no node would load */
	keys = auth_keys_load(&only_secret, error, sizeof(error));
	if (!keys)
		return cli_fail("%s", error);
	auth_keys_free(keys);
	token = auth_mint(config->jwt_secret, &wish->user, config->jwt_audience, config->jwt_issuer, now_secs,
			  wish->ttl_secs);
	if (!token)
		return cli_fail("no token could be made; jwt_audience and jwt_issuer must be UTF-8");
	if (wish->json) {
		print_json(token, &wish->user, now_secs + wish->ttl_secs);
	} else {
		puts(token);
		if (wish->random_user)
			fprintf(stderr, "user %s\n", wish->user.text);
	}
	free(token);
	if (fflush(stdout) != 0)
		return cli_fail("standard output can't be written");
	return EXIT_OK;
}

int cli_token(int argc, char **argv)
{
	const char *file = NULL, *user = NULL, *ttl = NULL;
	struct wish wish = {.ttl_secs = TTL_DEFAULT_SECS};
	const struct cli_option options[] = {
		{.name = "config", .value = &file},
		{.name = "user", .value = &user},
		{.name = "ttl", .value = &ttl},
		{.name = "json", .given = &wish.json},
	};
	struct config config;
	size_t count = sizeof(options) / sizeof(options[0]);
	int status = cli_read_options(argc, argv, help, options, count, NULL, 0, NULL);

	if (status != CLI_GO_ON)
		return status;
	if (ttl && (!span_to_int64(span_of(ttl), &wish.ttl_secs) || wish.ttl_secs < 1 ||
		    wish.ttl_secs > TTL_MAX_SECS))
		return cli_usage("token", "--ttl takes 1 to %d seconds", TTL_MAX_SECS);
	if (user && !uuid_parse(span_of(user), &wish.user))
		return cli_usage("token", "--user takes a UUID");
	if (!user) {
		wish.user = uuid_random();
		wish.random_user = true;
	}
	status = cli_load_config(&config, file) ? mint(&config, &wish) : EXIT_FAILED;
	config_deinit(&config);
	return status;
}
