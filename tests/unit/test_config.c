#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config_options.h"

static const char *const secret_32 = "0123456789abcdef0123456789abcdef";

/* Findings as lines "fatal|warning SOURCE: MESSAGE". */
static struct {
	char text[65536];
	int fatal;
	int warnings;
} found;

static void collect(const struct config_problem *problem, void *arg)
{
	size_t n = strlen(found.text);

	assert_ptr_equal(arg, &found);
	snprintf(found.text + n, sizeof(found.text) - n, "%s %s: %s\n", problem->fatal ? "fatal" : "warning",
	         problem->source, problem->message);
	*(problem->fatal ? &found.fatal : &found.warnings) += 1;
}

static char directory[] = "debrief-config-XXXXXX";
static char ini_path[64];
static char secret_path[64];

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(ini_path, sizeof(ini_path), "%s/debrief.ini", directory);
	snprintf(secret_path, sizeof(secret_path), "%s/secret", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

static int start(void **state)
{
	(void)state;
	clearenv();
	memset(&found, 0, sizeof(found));
	return 0;
}

static int finish(void **state)
{
	(void)state;
	unlink(ini_path);
	unlink(secret_path);
	return 0;
}

static void write_file(const char *path, struct span content)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(content.p, 1, content.n, file), content.n);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

static bool load(struct config *config)
{
	memset(&found, 0, sizeof(found));
	return config_load(config, NULL, collect, &found);
}

static bool load_ini_bytes(struct config *config, struct span ini)
{
	memset(&found, 0, sizeof(found));
	write_file(ini_path, ini);
	return config_load(config, ini_path, collect, &found);
}

static bool load_ini(struct config *config, const char *ini)
{
	return load_ini_bytes(config, span_of(ini));
}

static void assert_found(const char *text)
{
	if (!strstr(found.text, text))
		fail_msg("\"%s\" is not among the findings:\n%s", text, found.text);
}

/* Loads one line that must be refused for the given reason. */
static void assert_refused(const char *line, const char *reason)
{
	struct config config;

	assert_false(load_ini(&config, line));
	assert_int_equal(found.fatal, 1);
	assert_found(":1: ");
	assert_found(reason);
	config_deinit(&config);
}

static void the_table_is_whole(void **state)
{
	char variable[OPTION_VARIABLE_MAX];

	(void)state;
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		assert_non_null(option_table[i].name);
		assert_non_null(option_table[i].help);
		assert_ptr_equal(option_find(span_of(option_table[i].name)), &option_table[i]);
	}
	assert_null(option_find(SPAN("Listen")));
	option_variable(option_find(SPAN("jwt_secret")), "_FILE", variable);
	assert_string_equal(variable, "DEBRIEF_JWT_SECRET_FILE");
}

static void defaults_are_those_of_the_design(void **state)
{
	struct config config;

	(void)state;
	assert_true(load(&config));
	assert_string_equal(found.text, "");
	assert_string_equal(config.listen, "127.0.0.1:8080");
	assert_string_equal(config.admin_listen, "127.0.0.1:8081");
	assert_true(config.workers >= 1);
	assert_string_equal(config.redis_url, "redis://127.0.0.1:6379/0");
	assert_null(config.database_url);
	assert_int_equal(config.database_connections, 2);
	assert_int_equal(config.elevenlabs_webhook_secret.count, 0);
	assert_int_equal(config.signature_tolerance_secs, 3600);
	assert_int_equal(config.evaluator, EVALUATOR_PROVIDER);
	assert_int_equal(config.match_window_secs, 600);
	assert_true(config.claim_unowned);
	assert_int_equal(config.durability, DURABILITY_LEDGER);
	assert_int_equal(config.journal_max_bytes, 256 * 1024 * 1024);
	assert_int_equal(config.webhook_body_max, 32 * 1024 * 1024);
	assert_int_equal(config.longest_call_secs, 7200);
	assert_int_equal(config.partitions, 64);
	assert_int_equal(config.log_level, LOG_INFO);
	assert_int_equal(config.environment, ENVIRONMENT_PRODUCTION);
	assert_int_equal(config.simulate_webhook_delay_ms, 0);
	config_deinit(&config);
}

