#include "auth/bearer.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "redis/redis.h"

static const char help[] =
	"Usage: debrief check-config [--config FILE] [--json]\n"
	"       debrief check-config --options\n"
	"\n"
	"Reads the configuration as `debrief serve` would and prints what is wrong or\n"
	"unwise in it, then the values in force; secrets as \"(set)\". Connects to nothing.\n"
	"Exit status 1 if `debrief serve` would refuse to start.\n"
	"\n"
	"  --config FILE  INI file; the environment wins over it\n"
	"  --json         findings and values as one JSON object\n"
	"  --options      list every option with its variable, default and meaning\n";

/* Findings go to standard error as they come, or into the JSON array. */
struct findings {
	bool json;
	bool fatal;
	size_t count;
	struct text array;
};

static void add_finding(const struct config_problem *problem, void *arg)
{
	struct findings *findings = arg;

	findings->fatal |= problem->fatal;
	if (!findings->json) {
		fprintf(stderr, "debrief: %s: %s%s\n", problem->source, problem->fatal ? "" : "warning: ",
			problem->message);
		return;
	}
	text_addf(&findings->array, "%s{\"fatal\":%s,\"source\":", findings->count++ > 0 ? "," : "",
		  problem->fatal ? "true" : "false");
	text_add_json(&findings->array, span_of(problem->source));
	text_add(&findings->array, SPAN(",\"message\":"));
	text_add_json(&findings->array, span_of(problem->message));
	text_addc(&findings->array, '}');
}

static void add_fatal(struct findings *findings, const char *source, const char *message)
{
	add_finding(&(struct config_problem){true, source, message}, findings);
}

static void check_keys(const struct config *config, struct findings *findings)
{
	const struct auth_options options = {
		.secret = config->jwt_secret,
		.public_key_file = config->jwt_public_key_file,
		.jwks_file = config->jwt_jwks_file,
		.audience = config->jwt_audience,
		.issuer = config->jwt_issuer,
	};
	char error[512] = "";

	if (!options.secret && !options.public_key_file && !options.jwks_file)
		return; /* config_check() said so */
	struct auth_keys *keys = auth_keys_load(&options, error, sizeof(error));
	if (!keys)
		add_fatal(findings, "keys", error);
	auth_keys_free(keys);
}

static void check_files_and_urls(const struct config *config, struct findings *findings)
{
	const char *error = NULL;

	if (!redis_url_check(config->redis_url, &error))
		add_fatal(findings, "redis_url", error);
	findings->fatal |= !cli_check_web_root(config, add_finding, findings);
}

/* Names of files and values of options may hold bytes that aren't UTF-8. */
static bool print_json(const struct config *config, const struct findings *findings, struct arena *arena)
{
	struct text raw;
	struct text clean;
	bool lossy;
	size_t error_at;

	text_init(&raw, arena, 4096);
	text_init(&clean, arena, 4096);
	text_addf(&raw, "{\"ok\":%s,\"findings\":[", findings->fatal ? "false" : "true");
	text_add(&raw, text_span(&findings->array));
	text_add(&raw, SPAN("],\"values\":"));
	config_add_json(config, &raw);
	text_addc(&raw, '}');
	if (!json_clean(text_span(&raw), &clean, &lossy, &error_at))
		return false;
	printf("%.*s\n", SPAN_ARG(text_span(&clean)));
	return true;
}

static int check(const char *file, bool json)
{
	struct arena arena;
	struct config config;
	struct findings findings = {.json = json};

	arena_init(&arena);
	text_init(&findings.array, &arena, 1024);
	bool ok = config_load(&config, file, add_finding, &findings);
	ok = config_check(&config, add_finding, &findings) && ok;
	check_keys(&config, &findings);
	check_files_and_urls(&config, &findings);
	ok = ok && !findings.fatal;
	if (json)
		ok = print_json(&config, &findings, &arena) && ok;
	else
		config_print(&config, stdout);
	config_deinit(&config);
	arena_deinit(&arena);
	return ok ? EXIT_OK : EXIT_FAILED;
}

int cli_check_config(int argc, char **argv)
{
	const char *file = NULL;
	bool json = false;
	bool list = false;
	const struct cli_option options[] = {
		{.name = "config", .value = &file},
		{.name = "json", .given = &json},
		{.name = "options", .given = &list},
	};

	int status = cli_read_options(argc, argv, help, options, 3, NULL, 0, NULL);
	if (status != CLI_GO_ON)
		return status;
	if (!list)
		return check(file, json);
	config_print_options(stdout);
	return EXIT_OK;
}
