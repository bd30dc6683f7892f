/* A text on its way through the cleaning. Private to json_clean*.c.
 *
 * Everything from `run` to `p` is clean and not copied yet, so a body without white
 * space and without anything to mend isn't copied at all. */
#ifndef DEBRIEF_BASE_JSON_CLEANER_H
#define DEBRIEF_BASE_JSON_CLEANER_H

#include "base/json.h"

enum json_expect {
	EXPECT_VALUE,
	EXPECT_VALUE_OR_CLOSE, /* after [ */
	EXPECT_NAME_OR_CLOSE,  /* after { */
	EXPECT_COMMA_OR_CLOSE,
	EXPECT_END
};

struct json_cleaner {
	const char *p, *end;
	const char *run;
	struct text *out;
	enum json_expect expect;
	uint64_t *objects; /* one bit a level, set for an object */
	size_t words;      /* allocated in `objects` */
	size_t depth;
	bool muted; /* deeper than JSON_DEPTH_MAX: checked and not written */
	bool lossy;
	struct json_ends *ends; /* may be NULL */
	size_t begins[JSON_ENDS_LEVELS]; /* in `out`, of the outer containers that are open */
};

/* Copies the run. */
void json_cleaner_flush(struct json_cleaner *c);
/* Writes `text` in place of the next n bytes. */
void json_cleaner_replace(struct json_cleaner *c, size_t n, struct span text);

/* Past the string whose opening quote is at `p`. False at its first offending byte. */
bool json_clean_string(struct json_cleaner *c) __attribute__((warn_unused_result));

#endif
