#include "cli/status_table.h"

#include <math.h>

#include "base/json.h"

struct table {
	FILE *out;
	const struct reading *now, *before;
	double secs; /* that rates are over */
	bool colour;
};

static const struct samples *samples_before(const struct table *t)
{
	return t->before ? &t->before->samples : NULL;
}

static double total(const struct table *t, const char *name, const char *label)
{
	return samples_sum(&t->now->samples, name, label, NULL);
}

static double grown(const struct table *t, const char *name, const char *label, const char *also)
{
	double before = t->before ? samples_sum(&t->before->samples, name, label, also) : 0;

	return samples_sum(&t->now->samples, name, label, also) - before;
}

static double rate(const struct table *t, const char *name, const char *label)
{
	return t->secs > 0 ? grown(t, name, label, NULL) / t->secs : 0;
}

/* ── values as text ─────────────────────────────────────────────────────────────────── */

static const char *duration(double secs, char out[32])
{
	if (isinf(secs))
		snprintf(out, 32, "more");
	else if (secs < 0)
		snprintf(out, 32, "-");
	else if (secs < 1)
		snprintf(out, 32, "%g ms", secs * 1e3);
	else if (secs < 120)
		snprintf(out, 32, "%.0f s", secs);
	else if (secs < 7200)
		snprintf(out, 32, "%.0f min", secs / 60);
	else if (secs < 172800)
		snprintf(out, 32, "%.1f h", secs / 3600);
	else
		snprintf(out, 32, "%.1f d", secs / 86400);
	return out;
}

static const char *bytes(double n, char out[32])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	while (n >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		n /= 1024;
		unit++;
	}
	snprintf(out, 32, unit == 0 ? "%.0f %s" : "%.1f %s", n, units[unit]);
	return out;
}

static void print_coloured(const struct table *t, bool good, const char *text)
{
	if (t->colour)
		fprintf(t->out, "\033[%dm%s\033[0m", good ? 32 : 31, text);
	else
		fputs(text, t->out);
}

/* A count that should be 0. */
static void print_bad(const struct table *t, const char *label, double n)
{
	char text[64];

	snprintf(text, sizeof(text), "%s %.0f", label, n);
	if (n > 0)
		print_coloured(t, false, text);
	else
		fputs(text, t->out);
}

/* ── the lines ──────────────────────────────────────────────────────────────────────── */

static void print_head(const struct table *t, const char *url)
{
	bool ready = span_is(json_member(t->now->ready, "ready"), "true");
	bool draining = span_is(json_member(t->now->ready, "draining"), "true");
	double started = total(t, "process_start_time_seconds", NULL);
	char up[32];

	fprintf(t->out, "%s  ", url);
	print_coloured(t, ready, draining ? "draining" : ready ? "ready" : "not ready");
	fprintf(t->out, ", up %s\n", duration((double)t->now->at_ms / 1e3 - started, up));
}

static void print_stores(const struct table *t)
{
	static const char *const stores[] = {"redis", "ledger"};
	char label[32], p99[32];

	fprintf(t->out, "stores     ");
	for (size_t i = 0; i < 2; i++) {
		bool up;

		snprintf(label, sizeof(label), "store=\"%s\"", stores[i]);
		up = total(t, "debrief_store_up", label) > 0;
		fprintf(t->out, "%s ", stores[i]);
		print_coloured(t, up, up ? "up" : "away");
		fputs("   ", t->out);
	}
	fprintf(t->out, "commits %.1f/s, p99 <= %s\n",
		rate(t, "debrief_ledger_batch_seconds_count", "kind=\"write\""),
		duration(samples_quantile(&t->now->samples, samples_before(t),
					  "debrief_ledger_batch_seconds_bucket", "kind=\"write\"", 0.99),
			 p99));
}

static void print_route(const struct table *t, struct span route)
{
	char label[256], p50[32], p99[32];
	double refused = 0, failed = 0;

	snprintf(label, sizeof(label), "route=\"%.*s\"", SPAN_ARG(route));
	if (total(t, "debrief_http_requests_total", label) == 0)
		return;
	for (size_t i = 0; i < t->now->samples.count; i++) {
		const struct sample *sample = &t->now->samples.list[i];
		struct span code = sample_label(sample, "code");

		if (!span_is(sample->name, "debrief_http_requests_total") ||
		    !span_eq(sample_label(sample, "route"), route) || code.n == 0)
			continue;
		refused += code.p[0] == '4' ? sample->value : 0;
		failed += code.p[0] == '5' ? sample->value : 0;
	}
	fprintf(t->out, "  %-38.*s %9.1f %9s %9s %9.0f ", SPAN_ARG(route),
		rate(t, "debrief_http_requests_total", label),
		duration(samples_quantile(&t->now->samples, samples_before(t),
					  "debrief_http_request_duration_seconds_bucket", label, 0.5),
			 p50),
		duration(samples_quantile(&t->now->samples, samples_before(t),
					  "debrief_http_request_duration_seconds_bucket", label, 0.99),
			 p99),
		refused);
	print_bad(t, "", failed);
	fputc('\n', t->out);
}

static void print_routes(const struct table *t)
{
	fprintf(t->out, "\n  %-38s %9s %9s %9s %9s %s\n", "route", "per s", "p50 <=", "p99 <=", "4xx", "5xx");
	for (size_t i = 0; i < t->now->samples.count; i++)
		if (span_is(t->now->samples.list[i].name, "debrief_http_request_duration_seconds_count"))
			print_route(t, sample_label(&t->now->samples.list[i], "route"));
	fputc('\n', t->out);
}

