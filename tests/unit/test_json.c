/* Cleaning and reading of JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arena_fixture.h"
#include "base/json.h"

#define FFFD "\xEF\xBF\xBD"

/* Either way of cleaning gives the same, and copies only what it changes. */
static void check_clean_ends(struct span in, bool ok, struct span out, bool lossy, size_t error_at)
{
	struct json_ends ends;
	struct span clean;
	bool ends_lossy;
	size_t ends_error_at;

	assert_int_equal(json_clean_ends(&arena, in, &clean, &ends, &ends_lossy, &ends_error_at), ok);
	if (!ok) {
		assert_int_equal(ends_error_at, error_at);
		return;
	}
	assert_true(span_eq(clean, out));
	assert_int_equal(ends_lossy, lossy);
	assert_int_equal(clean.p == in.p, span_eq(in, out));
}

/* The cleaned text, or absent. The input is copied so that a read past it is noticed. */
static struct span clean(struct span in, bool *lossy, size_t *error_at)
{
	char *copy = xmalloc(in.n);
	struct text out;
	bool ok;

	memcpy(copy, in.p, in.n);
	text_init(&out, &arena, 0);
	ok = json_clean((struct span){copy, in.n}, &out, lossy, error_at);
	check_clean_ends((struct span){copy, in.n}, ok, text_span(&out), *lossy, *error_at);
	free(copy);
	return ok ? text_span(&out) : SPAN_ABSENT;
}

static void check(struct span in, const char *expected, bool expected_lossy)
{
	size_t error_at = 0;
	bool lossy = !expected_lossy, again;
	struct span out = clean(in, &lossy, &error_at), twice;

	if (out.p == NULL)
		fail_msg("refused at %zu: %.*s", error_at, SPAN_ARG(in));
	assert_string_equal(out.p, expected);
	assert_int_equal(lossy, expected_lossy);
	twice = clean(out, &again, &error_at);
	assert_true(span_eq(out, twice));
	assert_false(again);
}

#define KEEPS(text) check(SPAN(text), text, false)
#define TIDIES(text, to) check(SPAN(text), to, false)
#define MENDS(text, to) check(SPAN(text), to, true)
#define REFUSES(text, at) check_refused(SPAN(text), at)

static void check_refused(struct span in, size_t expected_at)
{
	size_t error_at = SIZE_MAX;
	bool lossy;

	if (clean(in, &lossy, &error_at).p != NULL)
		fail_msg("accepted: %.*s", SPAN_ARG(in));
	assert_int_equal(error_at, expected_at);
}

static void test_values_pass(void **state)
{
	(void)state;
	KEEPS("null");
	KEEPS("true");
	KEEPS("false");
	KEEPS("\"\"");
	KEEPS("[]");
	KEEPS("{}");
	KEEPS("[[],{},[{\"a\":[1,\"x\",null]}]]");
	KEEPS("{\"\":1,\"\":2}");
	KEEPS("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uFFFF\"");
	KEEPS("\"\x7F h\xC3\xA9 \xE2\x82\xAC \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF \xF0\x9F\x98\x80 "
	      "\xF4\x8F\xBF\xBF\"");
	TIDIES(" \t\r\n{ \"a b\" : [ 1 , 2 ] } \n", "{\"a b\":[1,2]}");
}

static void test_grammar_is_strict(void **state)
{
	(void)state;
	REFUSES("", 0);
	REFUSES("  ", 2);
	REFUSES("\xEF\xBB\xBF{}", 0);
	REFUSES("{} x", 3);
	REFUSES("1 2", 2);
	REFUSES("[1,]", 3);
	REFUSES("[,1]", 1);
	REFUSES("[1 2]", 3);
	REFUSES("[1}", 2);
	REFUSES("{\"a\":1]", 6);
	REFUSES("{\"a\":1,}", 7);
	REFUSES("{\"a\" 1}", 5);
	REFUSES("{\"a\"}", 4);
	REFUSES("{a:1}", 1);
	REFUSES("{1:1}", 1);
	REFUSES("[", 1);
	REFUSES("{\"a\":", 5);
	REFUSES("]", 0);
	REFUSES("tru", 3);
	REFUSES("nul1", 3);
	REFUSES("True", 0);
	REFUSES("NaN", 0);
	REFUSES("'a'", 0);
	REFUSES("[1]\0", 3);
}

