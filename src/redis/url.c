/* redis://[user[:password]@]host[:port][/db] and unix://[user[:password]@]/path[?db=n] */
#include "redis/connection.h"

enum { PORT_DEFAULT = 6379, DB_MAX = 1000000 };

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes `in` (RFC 3986, 2.1) into a buffer; false if it is malformed, holds a NUL or doesn't fit.
 */
static bool decode(struct span in, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (c == '%') {
			int high = i + 1 < in.n ? hex_digit(in.p[i + 1]) : -1;
			int low = i + 2 < in.n ? hex_digit(in.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0' || n + 1 >= size)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return true;
}

/* Takes "user:password@", if any, off the front of *rest. */
static const char *parse_credentials(struct span *rest, struct redis_url *url)
{
	struct span credentials, password;
	size_t at = rest->n, authority = rest->n;

	/* The last @ before the path: a password may hold one unescaped. */
	for (size_t i = 0; i < authority; i++) {
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): absent spans are empty */
		if (rest->p[i] == '/')
			authority = i;
		else if (rest->p[i] == '@')
			at = i;
	}
	if (at == rest->n)
		return NULL;
	credentials = (struct span){rest->p, at};
	*rest = (struct span){rest->p + at + 1, rest->n - at - 1};

	password = credentials;
	credentials = span_cut(&password, ':');
	if (password.n == 0)
		return "a user needs a password: redis://user:password@host";
	if (!decode(credentials, url->user, sizeof(url->user)) ||
	    !decode(password, url->password, sizeof(url->password)))
		return "the user or the password is too long or badly percent-encoded";
	return NULL;
}

static const char *parse_db(struct span text, struct redis_url *url)
{
	if (!span_to_int64(text, &url->db) || url->db > DB_MAX)
		return "the database must be a number";
	return NULL;
}

static const char *parse_unix(struct span rest, struct redis_url *url)
{
	struct span query = rest;
	struct span path = span_cut(&query, '?');

	if (path.n < 2 || path.p[0] != '/')
		return "a unix socket needs an absolute path: unix:///run/redis.sock";
	if (!decode(path, url->path, sizeof(url->path)))
		return "the socket's path is too long or badly percent-encoded";
	if (!query.p)
		return NULL;
	if (!span_starts_with(query, SPAN("db=")))
		return "the only parameter of a unix socket is ?db=";
	return parse_db((struct span){query.p + 3, query.n - 3}, url);
}

static const char *parse_tcp(struct span rest, struct redis_url *url)
{
	struct span db = rest;
	struct span port = span_cut(&db, '/');
	struct span host;
	int64_t number = PORT_DEFAULT;

	if (port.n && port.p[0] == '[') {
		host = span_cut(&port, ']');
		if (!port.p || (port.n && port.p[0] != ':'))
			return "an IPv6 address must stand in brackets: redis://[::1]:6379";
		host = (struct span){host.p + 1, host.n - 1};
		port = port.n ? (struct span){port.p + 1, port.n - 1} : SPAN_ABSENT;
	} else {
		host = span_cut(&port, ':');
	}
	if (host.n == 0)
		return "the host is missing";
	if (!decode(host, url->host, sizeof(url->host)))
		return "the host is too long or badly percent-encoded";
	if (port.p && (!span_to_int64(port, &number) || number < 1 || number > 65535))
		return "the port must be a number from 1 to 65535";
	url->port = (int)number;
	return db.n ? parse_db(db, url) : NULL;
}

bool redis_url_parse(const char *text, struct redis_url *url, const char **error)
{
	struct span rest = span_of(text);
	bool tcp = span_starts_with(rest, SPAN("redis://"));

	memset(url, 0, sizeof(*url));
	if (span_starts_with(rest, SPAN("rediss://"))) {
		*error = "rediss:// (TLS) isn't supported; use a tunnel or a unix socket";
		return false;
	}
	if (!tcp && !span_starts_with(rest, SPAN("unix://"))) {
		*error = "must begin with redis:// or unix://";
		return false;
	}
	rest.p += tcp ? strlen("redis://") : strlen("unix://");
	rest.n -= tcp ? strlen("redis://") : strlen("unix://");
	*error = parse_credentials(&rest, url);
	if (!*error)
		*error = tcp ? parse_tcp(rest, url) : parse_unix(rest, url);
	return !*error;
}

bool redis_url_check(const char *url, const char **error)
{
	struct redis_url parsed;
	bool ok = redis_url_parse(url, &parsed, error);

	explicit_bzero(&parsed, sizeof(parsed));
	return ok;
}
