/* Inside of the configuration: the table of options, their values as text, and the
 * INI reader. Others want base/config.h. */
#ifndef DEBRIEF_BASE_CONFIG_OPTIONS_H
#define DEBRIEF_BASE_CONFIG_OPTIONS_H

#include "base/config.h"

enum option_kind { OPTION_STRING, OPTION_LIST, OPTION_INT, OPTION_SIZE, OPTION_BOOL, OPTION_ENUM };

struct config_option {
	const char *name;
	enum option_kind kind;
	bool secret;       /* never printed; can be given as <name>_file */
	size_t offset;     /* of its field in struct config; the kind gives the field's type */
	int64_t min;       /* numbers: inclusive; strings: fewest bytes */
	int64_t max;
	const char *const *names; /* OPTION_ENUM: by value, NULL at the end */
	const char *value; /* default, as it would be written; NULL: not set */
	const char *help;
};

enum { OPTION_COUNT = 51, OPTION_VARIABLE_MAX = 64 };
extern const struct config_option option_table[OPTION_COUNT];

/* NULL if there is none of that name. */
const struct config_option *option_find(struct span name);
/* "DEBRIEF_" and the name in upper case and `suffix`. */
void option_variable(const struct config_option *option, const char *suffix, char out[OPTION_VARIABLE_MAX]);

/* False, and why in `error`, if the text is no value of this option. An empty text
 * restores the default. */
bool option_set(const struct config_option *option, struct config *config, struct span text, char *error,
		size_t error_size) __attribute__((warn_unused_result));
bool option_is_set(const struct config_option *option, const struct config *config);
/* As it would be written in the file; "" if not set; secrets as they are. */
void option_add_value(const struct config_option *option, const struct config *config, struct text *out);
/* Overwrites and frees. */
void option_clear(const struct config_option *option, struct config *config);

/* One line of an INI file: a pair, or an error. */
struct config_entry {
	int line;
	struct span name;
	struct span value;
	const char *error; /* NULL for a pair */
};
/* Gives every pair and every offending line of `text`, in order, until `each` returns false. */
typedef bool config_entry_cb(const struct config_entry *entry, void *arg);
void config_file_parse(struct span text, config_entry_cb *each, void *arg);

/* The whole of a file of at most `max` bytes, or false and why in `error`.
 * config_file_free() overwrites it, for it may hold secrets. */
struct config_file {
	char *p;
	size_t n;
	bool world_readable;
};
bool config_file_read(const char *path, size_t max, struct config_file *file, char *error, size_t error_size)
	__attribute__((warn_unused_result));
void config_file_free(struct config_file *file);

#endif
