/* Counting, and the page in Prometheus's text format, version 0.0.4. */
#include "base/metrics.h"

#include <inttypes.h>
#include <stdio.h>

/* ── the tables ─────────────────────────────────────────────────────────────────────── */

struct description {
	const char *name; /* labels included */
	const char *help; /* at the first of a family */
};

static const struct description counters[] = {
#define X(id, name, help) {name, help},
	METRIC_COUNTERS(X)
#undef X
};
enum { PLAIN_COUNTERS = sizeof(counters) / sizeof(counters[0]) };
_Static_assert((int)PLAIN_COUNTERS == (int)METRIC_WEBHOOK_ACCEPTED,
	       "webhooks come behind the plain counters");

static const char *const webhook_results[METRIC_WEBHOOK_RESULT_COUNT] = {
#define X(id, result) result,
	METRIC_WEBHOOK_RESULTS(X)
#undef X
};

static const char *const webhook_events[METRIC_EVENT_COUNT] = {
	"unread", "post_call_transcription", "post_call_audio", "call_initiation_failure", "other",
};

static const struct {
	struct description d;
	enum metric_gauge_kind kind;
} gauges[GAUGE_COUNT] = {
#define X(id, kind, name, help) {{name, help}, GAUGE_##kind},
	METRIC_GAUGES(X)
#undef X
};

#define SECS INT64_C(1000000)
struct bounds {
	int64_t unit; /* what is observed, per what is shown */
	size_t count;
	int64_t upper[METRIC_BUCKETS_MAX - 1];
};
static const struct bounds TIMES = {SECS,
				    14,
				    {500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, SECS,
				     5 * SECS / 2, 5 * SECS, 10 * SECS}};
/* to the provider's last retry, and past it */
static const struct bounds LAGS = {SECS,
				   15,
				   {SECS / 2, SECS, 2 * SECS, 3 * SECS, 5 * SECS, 10 * SECS, 20 * SECS,
				    30 * SECS, 60 * SECS, 150 * SECS, 300 * SECS, 650 * SECS, 1800 * SECS,
				    3600 * SECS, 7200 * SECS}};
static const struct bounds SIZES = {1, 9, {1, 2, 3, 5, 8, 16, 32, 48, 64}};

static const struct {
	struct description d;
	const struct bounds *bounds;
} histograms[HISTOGRAM_COUNT] = {
#define X(id, bounds, name, help) {{name, help}, &(bounds)},
	METRIC_HISTOGRAMS(X)
#undef X
};

/* Those that we send; anything else is counted as the last. */
static const int statuses[METRIC_STATUS_MAX] = {200, 204, 206, 301, 302, 304, 308, 400, 401, 403,
						404, 405, 406, 408, 409, 411, 413, 414, 415, 416,
						422, 429, 431, 500, 501, 503, 504, 0};

const char *metric_event_name(enum metric_event event)
{
	return webhook_events[event];
}

/* ── counting ───────────────────────────────────────────────────────────────────────── */

