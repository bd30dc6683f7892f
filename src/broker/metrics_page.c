/* GET /metrics: all workers' sets, and what is known of the process, in Prometheus's text format. */
#include "config.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/health.h"
#include "broker/routes.h"
#include "broker/worker.h"

static const char *const method_names[METRIC_METHODS_MAX] = {"GET",    "HEAD",  "POST",    "PUT",
							     "DELETE", "PATCH", "OPTIONS", "other"};
_Static_assert(HTTP_METHODS == METRIC_METHODS_MAX - 1, "the names above are those of enum http_method");

static void write_gauge(struct text *out, const char *name, const char *help, double value)
{
	text_addf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %.17g\n", name, help, name, name, value);
}

static void write_stores(const struct admin *admin, struct text *out)
{
	size_t redis = 0, ledger = 0;

	for (size_t i = 0; i < admin->worker_count; i++) {
		redis += admin->workers[i]->redis_up;
		ledger += admin->workers[i]->ledger_up;
	}
	text_addf(out,
		  "# HELP debrief_store_up Whether every worker reaches the store.\n"
		  "# TYPE debrief_store_up gauge\n"
		  "debrief_store_up{store=\"redis\"} %d\ndebrief_store_up{store=\"ledger\"} %d\n",
		  redis == admin->worker_count, ledger == admin->worker_count);
}

static void write_build(struct text *out)
{
	text_addf(out,
		  "# HELP debrief_build_info What runs here.\n"
		  "# TYPE debrief_build_info gauge\n"
		  "debrief_build_info{version=\"%s\"} 1\n",
		  PACKAGE_VERSION);
}

/* The names that Prometheus's own client libraries use. */
static void write_process(int64_t started_ms, struct text *out)
{
	struct rusage usage;
	struct rlimit files;
	FILE *statm = fopen("/proc/self/statm", "re");
	unsigned long long pages, resident;

	write_gauge(out, "process_start_time_seconds", "When this process started.",
		    (double)started_ms / 1e3);
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		text_addf(out,
			  "# HELP process_cpu_seconds_total Processor time used.\n"
			  "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n",
			  (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				  (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		write_gauge(out, "process_max_fds", "Descriptors that may be open.", (double)files.rlim_cur);
	if (!statm)
		return;
	/* The kernel writes it. NOLINTNEXTLINE(cert-err34-c) */
	if (fscanf(statm, "%llu %llu", &pages, &resident) == 2)
		write_gauge(out, "process_resident_memory_bytes", "Memory in use.",
			    (double)resident * (double)sysconf(_SC_PAGESIZE));
	fclose(statm);
}

enum step admin_metrics_start(struct request *req)
{
	struct admin *admin = request_app(req);
	struct arena *arena = &req->job.arena;
	const struct metrics **sets = arena_alloc(arena, admin->worker_count * sizeof(*sets));
	struct metric_names names = {.methods = method_names};
	const struct http_route *routes = routes_public(&names.route_count);
	const char **patterns = arena_alloc(arena, names.route_count * sizeof(*patterns));
	struct text body;

	for (size_t i = 0; i < admin->worker_count; i++)
		sets[i] = &admin->workers[i]->metrics;
	for (size_t i = 0; i < names.route_count; i++)
		patterns[i] = routes[i].pattern;
	names.routes = patterns;
	text_init(&body, arena, 64 << 10);
	metrics_write(sets, admin->worker_count, &names, clock_wall_ms(), &body);
	write_stores(admin, &body);
	write_gauge(&body, "debrief_draining", "Whether this node is stopping.", admin->draining);
	write_build(&body);
	write_process(admin->started_ms, &body);
	return reply_body(req, 200, "text/plain; version=0.0.4; charset=utf-8", text_span(&body));
}
