/* HTTP client: one request, for subcommands. Blocks on its own event base. */
#ifndef DEBRIEF_HTTP_CLIENT_H
#define DEBRIEF_HTTP_CLIENT_H

#include "base/text.h"

/* Posts JSON to an http:// URL with one extra header (name may be NULL). Returns the
 * status, or 0 and *error (static text) if there was no reply in timeout_secs.
 * The reply's body is appended to `reply`. */
int http_post_json(const char *url, const char *header_name, const char *header_value, struct span body,
		   int timeout_secs, struct text *reply, const char **error) __attribute__((warn_unused_result));

/* Likewise a GET. */
int http_get(const char *url, int timeout_secs, struct text *reply, const char **error)
	__attribute__((warn_unused_result));

#endif
