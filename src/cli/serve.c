/* debrief serve: runs a node until it is told to stop. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/arena.h"
#include "broker/node.h"
#include "cli/cli.h"
#include "cli/options.h"

static const char help[] =
	"usage: debrief serve [--config FILE]\n"
	"\n"
	"Serves the interface on `listen`, and health and metrics on `admin_listen`.\n"
	"SIGTERM and SIGINT stop it once it has answered what is under way (drain_timeout_secs);\n"
	"SIGHUP reads the configuration and the keys again. SIGUSR1 logs one level more\n"
	"(to debug), SIGUSR2 one less; SIGHUP goes back to log_level.\n"
	"\n"
	"  --config FILE  an INI file; DEBRIEF_* in the environment wins over it\n"
	"  --help         this text\n";

static struct config *load(void *arg)
{
	const char *file = arg;
	struct config *config = xcalloc(1, sizeof(*config));

	if (cli_load_config(config, file) && cli_check(config))
		return config;
	config_deinit(config);
	free(config);
	return NULL;
}

/* Keys, tokens and transcripts are in it: no core files, and no debugger of the same user's. (In development
 * both are wanted, and LeakSanitizer needs them.) */
static void keep_memory_private(void)
{
	const struct rlimit none = {0, 0};

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		log_event(LOG_WARN, "core_files_not_off", "error=%s", LOG_TEXT(span_of(strerror(errno))));
	(void)setrlimit(RLIMIT_CORE, &none); /* says the same to those who don't look at the first */
}

int cli_serve(int argc, char **argv)
{
	const char *file = NULL;
	const struct cli_option options[] = {{.name = "config", .value = &file}};
	int status = cli_read_options(argc, argv, help, options, 1, NULL, 0, NULL);
	struct config *config;

	if (status != CLI_GO_ON)
		return status;
	config = load((void *)file);
	if (!config)
		return EXIT_FAILED;
	log_set_level((enum log_level)config->log_level);
	log_set_format((enum log_format)config->log_format);
	if (config->environment == ENVIRONMENT_PRODUCTION)
		keep_memory_private();
	return node_run(config, load, (void *)file);
}
