/* Files of a static site: their names, and which of them can be opened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "http/static_open.h"
#include "http/static_path.h"

static void test_paths_are_decoded_once(void **state)
{
	static const char *const taken[][2] = {
		{"/", ""},
		{"/index.html", "index.html"},
		{"/assets/a-b.js", "assets/a-b.js"},
		{"/a%20b/%C3%A9.txt", "a b/\xc3\xa9.txt"},
		{"/a%252e%252fb", "a%2e%2fb"},
		{"/%61pi/x", "api/x"},
		{"/a..b/c.", "a..b/c."},
		{"/a+b", "a+b"},
	};
	struct arena arena;
	struct span path;

	(void)state;
	arena_init(&arena);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		assert_true(static_path_resolve(&arena, span_of(taken[i][0]), &path));
		assert_true(span_is(path, taken[i][1]));
	}
	arena_deinit(&arena);
}

static void test_paths_that_name_no_file(void **state)
{
	static const char *const refused[] = {
		"",          "x",          "//",         "/a/",        "/a//b",      "//etc/passwd", "/.",
		"/..",       "/../a",      "/a/../b",    "/a/./b",     "/a/..",      "/%2e%2e/a",    "/%2E./a",
		"/.env",     "/a/.git/b",  "/%2eenv",    "/a%2fb",     "/a%2Fb",     "/..%2fa",      "/a\\b",
		"/..%5ca",   "/a%5Cb",     "/a%00b",     "/a%0ab",     "/a%7fb",     "/a%",          "/a%4",
		"/a%zz",     "/...",
	};
	struct arena arena;
	struct span path;

	(void)state;
	arena_init(&arena);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (static_path_resolve(&arena, span_of(refused[i]), &path))
			fail_msg("%s is taken for %.*s", refused[i], SPAN_ARG(path));
	assert_false(static_path_resolve(&arena, (struct span){"/a\0b", 4}, &path));
	arena_deinit(&arena);
}

static void test_hashed_names(void **state)
{
	static const char *const hashed[] = {
		"assets/index-BkJ2aP9x.js", "assets/index-DiwrgTda.css", "assets/index-BkJ2aP9x.js.map",
		"assets/a.b-c-_-3dK9fQ.woff2", "assets/deep/logo-0a1b2c3d.svg",
	};
	static const char *const plain[] = {
		"index.html", "index-BkJ2aP9x.js", "assets/index.js", "assets/BkJ2aP9x.js", "assets/-BkJ2aP9x.js",
		"assets/index-BkJ2aP9.js", "assets/report-20261125.pdf", "assets/our-Document.pdf",
		"assets/my-document.pdf", "assets/index-BkJ2aP9x", "assets/index-BkJ2 P9x.js", "other/index-BkJ2aP9x.js",
		"assets/index-BkJ2aP9x.", "",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(hashed) / sizeof(hashed[0]); i++)
		if (!static_path_is_hashed(span_of(hashed[i])))
			fail_msg("%s is hashed", hashed[i]);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (static_path_is_hashed(span_of(plain[i])))
			fail_msg("%s is not hashed", plain[i]);
}

static void test_types(void **state)
{
	(void)state;
	assert_string_equal(static_path_type(SPAN("a/index.html")), "text/html; charset=utf-8");
	assert_string_equal(static_path_type(SPAN("x.tar.JS")), "text/javascript; charset=utf-8");
	assert_string_equal(static_path_type(SPAN("a.js.map")), "application/json");
	assert_string_equal(static_path_type(SPAN("a.js/LICENSE")), "application/octet-stream");
	assert_string_equal(static_path_type(SPAN("a.")), "application/octet-stream");
	assert_string_equal(static_path_type(SPAN("html")), "application/octet-stream");
}

/* ── a site on disk, and things beside it ──────────────────────────────────────────── */

static char top[] = "debrief-static-XXXXXX";
static char site[PATH_MAX / 2];

static void put(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void make_link(const char *target, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(symlink(target, path), 0);
}

static int make_site(void **state)
{
	char path[PATH_MAX];

	(void)state;
	if (!mkdtemp(top))
		return -1;
	snprintf(site, sizeof(site), "%s/current", top);
	snprintf(path, sizeof(path), "%s/release", top);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/release/assets", top);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/release/fifo", top);
	mkfifo(path, 0644);
	put("secret", "secret");
	put("release/index.html", "<!doctype html>");
	put("release/assets/a.js", "1");
	make_link("release", "current");
	make_link("../secret", "release/out");
	make_link("index.html", "release/in");
	make_link("assets", "release/linked");
	make_link("/", "release/slash");
	return 0;
}

static int remove_site(void **state)
{
	char command[PATH_MAX];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return system(command);
}

typedef int opener(const char *root, const char *path, struct stat *status);

static bool opens(opener *open_file, const char *path)
{
	struct stat status;
	int fd = open_file(site, path, &status);

	if (fd >= 0) {
		assert_true(S_ISREG(status.st_mode));
		assert_int_not_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
		close(fd);
	}
	return fd >= 0;
}

/* What static_path_resolve() would never give is refused here too. */
static void check_opener(opener *open_file)
{
	static const char *const refused[] = {
		"",       "assets",     "fifo",           "out",  "in",         "linked/a.js",  "slash/etc/passwd", "nothing",
		"assets/nothing", "index.html/", "index.html/x", "..",  "../secret", "assets/../../secret", "/etc/passwd",
	};

	assert_true(opens(open_file, "index.html"));
	assert_true(opens(open_file, "assets/a.js"));
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (opens(open_file, refused[i]))
			fail_msg("%s opens", refused[i]);
}

static void test_only_regular_files_beneath(void **state)
{
	(void)state;
	check_opener(static_open);
}

static void test_stepwise_is_the_same(void **state)
{
	(void)state;
	check_opener(static_open_stepwise);
}

static void test_faults_of_a_root(void **state)
{
	char path[PATH_MAX];

	(void)state;
	assert_null(static_root_fault(site));
	assert_string_equal(static_root_fault("/nonexistent/x"), "No such file or directory");
	snprintf(path, sizeof(path), "%s/secret", top);
	assert_string_equal(static_root_fault(path), "Not a directory");
	snprintf(path, sizeof(path), "%s/assets", site);
	assert_non_null(strstr(static_root_fault(path), "index.html"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths_are_decoded_once),
		cmocka_unit_test(test_paths_that_name_no_file),
		cmocka_unit_test(test_hashed_names),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_only_regular_files_beneath),
		cmocka_unit_test(test_stepwise_is_the_same),
		cmocka_unit_test(test_faults_of_a_root),
	};

	return cmocka_run_group_tests(tests, make_site, remove_site);
}
