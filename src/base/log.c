#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/log_json.h"

enum { LINE_MAX_LEN = 4096, JSON_MAX_LEN = 2 * LINE_MAX_LEN };

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static atomic_int threshold = LOG_INFO;
static atomic_int line_format = LOG_LOGFMT;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

void log_set_format(enum log_format format)
{
	atomic_store_explicit(&line_format, (int)format, memory_order_relaxed);
}

enum log_level log_level(void)
{
	return (enum log_level)atomic_load_explicit(&threshold, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

bool log_level_parse(struct span name, enum log_level *level)
{
	for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
		if (span_is(name, level_names[i])) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool log_enabled(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* At `n` of the line; returns the new length, never beyond the buffer. */
static size_t line_put(char *line, size_t n, struct span text)
{
	size_t room = LINE_MAX_LEN - 1 - n;

	if (text.n > room)
		text.n = room;
	memcpy(line + n, text.p, text.n);
	return n + text.n;
}

/* A second's date and time are made once; printf() is slow. */
static size_t line_begin(char *line, enum log_level level, const char *event)
{
	static _Thread_local struct {
		time_t secs;
		char text[sizeof("ts=2026-01-02T03:04:05.")];
		size_t n;
	} at;
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != at.secs || at.n == 0) {
		gmtime_r(&now.tv_sec, &tm);
		at.secs = now.tv_sec;
		at.n = strftime(at.text, sizeof(at.text), "ts=%Y-%m-%dT%H:%M:%S.", &tm);
	}
	n = line_put(line, 0, (struct span){at.text, at.n});
	for (long unit = 100000000; unit >= 1000000; unit /= 10)
		line[n++] = (char)('0' + now.tv_nsec / unit % 10);
	n = line_put(line, n, SPAN("Z level="));
	n = line_put(line, n, span_of(level_names[level]));
	n = line_put(line, n, SPAN(" event="));
	return line_put(line, n, span_of(event));
}

/* One event is one line, whatever a value held; a line that was cut says so. */
static size_t line_end(char *line, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	if (n == LINE_MAX_LEN - 1)
		memcpy(line + n - 3, "...", 3);
	line[n] = '\n';
	return n;
}

/* In one write(2), so that lines of several threads don't mix. */
static void line_write(const char *line, size_t n)
{
	ssize_t written;

	do
		written = write(STDERR_FILENO, line, n + 1);
	while (written < 0 && errno == EINTR);
}

static void line_write_json(struct span line)
{
	char json[JSON_MAX_LEN];
	size_t n = log_to_json(line, json, sizeof(json) - 1);

	json[n] = '\n';
	line_write(json, n);
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
	char line[LINE_MAX_LEN];
	int saved_errno = errno, added;
	va_list args;

	if (!log_enabled(level))
		return;
	size_t n = line_begin(line, level, event);
	if (format && format[0] != '\0') {
		n = line_put(line, n, SPAN(" "));
		va_start(args, format);
		added = vsnprintf(line + n, LINE_MAX_LEN - n, format, args);
		va_end(args);
		if (added > 0)
			n = (size_t)added < LINE_MAX_LEN - n ? n + (size_t)added : LINE_MAX_LEN - 1;
	}
	n = line_end(line, n);
	if (atomic_load_explicit(&line_format, memory_order_relaxed) == LOG_JSON)
		line_write_json((struct span){line, n});
	else
		line_write(line, n);
	errno = saved_errno;
}

static bool is_plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '\\';
}

static bool all_plain(struct span text)
{
	for (size_t i = 0; i < text.n; i++)
		if (!is_plain((unsigned char)text.p[i]))
			return false;
	return text.n > 0 && !span_is(text, "-");
}

/* Writes the escaped form of one byte, at most 4 characters; returns their number.
 * Bytes beyond ASCII too: they may be invalid UTF-8, or control a terminal. */
static size_t escape(unsigned char c, char out[5])
{
	if (c == '"' || c == '\\')
		return (size_t)snprintf(out, 5, "\\%c", c);
	if (c == '\n')
		return (size_t)snprintf(out, 5, "\\n");
	if (c < 0x20 || c >= 0x7f)
		return (size_t)snprintf(out, 5, "\\x%02x", c);
	out[0] = (char)c;
	return 1;
}

const char *log_quote(char *buffer, size_t size, struct span text)
{
	static const char cut[] = "...\"";
	char piece[5];
	size_t n = 0;

	if (size < sizeof(cut) + 1) {
		if (size > 0)
			buffer[0] = '\0';
		return buffer;
	}
	if (!text.p)
		return memcpy(buffer, "-", sizeof("-"));
	if (text.n < size && all_plain(text)) {
		memcpy(buffer, text.p, text.n);
		buffer[text.n] = '\0';
		return buffer;
	}
	buffer[n++] = '"';
	for (size_t i = 0; i < text.n; i++) {
		size_t len = escape((unsigned char)text.p[i], piece);

		/* Room for this one and, should the next not fit, for the mark. */
		if (n + len + sizeof(cut) > size) {
			memcpy(buffer + n, cut, sizeof(cut));
			return buffer;
		}
		memcpy(buffer + n, piece, len);
		n += len;
	}
	buffer[n++] = '"';
	buffer[n] = '\0';
	return buffer;
}
