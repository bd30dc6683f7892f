#include "cli/samples.h"

#include <math.h>
#include <stdlib.h>

static bool read_line(struct span line, struct sample *sample)
{
	struct span value = line;
	const char *brace = memchr(line.p, '{', line.n);
	char number[64];

	if (line.n == 0 || line.p[0] == '#')
		return false;
	if (brace) {
		const char *end = line.p + line.n;

		while (end > brace && *--end != '}')
			;
		if (end == brace)
			return false;
		sample->name = (struct span){line.p, (size_t)(brace - line.p)};
		sample->labels = (struct span){brace + 1, (size_t)(end - brace - 1)};
		value = (struct span){end + 1, (size_t)(line.p + line.n - end - 1)};
		span_cut(&value, ' ');
	} else {
		sample->name = span_cut(&value, ' ');
		sample->labels = SPAN("");
	}
	if (!value.p || value.n == 0 || value.n >= sizeof(number))
		return false;
	memcpy(number, value.p, value.n);
	number[value.n] = '\0';
	sample->value = strtod(number, NULL);
	return true;
}

struct samples samples_read(struct arena *arena, struct span page)
{
	struct samples samples = {0};
	size_t lines = 1;

	for (size_t i = 0; i < page.n; i++)
		lines += page.p[i] == '\n';
	samples.list = arena_alloc(arena, lines * sizeof(*samples.list));
	while (page.p) {
		if (read_line(span_cut(&page, '\n'), &samples.list[samples.count]))
			samples.count++;
	}
	return samples;
}

static bool holds(struct span labels, const char *label)
{
	return label == NULL || (labels.n > 0 && memmem(labels.p, labels.n, label, strlen(label)) != NULL);
}

double samples_sum(const struct samples *samples, const char *name, const char *label, const char *also)
{
	double sum = 0;

	for (size_t i = 0; i < samples->count; i++) {
		const struct sample *sample = &samples->list[i];

		if (span_is(sample->name, name) && holds(sample->labels, label) &&
		    holds(sample->labels, also))
			sum += sample->value;
	}
	return sum;
}

struct span sample_label(const struct sample *sample, const char *name)
{
	struct span rest = sample->labels;

	while (rest.p && rest.n > 0) {
		struct span key = span_cut(&rest, '='), value;

		if (!rest.p || rest.n < 2 || rest.p[0] != '"')
			return SPAN_ABSENT;
		rest = (struct span){rest.p + 1, rest.n - 1};
		value = span_cut(&rest, '"');
		if (span_is(key, name))
			return value;
		span_cut(&rest, ',');
	}
	return SPAN_ABSENT;
}

/* Cumulative, of all series that the label fits. */
static double bucket(const struct samples *samples, struct span histogram, const char *label, struct span le)
{
	double sum = 0;

	for (size_t i = 0; samples && i < samples->count; i++) {
		const struct sample *sample = &samples->list[i];

		if (span_eq(sample->name, histogram) && holds(sample->labels, label) &&
		    span_eq(sample_label(sample, "le"), le))
			sum += sample->value;
	}
	return sum;
}

double samples_quantile(const struct samples *now, const struct samples *before, const char *histogram,
			const char *label, double q)
{
	struct span name = span_of(histogram), infinite = SPAN("+Inf");
	double total = bucket(now, name, label, infinite) - bucket(before, name, label, infinite);

	if (total <= 0)
		return -1;
	/* a series' buckets stand in the order of their bounds */
	for (size_t i = 0; i < now->count; i++) {
		const struct sample *sample = &now->list[i];
		struct span le;
		char number[32];

		if (!span_eq(sample->name, name) || !holds(sample->labels, label))
			continue;
		le = sample_label(sample, "le");
		if (span_eq(le, infinite) || le.n >= sizeof(number))
			return INFINITY;
		if (bucket(now, name, label, le) - bucket(before, name, label, le) < q * total)
			continue;
		memcpy(number, le.p, le.n);
		number[le.n] = '\0';
		return strtod(number, NULL);
	}
	return INFINITY;
}