static void bump(atomic_ullong *slot)
{
	atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static void observe(struct metric_buckets *buckets, const struct bounds *bounds, int64_t value)
{
	size_t i = 0;

	while (i < bounds->count && value > bounds->upper[i])
		i++;
	bump(&buckets->counts[i]);
	atomic_store_explicit(&buckets->sum,
			      atomic_load_explicit(&buckets->sum, memory_order_relaxed) + value,
			      memory_order_relaxed);
}

void metrics_observe(struct metrics *metrics, enum metric_histogram histogram, int64_t value)
{
	observe(&metrics->histograms[histogram], histograms[histogram].bounds, value < 0 ? 0 : value);
}

static size_t status_index(int status)
{
	size_t i = 0;

	while (i < METRIC_STATUS_MAX - 1 && statuses[i] != status)
		i++;
	return i;
}

void metrics_request(struct metrics *metrics, size_t route, size_t method, int status, int64_t duration_us)
{
	struct metric_route *slot =
		&metrics->routes[route < METRIC_ROUTES_MAX ? route : METRIC_ROUTES_MAX - 1];

	bump(&slot->requests[method < METRIC_METHODS_MAX ? method : METRIC_METHODS_MAX - 1]
			    [status_index(status)]);
	if (duration_us >= 0)
		observe(&slot->seconds, &TIMES, duration_us);
}

/* ── the page ───────────────────────────────────────────────────────────────────────── */

struct page {
	const struct metrics *const *sets;
	size_t count;
	const struct metric_names *names;
	struct text *out;
};

/* Members of struct metrics, by their place in it. */
#define AT(set, offset, type) ((const type *)(const void *)((const char *)(set) + (offset)))

static unsigned long long total(const struct page *page, size_t offset)
{
	unsigned long long sum = 0;

	for (size_t i = 0; i < page->count; i++)
		sum += atomic_load_explicit(AT(page->sets[i], offset, atomic_ullong), memory_order_relaxed);
	return sum;
}

static int64_t total_signed(const struct page *page, size_t offset)
{
	int64_t sum = 0;

	for (size_t i = 0; i < page->count; i++)
		sum += atomic_load_explicit(AT(page->sets[i], offset, atomic_llong), memory_order_relaxed);
	return sum;
}

static void write_head(const struct page *page, const struct description *d, const char *type)
{
	int family_len = (int)strcspn(d->name, "{");

	if (d->help)
		text_addf(page->out, "# HELP %.*s %s\n# TYPE %.*s %s\n", family_len, d->name, d->help,
			  family_len, d->name, type);
}

static void write_counters(const struct page *page)
{
	for (size_t i = 0; i < PLAIN_COUNTERS; i++) {
		write_head(page, &counters[i], "counter");
		text_addf(page->out, "%s %llu\n", counters[i].name,
			  total(page, offsetof(struct metrics, counters) + i * sizeof(atomic_ullong)));
	}
}

/* Zeros too: an alert on a rate needs a first value. What was not read can only be bad or refused. */
static void write_webhooks(const struct page *page)
{
	write_head(page, &(struct description){"debrief_webhooks_total", "Webhooks by event and result."},
		   "counter");
	for (size_t event = 0; event < METRIC_EVENT_COUNT; event++)
		for (size_t result = 0; result < METRIC_WEBHOOK_RESULT_COUNT; result++)
			text_addf(page->out, "debrief_webhooks_total{type=\"%s\",result=\"%s\"} %llu\n",
				  webhook_events[event], webhook_results[result],
				  total(page, offsetof(struct metrics, counters) +
						      (METRIC_WEBHOOK_ACCEPTED +
						       event * METRIC_WEBHOOK_RESULT_COUNT + result) *
							      sizeof(atomic_ullong)));
}

static int64_t gauge_time(const struct page *page, size_t gauge, bool latest)
{
	int64_t found = 0;

	for (size_t i = 0; i < page->count; i++) {
		int64_t at = atomic_load_explicit(&page->sets[i]->gauges[gauge], memory_order_relaxed);

		if (at > 0 && (found == 0 || (latest ? at > found : at < found)))
			found = at;
	}
	return found;
}

static void write_gauges(const struct page *page, int64_t now_ms)
{
	for (size_t i = 0; i < GAUGE_COUNT; i++) {
		int64_t at;

		write_head(page, &gauges[i].d, "gauge");
		text_addf(page->out, "%s ", gauges[i].d.name);
		switch (gauges[i].kind) {
		case GAUGE_SUM:
			text_addf(page->out, "%" PRId64 "\n",
				  total_signed(page,
					       offsetof(struct metrics, gauges) + i * sizeof(atomic_llong)));
			break;
		case GAUGE_AGE:
			at = gauge_time(page, i, false);
			text_addf(page->out, "%.3f\n",
				  at > 0 && at < now_ms ? (double)(now_ms - at) / 1e3 : 0.0);
			break;
		case GAUGE_TIME:
			text_addf(page->out, "%.3f\n", (double)gauge_time(page, i, true) / 1e3);
			break;
		}
	}
}

/* `labels`: "route=\"…\"" or "". The parts are at these places in the sets, to be added up. */
static void write_buckets(const struct page *page, const char *name, struct span labels,
			  const struct bounds *bounds, const size_t *offsets, size_t offset_count)
{
	const char *comma = labels.n ? "," : "";
	const char *open = labels.n ? "{" : "", *close = labels.n ? "}" : "";
	unsigned long long count = 0;
	int64_t sum = 0;
	int name_len = (int)strcspn(name, "{");

	for (size_t i = 0; i <= bounds->count; i++) {
		for (size_t k = 0; k < offset_count; k++)
			count += total(page, offsets[k] + offsetof(struct metric_buckets, counts) +
						     i * sizeof(atomic_ullong));
		text_addf(page->out, "%.*s_bucket{%.*s%sle=", name_len, name, SPAN_ARG(labels), comma);
		if (i < bounds->count)
			text_addf(page->out, "\"%g\"", (double)bounds->upper[i] / (double)bounds->unit);
		else
			text_add(page->out, SPAN("\"+Inf\""));
		text_addf(page->out, "} %llu\n", count);
	}
	for (size_t k = 0; k < offset_count; k++)
		sum += total_signed(page, offsets[k] + offsetof(struct metric_buckets, sum));
	text_addf(page->out, "%.*s_sum%s%.*s%s %.*f\n", name_len, name, open, SPAN_ARG(labels), close,
		  bounds->unit == 1 ? 0 : 6, (double)sum / (double)bounds->unit);
	text_addf(page->out, "%.*s_count%s%.*s%s %llu\n", name_len, name, open, SPAN_ARG(labels), close,
		  count);
}

static void write_histograms(const struct page *page)
{
	for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
		struct span labels = span_of(histograms[i].d.name);
		size_t offset = offsetof(struct metrics, histograms) + i * sizeof(struct metric_buckets);

		span_cut(&labels, '{');
		if (labels.n > 0)
			labels.n--; /* the brace */
		write_head(page, &histograms[i].d, "histogram");
		write_buckets(page, histograms[i].d.name, labels, histograms[i].bounds, &offset, 1);
	}
}

