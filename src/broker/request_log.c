#include "broker/request_log.h"

#include "base/clock.h"
#include "broker/handlers.h"
#include "broker/worker.h"

/* Polls, probes and files come by the thousand and say nothing while they go well. */
static bool is_sampled(const struct request *req)
{
	return req->status < 400 && req->route &&
	       (strstr(req->route, "/by-session/") || strstr(req->route, "yz") || strcmp(req->route, "web_root") == 0);
}

static void add(struct text *line, const char *key, const char *value)
{
	char quoted[512];

	if (value && value[0] != '\0')
		TEXT_ADD(line, SPAN(" "), span_of(key), SPAN("="),
			 span_of(log_quote(quoted, sizeof(quoted), span_of(value))));
}

static struct span thousandths(int64_t number, char digits[3])
{
	for (int i = 2; i >= 0; i--, number /= 10)
		digits[i] = (char)('0' + number % 10);
	return (struct span){digits, 3};
}

static void write_line(struct request *req, int64_t duration_us)
{
	struct text line;

	text_init(&line, &req->job.arena, 512);
	TEXT_ADD(&line, SPAN("status="), SPAN_DIGITS(req->status), SPAN(" duration_ms="), SPAN_DIGITS(duration_us / 1000),
		 SPAN("."), thousandths(duration_us, (char[3]){0}));
	add(&line, "route", req->route);
	add(&line, "request_id", req->request_id);
	add(&line, "trace_id", req->trace.trace_id);
	add(&line, "parent_id", req->trace.parent_id);
	add(&line, "peer", request_peer(req));
	add(&line, "client", request_forwarded(req));
	if (req->event != EVENT_UNREAD)
		add(&line, "type", metric_event_name((enum metric_event)req->event));
	add(&line, "user", req->user);
	add(&line, "session", req->session);
	add(&line, "conversation", req->conversation);
	add(&line, "evidence", req->evidence);
	add(&line, "note", req->note);
	log_event(req->status >= 500 ? LOG_WARN : LOG_INFO, "request", "%.*s", SPAN_ARG(text_span(&line)));
}

void request_log(struct request *req)
{
	struct worker *worker = worker_of(req);
	int64_t duration_us = clock_monotonic_us() - req->started_us;

	metrics_request(&worker->metrics, req->route_at, (size_t)req->method, req->status, req->held ? -1 : duration_us);
	if (!log_enabled(req->status >= 500 ? LOG_WARN : LOG_INFO))
		return;
	if (is_sampled(req) && worker->polls_logged++ % (uint64_t)worker->config->log_sample != 0)
		return;
	write_line(req, duration_us);
}

void request_log_refused(void *app, const struct http_refusal *refusal)
{
	struct worker *worker = app;

	metrics_request(&worker->metrics, SIZE_MAX, HTTP_METHODS, refusal->status, -1);
	if (refusal->status == 401) /* only webhooks are refused so, before their bodies */
		metrics_count(&worker->metrics, metric_of_event(METRIC_WEBHOOK_BAD_SIGNATURE, EVENT_UNREAD));
	log_event(LOG_INFO, "request", "status=%d request_id=%s peer=%s note=%s", refusal->status, refusal->request_id,
		  refusal->peer, LOG_TEXT(span_of(refusal->detail)));
}
