/* Versions. The one place that names every library, to ask for its version only. */
#include "config.h"

#include <cjson/cJSON.h>
#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <openssl/crypto.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "postgres/migrate.h"

static const char help[] =
	"Usage: debrief version [--json]\n"
	"\n"
	"Prints the versions of debrief, of its database schema and of its libraries.\n"
	"\n"
	"  --json  as one JSON object\n";

struct version {
	const char *name;
	const char *version;
};

/* None of these strings needs escaping in JSON. */
static void print(const struct version *versions, size_t count, bool json)
{
	if (json)
		putchar('{');
	for (size_t i = 0; i < count; i++) {
		if (json)
			printf("%s\"%s\":\"%s\"", i == 0 ? "" : ",", versions[i].name, versions[i].version);
		else
			printf("%s %s\n", versions[i].name, versions[i].version);
	}
	if (json)
		puts("}");
}

int cli_version(int argc, char **argv)
{
	bool json = false;
	const struct cli_option options[] = {{.name = "json", .given = &json}};
	char hiredis[32];
	char libpq[32];
	char schema[32];

	int status = cli_read_options(argc, argv, help, options, 1, NULL, 0, NULL);
	if (status != CLI_GO_ON)
		return status;
	snprintf(schema, sizeof(schema), "%d", migrate_newest_version());
	snprintf(hiredis, sizeof(hiredis), "%d.%d.%d", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
	snprintf(libpq, sizeof(libpq), "%d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
	const struct version versions[] = {
		{"debrief", PACKAGE_VERSION}, {"schema", schema},         {"libevent", event_get_version()},
		{"hiredis", hiredis},         {"libpq", libpq},           {"cjson", cJSON_Version()},
		{"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
	};
	print(versions, sizeof(versions) / sizeof(versions[0]), json);
	return EXIT_OK;
}
