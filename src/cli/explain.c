/* debrief explain: what happened to a session or a conversation, and why. The ledger tells it
 * (sql/command_explain.sql); here it is only laid out. */
#include "base/json.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "postgres/blocking.h"

static const char help[] =
	"Usage: debrief explain [--config FILE] [--json] ID\n"
	"\n"
	"Tells what happened to a session or a conversation, and why: what was saved, when the\n"
	"webhook came and how late it was, on what evidence they were linked, what moved, what\n"
	"else might have been linked and why it was not. ID is a client_session_id, a\n"
	"conversation id or an interview's UUID. Reads the ledger alone; rules that can be\n"
	"configured are those of this configuration. What only the journal holds, while the\n"
	"ledger is behind, is not in it yet. Exit status 1 if nobody knows that id.\n"
	"\n"
	"  --config FILE  INI file; DEBRIEF_DATABASE_URL is enough without one\n"
	"  --json         the same as one JSON object\n";

/* Reasons are free text of others', and this may be a terminal: control characters, C1's too, become '?'. */
static void print_plain(struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c == 0xc2 && i + 1 < text.n && (unsigned char)text.p[i + 1] < 0xa0) {
			putchar('?');
			i++;
		} else {
			putchar(c < 0x20 || c == 0x7f ? '?' : c);
		}
	}
}

/* "label  name, name …" of those members that are there. */
static void print_members(struct arena *arena, const char *label, struct span object,
			  const char *const *names)
{
	const char *before = "";

	if (json_type(object) != JSON_OBJECT)
		return;
	printf("%-13s ", label);
	for (; names[0]; names += 2) {
		struct span value = json_decode_string(arena, json_member(object, names[0]));

		if (!value.p || value.n == 0)
			continue;
		printf("%s%s", before, names[1]);
		print_plain(value);
		before = ", ";
	}
	if (span_is(json_member(object, "undecided"), "true"))
		printf("%snot decided yet", before);
	putchar('\n');
}

static void print_head(struct arena *arena, struct span doc)
{
	static const char *const session[] = {"sid",      "",       "userId",
					      "of user ", "status", "",
					      "agentId",  "agent ", "claimedConversationId",
					      "claims ",  NULL};
	static const char *const conversation[] = {"conversationId", "",         "interviewId", "interview ",
						   "userId",         "of user ", "status",      "",
						   "agentId",        "agent ",   NULL};
	static const char *const link[] = {"evidence", "by ", NULL};
	static const char *const evaluation[] = {"status", "", "reason", "", NULL};
	struct span owner =
		json_decode_string(arena, json_member(json_member(doc, "conversation"), "ownerByTheRules"));
	struct span user = json_decode_string(arena, json_member(json_member(doc, "conversation"), "userId"));

	print_members(arena, "session", json_member(doc, "session"), session);
	print_members(arena, "conversation", json_member(doc, "conversation"), conversation);
	if (json_type(json_member(doc, "conversation")) == JSON_OBJECT &&
	    !(owner.p ? span_eq(owner, user) : !user.p))
		printf("%-13s by the rules it belongs to %.*s: it will once it is decided again\n", "",
		       owner.p ? (int)owner.n : 6, owner.p ? owner.p : "nobody");
	print_members(arena, "link", json_member(doc, "link"), link);
	print_members(arena, "evaluation", json_member(doc, "evaluation"), evaluation);
}

static void print_timeline(struct arena *arena, struct span timeline)
{
	struct json_iter iter = json_iter(timeline);
	struct span name, event;

	printf("\nWhat happened\n");
	while (json_next(&iter, &name, &event)) {
		struct span at = json_decode_string(arena, json_member(event, "at"));

		printf("  %.*s  ", SPAN_ARG(at));
		print_plain(json_decode_string(arena, json_member(event, "text")));
		putchar('\n');
	}
}

static void print_candidates(struct arena *arena, struct span candidates)
{
	struct json_iter iter = json_iter(candidates);
	struct span name, candidate;
	bool any = false;

	while (json_next(&iter, &name, &candidate)) {
		struct span sid = json_decode_string(arena, json_member(candidate, "sid"));
		struct span cid = json_decode_string(arena, json_member(candidate, "conversationId"));
		int64_t distance_ms = 0;

		if (!any)
			printf("\nWhat else might have been linked\n");
		any = true;
		(void)json_int64(json_member(candidate, "distanceMs"), false, &distance_ms);
		printf("  %s ", sid.p ? "session" : "conversation");
		print_plain(sid.p ? sid : cid);
		printf(", %.1f s apart: ", (double)distance_ms / 1e3);
		print_plain(json_decode_string(arena, json_member(candidate, "lost")));
		putchar('\n');
	}
}

static int explain(const struct config *config, const char *id, bool json)
{
	struct postgres_blocking *postgres;
	const struct postgres_rows *rows;
	struct arena arena;
	int status = EXIT_FAILED;

	if (!config->database_url)
		return cli_fail("explain needs database_url (DEBRIEF_DATABASE_URL)");
	postgres = postgres_blocking_open(config->database_url, "debrief explain", stderr);
	if (!postgres)
		return EXIT_FAILED;
	arena_init(&arena);
	const char *params[] = {id, arena_printf(&arena, "%lld", (long long)config->match_window_secs * 1000),
				config->claim_unowned ? "true" : "false",
				arena_printf(&arena, "%lld", (long long)config->webhook_deadline_secs)};
	rows = postgres_blocking_run(postgres, COMMAND_EXPLAIN, 4, params);
	if (rows && postgres_row_count(rows) == 0) {
		cli_fail("the ledger knows no session, conversation or interview of that id");
	} else if (rows) {
		struct span doc = postgres_value(rows, 0, 0);

		status = EXIT_OK;
		if (json) {
			printf("%.*s\n", SPAN_ARG(doc));
		} else {
			print_head(&arena, doc);
			print_timeline(&arena, json_member(doc, "timeline"));
			print_candidates(&arena, json_member(doc, "candidates"));
		}
	}
	arena_deinit(&arena);
	postgres_blocking_close(postgres);
	return status;
}

int cli_explain(int argc, char **argv)
{
	const char *file = NULL;
	bool json = false;
	const struct cli_option options[] = {{.name = "config", .value = &file},
					     {.name = "json", .given = &json}};
	struct config config;
	char **operands;
	int operand_count;
	int status = cli_read_options(argc, argv, help, options, 2, &operands, 1, &operand_count);

	if (status != CLI_GO_ON)
		return status;
	if (operand_count != 1)
		return cli_usage("explain", "the id of a session, a conversation or an interview is needed");
	status = cli_load_config(&config, file) ? explain(&config, operands[0], json) : EXIT_FAILED;
	config_deinit(&config);
	return status;
}
