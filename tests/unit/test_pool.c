/* The pool: what malloc() promises, for sizes on both sides of its bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/blob.h"
#include "base/pool.h"

static const size_t sizes[] = {0, 1, 31, 32, 33, 1000, 1024, POOL_MAX - 1, POOL_MAX, POOL_MAX + 1, 100000};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void test_blocks_are_apart_and_aligned(void **state)
{
	unsigned char *p[SIZES][8];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < SIZES; i++) {
			for (size_t j = 0; j < 8; j++) {
				p[i][j] = pool_malloc(sizes[i]);
				assert_non_null(p[i][j]);
				assert_int_equal((uintptr_t)p[i][j] % _Alignof(max_align_t), 0);
				memset(p[i][j], (int)(i * 8 + j), sizes[i]);
			}
		}
		for (size_t i = 0; i < SIZES; i++) {
			for (size_t j = 0; j < 8; j++) {
				for (size_t k = 0; k < sizes[i]; k++)
					assert_int_equal(p[i][j][k], (unsigned char)(i * 8 + j));
				pool_free(p[i][j]);
			}
		}
	}
	pool_free(NULL);
}

static void test_realloc_keeps_what_was_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		for (size_t j = 0; j < SIZES; j++) {
			size_t kept = sizes[i] < sizes[j] ? sizes[i] : sizes[j];
			unsigned char *p = pool_realloc(NULL, sizes[i]);

			memset(p, 0x5a, sizes[i]);
			p = pool_realloc(p, sizes[j]);
			assert_non_null(p);
			for (size_t k = 0; k < kept; k++)
				assert_int_equal(p[k], 0x5a);
			memset(p, 1, sizes[j]);
			pool_free(p);
		}
	}
}

static void test_zeroed(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		unsigned char *p = pool_malloc(sizes[i]);

		memset(p, 0xff, sizes[i]);
		pool_free(p);
		p = pool_zalloc(sizes[i]);
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(p[k], 0);
		pool_free(p);
	}
}

static void test_too_much_is_refused(void **state)
{
	(void)state;
	assert_null(pool_malloc(SIZE_MAX));
	assert_null(pool_malloc(SIZE_MAX - 8));
}

static void test_gzip(void **state)
{
	static char text[100000];
	struct blob *blob;

	(void)state;
	assert_null(blob_gzip(SPAN("x"), 6)); /* it would be longer */
	memset(text, 'a', sizeof(text));
	blob = blob_gzip((struct span){text, sizeof(text)}, 6);
	assert_non_null(blob);
	assert_true(blob->n < 1000);
	assert_memory_equal(blob->p, "\x1f\x8b", 2);
	assert_ptr_equal(blob_hold(blob), blob);
	blob_release(blob);
	blob_release(blob);
	blob_release(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_are_apart_and_aligned),
		cmocka_unit_test(test_realloc_keeps_what_was_there),
		cmocka_unit_test(test_zeroed),
		cmocka_unit_test(test_too_much_is_refused),
		cmocka_unit_test(test_gzip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
