/* The route table: patterns split once, matched segment by segment. */
#include <stdlib.h>

#include "http/exchange.h"

struct segment {
	struct span text; /* a parameter's without its colon */
	bool param;
};

struct pattern {
	const struct http_route *route;
	struct segment segments[HTTP_SEGMENTS_MAX];
	size_t count;
};

struct http_routes {
	size_t count;
	struct pattern patterns[];
};

/* Splits behind the leading slash. False if there are too many parts. */
static bool split(struct span path, struct span *parts, size_t *count)
{
	struct span rest = {path.p + 1, path.n - 1};

	for (*count = 0; rest.p != NULL; ++*count) {
		if (*count == HTTP_SEGMENTS_MAX)
			return false;
		parts[*count] = span_cut(&rest, '/');
	}
	return true;
}

static bool compile(struct pattern *pattern, const struct http_route *route)
{
	struct span parts[HTTP_SEGMENTS_MAX];
	size_t params = 0;

	if (route->pattern[0] != '/' || !split(span_of(route->pattern), parts, &pattern->count))
		return false;
	for (size_t i = 0; i < pattern->count; i++) {
		struct segment *segment = &pattern->segments[i];

		segment->param = parts[i].n > 1 && parts[i].p[0] == ':';
		segment->text = segment->param ? (struct span){parts[i].p + 1, parts[i].n - 1} : parts[i];
		params += segment->param;
	}
	pattern->route = route;
	return params <= HTTP_PARAMS_MAX;
}

struct http_routes *http_routes_new(const struct http_route *routes, size_t count)
{
	struct http_routes *table = xcalloc(1, sizeof(*table) + count * sizeof(table->patterns[0]));

	table->count = count;
	for (size_t i = 0; i < count; i++) {
		if (!compile(&table->patterns[i], &routes[i])) {
			http_routes_free(table);
			return NULL;
		}
	}
	return table;
}

void http_routes_free(struct http_routes *routes)
{
	free(routes);
}

/* A parameter takes any segment but an empty one. */
static bool fits(const struct pattern *pattern, const struct span *parts, size_t count)
{
	if (pattern->count != count)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct segment *segment = &pattern->segments[i];

		if (segment->param ? parts[i].n == 0 : !span_eq(segment->text, parts[i]))
			return false;
	}
	return true;
}

static void take(struct http_match *match, const struct pattern *pattern, const struct span *parts)
{
	match->route = pattern->route;
	match->param_count = 0;
	for (size_t i = 0; i < pattern->count; i++)
		if (pattern->segments[i].param)
			match->params[match->param_count++] =
				(struct http_param){pattern->segments[i].text, parts[i]};
}

void http_routes_match(const struct http_routes *routes, int method, struct span path,
		       struct http_match *match)
{
	const struct pattern *get = NULL;
	struct span parts[HTTP_SEGMENTS_MAX];
	size_t count;

	*match = (struct http_match){0};
	if (path.n == 0 || path.p[0] != '/' || !split(path, parts, &count))
		return;
	for (size_t i = 0; i < routes->count; i++) {
		const struct pattern *pattern = &routes->patterns[i];

		if (!fits(pattern, parts, count))
			continue;
		match->methods |= 1u << pattern->route->method;
		if (pattern->route->method == HTTP_GET && get == NULL)
			get = pattern;
		if ((int)pattern->route->method == method && match->route == NULL)
			take(match, pattern, parts);
	}
	if (get != NULL)
		match->methods |= 1u << HTTP_HEAD;
	if (match->route == NULL && method == HTTP_HEAD && get != NULL)
		take(match, get, parts);
}

unsigned http_routes_methods(const struct http_routes *routes)
{
	unsigned methods = 0;

	for (size_t i = 0; i < routes->count; i++)
		methods |= 1u << routes->patterns[i].route->method;
	if (methods & 1u << HTTP_GET)
		methods |= 1u << HTTP_HEAD;
	return methods;
}
