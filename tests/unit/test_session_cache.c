/* What a worker remembers of sessions: whose entries are whose, what goes when, and the bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "broker/session_cache.h"

enum { ENTRIES_MAX = 32 };

static size_t stale_count;
static struct session_entry *stale_last;

static void note_stale(void *arg, struct session_entry *entry)
{
	assert_null(arg);
	stale_count++;
	stale_last = entry;
}

static struct uuid user_number(unsigned n)
{
	struct uuid user;
	char text[64];

	snprintf(text, sizeof(text), "00000000-0000-4000-8000-%012u", n);
	assert_true(uuid_parse(span_of(text), &user));
	return user;
}

static int setup(void **state)
{
	stale_count = 0;
	stale_last = NULL;
	*state = session_cache_new(ENTRIES_MAX, note_stale, NULL);
	return 0;
}

static int teardown(void **state)
{
	session_cache_free(*state);
	return 0;
}

/* As a read leaves it. */
static struct session_entry *put(struct session_cache *cache, unsigned user_of, const char *sid)
{
	struct uuid user = user_number(user_of);
	struct session_entry *entry = session_cache_get(cache, &user, span_of(sid));
	struct poll_view view = {.status = "started", .turns_ms = INT64_MAX, .ended_ms = -1};

	session_entry_hold(entry);
	session_entry_set_view(entry, &view);
	entry->fresh = true;
	session_entry_let_go(cache, entry);
	return entry;
}

static struct session_entry *find(struct session_cache *cache, unsigned user_of, const char *sid)
{
	struct uuid user = user_number(user_of);

	return session_cache_find(cache, &user, span_of(sid));
}

static void test_an_entry_is_its_users(void **state)
{
	struct session_cache *cache = *state;
	struct session_entry *entry = put(cache, 1, "sid");

	assert_ptr_equal(find(cache, 1, "sid"), entry);
	assert_null(find(cache, 2, "sid"));
	assert_null(find(cache, 1, "si"));
	assert_null(find(cache, 1, "sid2"));
	assert_string_equal(session_entry_user(entry), user_number(1).text);
	assert_true(session_entry_holds_good(entry, 0));
}

static void test_the_reply_is_made_ready(void **state)
{
	struct session_entry *entry = put(*state, 1, "sid");
	static const char body[] = "{\"interviewId\":null,\"conversationId\":null,\"status\":\"started\","
				   "\"evaluationStatus\":null,\"reason\":null}";

	assert_int_equal(entry->body_len, sizeof(body) - 1);
	assert_memory_equal(entry->body, body, sizeof(body) - 1);
	assert_int_equal(strlen(entry->etag), ETAG_SIZE - 1);
	assert_int_equal(entry->etag[0], '"');
	assert_int_equal(entry->etag[ETAG_SIZE - 2], '"');
}

static void test_a_change_takes_all_of_a_user(void **state)
{
	struct session_cache *cache = *state;

	put(cache, 1, "a");
	put(cache, 1, "b");
	put(cache, 2, "a");
	session_cache_user_changed(cache, span_of(user_number(1).text));
	assert_null(find(cache, 1, "a"));
	assert_null(find(cache, 1, "b"));
	assert_non_null(find(cache, 2, "a"));
	assert_int_equal(session_cache_count(cache), 1);
	assert_int_equal(stale_count, 0);
	session_cache_user_changed(cache, SPAN("nobody"));
	assert_int_equal(session_cache_count(cache), 1);
}

static void test_a_held_entry_is_told_of_once(void **state)
{
	struct session_cache *cache = *state;
	struct session_entry *entry = put(cache, 1, "a");

	session_entry_hold(entry);
	session_cache_user_changed(cache, span_of(user_number(1).text));
	assert_ptr_equal(stale_last, entry);
	assert_false(session_entry_holds_good(entry, 0));
	session_cache_forget(cache);
	assert_int_equal(stale_count, 1);
	assert_ptr_equal(find(cache, 1, "a"), entry);
	session_entry_let_go(cache, entry);
	assert_null(find(cache, 1, "a"));
}

static void test_a_read_that_was_overtaken_knows(void **state)
{
	struct session_cache *cache = *state;
	struct uuid user = user_number(1);
	struct session_entry *entry = session_cache_get(cache, &user, SPAN("a"));

	session_entry_hold(entry);
	entry->reading = true;
	entry->overtaken = false;
	session_cache_user_changed(cache, span_of(user.text));
	assert_true(entry->overtaken);
	assert_int_equal(stale_count, 1);
	session_entry_let_go(cache, entry);
	assert_int_equal(session_cache_count(cache), 0);
}

static void test_a_deadline_ends_it(void **state)
{
	struct session_entry *entry = put(*state, 1, "a");

	entry->turns_ms = 1000;
	assert_true(session_entry_holds_good(entry, 999));
	assert_false(session_entry_holds_good(entry, 1000));
}

static void test_what_is_not_there_is_soon_asked_for_again(void **state)
{
	struct session_entry *entry = put(*state, 1, "a");

	entry->answer = SESSION_NONE;
	entry->read_ms = clock_monotonic_ms();
	assert_true(session_entry_holds_good(entry, 0));
	entry->read_ms -= 251;
	assert_false(session_entry_holds_good(entry, 0));
}

static void test_it_is_bounded(void **state)
{
	struct session_cache *cache = *state;
	struct session_entry *held = put(cache, 0, "held");
	char sid[16];

	session_entry_hold(held);
	for (unsigned i = 0; i < 10 * ENTRIES_MAX; i++) {
		snprintf(sid, sizeof(sid), "s%u", i);
		put(cache, i % 7, sid);
		assert_true(session_cache_count(cache) <= ENTRIES_MAX);
	}
	assert_ptr_equal(find(cache, 0, "held"), held);
	assert_non_null(find(cache, (10 * ENTRIES_MAX - 1) % 7, sid));
	session_entry_let_go(cache, held);
}

static void test_what_is_asked_for_stays(void **state)
{
	struct session_cache *cache = *state;
	char sid[16];

	put(cache, 1, "hot");
	for (unsigned i = 0; i < 10 * ENTRIES_MAX; i++) {
		snprintf(sid, sizeof(sid), "s%u", i);
		put(cache, 2, sid);
		assert_non_null(find(cache, 1, "hot"));
	}
}

/* The reference implementation's vectors: key 00 01 … 0f, of the empty text and of 00 01 … 0e. */
static void test_the_hash_is_siphash(void **state)
{
	const struct hash_key key = {{0x0706050403020100u, 0x0f0e0d0c0b0a0908u}};
	char text[15];
	struct hash_tag tag = hash_tag_of(&key, SPAN(""));

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)i;
	assert_true(tag.h[0] == 0xe6a825ba047f81a3u && tag.h[1] == 0x930255c71472f66du);
	tag = hash_tag_of(&key, (struct span){text, sizeof(text)});
	assert_true(tag.h[0] == 0x11a8b03399e99354u && tag.h[1] == 0xd9c3cf970fec087eu);
	assert_true(hash_slot(&key, SPAN("")) == 0xabac0158050fc4dcu);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_entry_is_its_users),
		TEST(test_the_reply_is_made_ready),
		TEST(test_a_change_takes_all_of_a_user),
		TEST(test_a_held_entry_is_told_of_once),
		TEST(test_a_read_that_was_overtaken_knows),
		TEST(test_a_deadline_ends_it),
		TEST(test_what_is_not_there_is_soon_asked_for_again),
		TEST(test_it_is_bounded),
		TEST(test_what_is_asked_for_stays),
		TEST(test_the_hash_is_siphash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
