#include "broker/partition.h"

unsigned partition_of(struct span id, int64_t partitions)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < id.n; i++)
		hash = (hash ^ (unsigned char)id.p[i]) * 0x100000001b3u;
	return (unsigned)(hash % (uint64_t)partitions);
}

static struct span key_of(struct arena *arena, int64_t partitions, const char *kind, struct span id)
{
	return span_of(arena_printf(arena, "debrief:{p%u}:%s:%.*s", partition_of(id, partitions), kind, SPAN_ARG(id)));
}

struct span key_of_emptied(struct arena *arena, int64_t partitions, struct span id)
{
	return span_of(arena_printf(arena, "debrief:{p%u}:emptied", partition_of(id, partitions)));
}

struct span key_of_user(struct arena *arena, int64_t partitions, const char *user)
{
	return key_of(arena, partitions, "user", span_of(user));
}

struct span key_of_session(struct arena *arena, int64_t partitions, struct span sid)
{
	return key_of(arena, partitions, "sid", sid);
}

struct span key_of_conversation(struct arena *arena, int64_t partitions, struct span cid)
{
	return key_of(arena, partitions, "conv", cid);
}

static struct span key_in(struct arena *arena, unsigned partition, const char *name)
{
	return span_of(arena_printf(arena, "debrief:{p%u}:%s", partition, name));
}

struct journal_keys keys_of_journal(struct arena *arena, unsigned partition)
{
	return (struct journal_keys){
		.stream = key_in(arena, partition, "journal"),
		.bytes = key_in(arena, partition, "journal_bytes"),
		.interviews = key_in(arena, partition, "journal_interviews"),
		.lease = key_in(arena, partition, "sweeper"),
		.emptied = key_in(arena, partition, "emptied"),
	};
}

struct span key_of_body(struct arena *arena, unsigned partition, struct span name)
{
	return span_of(arena_printf(arena, "debrief:{p%u}:body:%.*s", partition, SPAN_ARG(name)));
}

struct span key_of_lag(struct arena *arena, int64_t partitions, struct span agent)
{
	return key_of(arena, partitions, "lag", agent);
}
