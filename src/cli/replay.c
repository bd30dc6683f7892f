/* debrief replay: stored webhooks once more, by today's reading and today's rules. */
#include "cli/replay.h"

#include <stdarg.h>
#include <time.h>

#include "base/clock.h"
#include "base/uuid.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/progress.h"

static const char help[] =
	"Usage: debrief replay [--config FILE] [--dry-run] [--days N] [--conversation ID]\n"
	"                      [--user UUID] [--json]\n"
	"\n"
	"Runs stored webhooks again: reads their bodies as this version reads them, tries again\n"
	"what the ledger had refused (rejected_facts), and decides links and owners by the rules\n"
	"of this configuration (match_window_secs, claim_unowned). What is different is printed,\n"
	"written, and decided anew by the nodes that run. Needs the ledger and Redis.\n"
	"\n"
	"  --config FILE      INI file; the environment wins over it\n"
	"  --dry-run          only say what would change\n"
	"  --days N           webhooks received within the last N days (all)\n"
	"  --conversation ID  only this one\n"
	"  --user UUID        only this user's\n"
	"  --json             the result as one JSON object\n";

enum { REDIS_TIMEOUT_MS = 5000, PATIENCE_MS = 30000, LOOK_MS = 250, DAYS_MAX = 36500 };
static const int64_t DAY_MS = 86400000;

void replay_say(const struct replay *replay, const char *format, ...)
{
	va_list args;

	if (replay->json)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void replay_add_id(struct text *array, struct span id)
{
	if (array->n > 0)
		text_addc(array, ',');
	text_add_json(array, id);
}

void replay_add_object(struct text *array)
{
	text_add(array, array->n > 0 ? SPAN(",{") : SPAN("{"));
}

const char *replay_plain(struct arena *arena, struct span text)
{
	char *plain;

	if (!text.p)
		return "-";
	plain = arena_strdup(arena, text);
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)plain[i] < 0x20 || (unsigned char)plain[i] >= 0x7f)
			plain[i] = '?';
	return plain;
}

