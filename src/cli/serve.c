/* debrief serve: runs a node until it is told to stop. */
#include <stdlib.h>

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

int cli_serve(int argc, char **argv)
{
	const char *file = NULL;
	const struct cli_option options[] = {{.name = "config", .value = &file}};
	int status = cli_read_options(argc, argv, help, options, 1, NULL, 0, NULL);
	struct config *config;

	if (status != CLI_GO_ON)
		return status;
	config = load((void *)file);
	return config ? node_run(config, load, (void *)file) : EXIT_FAILED;
}