static void test_numbers(void **state)
{
	(void)state;
	KEEPS("0");
	KEEPS("-0");
	KEEPS("-0.0e-0");
	KEEPS("12345678901234567890");
	KEEPS("1E+2");
	KEEPS("1.5e-3");
	KEEPS("1.7976931348623157e308");
	KEEPS("0.0001e312");
	KEEPS("1e-400");
	REFUSES("01", 1);
	REFUSES("-01", 2);
	REFUSES("1.", 2);
	REFUSES(".5", 0);
	REFUSES("-", 1);
	REFUSES("+1", 0);
	REFUSES("1e", 2);
	REFUSES("1e+", 3);
	REFUSES("0x10", 1);
	MENDS("1e309", "null");
	MENDS("[-1.8e308,1]", "[null,1]");
	MENDS("1e-20000", "null");
	MENDS("0e-99999999999999999999", "null");
	MENDS("{\"a\":1e99999999999999999999}", "{\"a\":null}");
}

static void test_long_numbers(void **state)
{
	char digits[402], *fraction = digits + 1;
	int64_t number;

	(void)state;
	memset(digits, '0', sizeof(digits));
	digits[0] = '1';
	*fraction = '.';
	digits[400] = '\0';
	check((struct span){digits, 400}, digits, false);
	assert_true(json_int64((struct span){digits, 400}, false, &number));
	assert_int_equal(number, 1);
	digits[400] = '0';
	check((struct span){digits, 401}, "null", true);
	*fraction = '0';
	check((struct span){digits, 309}, arena_strdup(&arena, (struct span){digits, 309}), false);
	check((struct span){digits, 310}, "null", true);
}

static void test_raw_controls_are_refused(void **state)
{
	char text[] = "\"abc_\"";

	(void)state;
	for (int ch = 0; ch < 0x20; ch++) {
		text[4] = (char)ch;
		check_refused((struct span){text, 6}, 4);
	}
}

static void test_escapes(void **state)
{
	(void)state;
	KEEPS("\"\\ud83d\\ude00\\uD83D\\uDE00\"");
	KEEPS("\"\\ud800\\udc00\\udbff\\udfff\\ud7ff\\ue000\"");
	MENDS("\"\\udfff\"", "\"" FFFD "\"");
	MENDS("\"\\udbff\\ue000\"", "\"" FFFD "\\ue000\"");
	MENDS("\"a\\u0000b\"", "\"a" FFFD "b\"");
	MENDS("{\"\\u0000\":1}", "{\"" FFFD "\":1}");
	MENDS("\"\\ud83d\"", "\"" FFFD "\"");
	MENDS("\"\\ud83dx\"", "\"" FFFD "x\"");
	MENDS("\"\\ude00\\ud83d\"", "\"" FFFD FFFD "\"");
	MENDS("\"\\ud83d\\ud83d\\ude00\"", "\"" FFFD "\\ud83d\\ude00\"");
	MENDS("\"\\ud83d\\n\"", "\"" FFFD "\\n\"");
	MENDS("\"\\ud83d\\u0041\"", "\"" FFFD "\\u0041\"");
	KEEPS("\"\\\\u0000\"");
	REFUSES("\"\\x\"", 2);
	REFUSES("\"\\u12g4\"", 5);
	REFUSES("\"\\u12\"", 5);
	REFUSES("\"\\ud83d\\u12\"", 11);
	REFUSES("\"\\", 2);
	REFUSES("\"\\u", 3);
	REFUSES("\"abc", 4);
}

static void test_invalid_utf8(void **state)
{
	(void)state;
	MENDS("\"\x80\"", "\"" FFFD "\"");
	MENDS("\"\xFF\xFE\"", "\"" FFFD FFFD "\"");
	MENDS("\"\xC0\x80\"", "\"" FFFD FFFD "\"");
	MENDS("\"\xC1\xBF\"", "\"" FFFD FFFD "\"");
	MENDS("\"\xE0\x9F\xBF\"", "\"" FFFD FFFD FFFD "\"");
	MENDS("\"\xED\xA0\x80\"", "\"" FFFD FFFD FFFD "\"");
	MENDS("\"\xF0\x8F\xBF\xBF\"", "\"" FFFD FFFD FFFD FFFD "\"");
	MENDS("\"\xF4\x90\x80\x80\"", "\"" FFFD FFFD FFFD FFFD "\"");
	MENDS("\"\xF5\x80\x80\x80\"", "\"" FFFD FFFD FFFD FFFD "\"");
	MENDS("\"\xE2\x82\"", "\"" FFFD "\"");
	MENDS("\"\xF0\x9F\x98\"", "\"" FFFD "\"");
	MENDS("\"\xE2\x82x\xC3\"", "\"" FFFD "x" FFFD "\"");
	MENDS("\"\xF0\x9F\x98\\n\"", "\"" FFFD "\\n\"");
	REFUSES("\"\xE2\x82", 3);
	REFUSES("\xC3\xA9", 0);
}