static int hex_value(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

struct span replay_bytes(struct arena *arena, struct span hex)
{
	char *bytes = arena_alloc(arena, hex.n / 2 + 1);

	for (size_t i = 0; i < hex.n / 2; i++)
		bytes[i] = (char)(hex_value(hex.p[2 * i]) << 4 | hex_value(hex.p[2 * i + 1]));
	return (struct span){bytes, hex.n / 2};
}

static struct span array_of(struct replay *replay, const struct text *members)
{
	return span_of(arena_printf(&replay->arena, "[%.*s]", SPAN_ARG(text_span(members))));
}

/* Refused sessions first: they lock their users, as whoever writes does before anything else. */
static bool plan(struct replay *replay)
{
	return postgres_blocking_do(replay->postgres, "BEGIN") && replay_refused(replay) &&
	       replay_facts(replay) && replay_links(replay);
}

/* Writes what was found, or takes it back. */
static bool conclude(struct replay *replay)
{
	const char *params[] = {array_of(replay, &replay->sids).p, array_of(replay, &replay->cids).p};

	if (replay->dry_run)
		return postgres_blocking_do(replay->postgres, "ROLLBACK");
	return postgres_blocking_run(replay->postgres, COMMAND_REPLAY_MARK, 2, params) &&
	       postgres_blocking_do(replay->postgres, "COMMIT");
}

/* How many are not decided yet; -1 if the ledger doesn't say. */
static int64_t count_left(struct replay *replay)
{
	const char *params[] = {array_of(replay, &replay->sids).p, array_of(replay, &replay->cids).p};
	const struct postgres_rows *rows =
		postgres_blocking_run(replay->postgres, COMMAND_REPLAY_LEFT, 2, params);
	int64_t left = -1;

	if (rows)
		(void)span_to_int64(postgres_value(rows, 0, 0), &left);
	return left;
}

/* Until the nodes have decided all of it, or nothing has moved for a while. */
static int64_t wait_decided(struct replay *replay)
{
	struct timespec look = {.tv_nsec = LOOK_MS * 1000000L};
	int64_t left = count_left(replay), moved_ms = clock_monotonic_ms();
	size_t total = left > 0 ? (size_t)left : 0;
	struct progress progress;

	progress_begin(&progress, "decided by the nodes", total);
	while (left > 0 && clock_monotonic_ms() - moved_ms < PATIENCE_MS) {
		int64_t before = left;

		nanosleep(&look, NULL);
		left = count_left(replay);
		if (left != before)
			moved_ms = clock_monotonic_ms();
		progress_show(&progress, left >= 0 && (size_t)left <= total ? total - (size_t)left : 0);
	}
	progress_end(&progress);
	return left;
}

static void print_result(struct replay *replay, int64_t left)
{
	const char *would = replay->dry_run ? "would " : "";

	if (replay->json) {
		printf("{\"dryRun\":%s,\"read\":%zu,\"facts\":[%.*s],\"refused\":[%.*s],\"owners\":[%.*s],"
		       "\"links\":[%.*s],"
		       "\"undecided\":%lld}\n",
		       replay->dry_run ? "true" : "false", replay->read,
		       SPAN_ARG(text_span(&replay->facts_json)), SPAN_ARG(text_span(&replay->refused_json)),
		       SPAN_ARG(text_span(&replay->owners_json)), SPAN_ARG(text_span(&replay->links_json)),
		       (long long)left);
		return;
	}
	printf("%zu webhooks read: %zu %ssay something else; of refused facts %zu %sbe taken, %zu stay "
	       "refused; %zu owners and "
	       "%zu links %schange\n",
	       replay->read, replay->changed, would, replay->taken, replay->dry_run ? "would " : "could ",
	       replay->refused, replay->owners, replay->links, would);
	if (left > 0)
		fprintf(stderr, "debrief: %lld of them wait for a node to decide them\n", (long long)left);
}

static int replay_run(struct replay *replay)
{
	int64_t left = 0;

	replay->postgres = postgres_blocking_open(replay->config->database_url, "debrief replay", stderr);
	replay->redis = replay->postgres
				? redis_blocking_open(replay->config->redis_url, REDIS_TIMEOUT_MS, stderr)
				: NULL;
	if (!replay->redis || !plan(replay) || !conclude(replay))
		left = -1;
	else if (!replay->dry_run)
		left = wait_decided(replay);
	if (left >= 0)
		print_result(replay, left);
	if (replay->redis)
		redis_blocking_close(replay->redis);
	if (replay->postgres)
		postgres_blocking_close(replay->postgres);
	return left == 0 ? EXIT_OK : EXIT_FAILED;
}

static int replay_start(const struct config *config, struct replay *replay, int64_t days)
{
	int64_t least_ms = days > 0 ? clock_wall_ms() - days * DAY_MS : 0;
	struct text *texts[] = {&replay->facts_json,  &replay->refused_json, &replay->links_json,
				&replay->owners_json, &replay->sids,         &replay->cids};
	int status;

	if (!config->database_url)
		return cli_fail("replay needs database_url (DEBRIEF_DATABASE_URL)");
	arena_init(&replay->arena);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		text_init(texts[i], &replay->arena, 256);
	replay->config = config;
	replay->least_ms = arena_printf(&replay->arena, "%lld", (long long)least_ms);
	replay->window_ms = arena_printf(&replay->arena, "%lld", (long long)config->match_window_secs * 1000);
	replay->claim_unowned = config->claim_unowned ? "true" : "false";
	status = replay_run(replay);
	arena_deinit(&replay->arena);
	return status;
}

int cli_replay(int argc, char **argv)
{
	struct replay replay = {0};
	const char *file = NULL, *days = NULL;
	int64_t days_number = 0;
	const struct cli_option options[] = {
		{.name = "config", .value = &file},
		{.name = "dry-run", .given = &replay.dry_run},
		{.name = "days", .value = &days},
		{.name = "conversation", .value = &replay.conversation},
		{.name = "user", .value = &replay.user},
		{.name = "json", .given = &replay.json},
	};
	int status = cli_read_options(argc, argv, help, options, sizeof(options) / sizeof(options[0]), NULL,
				      0, NULL);
	struct config config;
	struct uuid uuid;

	if (status != CLI_GO_ON)
		return status;
	if (days &&
	    (!span_to_int64(span_of(days), &days_number) || days_number < 1 || days_number > DAYS_MAX))
		return cli_usage("replay", "--days takes 1 to %d", DAYS_MAX);
	if (replay.user && !uuid_parse(span_of(replay.user), &uuid))
		return cli_usage("replay", "--user takes a UUID");
	status = cli_load_config(&config, file) ? replay_start(&config, &replay, days_number) : EXIT_FAILED;
	config_deinit(&config);
	return status;
}
