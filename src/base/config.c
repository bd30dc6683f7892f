/* Loading: defaults, then the file, then the environment, each finding reported
 * with where it stands. */
#include "base/config_options.h"

#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20, SECRET_FILE_MAX = 1 << 16, FATAL_MAX = 50, SOURCE_MAX = 512, MESSAGE_MAX = 1024 };

struct loader {
	struct config *config;
	config_problem_cb *report;
	void *arg;
	const char *file;
	bool world_readable;
	int fatal_count;
	int set_at_line[OPTION_COUNT]; /* of the file; 0: not yet */
};

static void report(struct loader *loader, bool fatal, const char *source, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static void report(struct loader *loader, bool fatal, const char *source, const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (fatal)
		loader->fatal_count++;
	if (loader->report)
		loader->report(&(struct config_problem){fatal, source, message}, loader->arg);
}

static void set(struct loader *loader, const struct config_option *option, struct span value, const char *source)
{
	char error[MESSAGE_MAX] = "";

	if (!option_set(option, loader->config, value, error, sizeof(error)))
		report(loader, true, source, "%s", error);
	else if (value.n > 1 && value.p[0] == '"' && value.p[value.n - 1] == '"')
		report(loader, false, source, "%s: its quotes are part of the value", option->name);
}

/* A secret in a file of its own; editors end it with a newline, which isn't part of it. */
static void set_from_file(struct loader *loader, const struct config_option *option, const char *path,
			  const char *source)
{
	char error[MESSAGE_MAX] = "";
	struct config_file file;

	if (!config_file_read(path, SECRET_FILE_MAX, &file, error, sizeof(error))) {
		report(loader, true, source, "%s: %s", option->name, error);
		return;
	}
	struct span value = {file.p, file.n};
	if (value.n > 0 && value.p[value.n - 1] == '\n')
		value.n--;
	if (value.n == 0)
		report(loader, true, source, "%s: %s is empty", option->name, path);
	else
		set(loader, option, value, source);
	config_file_free(&file);
}

/* "jwt_secret_file" → jwt_secret. A name that is an option itself was found before. */
static const struct config_option *find_secret_of_file(struct span name)
{
	struct span suffix = SPAN("_file");

	if (name.n <= suffix.n || !span_eq((struct span){name.p + name.n - suffix.n, suffix.n}, suffix))
		return NULL;
	const struct config_option *option = option_find((struct span){name.p, name.n - suffix.n});
	return option && option->secret ? option : NULL;
}

/* The stores' URLs are secret for the sake of a password that they may hold. */
static bool holds_secret(const struct config_option *option, struct span value)
{
	bool url = span_is(span_of(option->name), "redis_url") || span_is(span_of(option->name), "database_url");

	return option->secret && (!url || memchr(value.p, '@', value.n) || memmem(value.p, value.n, "password", 8));
}

static void set_entry(struct loader *loader, const struct config_entry *entry, const char *source)
{
	const struct config_option *option = option_find(entry->name);
	const struct config_option *from_file = option ? NULL : find_secret_of_file(entry->name);

	if (!option && !from_file) {
		report(loader, true, source, "unknown option %s (debrief check-config --options lists them)",
		       log_quote((char[128]){0}, 128, entry->name));
		return;
	}
	int *set_at_line = &loader->set_at_line[(option ? option : from_file) - option_table];
	if (*set_at_line) {
		report(loader, true, source, "%s was set in line %d already", (option ? option : from_file)->name,
		       *set_at_line);
		return;
	}
	*set_at_line = entry->line;
	if (entry->value.n == 0)
		return;
	if (from_file) {
		char path[4096];

		if (entry->value.n >= sizeof(path) || memchr(entry->value.p, '\0', entry->value.n)) {
			report(loader, true, source, "%s_file: not a path", from_file->name);
			return;
		}
		snprintf(path, sizeof(path), "%.*s", SPAN_ARG(entry->value));
		set_from_file(loader, from_file, path, source);
		return;
	}
	set(loader, option, entry->value, source);
	if (loader->world_readable && holds_secret(option, entry->value))
		report(loader, false, source, "%s stands in a file that everybody can read (chmod o-r, or use %s_file)",
		       option->name, option->name);
}

static bool load_entry(const struct config_entry *entry, void *arg)
{
	struct loader *loader = arg;
	char source[SOURCE_MAX];

	snprintf(source, sizeof(source), "%s:%d", loader->file, entry->line);
	if (entry->error)
		report(loader, true, source, "%s", entry->error);
	else
		set_entry(loader, entry, source);
	if (loader->fatal_count < FATAL_MAX)
		return true;
	report(loader, true, source, "too many errors; the rest of the file was not read");
	return false;
}

static void load_file(struct loader *loader)
{
	char error[MESSAGE_MAX] = "";
	struct config_file file;

	if (!config_file_read(loader->file, FILE_MAX, &file, error, sizeof(error))) {
		report(loader, true, "--config", "%s", error);
		return;
	}
	loader->world_readable = file.world_readable;
	config_file_parse((struct span){file.p, file.n}, load_entry, loader);
	config_file_free(&file);
}

/* Compose files pass "" for what isn't set. */
static const char *variable_value(const char *variable)
{
	const char *value = getenv(variable);

	return value && value[0] != '\0' ? value : NULL;
}

static void load_variables(struct loader *loader, const struct config_option *option)
{
	char variable[OPTION_VARIABLE_MAX];
	char file_variable[OPTION_VARIABLE_MAX];

	option_variable(option, "", variable);
	option_variable(option, "_FILE", file_variable);
	const char *value = variable_value(variable);
	const char *path = option->secret ? variable_value(file_variable) : NULL;
	if (value && path)
		report(loader, true, variable, "%s is set too; which one is meant?", file_variable);
	else if (value)
		set(loader, option, span_of(value), variable);
	else if (path)
		set_from_file(loader, option, path, file_variable);
}

static bool variable_is_known(struct span name)
{
	char variable[OPTION_VARIABLE_MAX];

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		option_variable(&option_table[i], "", variable);
		if (span_is(name, variable))
			return true;
		option_variable(&option_table[i], "_FILE", variable);
		if (option_table[i].secret && span_is(name, variable))
			return true;
	}
	return false;
}

