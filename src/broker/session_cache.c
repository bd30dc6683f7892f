#include "broker/session_cache.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"

enum {
	/* A session that isn't there is asked for again after this: a node that can't reach Redis, or has yet to
	 * find it again, tells only the ledger of it. */
	NONE_MS = 250,
	SLOTS_PER_ENTRY = 2,
	SWEEP_MAX = 64 /* entries that the hand passes to find one that can go */
};

struct session_user {
	LIST_HEAD(, session_entry) entries;
	struct session_user *next;
	struct uuid id;
};

struct session_cache {
	void (*stale)(void *arg, struct session_entry *entry);
	void *arg;
	struct hash_key key;
	size_t entries_max, count;
	uint64_t mask; /* of slots, for both tables */
	struct session_entry **entries;
	struct session_user **users;
	TAILQ_HEAD(, session_entry) ages; /* the hand stands at the first */
};

struct session_cache *session_cache_new(size_t entries_max, void (*stale)(void *arg, struct session_entry *entry),
					void *arg)
{
	struct session_cache *cache = xcalloc(1, sizeof(*cache));
	size_t slots = 16;

	while (slots < entries_max * SLOTS_PER_ENTRY)
		slots *= 2;
	cache->stale = stale;
	cache->arg = arg;
	cache->key = hash_key_random();
	cache->entries_max = entries_max;
	cache->mask = slots - 1;
	cache->entries = xcalloc(slots, sizeof(struct session_entry *));
	cache->users = xcalloc(slots, sizeof(struct session_user *));
	TAILQ_INIT(&cache->ages);
	return cache;
}

/* ── the tables ─────────────────────────────────────────────────────────────────────── */

static uint64_t slot_of_entry(const struct session_cache *cache, const struct uuid *user, struct span sid)
{
	char text[UUID_TEXT_LEN + 160];
	size_t n = sid.n < sizeof(text) - UUID_TEXT_LEN ? sid.n : sizeof(text) - UUID_TEXT_LEN;

	memcpy(text, user->text, UUID_TEXT_LEN);
	memcpy(text + UUID_TEXT_LEN, sid.p, n);
	return hash_slot(&cache->key, (struct span){text, UUID_TEXT_LEN + n}) & cache->mask;
}

static struct session_entry *entry_in_slot(const struct session_cache *cache, uint64_t slot, const struct uuid *user,
					   struct span sid)
{
	struct session_entry *entry = cache->entries[slot];

	while (entry && (!span_eq((struct span){entry->sid, entry->sid_len}, sid) ||
			 memcmp(entry->user->id.text, user->text, UUID_TEXT_LEN) != 0))
		entry = entry->next;
	return entry;
}

static struct session_user **user_place(struct session_cache *cache, struct span id)
{
	struct session_user **at = &cache->users[hash_slot(&cache->key, id) & cache->mask];

	while (*at && !span_is(id, (*at)->id.text))
		at = &(*at)->next;
	return at;
}

static struct session_user *user_get(struct session_cache *cache, const struct uuid *id)
{
	struct session_user **at = user_place(cache, span_of(id->text));

	if (!*at) {
		*at = xcalloc(1, sizeof(**at));
		(*at)->id = *id;
		LIST_INIT(&(*at)->entries);
	}
	return *at;
}

static void entry_free(struct session_cache *cache, struct session_entry *entry)
{
	struct session_entry **at = &cache->entries[entry->slot];
	struct session_user *user = entry->user;

	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	TAILQ_REMOVE(&cache->ages, entry, age);
	LIST_REMOVE(entry, of_user);
	if (LIST_EMPTY(&user->entries)) {
		struct session_user **place = user_place(cache, span_of(user->id.text));

		*place = user->next;
		free(user);
	}
	cache->count--;
	free(entry->body);
	free(entry);
}

/* Second chance: what was looked at since the hand last came by stays for another round. */
static void make_room(struct session_cache *cache)
{
	for (int i = 0; i < SWEEP_MAX && cache->count >= cache->entries_max; i++) {
		struct session_entry *entry = TAILQ_FIRST(&cache->ages);

		if (entry->holds == 0 && !entry->looked_at) {
			entry_free(cache, entry);
			continue;
		}
		entry->looked_at = false;
		TAILQ_REMOVE(&cache->ages, entry, age);
		TAILQ_INSERT_TAIL(&cache->ages, entry, age);
	}
}

