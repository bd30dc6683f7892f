/* UUIDs (RFC 9562) in their lower-case text form. */
#ifndef DEBRIEF_BASE_UUID_H
#define DEBRIEF_BASE_UUID_H

#include "base/span.h"

enum { UUID_TEXT_LEN = 36 };

struct uuid {
	char text[UUID_TEXT_LEN + 1];
};

/* Accepts either case, exactly 8-4-4-4-12; writes lower case. */
bool uuid_parse(struct span s, struct uuid *uuid) __attribute__((warn_unused_result));

/* Version 5 (SHA-1) of `name` in the name space "debrief.interview." + provider,
 * itself a version 5 in the URL name space: an interview's id on every node. */
struct uuid uuid_of_interview(const char *provider, struct span conversation_id);

/* Its 16 bytes in network order. */
void uuid_bytes(const struct uuid *uuid, uint8_t bytes[16]);
struct uuid uuid_random(void); /* version 4, from the system's generator */

#endif