/* Each special byte at each offset of a word must be seen. */
static void test_every_byte_at_every_offset(void **state)
{
	char in[40], *out;
	bool lossy;
	size_t error_at, offset;

	(void)state;
	for (int ch = 0; ch < 256; ch++)
		for (offset = 1; offset < sizeof(in) - 1; offset++) {
			memset(in, 'a', sizeof(in));
			in[0] = in[sizeof(in) - 1] = '"';
			in[offset] = (char)ch;
			out = (char *)clean((struct span){in, sizeof(in)}, &lossy, &error_at).p;
			if (ch < 0x20 || ch == '"' || ch == '\\') {
				assert_null(out);
				assert_in_range(error_at, offset, offset + 2);
			} else {
				assert_non_null(out);
				assert_int_equal(lossy, ch >= 0x80);
				assert_int_equal(strlen(out), ch >= 0x80 ? sizeof(in) + 2 : sizeof(in));
			}
		}
}

static struct span nested(size_t depth, const char *open, const char *inside, const char *close)
{
	struct text text;

	text_init(&text, &arena, 0);
	for (size_t i = 0; i < depth; i++)
		text_add(&text, span_of(open));
	text_add(&text, span_of(inside));
	for (size_t i = 0; i < depth; i++)
		text_add(&text, span_of(close));
	return text_span(&text);
}

static void test_depth_is_bounded(void **state)
{
	struct span kept = nested(JSON_DEPTH_MAX, "[", "1", "]");
	struct span cut = nested(JSON_DEPTH_MAX, "{\"a\":", "null", "}");

	(void)state;
	check(kept, kept.p, false);
	check(nested(JSON_DEPTH_MAX, "{\"a\":", "[1, {\"b\": \"\\u0000\"}]", "}"), cut.p, true);
	check(nested(JSON_DEPTH_MAX, "[", "1,[ 2 ],3", "]"), nested(JSON_DEPTH_MAX, "[", "1,null,3", "]").p,
	      true);
}

static void test_deep_nesting_is_still_checked(void **state)
{
	const size_t depth = 100000;
	struct span cut = nested(JSON_DEPTH_MAX, "[", "null", "]");
	struct span good = nested(depth, "[", "", "]"), open, wrong;
	char *bytes;

	(void)state;
	check(good, cut.p, true);
	check(nested(depth, "[{\"a\":", "1", "}]"), nested(JSON_DEPTH_MAX / 2, "[{\"a\":", "null", "}]").p,
	      true);
	open = (struct span){good.p, good.n - 1};
	check_refused(open, open.n);
	bytes = arena_strdup(&arena, good);
	bytes[depth + 7] = '}';
	wrong = (struct span){bytes, good.n};
	check_refused(wrong, depth + 7);
}

/* Random edits of a text: what comes out is clean, and its containers can be walked. */
static void walk(struct span value, unsigned depth)
{
	struct json_iter iter = json_iter(value);
	struct span name, member;

	assert_true(depth <= JSON_DEPTH_MAX);
	while (json_next(&iter, &name, &member)) {
		assert_true(member.p >= value.p && member.p + member.n < value.p + value.n);
		assert_int_not_equal(json_type(member), JSON_ABSENT);
		json_decode_string(&arena, member);
		walk(member, depth + 1);
	}
}

static void test_random_edits(void **state)
{
	static const char seed_text[] =
	    "{\"a\":[1,-2.5e3,\"x\\ud83d\\ude00\\\"\xC3\xA9\"],\"b\\n\":{\"c\":null,\"d\":[true,{}]}}";
	static const char alphabet[] = "{}[]\",:\\u0d8e1-+.tfn \x80\xC3\xED\xFF";
	unsigned seed = 1;
	size_t accepted = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char bytes[sizeof(seed_text)];
		bool lossy, again;
		size_t error_at;
		struct span out;

		memcpy(bytes, seed_text, sizeof(bytes));
		for (int edits = rand_r(&seed) % 4; edits >= 0; edits--)
			bytes[(size_t)rand_r(&seed) % (sizeof(bytes) - 1)] =
			    alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		out = clean((struct span){bytes, sizeof(bytes) - 1}, &lossy, &error_at);
		if (out.p == NULL) {
			assert_true(error_at < sizeof(bytes));
			continue;
		}
		accepted++;
		assert_true(span_eq(clean(out, &again, &error_at), out));
		assert_false(again);
		walk(out, 0);
		arena_deinit(&arena);
	}
	assert_true(accepted > 1000);
}

