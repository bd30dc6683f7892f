/* LZ4 frames: what was packed comes back, whatever it is, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "arena_fixture.h"
#include "base/lz4_frame.h"

static struct span text_of(size_t n)
{
	static const char phrase[] = "{\"role\":\"agent\",\"message\":\"And then?\",\"tool_calls\":[]},";
	char *text = arena_take(&arena, n + 1);

	for (size_t i = 0; i < n; i++)
		text[i] = phrase[i % (sizeof(phrase) - 1)];
	return (struct span){text, n};
}

static struct span noise_of(size_t n)
{
	uint32_t x = 2463534242;
	char *noise = arena_take(&arena, n + 1);

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		noise[i] = (char)x;
	}
	return (struct span){noise, n};
}

static void assert_comes_back(struct span bytes)
{
	struct span content;

	assert_true(lz4_frame_unpack(&arena, lz4_frame_pack(&arena, bytes), &content));
	assert_int_equal(content.n, bytes.n);
	assert_memory_equal(content.p, bytes.p, bytes.n);
	assert_int_equal(content.p[content.n], '\0');
}

static void test_all_sizes_come_back(void **state)
{
	static const size_t sizes[] = {0, 1, 4, 100, 40000, 65535, 65536, 65537, 131072, 1000000};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_comes_back(text_of(sizes[i]));
		assert_comes_back(noise_of(sizes[i]));
	}
}

static void test_only_what_gets_shorter_is_packed(void **state)
{
	struct span text = text_of(40000), noise = noise_of(40000);

	(void)state;
	assert_true(lz4_frame_pack(&arena, text).n < text.n / 5);
	assert_ptr_equal(lz4_frame_pack(&arena, noise).p, noise.p);
}

static void test_a_damaged_frame_is_none(void **state)
{
	struct span text = text_of(70000), frame = lz4_frame_pack(&arena, text), content;
	char *longer = arena_take(&arena, frame.n + 1);

	(void)state;
	for (size_t n = 4; n < frame.n; n++)
		assert_false(lz4_frame_unpack(&arena, (struct span){frame.p, n}, &content));
	memcpy(longer, frame.p, frame.n);
	longer[frame.n] = '\0';
	assert_false(lz4_frame_unpack(&arena, (struct span){longer, frame.n + 1}, &content));
}

/* The sizes of a frame's header are believed only as far as its length makes them possible. */
static void test_a_lie_about_the_size_costs_no_memory(void **state)
{
	/* magic, flags (blocks alone, content size), 64 KiB blocks, 2^40 bytes, the header's checksum, no block */
	char frame[] = "\x04\x22\x4d\x18\x68\x40\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00";
	size_t before = arena.total;
	struct span content;

	(void)state;
	for (int checksum = 0; checksum < 256; checksum++) {
		frame[14] = (char)checksum;
		assert_false(lz4_frame_unpack(&arena, (struct span){frame, sizeof(frame) - 1}, &content));
	}
	assert_int_equal(arena.total, before);
}

/* Nor is it written past them, or waited for room that will never be. */
static void test_a_frame_that_holds_more_than_it_says_is_none(void **state)
{
	struct span text = text_of(70000), frame = lz4_frame_pack(&arena, text), content;
	char *lying = arena_take(&arena, frame.n);

	(void)state;
	memcpy(lying, frame.p, frame.n);
	for (int less = 1; less <= 3; less++) {
		lying[6] = (char)(70000 % 256 - less); /* the lowest byte of its content's size */
		for (int checksum = 0; checksum < 256; checksum++) {
			lying[14] = (char)checksum;
			assert_false(lz4_frame_unpack(&arena, (struct span){lying, frame.n}, &content));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_sizes_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_what_gets_shorter_is_packed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_damaged_frame_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_lie_about_the_size_costs_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_frame_that_holds_more_than_it_says_is_none, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