struct session_entry *session_cache_find(struct session_cache *cache, const struct uuid *user, struct span sid)
{
	struct session_entry *entry = entry_in_slot(cache, slot_of_entry(cache, user, sid), user, sid);

	if (entry)
		entry->looked_at = true;
	return entry;
}

struct session_entry *session_cache_get(struct session_cache *cache, const struct uuid *user, struct span sid)
{
	struct session_entry *entry = session_cache_find(cache, user, sid);

	if (entry)
		return entry;
	make_room(cache);
	entry = xcalloc(1, sizeof(*entry) + sid.n);
	entry->slot = slot_of_entry(cache, user, sid);
	entry->user = user_get(cache, user);
	entry->sid_len = sid.n;
	memcpy(entry->sid, sid.p, sid.n);
	TAILQ_INIT(&entry->waiters);
	entry->next = cache->entries[entry->slot];
	cache->entries[entry->slot] = entry;
	TAILQ_INSERT_TAIL(&cache->ages, entry, age);
	LIST_INSERT_HEAD(&entry->user->entries, entry, of_user);
	cache->count++;
	return entry;
}

void session_entry_hold(struct session_entry *entry)
{
	entry->holds++;
}

/* What nobody holds and isn't fresh is of no use to anyone. */
void session_entry_let_go(struct session_cache *cache, struct session_entry *entry)
{
	if (--entry->holds == 0 && !entry->fresh)
		entry_free(cache, entry);
}

/* ── changes ────────────────────────────────────────────────────────────────────────── */

static void entry_changed(struct session_cache *cache, struct session_entry *entry)
{
	bool news = entry->fresh || (entry->reading && !entry->overtaken);

	entry->fresh = false;
	entry->overtaken = true;
	if (entry->holds == 0)
		entry_free(cache, entry);
	else if (news)
		cache->stale(cache->arg, entry);
}

void session_cache_user_changed(struct session_cache *cache, struct span id)
{
	struct session_user *user = *user_place(cache, id);
	struct session_entry *entry = user ? LIST_FIRST(&user->entries) : NULL;

	while (entry) { /* the user goes with the last of them */
		struct session_entry *next = LIST_NEXT(entry, of_user);

		entry_changed(cache, entry);
		entry = next;
	}
}

void session_cache_forget(struct session_cache *cache)
{
	struct session_entry *entry = TAILQ_FIRST(&cache->ages);

	while (entry) {
		struct session_entry *next = TAILQ_NEXT(entry, age);

		entry_changed(cache, entry);
		entry = next;
	}
}

void session_cache_free(struct session_cache *cache)
{
	if (!cache)
		return;
	while (!TAILQ_EMPTY(&cache->ages))
		entry_free(cache, TAILQ_FIRST(&cache->ages));
	free(cache->entries);
	free(cache->users);
	free(cache);
}

size_t session_cache_count(const struct session_cache *cache)
{
	return cache->count;
}

/* ── entries ────────────────────────────────────────────────────────────────────────── */

const char *session_entry_user(const struct session_entry *entry)
{
	return entry->user->id.text;
}

bool session_entry_holds_good(const struct session_entry *entry, int64_t wall_ms)
{
	if (!entry->fresh)
		return false;
	if (entry->answer == SESSION_FOUND)
		return wall_ms < entry->turns_ms;
	return clock_monotonic_ms() < entry->read_ms + NONE_MS;
}

void session_entry_set_view(struct session_entry *entry, const struct poll_view *view)
{
	struct arena arena;
	struct text body;

	arena_init(&arena);
	text_init(&body, &arena, 512);
	poll_view_write(view, &body);
	free(entry->body);
	entry->body = xmalloc(body.n);
	memcpy(entry->body, body.p, body.n);
	entry->body_len = body.n;
	etag_write(text_span(&body), entry->etag);
	entry->answer = SESSION_FOUND;
	entry->final = view->final;
	entry->turns_ms = view->turns_ms;
	entry->ended_ms = view->ended_ms;
	entry->linked = view->interview_id.p;
	arena_deinit(&arena);
}
