#include "base/metrics.h"

static const struct {
	const char *name;
	const char *help; /* at the first counter of a name */
} descriptions[METRIC_COUNT] = {
#define X(id, name, help) {name, help},
	METRIC_COUNTERS(X)
#undef X
};

static unsigned long long sum(const struct metrics *const *workers, size_t count, size_t counter)
{
	unsigned long long total = 0;

	for (size_t i = 0; i < count; i++)
		total += atomic_load_explicit(&workers[i]->counters[counter], memory_order_relaxed);
	return total;
}

void metrics_write(const struct metrics *const *workers, size_t count, struct text *out)
{
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		const char *name = descriptions[i].name;
		int family_len = (int)strcspn(name, "{");

		if (descriptions[i].help) {
			text_addf(out, "# HELP %.*s %s\n", family_len, name, descriptions[i].help);
			text_addf(out, "# TYPE %.*s counter\n", family_len, name);
		}
		text_addf(out, "%s %llu\n", name, sum(workers, count, i));
	}
}
