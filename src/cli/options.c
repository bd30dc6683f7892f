#include "cli/options.h"

#include <getopt.h>
#include <stdarg.h>

#include "http/static_open.h"

enum { OPTION_FIRST = 256 }; /* beyond every character */

static void fail(const char *command, const char *format, va_list args)
{
	fprintf(stderr, "debrief: %s%s", command ? command : "", command ? ": " : "");
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

int cli_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail(NULL, format, args);
	va_end(args);
	return EXIT_FAILED;
}

int cli_usage(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fail(command, format, args);
	va_end(args);
	fprintf(stderr, "Try: debrief %s --help\n", command);
	return EXIT_USAGE;
}

/* getopt's own table: --help, ours, and the end. */
static void fill_table(struct option *table, const struct cli_option *options, size_t count)
{
	*table++ = (struct option){"help", no_argument, NULL, 'h'};
	for (size_t i = 0; i < count; i++)
		*table++ = (struct option){options[i].name, options[i].value ? required_argument : no_argument, NULL,
					   OPTION_FIRST + (int)i};
	*table = (struct option){0};
}

int cli_read_options(int argc, char **argv, const char *help, const struct cli_option *options, size_t count,
		     char ***operands, int operand_max, int *operand_count)
{
	struct option table[CLI_OPTIONS_MAX + 2];
	int found;

	if (count > CLI_OPTIONS_MAX)
		return cli_fail("%s: more than %d options in its table", argv[0], CLI_OPTIONS_MAX);
	fill_table(table, options, count);
	opterr = 0;
	optind = 0; /* glibc: start anew */
	while ((found = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
		if (found == 'h') {
			fputs(help, stdout);
			return EXIT_OK;
		}
		if (found == ':')
			return cli_usage(argv[0], "%s needs a value", argv[optind - 1]);
		if (found < OPTION_FIRST)
			return cli_usage(argv[0], "unknown option %s", argv[optind - 1]);
		const struct cli_option *option = &options[found - OPTION_FIRST];
		if (option->value)
			*option->value = optarg;
		else
			*option->given = true;
	}
	if (argc - optind > operand_max)
		return cli_usage(argv[0], "unexpected argument %s", argv[optind + operand_max]);
	if (operands)
		*operands = argv + optind;
	if (operand_count)
		*operand_count = argc - optind;
	return CLI_GO_ON;
}

static void print_problem(const struct config_problem *problem, void *arg)
{
	(void)arg;
	fprintf(stderr, "debrief: %s: %s%s\n", problem->source, problem->fatal ? "" : "warning: ", problem->message);
}

bool cli_load_config(struct config *config, const char *file)
{
	return config_load(config, file, print_problem, NULL);
}

bool cli_check_web_root(const struct config *config, config_problem_cb *report, void *arg)
{
	const char *fault = config->web_root ? static_root_fault(config->web_root) : NULL;
	char path[256], message[512];

	if (!fault)
		return true;
	snprintf(message, sizeof(message), "%s can't be served: %s",
		 log_quote(path, sizeof(path), span_of(config->web_root)), fault);
	report(&(struct config_problem){true, "web_root", message}, arg);
	return false;
}

bool cli_check(const struct config *config)
{
	bool ok = config_check(config, print_problem, NULL);

	return cli_check_web_root(config, print_problem, NULL) && ok;
}

/* One that means every interface is reached by loopback. */
char *cli_url_of(struct arena *arena, const char *listen, const char *page)
{
	const char *colon = strrchr(listen, ':');
	struct span host = {listen, colon ? (size_t)(colon - listen) : 0};

	if (colon == NULL || strcmp(colon, ":0") == 0)
		return NULL;
	if (host.n == 0 || span_is(host, "*") || span_is(host, "0.0.0.0") || span_is(host, "[::]"))
		host = SPAN("127.0.0.1");
	return arena_printf(arena, "http://%.*s%s%s", SPAN_ARG(host), colon, page);
}
