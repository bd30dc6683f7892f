/* debrief replay, in three parts: what stored webhooks say by today's reading (replay_facts.c), which refused
 * facts would be taken today (replay_refused.c), and how today's rules would link (replay_links.c).
 *
 * All of it happens in one transaction, which a dry run rolls back. Links are decided by the nodes' own
 * script, on a bucket of its own that nobody else reads; the nodes then decide what has changed for good. */
#ifndef DEBRIEF_CLI_REPLAY_H
#define DEBRIEF_CLI_REPLAY_H

#include "base/config.h"
#include "postgres/blocking.h"
#include "redis/blocking.h"

struct replay {
	const struct config *config;
	struct postgres_blocking *postgres;
	struct redis_blocking *redis;
	struct arena arena;
	bool dry_run, json;
	/* which webhooks */
	const char *least_ms, *conversation, *user;
	const char *window_ms, *claim_unowned;
	/* what came of it */
	size_t read, changed, taken, refused, links, owners;
	struct text facts_json, refused_json, links_json, owners_json; /* members of arrays */
	struct text sids, cids; /* to be decided again; members of arrays */
};

/* False, having said why. */
bool replay_facts(struct replay *replay);
bool replay_refused(struct replay *replay);
bool replay_links(struct replay *replay);

/* A line of text, unless the result is JSON. */
void replay_say(const struct replay *replay, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One more id for an array, or one more object, whose text begins after it. */
void replay_add_id(struct text *array, struct span id);
void replay_add_object(struct text *array);
/* What encode(…, 'hex') gave. */
struct span replay_bytes(struct arena *arena, struct span hex);
/* For a line: control characters become '?'; "-" if absent. */
const char *replay_plain(struct arena *arena, struct span text);

#endif