static void ini_files_are_read(void **state)
{
	struct config config;

	(void)state;
	assert_true(load_ini(&config, "\xEF\xBB\xBF# comment\r\n"
	                              " ; another = one\n"
	                              "[ debrief ]\r\n"
	                              "\tlisten=0.0.0.0:80\r\n"
	                              "database_url = postgres://u:p#a;b=c@h/d  \n"
	                              "cors_origins = https://a.example, ,https://b.example,\n"
	                              "web_root =\n"
	                              "durability = ledger-only\n"
	                              "journal_max_bytes = 1 GiB\n"
	                              "webhook_body_max = 1048576\n"
	                              "log_level = warn\n"
	                              "workers = 3"));
	assert_string_equal(found.text, "");
	assert_string_equal(config.listen, "0.0.0.0:80");
	assert_string_equal(config.database_url, "postgres://u:p#a;b=c@h/d");
	assert_int_equal(config.cors_origins.count, 2);
	assert_string_equal(config.cors_origins.items[1], "https://b.example");
	assert_null(config.web_root);
	assert_int_equal(config.durability, DURABILITY_LEDGER_ONLY);
	assert_int_equal(config.journal_max_bytes, 1 << 30);
	assert_int_equal(config.webhook_body_max, 1 << 20);
	assert_int_equal(config.log_level, LOG_WARN);
	assert_int_equal(config.workers, 3);
	config_deinit(&config);
}

