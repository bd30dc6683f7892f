/* Log: one line an event, logfmt or JSON, on standard error, written with one write(2).
 *
 * Never a secret, a token or a transcript. Keys are lower_snake; values are
 * quoted as needed. Safe from any thread. */
#ifndef DEBRIEF_BASE_LOG_H
#define DEBRIEF_BASE_LOG_H

#include "base/span.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_format { LOG_LOGFMT, LOG_JSON };

void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
enum log_level log_level(void);
const char *log_level_name(enum log_level level);
bool log_level_parse(struct span name, enum log_level *level);
bool log_enabled(enum log_level level);

/* log_event(LOG_INFO, "listening", "address=%s workers=%d", address, workers):
 * `ts=… level=info event=listening address=…`. The format is a list of key=value
 * pairs, or NULL; put free text through LOG_TEXT() and write it as key=%s. */
void log_event(enum log_level level, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Quotes text for a log value into a buffer of the caller's; returns the buffer. */
const char *log_quote(char *buffer, size_t size, struct span text);
#define LOG_TEXT(s) log_quote((char[512]){0}, 512, (s))

#endif
