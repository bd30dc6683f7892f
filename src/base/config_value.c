/* Values of options: from text to fields of struct config, and back. */
#include "base/config_options.h"

#include <inttypes.h>
#include <stdlib.h>

static const struct {
	const char *suffix;
	int64_t bytes;
} units[] = {{"GiB", INT64_C(1) << 30}, {"MiB", INT64_C(1) << 20}, {"KiB", INT64_C(1) << 10}};
enum { UNIT_COUNT = sizeof(units) / sizeof(units[0]) };

static void *field(const struct config_option *option, struct config *config)
{
	return (char *)config + option->offset;
}

static const void *field_const(const struct config_option *option, const struct config *config)
{
	return (const char *)config + option->offset;
}

static char *copy_string(struct span s)
{
	char *copy = xmalloc(s.n + 1);

	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

static void free_string(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void option_clear(const struct config_option *option, struct config *config)
{
	if (option->kind == OPTION_STRING) {
		char **string = field(option, config);

		free_string(*string);
		*string = NULL;
	} else if (option->kind == OPTION_LIST) {
		struct config_list *list = field(option, config);

		for (size_t i = 0; i < list->count; i++)
			free_string(list->items[i]);
		free(list->items);
		*list = (struct config_list){0};
	}
}

static void set_list(struct config_list *list, struct span text)
{
	while (text.p) {
		struct span item = span_trim(span_cut(&text, ','));

		if (item.n == 0)
			continue;
		list->items = xrealloc(list->items, (list->count + 1) * sizeof(*list->items));
		list->items[list->count++] = copy_string(item);
	}
}

static bool ends_with(struct span s, const char *suffix)
{
	size_t n = strlen(suffix);

	return s.n >= n && memcmp(s.p + s.n - n, suffix, n) == 0;
}

static bool parse_size(struct span text, int64_t *bytes)
{
	int64_t unit = 1;

	for (size_t i = 0; i < UNIT_COUNT; i++) {
		if (ends_with(text, units[i].suffix)) {
			unit = units[i].bytes;
			text.n -= strlen(units[i].suffix);
			text = span_trim(text);
			break;
		}
	}
	return span_to_int64(text, bytes) && !__builtin_mul_overflow(*bytes, unit, bytes);
}

static bool parse_bool(struct span text, bool *value)
{
	static const char *const on[] = {"on", "true", "yes"};
	static const char *const off[] = {"off", "false", "no"};

	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++) {
		if (span_ieq(text, span_of(on[i])) || span_ieq(text, span_of(off[i]))) {
			*value = span_ieq(text, span_of(on[i]));
			return true;
		}
	}
	return false;
}

static bool parse_enum(const char *const *names, struct span text, int *value)
{
	for (int i = 0; names[i]; i++) {
		if (span_is(text, names[i])) {
			*value = i;
			return true;
		}
	}
	return false;
}

static void add_size(struct text *text, int64_t bytes)
{
	for (size_t i = 0; i < UNIT_COUNT; i++) {
		if (bytes > 0 && bytes % units[i].bytes == 0) {
			text_addf(text, "%" PRId64 " %s", bytes / units[i].bytes, units[i].suffix);
			return;
		}
	}
	text_addf(text, "%" PRId64, bytes);
}

static void add_accepted(const struct config_option *option, struct text *out)
{
	switch (option->kind) {
	case OPTION_STRING:
	case OPTION_LIST:
		text_addf(out, "at least %" PRId64 " bytes", option->min);
		break;
	case OPTION_INT:
		text_addf(out, "a whole number from %" PRId64 " to %" PRId64, option->min, option->max);
		break;
	case OPTION_SIZE:
		text_add(out, SPAN("bytes, or a number of KiB, MiB or GiB, from "));
		add_size(out, option->min);
		text_add(out, SPAN(" to "));
		add_size(out, option->max);
		break;
	case OPTION_BOOL:
		text_add(out, SPAN("on, true, yes, off, false or no"));
		break;
	case OPTION_ENUM:
		for (int i = 0; option->names[i]; i++)
			text_addf(out, "%s%s", i == 0 ? "" : option->names[i + 1] ? ", " : " or ", option->names[i]);
		break;
	}
}

/* "log_level = loud: debug, info, warn or error is accepted" */
static void describe_refusal(const struct config_option *option, struct span text, char *error, size_t error_size)
{
	struct arena arena;
	struct text accepted;
	char shown[64] = "";

	arena_init(&arena);
	text_init(&accepted, &arena, 128);
	add_accepted(option, &accepted);
	if (option->secret)
		snprintf(shown, sizeof(shown), "a value of %zu bytes", text.n);
	else
		log_quote(shown, sizeof(shown), text);
	snprintf(error, error_size, "%s: %s is not accepted; it takes %.*s", option->name, shown,
		 SPAN_ARG(text_span(&accepted)));
	arena_deinit(&arena);
}

static bool parse(const struct config_option *option, struct config *config, struct span text)
{
	int64_t number;

	switch (option->kind) {
	case OPTION_STRING:
		if (text.n < (size_t)option->min)
			return false;
		option_clear(option, config);
		*(char **)field(option, config) = copy_string(text);
		return true;
	case OPTION_LIST:
		option_clear(option, config);
		set_list(field(option, config), text);
		return true;
	case OPTION_INT:
	case OPTION_SIZE:
		if (option->kind == OPTION_INT ? !span_to_int64(text, &number) : !parse_size(text, &number))
			return false;
		if (number < option->min || number > option->max)
			return false;
		*(int64_t *)field(option, config) = number;
		return true;
	case OPTION_BOOL:
		return parse_bool(text, field(option, config));
	case OPTION_ENUM:
		return parse_enum(option->names, text, field(option, config));
	}
	return false;
}

bool option_set(const struct config_option *option, struct config *config, struct span text, char *error,
		size_t error_size)
{
	if (text.n == 0) {
		option_clear(option, config);
		return !option->value || parse(option, config, span_of(option->value));
	}
	for (size_t i = 0; i < text.n; i++) {
		if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f) {
			snprintf(error, error_size, "%s: the value holds a control character", option->name);
			return false;
		}
	}
	if (parse(option, config, text))
		return true;
	describe_refusal(option, text, error, error_size);
	return false;
}

bool option_is_set(const struct config_option *option, const struct config *config)
{
	const void *value = field_const(option, config);

	if (option->kind == OPTION_STRING)
		return *(char *const *)value != NULL;
	if (option->kind == OPTION_LIST)
		return ((const struct config_list *)value)->count > 0;
	return true;
}

void option_add_value(const struct config_option *option, const struct config *config, struct text *out)
{
	const void *value = field_const(option, config);
	const struct config_list *list = value;

	switch (option->kind) {
	case OPTION_STRING:
		text_add(out, span_of(*(char *const *)value));
		break;
	case OPTION_LIST:
		for (size_t i = 0; i < list->count; i++)
			text_addf(out, "%s%s", i == 0 ? "" : ", ", list->items[i]);
		break;
	case OPTION_INT:
		text_addf(out, "%" PRId64, *(const int64_t *)value);
		break;
	case OPTION_SIZE:
		add_size(out, *(const int64_t *)value);
		break;
	case OPTION_BOOL:
		text_addf(out, "%s", *(const bool *)value ? "on" : "off");
		break;
	case OPTION_ENUM:
		text_addf(out, "%s", option->names[*(const int *)value]);
		break;
	}
}
