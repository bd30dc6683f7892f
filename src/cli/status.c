/* debrief status: how a node and its stores are doing, from its admin listener. */
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/status_table.h"
#include "http/client.h"

static const char help[] =
	"Usage: debrief status [--config FILE] [--url URL] [--once] [--json] [--interval SECS]\n"
	"\n"
	"Shows a node and its stores: requests by route, webhooks, links, what waits. Refreshes\n"
	"until it is interrupted; rates are those since the last refresh. Reads /readyz and\n"
	"/metrics of admin_listen. Exit status 1 if, with --once, nobody answers there.\n"
	"\n"
	"  --config FILE    INI file; the environment wins over it\n"
	"  --url URL        the admin listener, http://HOST:PORT (made from `admin_listen`)\n"
	"  --once           print once, with totals and rates since the node's start\n"
	"  --json           one JSON object a line: {\"url\", \"ready\", \"error\", \"metrics\"}\n"
	"  --interval SECS  between refreshes, 1 to 3600 (2)\n";

enum { TIMEOUT_SECS = 10, INTERVAL_DEFAULT_SECS = 2, INTERVAL_MAX_SECS = 3600 };

struct wish {
	const char *url;
	bool once, json;
	int64_t interval_secs;
};

static void reading_take(struct reading *reading, const char *url)
{
	struct text ready, page;
	const char *ready_url, *page_url;

	memset(reading, 0, sizeof(*reading));
	arena_init(&reading->arena);
	ready_url = arena_printf(&reading->arena, "%s/readyz", url);
	page_url = arena_printf(&reading->arena, "%s/metrics", url);
	text_init(&ready, &reading->arena, 256);
	text_init(&page, &reading->arena, 64 << 10);
	/* 503 says which store is away */
	if (http_get(ready_url, TIMEOUT_SECS, &ready, &reading->error) == 0)
		return;
	reading->at_ms = clock_wall_ms();
	switch (http_get(page_url, TIMEOUT_SECS, &page, &reading->error)) {
	case 0:
		return;
	case 200:
		break;
	default:
		reading->error = "there is no /metrics at this URL: it should be admin_listen's";
		return;
	}
	reading->ready = text_span(&ready);
	reading->samples = samples_read(&reading->arena, text_span(&page));
}

static void reading_end(struct reading *reading)
{
	arena_deinit(&reading->arena);
}

static void print_json(const struct wish *wish, const struct reading *reading)
{
	struct arena arena;
	struct text out;

	arena_init(&arena);
	text_init(&out, &arena, 16 << 10);
	text_add(&out, SPAN("{\"url\":"));
	text_add_json(&out, span_of(wish->url));
	text_add(&out, SPAN(",\"error\":"));
	text_add_json(&out, span_of(reading->error));
	text_addf(&out, ",\"ready\":%.*s,\"metrics\":{", reading->error ? 4 : (int)reading->ready.n,
		  reading->error ? "null" : reading->ready.p);
	for (size_t i = 0; !reading->error && i < reading->samples.count; i++) {
		const struct sample *sample = &reading->samples.list[i];

		text_add(&out, i ? SPAN(",") : SPAN(""));
		text_add_json(&out, span_of(arena_printf(&arena, sample->labels.n ? "%.*s{%.*s}" : "%.*s%.*s",
							 SPAN_ARG(sample->name), SPAN_ARG(sample->labels))));
		text_addf(&out, ":%.17g", sample->value);
	}
	text_add(&out, SPAN("}}"));
	puts(out.p);
	arena_deinit(&arena);
}

/* One refresh; false if nothing more can be written. */
static bool show(const struct wish *wish, const struct reading *now, const struct reading *before)
{
	bool terminal = isatty(STDOUT_FILENO);
	bool colour = terminal && !getenv("NO_COLOR");

	if (wish->json) {
		print_json(wish, now);
	} else {
		if (terminal && !wish->once)
			fputs("\033[H\033[J", stdout); /* from the top, over what was there */
		status_print_table(stdout, wish->url, now, before, colour);
		if (!terminal && !wish->once)
			putchar('\n');
	}
	return fflush(stdout) == 0;
}

static int show_once(const struct wish *wish)
{
	struct reading reading;
	bool failed;

	reading_take(&reading, wish->url);
	failed = reading.error != NULL;
	(void)show(wish, &reading, NULL);
	reading_end(&reading);
	return failed ? EXIT_FAILED : EXIT_OK;
}

static int show_on(const struct wish *wish)
{
	struct reading readings[2];
	struct timespec pause = {.tv_sec = (time_t)wish->interval_secs};
	size_t round = 0;

	for (;; round++) {
		struct reading *now = &readings[round % 2],
			       *before = round > 0 ? &readings[(round + 1) % 2] : NULL;

		reading_take(now, wish->url);
		if (!show(wish, now, before))
			break;
		if (before)
			reading_end(before);
		nanosleep(&pause, NULL);
	}
	reading_end(&readings[0]);
	if (round > 0)
		reading_end(&readings[1]);
	return EXIT_FAILED;
}

int cli_status(int argc, char **argv)
{
	struct wish wish = {.interval_secs = INTERVAL_DEFAULT_SECS};
	const char *file = NULL, *interval = NULL;
	const struct cli_option options[] = {
		{.name = "config", .value = &file},       {.name = "url", .value = &wish.url},
		{.name = "once", .given = &wish.once},    {.name = "json", .given = &wish.json},
		{.name = "interval", .value = &interval},
	};
	int status = cli_read_options(argc, argv, help, options, sizeof(options) / sizeof(options[0]), NULL,
				      0, NULL);
	struct config config;
	struct arena arena;

	if (status != CLI_GO_ON)
		return status;
	if (interval && (!span_to_int64(span_of(interval), &wish.interval_secs) || wish.interval_secs < 1 ||
			 wish.interval_secs > INTERVAL_MAX_SECS))
		return cli_usage("status", "--interval takes 1 to %d seconds", INTERVAL_MAX_SECS);
	arena_init(&arena);
	if (!cli_load_config(&config, file)) {
		status = EXIT_FAILED;
	} else {
		if (!wish.url)
			wish.url = cli_url_of(&arena, config.admin_listen ? config.admin_listen : "", "");
		if (wish.url)
			status = wish.once ? show_once(&wish) : show_on(&wish);
		else
			status = cli_fail("`admin_listen` names no port to ask; give --url");
	}
	config_deinit(&config);
	arena_deinit(&arena);
	return status;
}
