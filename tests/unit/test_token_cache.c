/* The cache of verified tokens: says what auth_verify() would say, for a while. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "auth/token_cache.h"

#define SECRET "0123456789abcdef0123456789abcdef"
enum { NOW = 1795400000 };

struct fixture {
	struct auth_keys *keys, *other_keys;
	struct token_cache *cache;
	struct uuid user;
	char *token;
};

static struct auth_keys *keys_of(const char *secret)
{
	struct auth_options options = {.secret = secret};
	char error[128];

	return auth_keys_load(&options, error, sizeof(error));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->keys = keys_of(SECRET);
	f->other_keys = keys_of("another-secret-of-at-least-32-bytes!");
	f->cache = token_cache_new();
	f->user = uuid_random();
	f->token = auth_mint(SECRET, &f->user, NULL, NULL, NOW, 3600);
	*state = f;
	return f->keys && f->other_keys && f->token ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	auth_keys_free(f->keys);
	auth_keys_free(f->other_keys);
	token_cache_free(f->cache);
	free(f->token);
	free(f);
	return 0;
}

static enum auth_result verify(struct fixture *f, const struct auth_keys *keys, int64_t now_secs)
{
	struct auth_token token = {0};
	enum auth_result result = token_cache_verify(f->cache, keys, span_of(f->token), now_secs, &token);

	if (result == AUTH_OK)
		assert_string_equal(token.user.text, f->user.text);
	return result;
}

/* Keys that don't know the token tell whether it was asked for again. */
static void test_remembers_for_a_while(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(verify(f, f->other_keys, NOW), AUTH_BAD_SIGNATURE);
	assert_int_equal(verify(f, f->keys, NOW), AUTH_OK);
	assert_int_equal(verify(f, f->other_keys, NOW + TOKEN_CACHE_SECS), AUTH_OK);
	assert_int_equal(verify(f, f->other_keys, NOW + TOKEN_CACHE_SECS + 1), AUTH_BAD_SIGNATURE);
}

static void test_never_past_the_expiry(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(verify(f, f->keys, NOW + 3600), AUTH_OK);
	assert_int_equal(verify(f, f->keys, NOW + 3600 + AUTH_LEEWAY_SECS), AUTH_OK);
	assert_int_equal(verify(f, f->keys, NOW + 3600 + AUTH_LEEWAY_SECS + 1), AUTH_EXPIRED);
}

static void test_forgets_when_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(verify(f, f->keys, NOW), AUTH_OK);
	token_cache_clear(f->cache);
	assert_int_equal(verify(f, f->other_keys, NOW), AUTH_BAD_SIGNATURE);
}

static void test_a_changed_token_is_another(void **state)
{
	struct fixture *f = *state;
	size_t last = span_of(f->token).n - 2;

	assert_int_equal(verify(f, f->keys, NOW), AUTH_OK);
	f->token[last] = f->token[last] == 'A' ? 'B' : 'A';
	assert_int_equal(verify(f, f->keys, NOW), AUTH_BAD_SIGNATURE);
}

static void test_many_tokens(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3 * TOKEN_CACHE_SLOTS; i += 7) {
		struct uuid user = uuid_random();
		struct auth_token token;
		char *text = auth_mint(SECRET, &user, NULL, NULL, NOW, 600 + i);

		assert_int_equal(token_cache_verify(f->cache, f->keys, span_of(text), NOW, &token), AUTH_OK);
		assert_string_equal(token.user.text, user.text);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_remembers_for_a_while, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_past_the_expiry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forgets_when_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_changed_token_is_another, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_tokens, setup, teardown),
	};

	return cmocka_run_group_tests_name("token cache", tests, NULL, NULL);
}
