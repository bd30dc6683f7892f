/* debrief: the broker between the end of a voice interview and its results page. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{"serve", cli_serve, "answer browsers and webhooks"},
	{"migrate", cli_migrate, "bring the database to this version's schema"},
	{"check-config", cli_check_config, "say what is wrong or unwise in the configuration"},
	{"token", cli_token, "mint a user's token, for tests and demonstrations"},
	{"trigger", cli_trigger, "send a signed webhook, for tests and demonstrations"},
	{"explain", cli_explain, "tell what happened to a session or a conversation, and why"},
	{"replay", cli_replay, "run stored webhooks through today's rules again"},
	{"status", cli_status, "show how a node and its stores are doing"},
	{"version", cli_version, "print versions"},
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_usage(FILE *out)
{
	fputs("Usage: debrief COMMAND [OPTION...]\n\n", out);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(out, "  %-13s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`debrief COMMAND --help` explains each. Exit status: 0, 1 (failed), 2 (wrong usage).\n", out);
}

static int run(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts(PACKAGE_STRING);
		return EXIT_OK;
	}
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "debrief: unknown command %s\nTry: debrief --help\n", argv[1]);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	int status = run(argc, argv);

	/* A full disk or a closed pipe must not look like success. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_OK)
		return cli_fail("writing to standard output failed");
	return status;
}
