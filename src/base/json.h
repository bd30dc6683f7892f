/* JSON from outside (RFC 8259), without a tree.
 *
 * json_clean() reads hostile bytes once, without recursion, and writes text that
 * both cJSON and Postgres's jsonb accept. Everything else here reads cleaned
 * text only, or what Postgres prints for jsonb, and needs no more checks.
 *
 * What cleaning changes (and then reports as lossy): NUL escapes, lone surrogates
 * and invalid UTF-8 become U+FFFD; numbers beyond what `numeric` and a double can
 * hold become null; values nested deeper than JSON_DEPTH_MAX become null. White
 * space between tokens goes; that is not a loss. */
#ifndef DEBRIEF_BASE_JSON_H
#define DEBRIEF_BASE_JSON_H

#include "base/text.h"

enum { JSON_DEPTH_MAX = 200 };

/* Appends the cleaned text of `in` to `out`. False if `in` isn't one JSON value
 * and nothing else; then *error_at is the offset of the first offending byte and
 * `out` holds garbage. */
bool json_clean(struct span in, struct text *out, bool *lossy, size_t *error_at)
	__attribute__((warn_unused_result));

/* Where the large containers of the outer levels end in a cleaned text, as cleaning came by: whoever
 * walks those levels (json_iter.ends) need not read what is in them. Those that are not here are read. */
enum { JSON_ENDS_MAX = 32, JSON_ENDS_LEVELS = 3, JSON_ENDS_LEN_MIN = 512 };
struct json_ends {
	const char *text; /* as long as that is neither moved nor freed */
	size_t n;
	struct json_range { size_t begin, end; } at[JSON_ENDS_MAX];
};
/* As json_clean(), noting the ends. The cleaned text is `in` itself if that needed no change, else in the arena. */
bool json_clean_ends(struct arena *arena, struct span in, struct span *clean, struct json_ends *ends, bool *lossy,
		     size_t *error_at)
	__attribute__((warn_unused_result));

enum json_type { JSON_ABSENT, JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* `value` is the raw text of one cleaned value; an absent span is JSON_ABSENT. */
enum json_type json_type(struct span value);

/* The member of an object: the last of that name (as jsonb keeps it); absent if
 * there is none or `object` isn't one. Names are compared decoded, with case. */
struct span json_member(struct span object, const char *name);

/* Walks an object or array: zero-initialise with json_iter(), then call next
 * until it returns false. `name` is the raw string with its quotes; NULL for arrays. */
struct json_iter {
	struct span rest;
	bool first;
	const struct json_ends *ends; /* may be set after json_iter(): of the text that the container is in */
};
struct json_iter json_iter(struct span container);
bool json_next(struct json_iter *iter, struct span *name, struct span *value);

/* (Not json_string: that is jansson's, and libjwt would call ours.)
 * The decoded bytes of a JSON string, NUL-terminated in the arena; absent for
 * anything that isn't a string. */
struct span json_decode_string(struct arena *arena, struct span value);

/* A number that is a whole one within int64 (also written 1.0 or 1e3), or, if
 * `or_text`, a string of digits. */
bool json_int64(struct span value, bool or_text, int64_t *number);

#endif