static void load_environment(struct loader *loader)
{
	static const char simulate[] = "SIMULATE_WEBHOOK_DELAY_MS";

	if (variable_value(simulate))
		set(loader, option_find(SPAN("simulate_webhook_delay_ms")), span_of(variable_value(simulate)), simulate);
	for (size_t i = 0; i < OPTION_COUNT; i++)
		load_variables(loader, &option_table[i]);
	for (char **variable = environ; variable && *variable; variable++) {
		struct span value = span_of(*variable);
		struct span name = span_cut(&value, '=');

		if (span_starts_with(name, SPAN("DEBRIEF_")) && value.n > 0 && !variable_is_known(name))
			report(loader, false, log_quote((char[128]){0}, 128, name), "unknown variable, ignored");
	}
}

static int64_t count_cores(void)
{
	cpu_set_t cores;

	/* What this process may use, in a container too; sysconf() counts the machine's. */
	if (sched_getaffinity(0, sizeof(cores), &cores) == 0)
		return CPU_COUNT(&cores);
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? online : 1;
}

bool config_load(struct config *config, const char *file, config_problem_cb *report_cb, void *arg)
{
	struct loader loader = {.config = config, .report = report_cb, .arg = arg, .file = file};

	*config = (struct config){0};
	for (size_t i = 0; i < OPTION_COUNT; i++)
		set(&loader, &option_table[i], SPAN_ABSENT, option_table[i].name);
	if (file)
		load_file(&loader);
	load_environment(&loader);
	if (config->workers == 0)
		config->workers = count_cores();
	return loader.fatal_count == 0;
}

void config_deinit(struct config *config)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		option_clear(&option_table[i], config);
	*config = (struct config){0};
}
