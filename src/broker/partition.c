#include "broker/partition.h"

unsigned partition_of(struct span id, int64_t partitions)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < id.n; i++)
		hash = (hash ^ (unsigned char)id.p[i]) * 0x100000001b3u;
	return (unsigned)(hash % (uint64_t)partitions);
}

static char *put(char *at, struct span piece)
{
	memcpy(at, piece.p, piece.n);
	return at + piece.n;
}

/* "debrief:{p5}:kind", and ":id" if there is one. A webhook has two dozen: too many for printf(). */
static struct span key_in(struct arena *arena, unsigned partition, struct span kind, struct span id)
{
	const struct span begin = SPAN("debrief:{p"), end = SPAN("}:");
	const struct span digits = SPAN_DIGITS(partition);
	char *key = arena_take(arena, begin.n + digits.n + end.n + kind.n + 1 + id.n + 1);
	char *at = put(put(put(put(key, begin), digits), end), kind);

	if (id.p) {
		*at++ = ':';
		at = put(at, id);
	}
	*at = '\0';
	return (struct span){key, (size_t)(at - key)};
}

static struct span key_of(struct arena *arena, int64_t partitions, struct span kind, struct span id)
{
	return key_in(arena, partition_of(id, partitions), kind, id.p ? id : SPAN(""));
}

struct span key_of_emptied(struct arena *arena, int64_t partitions, struct span id)
{
	return key_in(arena, partition_of(id, partitions), SPAN("emptied"), SPAN_ABSENT);
}

struct span key_of_user(struct arena *arena, int64_t partitions, const char *user)
{
	return key_of(arena, partitions, SPAN("user"), span_of(user));
}

struct span key_of_session(struct arena *arena, int64_t partitions, struct span sid)
{
	return key_of(arena, partitions, SPAN("sid"), sid);
}

struct span key_of_conversation(struct arena *arena, int64_t partitions, struct span cid)
{
	return key_of(arena, partitions, SPAN("conv"), cid);
}

struct journal_keys keys_of_journal(struct arena *arena, unsigned partition)
{
	return (struct journal_keys){
		.stream = key_in(arena, partition, SPAN("journal"), SPAN_ABSENT),
		.bytes = key_in(arena, partition, SPAN("journal_bytes"), SPAN_ABSENT),
		.interviews = key_in(arena, partition, SPAN("journal_interviews"), SPAN_ABSENT),
		.lease = key_in(arena, partition, SPAN("sweeper"), SPAN_ABSENT),
		.emptied = key_in(arena, partition, SPAN("emptied"), SPAN_ABSENT),
	};
}

struct span key_of_body(struct arena *arena, unsigned partition, struct span name)
{
	return key_in(arena, partition, SPAN("body"), name.p ? name : SPAN(""));
}

struct span key_of_lag(struct arena *arena, int64_t partitions, struct span agent)
{
	return key_of(arena, partitions, SPAN("lag"), agent);
}
