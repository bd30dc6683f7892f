/* One connection for subcommands that run a few scripts and end: each call blocks on an event base of its
 * own. */
#ifndef DEBRIEF_REDIS_BLOCKING_H
#define DEBRIEF_REDIS_BLOCKING_H

#include <stdio.h>

#include "redis/redis.h"

struct redis_blocking;

/* Connects, for at most timeout_ms. NULL, having said why on `err`. */
struct redis_blocking *redis_blocking_open(const char *url, int64_t timeout_ms, FILE *err);
void redis_blocking_close(struct redis_blocking *redis);
const char *redis_blocking_replid(const struct redis_blocking *redis);

/* The reply's values are copied into the arena; their number, or -1, having said why. */
int redis_blocking_script(struct redis_blocking *redis, struct arena *arena, enum script script,
			  size_t key_count, const struct span *keys, size_t arg_count,
			  const struct span *args, struct span **values);
/* False, having said why. */
bool redis_blocking_command(struct redis_blocking *redis, size_t count, const struct span *words);

#endif
