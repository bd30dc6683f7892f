/* INI files: `name = value`, comments with # or ; on their own lines, an optional
 * section [debrief]. A value goes to the end of its line, as it stands: passwords
 * and URLs hold # and quotes. */
#include "base/config_options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct span next_line(struct span *rest)
{
	struct span line = span_cut(rest, '\n');

	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return span_trim(line);
}

static const char *parse_section(struct span line)
{
	if (line.p[line.n - 1] != ']')
		return "a section's name ends with ]";
	if (!span_is(span_trim((struct span){line.p + 1, line.n - 2}), "debrief"))
		return "unknown section; there is only [debrief], and it can be left out";
	return NULL;
}

static const char *parse_pair(struct span line, struct config_entry *entry)
{
	struct span value = line;

	entry->name = span_trim(span_cut(&value, '='));
	if (!value.p)
		return "not of the form \"name = value\"";
	if (entry->name.n == 0)
		return "there is no name before the =";
	entry->value = span_trim(value);
	return NULL;
}

void config_file_parse(struct span text, config_entry_cb *each, void *arg)
{
	struct span byte_order_mark = SPAN("\xEF\xBB\xBF");
	int number = 0;

	if (span_starts_with(text, byte_order_mark))
		text = (struct span){text.p + byte_order_mark.n, text.n - byte_order_mark.n};
	while (text.p) {
		struct span line = next_line(&text);
		struct config_entry entry = {.line = ++number};

		if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';')
			continue;
		if (line.p[0] == '[') {
			entry.error = parse_section(line);
			if (!entry.error)
				continue;
		} else {
			entry.error = parse_pair(line, &entry);
		}
		if (!each(&entry, arg))
			return;
	}
}

static ssize_t read_all(int fd, char *p, size_t size)
{
	size_t n = 0;

	while (n < size) {
		ssize_t got = read(fd, p + n, size - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

bool config_file_read(const char *path, size_t max, struct config_file *file, char *error, size_t error_size)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	*file = (struct config_file){0};
	if (fd < 0) {
		snprintf(error, error_size, "%s: %s", path, strerror(errno));
		return false;
	}
	/* Not by its size in stat(): it may be a pipe. One byte more than allowed tells too large. */
	file->p = xmalloc(max + 1);
	ssize_t n = read_all(fd, file->p, max + 1);
	if (n < 0)
		snprintf(error, error_size, "%s: %s", path, strerror(errno));
	else if ((size_t)n > max)
		snprintf(error, error_size, "%s: larger than %zu bytes", path, max);
	file->n = n < 0 ? 0 : (size_t)n;
	file->world_readable = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & S_IROTH);
	close(fd);
	if (n >= 0 && (size_t)n <= max)
		return true;
	config_file_free(file);
	return false;
}

void config_file_free(struct config_file *file)
{
	if (file->p)
		explicit_bzero(file->p, file->n);
	free(file->p);
	*file = (struct config_file){0};
}