static void test_types(void **state)
{
	(void)state;
	assert_int_equal(json_type(SPAN_ABSENT), JSON_ABSENT);
	assert_int_equal(json_type(SPAN("null")), JSON_NULL);
	assert_int_equal(json_type(SPAN("false")), JSON_BOOL);
	assert_int_equal(json_type(SPAN("-1")), JSON_NUMBER);
	assert_int_equal(json_type(SPAN("\"\"")), JSON_STRING);
	assert_int_equal(json_type(SPAN("[]")), JSON_ARRAY);
	assert_int_equal(json_type(SPAN("{}")), JSON_OBJECT);
}

static void test_members(void **state)
{
	const struct span object =
	    SPAN("{\"a\":{\"b\":1},\"b\":\"}\\\\\",\"c\\u00e9\\n\":[1,{\"b\":2}],\"a\":7}");

	(void)state;
	assert_true(span_is(json_member(object, "a"), "7"));
	assert_true(span_is(json_member(object, "b"), "\"}\\\\\""));
	assert_true(span_is(json_member(object, "c\xC3\xA9\n"), "[1,{\"b\":2}]"));
	assert_null(json_member(object, "c\xC3\xA9").p);
	assert_null(json_member(object, "c\xC3\xA9\nx").p);
	assert_null(json_member(object, "A").p);
	assert_null(json_member(SPAN("[\"a\",1]"), "a").p);
	assert_null(json_member(SPAN("{}"), "a").p);
	assert_null(json_member(SPAN_ABSENT, "a").p);
}

static void test_walks(void **state)
{
	struct json_iter iter = json_iter(SPAN("[1,\"],\\\"\",[2,{}],null]"));
	struct span name, value;

	(void)state;
	assert_true(json_next(&iter, NULL, &value));
	assert_true(span_is(value, "1"));
	assert_true(json_next(&iter, NULL, &value));
	assert_true(span_is(value, "\"],\\\"\""));
	assert_true(json_next(&iter, &name, &value));
	assert_null(name.p);
	assert_true(span_is(value, "[2,{}]"));
	assert_true(json_next(&iter, NULL, &value));
	assert_true(span_is(value, "null"));
	assert_false(json_next(&iter, NULL, &value));
	assert_false(json_next(&iter, NULL, &value));

	iter = json_iter(SPAN("{\"a\\\"\":{},\"\":[]}"));
	assert_true(json_next(&iter, &name, &value));
	assert_true(span_is(name, "\"a\\\"\""));
	assert_true(span_is(value, "{}"));
	assert_true(json_next(&iter, &name, &value));
	assert_true(span_is(name, "\"\""));
	assert_false(json_next(&iter, &name, &value));

	iter = json_iter(SPAN("\"[1]\""));
	assert_false(json_next(&iter, NULL, &value));
	iter = json_iter(SPAN_ABSENT);
	assert_false(json_next(&iter, NULL, &value));
	iter = json_iter(SPAN("[]"));
	assert_false(json_next(&iter, NULL, &value));
}

static void test_strings(void **state)
{
	struct span text =
	    json_decode_string(&arena, SPAN("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\\ud83d\\ude00\\u007fz\""));

	(void)state;
	assert_string_equal(text.p, "a\"\\/\b\f\n\r\t\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\x7Fz");
	assert_int_equal(text.n, strlen(text.p));
	assert_true(span_is(json_decode_string(&arena, SPAN("\"\"")), ""));
	assert_null(json_decode_string(&arena, SPAN("1")).p);
	assert_null(json_decode_string(&arena, SPAN("null")).p);
	assert_null(json_decode_string(&arena, SPAN_ABSENT).p);
}

static void check_int(struct span value, bool or_text, int64_t expected)
{
	int64_t number = -42;

	assert_true(json_int64(value, or_text, &number));
	assert_true(number == expected);
}