/* ── requests ───────────────────────────────────────────────────────────────────────── */

static const char *route_name(const struct page *page, size_t route)
{
	return route < page->names->route_count ? page->names->routes[route] : "other";
}

/* Several entries of the table may be one path: the first writes for all. Returns their number, 0 if
 * `route` is not the first. */
static size_t routes_of_name(const struct page *page, size_t route, size_t *members)
{
	const char *name = route_name(page, route);
	size_t count = 0;

	for (size_t i = 0; i < METRIC_ROUTES_MAX; i++) {
		if (strcmp(route_name(page, i), name) != 0)
			continue;
		if (i < route)
			return 0;
		members[count++] = i;
	}
	return count;
}

static void write_route_requests(const struct page *page, size_t route, const size_t *members, size_t count)
{
	for (size_t method = 0; method < METRIC_METHODS_MAX; method++) {
		for (size_t status = 0; status < METRIC_STATUS_MAX; status++) {
			unsigned long long n = 0;

			for (size_t i = 0; i < count; i++)
				n += total(page, offsetof(struct metrics, routes) +
							 members[i] * sizeof(struct metric_route) +
							 (method * METRIC_STATUS_MAX + status) *
								 sizeof(atomic_ullong));
			if (n == 0)
				continue;
			text_addf(page->out, "debrief_http_requests_total{route=\"%s\",method=\"%s\",code=\"",
				  route_name(page, route), page->names->methods[method]);
			if (status < METRIC_STATUS_MAX - 1)
				text_addf(page->out, "%d\"} %llu\n", statuses[status], n);
			else
				text_addf(page->out, "other\"} %llu\n", n);
		}
	}
}

static void write_route_seconds(const struct page *page, size_t route, const size_t *members, size_t count)
{
	char label[256];
	size_t offsets[METRIC_ROUTES_MAX];

	for (size_t i = 0; i < count; i++)
		offsets[i] = offsetof(struct metrics, routes) + members[i] * sizeof(struct metric_route) +
			     offsetof(struct metric_route, seconds);
	snprintf(label, sizeof(label), "route=\"%s\"", route_name(page, route));
	write_buckets(page, "debrief_http_request_duration_seconds", span_of(label), &TIMES, offsets, count);
}

static void write_routes(const struct page *page)
{
	size_t members[METRIC_ROUTES_MAX], count;

	write_head(page, &(struct description){"debrief_http_requests_total", "Requests answered."},
		   "counter");
	for (size_t route = 0; route < METRIC_ROUTES_MAX; route++)
		if ((count = routes_of_name(page, route, members)) > 0)
			write_route_requests(page, route, members, count);
	write_head(page,
		   &(struct description){
			   "debrief_http_request_duration_seconds",
			   "From a request's last byte to its reply; without those that were held back."},
		   "histogram");
	for (size_t route = 0; route < METRIC_ROUTES_MAX; route++)
		if ((count = routes_of_name(page, route, members)) > 0)
			write_route_seconds(page, route, members, count);
}

void metrics_write(const struct metrics *const *sets, size_t count, const struct metric_names *names,
		   int64_t now_ms, struct text *out)
{
	struct page page = {sets, count, names, out};

	write_routes(&page);
	write_webhooks(&page);
	write_counters(&page);
	write_histograms(&page);
	write_gauges(&page, now_ms);
}