static void print_webhooks(const struct table *t)
{
	static const char *const bad[] = {"bad_signature", "malformed", "rejected", "unavailable"};
	char label[48], lag[32], readable[32];

	fprintf(t->out, "webhooks   accepted %.0f (%.1f/s)   duplicate %.0f   ignored %.0f",
		total(t, "debrief_webhooks_total", "result=\"accepted\""),
		rate(t, "debrief_webhooks_total", "result=\"accepted\""),
		total(t, "debrief_webhooks_total", "result=\"duplicate\""),
		total(t, "debrief_webhooks_total", "result=\"ignored\""));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(label, sizeof(label), "result=\"%s\"", bad[i]);
		fputs("   ", t->out);
		print_bad(t, bad[i], total(t, "debrief_webhooks_total", label));
	}
	fprintf(t->out,
		"\n           half of them within %s of their event, half of the results readable within %s "
		"of the call\n",
		duration(samples_quantile(&t->now->samples, samples_before(t),
					  "debrief_webhook_lag_seconds_bucket", NULL, 0.5),
			 lag),
		duration(samples_quantile(&t->now->samples, samples_before(t),
					  "debrief_result_lag_seconds_bucket", NULL, 0.5),
			 readable));
}

static void print_links(const struct table *t)
{
	static const char *const evidence[] = {"session_id", "conversation_id", "window", "fallback"};
	char label[48];

	fprintf(t->out, "links      ");
	for (size_t i = 0; i < sizeof(evidence) / sizeof(evidence[0]); i++) {
		snprintf(label, sizeof(label), "evidence=\"%s\"", evidence[i]);
		fprintf(t->out, "%s %.0f   ", evidence[i], total(t, "debrief_links_total", label));
	}
	fprintf(t->out, "moved %.0f\n", total(t, "debrief_links_moved_total", NULL));
}

static void print_waiting(const struct table *t)
{
	char pending[32], unmatched[32], undecided[32];

	fprintf(t->out,
		"waiting    sessions %.0f (oldest %s)   conversations %.0f (%s)   undecided %.0f (%s)   ",
		total(t, "debrief_pending_sessions", NULL),
		duration(total(t, "debrief_pending_sessions_oldest_age_seconds", NULL), pending),
		total(t, "debrief_unmatched_conversations", NULL),
		duration(total(t, "debrief_unmatched_conversations_oldest_age_seconds", NULL), unmatched),
		total(t, "debrief_undecided_facts", NULL),
		duration(total(t, "debrief_undecided_facts_oldest_age_seconds", NULL), undecided));
	print_bad(t, "missing", total(t, "debrief_missing_sessions", NULL));
	fputc('\n', t->out);
}

static void print_journal(const struct table *t)
{
	char size[32], age[32];

	fprintf(t->out, "journal    %.0f facts, %s, oldest %s\n", total(t, "debrief_journal_entries", NULL),
		bytes(total(t, "debrief_journal_bytes", NULL), size),
		duration(total(t, "debrief_journal_oldest_age_seconds", NULL), age));
}

static void print_memory(const struct table *t)
{
	static const char *const caches[] = {"tokens", "views", "results"};
	char label[32], resident[32];

	fprintf(t->out, "hits       ");
	for (size_t i = 0; i < sizeof(caches) / sizeof(caches[0]); i++) {
		double hits, reads;

		snprintf(label, sizeof(label), "cache=\"%s\"", caches[i]);
		hits = grown(t, "debrief_cache_reads_total", label, "result=\"hit\"");
		reads = grown(t, "debrief_cache_reads_total", label, NULL);
		if (reads > 0)
			fprintf(t->out, "%s %.1f %%   ", caches[i], 100 * hits / reads);
		else
			fprintf(t->out, "%s -   ", caches[i]);
	}
	fprintf(t->out, "\nclients    %.0f connections, %.0f of them parked\n",
		total(t, "debrief_http_connections", NULL), total(t, "debrief_parked_clients", NULL));
	fprintf(t->out, "process    %.1f %% of a processor, %s\n",
		100 * rate(t, "process_cpu_seconds_total", NULL),
		bytes(total(t, "process_resident_memory_bytes", NULL), resident));
}

void status_print_table(FILE *out, const char *url, const struct reading *now, const struct reading *before,
			bool colour)
{
	struct table table = {.out = out, .now = now, .before = before, .colour = colour};

	if (now->error) {
		fprintf(out, "%s  ", url);
		print_coloured(&table, false, now->error);
		fputc('\n', out);
		return;
	}
	/* a node that was started again counts from 0 */
	if (before &&
	    (before->error || samples_sum(&before->samples, "process_start_time_seconds", NULL, NULL) !=
				      samples_sum(&now->samples, "process_start_time_seconds", NULL, NULL)))
		table.before = NULL;
	table.secs = table.before
			     ? (double)(now->at_ms - table.before->at_ms) / 1e3
			     : (double)now->at_ms / 1e3 - total(&table, "process_start_time_seconds", NULL);
	print_head(&table, url);
	print_stores(&table);
	print_routes(&table);
	print_webhooks(&table);
	print_links(&table);
	print_waiting(&table);
	print_journal(&table);
	print_memory(&table);
}