static void test_integers(void **state)
{
	static const char *const refused[] = {"9223372036854775808",
					      "-9223372036854775809",
					      "1.5",
					      "1e19",
					      "1e-1",
					      "1e-400",
					      "1e300",
					      "\"7\"",
					      "null",
					      "true",
					      "[1]"};
	int64_t number;

	(void)state;
	check_int(SPAN("0"), false, 0);
	check_int(SPAN("-0.0"), false, 0);
	check_int(SPAN("1792000512"), false, 1792000512);
	check_int(SPAN("1.0"), false, 1);
	check_int(SPAN("1e3"), false, 1000);
	check_int(SPAN("1.25E2"), false, 125);
	check_int(SPAN("0.05e+2"), false, 5);
	check_int(SPAN("-1200e-2"), false, -12);
	check_int(SPAN("0e400"), false, 0);
	check_int(SPAN("9007199254740993"), false, INT64_C(9007199254740993));
	check_int(SPAN("9223372036854775807"), false, INT64_MAX);
	check_int(SPAN("-9223372036854775808"), false, INT64_MIN);
	check_int(SPAN("\"1792000900\""), true, 1792000900);
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		assert_false(json_int64(span_of(refused[i]), false, &number));
	assert_false(json_int64(SPAN("\"7x\""), true, &number));
	assert_false(json_int64(SPAN("\"\""), true, &number));
	assert_false(json_int64(SPAN_ABSENT, true, &number));
}

/* Postgres prints jsonb with a space behind each comma and colon. */
static void test_jsonb_text(void **state)
{
	struct span text = SPAN("{\"a\": [1, {\"b\": \"x, y\"}, null], \"n\": 7, \"o\": {}}");
	struct json_iter iter = json_iter(json_member(text, "a"));
	struct span value;
	int64_t number;

	(void)state;
	assert_true(json_int64(json_member(text, "n"), false, &number));
	assert_int_equal(number, 7);
	assert_true(json_next(&iter, NULL, &value));
	assert_true(span_is(value, "1"));
	assert_true(json_next(&iter, NULL, &value));
	assert_true(span_is(json_decode_string(&arena, json_member(value, "b")), "x, y"));
	assert_true(json_next(&iter, NULL, &value));
	assert_true(span_is(value, "null"));
	assert_false(json_next(&iter, NULL, &value));
	assert_int_equal(json_type(json_member(text, "o")), JSON_OBJECT);
}

/* With and without the noted ends a walk gives the same. */
static void check_ends(struct span container, const struct json_ends *ends, int level)
{
	struct json_iter plain = json_iter(container), quick = json_iter(container);
	struct span name, value, quick_name, quick_value;

	quick.ends = ends;
	while (json_next(&plain, &name, &value)) {
		assert_true(json_next(&quick, &quick_name, &quick_value));
		assert_ptr_equal(name.p, quick_name.p);
		assert_ptr_equal(value.p, quick_value.p);
		assert_int_equal(value.n, quick_value.n);
		if (level < JSON_ENDS_LEVELS)
			check_ends(value, ends, level + 1);
	}
	assert_false(json_next(&quick, &quick_name, &quick_value));
}

static void test_ends(void **state)
{
	struct text in;
	struct span out, again;
	struct json_ends ends;
	bool lossy;
	size_t error_at;

	(void)state;
	text_init(&in, &arena, 0);
	text_add(&in, SPAN(" {\"small\" : {}, \"data\":{\"a\": [ "));
	for (int i = 0; i < 200; i++)
		text_addf(&in, "%s{ \"n\":%d, \"s\":\"}]\\\"\\u0000\"}", i ? "," : "", i);
	text_add(&in, SPAN("], \"deep\": "));
	for (int i = 0; i < 2 * JSON_DEPTH_MAX; i++)
		text_addc(&in, '[');
	for (int i = 0; i < 2 * JSON_DEPTH_MAX; i++)
		text_addc(&in, ']');
	for (int i = 0; i < 2 * JSON_ENDS_MAX; i++) {
		text_addf(&in, ", \"m%d\": [\"\\ud800", i);
		for (int j = 0; j < JSON_ENDS_LEN_MIN; j++)
			text_addc(&in, 'x');
		text_add(&in, SPAN("\"]"));
	}
	text_add(&in, SPAN("}, \"last\": [1] }"));
	assert_true(json_clean_ends(&arena, text_span(&in), &out, &ends, &lossy, &error_at));
	assert_true(lossy);
	assert_int_equal(ends.n, JSON_ENDS_MAX);
	check_ends(out, &ends, 0);
	assert_true(json_clean_ends(&arena, out, &again, &ends, &lossy, &error_at));
	assert_false(lossy);
	assert_ptr_equal(again.p, out.p);
	assert_int_equal(ends.n, JSON_ENDS_MAX);
	check_ends(again, &ends, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_jsonb_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values_pass, setup, teardown),
		cmocka_unit_test_setup_teardown(test_grammar_is_strict, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_raw_controls_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_escapes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_invalid_utf8, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_byte_at_every_offset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_depth_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deep_nesting_is_still_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_edits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_types, setup, teardown),
		cmocka_unit_test_setup_teardown(test_members, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_integers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