static void booleans_have_six_names(void **state)
{
	static const struct {
		const char *line;
		bool value;
	} cases[] = {
		{"claim_unowned=on", true},   {"claim_unowned=True", true},   {"claim_unowned=yes", true},
		{"claim_unowned=OFF", false}, {"claim_unowned=false", false}, {"claim_unowned=no", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config config;

		assert_true(load_ini(&config, cases[i].line));
		assert_int_equal(config.claim_unowned, cases[i].value);
		config_deinit(&config);
	}
}

static void bad_lines_are_named_with_what_is_accepted(void **state)
{
	(void)state;
	assert_refused("nonsense", "name = value");
	assert_refused("= 5", "no name");
	assert_refused("[other]", "unknown section");
	assert_refused("[", "ends with ]");
	assert_refused("Listen = x", "unknown option Listen");
	assert_refused("listen_file = x", "unknown option listen_file");
	assert_refused("workers = many", "workers: many is not accepted; it takes a whole number from 0 to 1024");
	assert_refused("workers = 1025", "from 0 to 1024");
	assert_refused("workers = -1", "from 0 to 1024");
	assert_refused("match_window_secs = 99999999999999999999", "from 0 to 86400");
	assert_refused("log_sample = 0", "from 1 to");
	assert_refused("webhook_body_max = 8 EiB", "KiB, MiB or GiB, from 1 KiB to 256 MiB");
	assert_refused("webhook_body_max = 9007199254740993 GiB", "from 1 KiB to 256 MiB");
	assert_refused("webhook_body_max = MiB", "from 1 KiB to 256 MiB");
	assert_refused("claim_unowned = 1", "on, true, yes, off, false or no");
	assert_refused("durability = both", "ledger, ledger-only or journal");
	assert_refused("environment = Production", "production or development");
	assert_refused("listen = a\tb", "control character");
}

static void nul_bytes_are_refused(void **state)
{
	struct config config;

	(void)state;
	assert_false(load_ini_bytes(&config, SPAN("listen = a\0b\n")));
	assert_found("control character");
	config_deinit(&config);
	assert_false(load_ini_bytes(&config, SPAN("jwt_secret_file = a\0b\n")));
	assert_found("not a path");
	config_deinit(&config);
	assert_false(load_ini_bytes(&config, SPAN("li\0sten = a\n")));
	assert_found("unknown option");
	config_deinit(&config);
}

static void an_option_is_set_once_in_a_file(void **state)
{
	struct config config;

	(void)state;
	assert_false(load_ini(&config, "log_sample = 5\n\nlog_sample = 6\n"));
	assert_found(":3: log_sample was set in line 1 already");
	config_deinit(&config);
	assert_false(load_ini(&config, "jwt_secret_file = /dev/null/x\njwt_secret = short\n"));
	assert_found(":2: jwt_secret was set in line 1 already");
	config_deinit(&config);
}

static void findings_are_bounded(void **state)
{
	struct arena arena;
	struct text ini;
	struct config config;

	(void)state;
	arena_init(&arena);
	text_init(&ini, &arena, 0);
	for (int i = 0; i < 10000; i++)
		text_add(&ini, SPAN("x\n"));
	assert_false(load_ini(&config, ini.p));
	assert_true(found.fatal < 100);
	assert_found("the rest of the file was not read");
	config_deinit(&config);
	arena_deinit(&arena);
}

static void files_that_cannot_be_read_are_named(void **state)
{
	struct config config;

	(void)state;
	memset(&found, 0, sizeof(found));
	assert_false(config_load(&config, "/nonexistent/debrief.ini", collect, &found));
	assert_found("/nonexistent/debrief.ini: No such file");
	config_deinit(&config);
	assert_false(config_load(&config, directory, collect, &found));
	assert_found("Is a directory");
	config_deinit(&config);
	assert_false(config_load(&config, "/dev/zero", collect, &found));
	assert_found("/dev/zero: larger than 1048576 bytes");
	config_deinit(&config);
}

static void the_environment_wins(void **state)
{
	struct config config;

	(void)state;
	setenv("DEBRIEF_LOG_SAMPLE", "7", 1);
	setenv("DEBRIEF_MATCH_WINDOW_SECS", "", 1);
	setenv("SIMULATE_WEBHOOK_DELAY_MS", "250", 1);
	assert_true(load_ini(&config, "log_sample = 5\nmatch_window_secs = 60\n"));
	assert_int_equal(config.log_sample, 7);
	assert_int_equal(config.match_window_secs, 60);
	assert_int_equal(config.simulate_webhook_delay_ms, 250);
	config_deinit(&config);
	setenv("DEBRIEF_SIMULATE_WEBHOOK_DELAY_MS", "5", 1);
	assert_true(load(&config));
	assert_int_equal(config.simulate_webhook_delay_ms, 5);
	config_deinit(&config);
}

static void bad_variables_are_named(void **state)
{
	struct config config;

	(void)state;
	setenv("DEBRIEF_WORKERS", "many", 1);
	setenv("SIMULATE_WEBHOOK_DELAY_MS", "soon", 1);
	assert_false(load(&config));
	assert_found("fatal DEBRIEF_WORKERS: workers: many is not accepted");
	assert_found("fatal SIMULATE_WEBHOOK_DELAY_MS: ");
	config_deinit(&config);
}

static void unknown_variables_are_warned_of(void **state)
{
	struct config config;

	(void)state;
	setenv("DEBRIEF_LISTENN", "x", 1);
	setenv("DEBRIEF_LISTEN_FILE", "x", 1);
	setenv("DEBRIEF_EMPTY", "", 1);
	setenv("DEBRIEFING", "x", 1);
	assert_true(load(&config));
	assert_found("warning DEBRIEF_LISTENN: unknown variable");
	assert_found("warning DEBRIEF_LISTEN_FILE: unknown variable");
	assert_int_equal(found.warnings, 2);
	config_deinit(&config);
}

static void secrets_come_from_files(void **state)
{
	struct config config;

	(void)state;
	write_file(secret_path, SPAN("0123456789abcdef0123456789abcdef\n"));
	setenv("DEBRIEF_JWT_SECRET_FILE", secret_path, 1);
	assert_true(load(&config));
	assert_string_equal(config.jwt_secret, secret_32);
	config_deinit(&config);

	write_file(secret_path, SPAN("one, two\n\n"));
	unsetenv("DEBRIEF_JWT_SECRET_FILE");
	setenv("DEBRIEF_ELEVENLABS_WEBHOOK_SECRET_FILE", secret_path, 1);
	assert_false(load(&config));
	assert_found("control character");
	config_deinit(&config);

	write_file(secret_path, SPAN("one, two"));
	assert_true(load(&config));
	assert_int_equal(config.elevenlabs_webhook_secret.count, 2);
	assert_string_equal(config.elevenlabs_webhook_secret.items[1], "two");
	config_deinit(&config);

	setenv("DEBRIEF_ELEVENLABS_WEBHOOK_SECRET", "three", 1);
	assert_false(load(&config));
	assert_found("DEBRIEF_ELEVENLABS_WEBHOOK_SECRET_FILE is set too");
	config_deinit(&config);
}

static void the_file_names_secret_files_too(void **state)
{
	char ini[256];
	struct config config;

	(void)state;
	write_file(secret_path, SPAN("postgres://from-file"));
	snprintf(ini, sizeof(ini), "database_url_file = %s\njwt_public_key_file = /etc/key.pem\n", secret_path);
	assert_true(load_ini(&config, ini));
	assert_string_equal(config.database_url, "postgres://from-file");
	assert_string_equal(config.jwt_public_key_file, "/etc/key.pem");
	config_deinit(&config);
	write_file(secret_path, SPAN("\n"));
	assert_false(load_ini(&config, ini));
	assert_found(":1: database_url: ");
	assert_found("is empty");
	config_deinit(&config);
}

static void secrets_are_not_shown(void **state)
{
	struct config config;
	struct arena arena;
	struct text json;
	char *ini = NULL;
	size_t size;

	(void)state;
	assert_false(load_ini(&config, "jwt_secret = hunter2\n"));
	assert_found("a value of 7 bytes is not accepted; it takes at least 32 bytes");
	assert_null(strstr(found.text, "hunter2"));
	config_deinit(&config);

	setenv("DEBRIEF_SERVICE_TOKEN", secret_32, 1);
	setenv("DEBRIEF_ELEVENLABS_WEBHOOK_SECRET", secret_32, 1);
	setenv("DEBRIEF_DATABASE_URL", "postgres://u:0123456789abcdef@h/d", 1);
	setenv("DEBRIEF_CORS_ORIGINS", "https://a.example,https://b.example", 1);
	assert_true(load(&config));
	FILE *out = open_memstream(&ini, &size);
	assert_non_null(out);
	config_print(&config, out);
	fclose(out);
	assert_null(strstr(ini, "0123456789abcdef"));
	assert_non_null(strstr(ini, "service_token = (set)\n"));
	assert_non_null(strstr(ini, "# jwt_secret =\n"));
	assert_non_null(strstr(ini, "webhook_body_max = 32 MiB\n"));
	assert_non_null(strstr(ini, "cors_origins = https://a.example, https://b.example\n"));
	free(ini);

	arena_init(&arena);
	text_init(&json, &arena, 0);
	config_add_json(&config, &json);
	assert_null(strstr(json.p, "0123456789abcdef"));
	assert_non_null(strstr(json.p, "\"service_token\":\"(set)\""));
	assert_non_null(strstr(json.p, "\"jwt_secret\":null"));
	assert_non_null(strstr(json.p, "\"cors_origins\":[\"https://a.example\",\"https://b.example\"]"));
	assert_non_null(strstr(json.p, "\"claim_unowned\":true"));
	assert_non_null(strstr(json.p, "\"webhook_body_max\":33554432,"));
	arena_deinit(&arena);
	config_deinit(&config);
}

static void what_is_printed_can_be_loaded(void **state)
{
	struct config config;
	struct config again;
	char *first = NULL;
	char *second = NULL;
	size_t size;

	(void)state;
	assert_true(load_ini(&config, "workers = 3\nredis_url =\nclaim_unowned = off\njournal_max_bytes = 65537\n"
	                              "cors_origins = https://a.example\nevaluator = external\n"));
	FILE *out = open_memstream(&first, &size);
	config_print(&config, out);
	fclose(out);
	assert_true(load_ini(&again, first));
	out = open_memstream(&second, &size);
	config_print(&again, out);
	fclose(out);
	assert_string_equal(first, second);
	assert_int_equal(again.journal_max_bytes, 65537);
	free(first);
	free(second);
	config_deinit(&config);
	config_deinit(&again);
}

static void readable_secrets_and_quotes_are_warned_of(void **state)
{
	struct config config;

	(void)state;
	write_file(ini_path, SPAN("database_url = host=h password=x\nweb_root = \"/srv\"\nredis_url = redis://h\n"));
	assert_int_equal(chmod(ini_path, 0644), 0);
	memset(&found, 0, sizeof(found));
	assert_true(config_load(&config, ini_path, collect, &found));
	assert_found(":1: database_url stands in a file that everybody can read");
	assert_found(":2: web_root: its quotes are part of the value");
	assert_int_equal(found.warnings, 2);
	config_deinit(&config);
}

/* Loads what suffices for serving, plus `more`, and checks it. */
static bool check_with(const char *more)
{
	char ini[1024];
	struct config config;

	snprintf(ini, sizeof(ini), "database_url = dbname=x\njwt_secret = %s\nelevenlabs_webhook_secret = s\n%s\n",
	         secret_32, more);
	if (!load_ini(&config, ini))
		fail_msg("does not load:\n%s", found.text);
	memset(&found, 0, sizeof(found));
	bool ok = config_check(&config, collect, &found);
	config_deinit(&config);
	assert_int_equal(ok, found.fatal == 0);
	return ok;
}

static void serving_needs_keys_and_a_database(void **state)
{
	struct config config;

	(void)state;
	assert_true(load(&config));
	assert_false(config_check(&config, collect, &found));
	config_deinit(&config);
	assert_found("fatal database_url: ");
	assert_found("set jwt_secret, jwt_public_key_file or jwt_jwks_file");
	assert_found("warning elevenlabs_webhook_secret: ");
	assert_int_equal(found.fatal, 2);
	assert_true(check_with(""));
	assert_string_equal(found.text, "");
}

static void unwise_choices_are_found(void **state)
{
	(void)state;
	assert_true(check_with("environment = development\nsimulate_webhook_delay_ms = 5"));
	assert_found("warning environment: ");
	assert_false(check_with("simulate_webhook_delay_ms = 5"));
	assert_found("simulate_webhook_delay_ms is refused while environment = production");
	assert_true(check_with("signature_tolerance_secs = 3601"));
	assert_found("warning signature_tolerance_secs: ");
	assert_true(check_with("admin_listen = 0.0.0.0:8081"));
	assert_found("warning admin_listen: ");
	assert_true(check_with("admin_listen = [::1]:8081"));
	assert_int_equal(found.warnings, 0);
	assert_false(check_with("admin_listen = 127.0.0.1:8080"));
	assert_found("same address");
	assert_false(check_with("listen = 8080"));
	assert_found("fatal listen: 8080 is not of the form host:port");
	assert_false(check_with("admin_listen = localhost:65536"));
	assert_found("fatal admin_listen: ");
	assert_true(check_with("listen = 127.0.0.1:0\nadmin_listen = 127.0.0.1:0"));
}

static void origins_are_exact(void **state)
{
	static const char *const bad[] = {"*", "null", "app.example", "https://", "https://a.example/", "https://A.example",
	                                  "https://*.example", "ftp://a.example", "https:/a"};
	char line[128];

	(void)state;
	assert_true(check_with("cors_origins = https://a.example,http://localhost:5173,http://[::1]:3000"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "cors_origins = https://ok.example, %s", bad[i]);
		assert_false(check_with(line));
		assert_int_equal(found.fatal, 1);
		assert_found("is not an exact origin");
	}
}

static void proxies_are_networks(void **state)
{
	static const char *const bad[] = {"10.0.0.1/8", "10.0.0.0/33", "proxy.example", "10.0.0.0/", "::1/129", "*"};
	char line[128];

	(void)state;
	assert_true(check_with("trusted_proxies = 10.0.0.0/8, 2001:db8::/32, 192.0.2.1"));
	assert_true(check_with("trusted_proxies = none"));
	assert_true(check_with(""));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "trusted_proxies = 10.0.0.0/8, %s", bad[i]);
		assert_false(check_with(line));
		assert_int_equal(found.fatal, 1);
		assert_found("fatal trusted_proxies: ");
	}
	assert_true(check_with("trusted_proxies = 0.0.0.0/0"));
	assert_found("every client can choose the address");
	assert_true(check_with("trusted_proxies = ::/0"));
	assert_found("every client can choose the address");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_table_is_whole),
		TEST(defaults_are_those_of_the_design),
		TEST(ini_files_are_read),
		TEST(booleans_have_six_names),
		TEST(bad_lines_are_named_with_what_is_accepted),
		TEST(nul_bytes_are_refused),
		TEST(an_option_is_set_once_in_a_file),
		TEST(findings_are_bounded),
		TEST(files_that_cannot_be_read_are_named),
		TEST(the_environment_wins),
		TEST(bad_variables_are_named),
		TEST(unknown_variables_are_warned_of),
		TEST(secrets_come_from_files),
		TEST(the_file_names_secret_files_too),
		TEST(secrets_are_not_shown),
		TEST(what_is_printed_can_be_loaded),
		TEST(readable_secrets_and_quotes_are_warned_of),
		TEST(serving_needs_keys_and_a_database),
		TEST(unwise_choices_are_found),
		TEST(origins_are_exact),
		TEST(proxies_are_networks),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
