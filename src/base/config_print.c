/* The configuration shown: as a table of options, as INI, as JSON. */
#include "base/config_options.h"

#include <inttypes.h>

void config_print_options(FILE *out)
{
	char variable[OPTION_VARIABLE_MAX];

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct config_option *option = &option_table[i];

		option_variable(option, option->secret ? "[_FILE]" : "", variable);
		fprintf(out, "%s (%s; default: %s)\n    %s\n", option->name, variable,
			option->value ? option->value : "none", option->help);
	}
}

void config_print(const struct config *config, FILE *out)
{
	struct arena arena;

	arena_init(&arena);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct config_option *option = &option_table[i];
		struct text value;

		if (!option_is_set(option, config)) {
			fprintf(out, "# %s =\n", option->name);
		} else if (option->secret) {
			fprintf(out, "%s = (set)\n", option->name);
		} else {
			text_init(&value, &arena, 64);
			option_add_value(option, config, &value);
			fprintf(out, "%s = %.*s\n", option->name, SPAN_ARG(text_span(&value)));
		}
	}
	arena_deinit(&arena);
}

static void add_json_list(const struct config_list *list, struct text *out)
{
	text_addc(out, '[');
	for (size_t i = 0; i < list->count; i++) {
		if (i > 0)
			text_addc(out, ',');
		text_add_json(out, span_of(list->items[i]));
	}
	text_addc(out, ']');
}

static void add_json_value(const struct config_option *option, const struct config *config, struct text *out)
{
	const void *value = (const char *)config + option->offset;

	switch (option->kind) {
	case OPTION_STRING:
		text_add_json(out, span_of(*(char *const *)value));
		break;
	case OPTION_LIST:
		add_json_list(value, out);
		break;
	case OPTION_INT:
	case OPTION_SIZE:
		text_addf(out, "%" PRId64, *(const int64_t *)value);
		break;
	case OPTION_BOOL:
		text_addf(out, "%s", *(const bool *)value ? "true" : "false");
		break;
	case OPTION_ENUM:
		text_add_json(out, span_of(option->names[*(const int *)value]));
		break;
	}
}

void config_add_json(const struct config *config, struct text *out)
{
	text_addc(out, '{');
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct config_option *option = &option_table[i];

		text_addf(out, "%s\"%s\":", i == 0 ? "" : ",", option->name);
		if (!option->secret)
			add_json_value(option, config, out);
		else
			text_add(out, option_is_set(option, config) ? SPAN("\"(set)\"") : SPAN("null"));
	}
	text_addc(out, '}');
}
