/* The INI reader and the parsing of values: any bytes. Files that a configuration
 * names are not opened: the input would choose them. */
#include <stdlib.h>

#include "base/config_options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct config_option *option, struct config *config)
{
	struct arena arena;
	struct text first;
	struct text second;
	char error[256];

	arena_init(&arena);
	text_init(&first, &arena, 0);
	text_init(&second, &arena, 0);
	option_add_value(option, config, &first);
	if (!option_set(option, config, text_span(&first), error, sizeof(error)))
		abort();
	option_add_value(option, config, &second);
	if (!span_eq(text_span(&first), text_span(&second)))
		abort();
	arena_deinit(&arena);
}

static bool set_entry(const struct config_entry *entry, void *arg)
{
	struct config *config = arg;
	char error[64]; /* short, so that cutting messages is exercised */

	const struct config_option *option = entry->error ? NULL : option_find(entry->name);
	if (!option)
		return true;
	if (option_set(option, config, entry->value, error, sizeof(error)))
		check_round_trip(option, config);
	else if (memchr(error, '\0', sizeof(error)) == NULL)
		abort();
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config = {0};

	config_file_parse((struct span){(const char *)data, size}, set_entry, &config);
	config_deinit(&config);
	return 0;
}
