#include "broker/result_cache.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"

enum {
	SLOTS = 4096,
	GZIP_MIN = 1024,          /* shorter ones fit into a packet or two anyway */
	GZIP_FAST = 256 * 1024,   /* longer ones are compressed less: the loop waits meanwhile */
	GZIP_MAX = 8 * 1024 * 1024
};

struct result_cache {
	struct hash_key key;
	size_t bytes_max, bytes;
	struct result_entry *slots[SLOTS];
	TAILQ_HEAD(, result_entry) ages; /* asked for longest ago first */
};

struct result_cache *result_cache_new(size_t bytes_max)
{
	struct result_cache *cache = xcalloc(1, sizeof(*cache));

	cache->key = hash_key_random();
	cache->bytes_max = bytes_max;
	TAILQ_INIT(&cache->ages);
	return cache;
}

static struct result_entry **place(struct result_cache *cache, const struct uuid *id)
{
	struct result_entry **at =
		&cache->slots[hash_slot(&cache->key, (struct span){id->text, UUID_TEXT_LEN}) % SLOTS];

	while (*at && memcmp((*at)->id.text, id->text, UUID_TEXT_LEN) != 0)
		at = &(*at)->in_slot;
	return at;
}

static void count_bytes(struct result_cache *cache, struct result_entry *entry)
{
	size_t bytes = sizeof(*entry) + (entry->body ? entry->body->n : 0) + (entry->gzip ? entry->gzip->n : 0);

	cache->bytes += bytes - entry->bytes;
	entry->bytes = bytes;
}

static void entry_free(struct result_cache *cache, struct result_entry *entry)
{
	struct result_entry **at = place(cache, &entry->id);

	*at = entry->in_slot;
	TAILQ_REMOVE(&cache->ages, entry, age);
	cache->bytes -= entry->bytes;
	result_entry_set_body(entry, SPAN_ABSENT, SPAN_ABSENT, NULL, 0);
	free(entry);
}

struct result_entry *result_cache_get(struct result_cache *cache, const struct uuid *id)
{
	struct result_entry **at = place(cache, id), *entry = *at;

	if (!entry) {
		entry = *at = xcalloc(1, sizeof(*entry));
		entry->id = *id;
		TAILQ_INIT(&entry->asking);
		TAILQ_INIT(&entry->next);
		count_bytes(cache, entry);
	} else {
		TAILQ_REMOVE(&cache->ages, entry, age);
	}
	TAILQ_INSERT_TAIL(&cache->ages, entry, age);
	return entry;
}

static char *copy(struct span text)
{
	char *p = text.p ? xmalloc(text.n + 1) : NULL;

	if (p) {
		memcpy(p, text.p, text.n);
		p[text.n] = '\0';
	}
	return p;
}

void result_entry_set_body(struct result_entry *entry, struct span version, struct span conversation,
			   struct blob *body, int64_t turns_ms)
{
	free(entry->version);
	free(entry->conversation);
	blob_release(entry->body);
	blob_release(entry->gzip);
	entry->version = copy(version);
	entry->conversation = copy(conversation);
	entry->body = body;
	entry->gzip = NULL;
	entry->gzip_tried = false;
	entry->turns_ms = turns_ms;
	if (body)
		etag_write(blob_span(body), entry->etag);
}

struct blob *result_entry_gzip(struct result_entry *entry)
{
	if (!entry->gzip_tried && entry->body->n >= GZIP_MIN && entry->body->n <= GZIP_MAX)
		entry->gzip = blob_gzip(blob_span(entry->body), entry->body->n > GZIP_FAST ? 1 : 6);
	entry->gzip_tried = true;
	return entry->gzip;
}

void result_cache_settle(struct result_cache *cache, struct result_entry *entry)
{
	struct result_entry *oldest = TAILQ_FIRST(&cache->ages), *next;

	count_bytes(cache, entry);
	if (!entry->reading && !entry->body) { /* nothing to remember */
		entry_free(cache, entry);
		oldest = TAILQ_FIRST(&cache->ages);
	}
	for (; oldest && cache->bytes > cache->bytes_max; oldest = next) {
		next = TAILQ_NEXT(oldest, age);
		if (!oldest->reading)
			entry_free(cache, oldest);
	}
}

size_t result_cache_bytes(const struct result_cache *cache)
{
	return cache->bytes;
}

void result_cache_free(struct result_cache *cache)
{
	if (!cache)
		return;
	while (!TAILQ_EMPTY(&cache->ages))
		entry_free(cache, TAILQ_FIRST(&cache->ages));
	free(cache);
}
