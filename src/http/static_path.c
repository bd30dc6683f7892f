#include "http/static_path.h"

#include <ctype.h>

/* Of Rollup and so of Vite, unless told otherwise: so many characters of base64url. */
enum { HASH_LEN = 8 };

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A slash or a backslash that was encoded would make two segments of one; some other program
 * might well have read it so. */
static bool is_usable(char c)
{
	return (unsigned char)c >= ' ' && c != 0x7f && c != '/' && c != '\\';
}

/* Adds the decoded segment to out[*n]. */
static bool decode_segment(struct span raw, char *out, size_t *n)
{
	size_t start = *n;

	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (c == '%') {
			int high = raw.n - i > 2 ? hex_value(raw.p[i + 1]) : -1;
			int low = raw.n - i > 2 ? hex_value(raw.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (!is_usable(c))
			return false;
		out[(*n)++] = c;
	}
	return *n > start && out[start] != '.';
}

bool static_path_resolve(struct arena *arena, struct span raw, struct span *path)
{
	struct span rest;
	size_t n = 0;
	char *out;

	if (raw.n == 0 || raw.p[0] != '/')
		return false;
	rest = (struct span){raw.p + 1, raw.n - 1};
	out = arena_alloc(arena, raw.n + 1);
	*path = (struct span){out, 0};
	if (rest.n == 0)
		return true;
	while (rest.p != NULL) {
		if (n > 0)
			out[n++] = '/';
		if (!decode_segment(span_cut(&rest, '/'), out, &n))
			return false;
	}
	path->n = n;
	return true;
}

static struct span last_segment(struct span path)
{
	size_t start = path.n;

	while (start > 0 && path.p[start - 1] != '/')
		start--;
	return (struct span){path.p + start, path.n - start};
}

/* Without its dot; empty if there is none. */
static struct span extension(struct span name)
{
	for (size_t i = name.n; i > 0; i--)
		if (name.p[i - 1] == '.')
			return (struct span){name.p + i, name.n - i};
	return SPAN("");
}

static struct span without_extension(struct span name)
{
	struct span last = extension(name);

	return last.n > 0 ? (struct span){name.p, name.n - last.n - 1} : name;
}

/* Eight characters in which kinds are mixed as no word and no date mixes them: "report-20261125" and
 * "our-Document" must not be kept for a year. A hash that happens to look like a word is only asked for again. */
static bool looks_random(struct span hash)
{
	size_t lower = 0, upper = 0, others = 0;

	for (size_t i = 0; i < hash.n; i++) {
		unsigned char c = (unsigned char)hash.p[i];

		if (!isalnum(c) && c != '-' && c != '_')
			return false;
		lower += islower(c) != 0;
		upper += isupper(c) != 0;
		others += !isalpha(c);
	}
	if (upper == 1 && others == 0 && isupper((unsigned char)hash.p[0]))
		return false;
	return (lower > 0) + (upper > 0) + (others > 0) > 1;
}

bool static_path_is_hashed(struct span path)
{
	struct span stem = last_segment(path);

	if (!span_starts_with(path, SPAN("assets/")) || extension(stem).n == 0)
		return false;
	if (span_is(extension(stem), "map"))
		stem = without_extension(stem);
	stem = without_extension(stem);
	if (stem.n < HASH_LEN + 2 || stem.p[stem.n - HASH_LEN - 1] != '-')
		return false;
	return looks_random((struct span){stem.p + stem.n - HASH_LEN, HASH_LEN});
}

/* Text is UTF-8, as bundlers write it. */
static const struct {
	const char *extension;
	const char *type;
} types[] = {
	{"html", "text/html; charset=utf-8"},
	{"js", "text/javascript; charset=utf-8"},
	{"mjs", "text/javascript; charset=utf-8"},
	{"css", "text/css; charset=utf-8"},
	{"json", "application/json"},
	{"map", "application/json"},
	{"webmanifest", "application/manifest+json"},
	{"wasm", "application/wasm"},
	{"svg", "image/svg+xml"},
	{"png", "image/png"},
	{"jpg", "image/jpeg"},
	{"jpeg", "image/jpeg"},
	{"gif", "image/gif"},
	{"webp", "image/webp"},
	{"avif", "image/avif"},
	{"ico", "image/x-icon"},
	{"woff2", "font/woff2"},
	{"woff", "font/woff"},
	{"ttf", "font/ttf"},
	{"otf", "font/otf"},
	{"mp3", "audio/mpeg"},
	{"ogg", "audio/ogg"},
	{"wav", "audio/wav"},
	{"mp4", "video/mp4"},
	{"webm", "video/webm"},
	{"txt", "text/plain; charset=utf-8"},
	{"xml", "application/xml"},
	{"pdf", "application/pdf"},
};

const char *static_path_type(struct span path)
{
	struct span wanted = extension(last_segment(path));

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (span_ieq(wanted, span_of(types[i].extension)))
			return types[i].type;
	return "application/octet-stream";
}
