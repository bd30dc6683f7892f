#include "cli/cli.h"
#include "cli/options.h"
#include "postgres/migrate.h"

static const char help[] =
	"Usage: debrief migrate [--config FILE] [--dry-run] [--assume-timezone ZONE]\n"
	"\n"
	"Brings the database to the schema of this version. Safe to run again, and on\n"
	"several machines at once.\n"
	"\n"
	"  --config FILE           INI file; DEBRIEF_DATABASE_URL is enough without one\n"
	"  --dry-run               run every migration and roll all of it back\n"
	"  --assume-timezone ZONE  of TIMESTAMP columns of older tables (default: UTC)\n";

static int migrate(const struct config *config, const char *timezone, bool dry_run)
{
	if (!config->database_url)
		return cli_fail("migrate needs database_url (DEBRIEF_DATABASE_URL)");
	return migrate_run(&(struct migrate_options){.conninfo = config->database_url,
						     .assume_timezone = timezone,
						     .partitions = config->partitions,
						     .dry_run = dry_run},
			   stdout, stderr);
}

int cli_migrate(int argc, char **argv)
{
	const char *file = NULL;
	const char *timezone = "UTC";
	bool dry_run = false;
	const struct cli_option options[] = {
		{.name = "config", .value = &file},
		{.name = "dry-run", .given = &dry_run},
		{.name = "assume-timezone", .value = &timezone},
	};
	struct config config;

	int status = cli_read_options(argc, argv, help, options, 3, NULL, 0, NULL);
	if (status != CLI_GO_ON)
		return status;
	status = cli_load_config(&config, file) ? migrate(&config, timezone, dry_run) : EXIT_FAILED;
	config_deinit(&config);
	return status;
}
