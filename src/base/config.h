/* Configuration: one table of options, filled from an INI file and DEBRIEF_*.
 *
 * The environment wins over the file; a secret can be given as …_FILE. An empty
 * value counts as not set. The table (config_options.c) is the only place that knows an option's name, type, bounds,
 * default and help: check-config, --help and the man page are made from it. */
#ifndef DEBRIEF_BASE_CONFIG_H
#define DEBRIEF_BASE_CONFIG_H

#include <stdio.h>

#include "base/log.h"
#include "base/text.h"

enum evaluator { EVALUATOR_PROVIDER, EVALUATOR_EXTERNAL };
enum durability { DURABILITY_LEDGER, DURABILITY_LEDGER_ONLY, DURABILITY_JOURNAL };
enum environment { ENVIRONMENT_PRODUCTION, ENVIRONMENT_DEVELOPMENT };

/* A list of strings, from a comma-separated value; items trimmed, empty ones dropped. */
struct config_list {
	char **items;
	size_t count;
};

/* Read-only once loaded, shared by all workers. Strings are NULL when not set.
 * Times are in the unit of their name, sizes in bytes. */
struct config {
	char *listen;
	char *admin_listen;
	int64_t workers; /* 0 was replaced by the number of cores */
	char *redis_url;
	char *database_url;
	int64_t database_connections; /* per worker, for writing; one more reads */
	char *jwt_secret;
	char *jwt_public_key_file;
	char *jwt_jwks_file;
	char *jwt_audience;
	char *jwt_issuer;
	struct config_list elevenlabs_webhook_secret;
	struct config_list elevenlabs_agents; /* empty: all */
	int64_t signature_tolerance_secs;
	char *service_token;
	int evaluator;
	int64_t match_window_secs;
	bool claim_unowned;
	int64_t webhook_deadline_secs;
	int64_t evaluation_deadline_secs;
	int64_t longest_call_secs;
	int durability;
	int64_t ledger_patience_ms;
	int64_t journal_max_bytes;
	int64_t webhook_body_max;
	int64_t session_ttl_secs;
	int64_t partitions;
	int64_t session_cache_entries; /* per worker */
	int64_t result_cache_max;      /* per worker */
	struct config_list cors_origins;
	char *web_root;
	struct config_list web_connect_src;
	struct config_list trusted_proxies; /* CIDRs */
	int64_t header_timeout_secs;
	int64_t body_timeout_secs;
	int64_t header_max;
	int64_t body_buffer_max;             /* per worker */
	int64_t connections_max;             /* of the node */
	int64_t connections_per_address_max; /* per worker, as all that follow; 0: no limit */
	int64_t parked_max;
	int64_t parked_per_user_max;
	int64_t rate_limit_address_per_sec;
	int64_t rate_limit_user_per_sec;
	int64_t rate_limit_bad_token_per_sec;
	int64_t request_timeout_ms;
	int64_t drain_timeout_secs;
	int log_level;
	int log_format;
	int64_t log_sample;
	int environment;
	int64_t simulate_webhook_delay_ms; /* SIMULATE_WEBHOOK_DELAY_MS; development only */
};

/* One finding of loading: where, which option, what is wrong. */
struct config_problem {
	bool fatal;
	const char *source; /* "FILE:LINE", the variable's name, or the option's */
	const char *message;
};
typedef void config_problem_cb(const struct config_problem *problem, void *arg);

/* Loads file (may be NULL) and environment. Every problem goes to `report`;
 * false if any was fatal. Free with config_deinit() in either case. */
bool config_load(struct config *config, const char *file, config_problem_cb *report, void *arg)
	__attribute__((warn_unused_result));

/* What `serve` asks of the options together, and choices that are unwise. False if
 * one finding was fatal. Options alone were checked by config_load(). */
bool config_check(const struct config *config, config_problem_cb *report, void *arg)
	__attribute__((warn_unused_result));
void config_deinit(struct config *config); /* secrets are overwritten before they are freed */

/* Prints the table: name, environment variable, default, help. */
void config_print_options(FILE *out);
/* Adds the values in force as one JSON object; secrets as "(set)". */
void config_add_json(const struct config *config, struct text *out);
/* Prints the values in force as INI; secrets as "(set)". */
void config_print(const struct config *config, FILE *out);

#endif
