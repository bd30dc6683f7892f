/* What subcommands share: reading their options, loading the configuration. */
#ifndef DEBRIEF_CLI_OPTIONS_H
#define DEBRIEF_CLI_OPTIONS_H

#include "base/config.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* A long option: with `value` it takes one, with `given` it takes none. Both are
 * left alone when the option isn't there. */
struct cli_option {
	const char *name; /* without its dashes */
	const char **value;
	bool *given;
};

enum { CLI_GO_ON = -1, CLI_OPTIONS_MAX = 16 };

/* Reads options and `--help`, which prints `help` (its first line is the usage).
 * Operands go to *operands (at most operand_max of them; it may be NULL if 0), their
 * number to *operand_count. CLI_GO_ON, or the exit status to return at once. */
int cli_read_options(int argc, char **argv, const char *help, const struct cli_option *options, size_t count,
		     char ***operands, int operand_max, int *operand_count) __attribute__((warn_unused_result));

/* config_load() and config_check() with every problem on standard error, as
 * "debrief: SOURCE: message" (warnings: "debrief: SOURCE: warning: …"). False if one was fatal; config_deinit() in either case. */
bool cli_load_config(struct config *config, const char *file) __attribute__((warn_unused_result));
bool cli_check(const struct config *config) __attribute__((warn_unused_result));
/* False, and a finding, if web_root is set and can't be served. cli_check() asks it too. */
bool cli_check_web_root(const struct config *config, config_problem_cb *report, void *arg)
	__attribute__((warn_unused_result));

/* The URL of a page of what listens there, for somebody on the same machine; NULL if it names no port. */
char *cli_url_of(struct arena *arena, const char *listen, const char *page);

/* "debrief: " and the message on standard error; returns the exit status for it. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
