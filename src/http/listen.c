/* Listening sockets. */
#include "http/server.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

struct address {
	char host[256]; /* "": every interface, IPv6 and IPv4 */
	char port[6];
};

static bool copy(char *out, size_t size, struct span s)
{
	if (s.n >= size)
		return false;
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

/* "host:port", "[v6]:port", "*:port", ":port" */
static bool address_parse(const char *text, struct address *address)
{
	const char *colon = strrchr(text, ':');
	struct span host, port;
	int64_t number;

	if (colon == NULL)
		return false;
	host = (struct span){text, (size_t)(colon - text)};
	port = span_of(colon + 1);
	if (port.n > 5 || !span_to_int64(port, &number) || number > 65535)
		return false;
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct span){host.p + 1, host.n - 2};
	else if (memchr(host.p, ':', host.n) != NULL)
		return false; /* an IPv6 address without brackets: where does it end? */
	if (span_is(host, "*"))
		host.n = 0;
	return copy(address->host, sizeof(address->host), host) &&
	       copy(address->port, sizeof(address->port), port);
}

static const char *bind_error(int error)
{
	switch (error) {
	case EADDRINUSE: return "the address is in use by another process";
	case EADDRNOTAVAIL: return "this machine has no such address";
	case EACCES: return "no permission to listen on this port";
	default: return strerror(error);
	}
}

/* -1 and errno on failure. */
static int open_socket(const struct addrinfo *info, bool shared)
{
	const int on = 1, off = 0;
	int error, fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	/* Accepted sockets inherit TCP_NODELAY on Linux. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
	    (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
	    (info->ai_family != AF_INET6 ||
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0) &&
	    bind(fd, info->ai_addr, info->ai_addrlen) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static bool have_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* Binds to the first of the host's addresses that can be had. */
static int bind_address(const char *text, bool shared, const char **error)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct addrinfo *list = NULL;
	struct address address;
	int fd = -1, result;

	if (!address_parse(text, &address)) {
		*error = "not of the form host:port or [IPv6]:port with a port of 0 to 65535";
		return -1;
	}
	if (address.host[0] == '\0')
		hints.ai_family = have_ipv6() ? AF_INET6 : AF_INET;
	result = getaddrinfo(address.host[0] ? address.host : NULL, address.port, &hints, &list);
	if (result != 0) {
		*error = gai_strerror(result);
		return -1;
	}
	for (const struct addrinfo *info = list; info != NULL && fd < 0; info = info->ai_next) {
		fd = open_socket(info, shared);
		if (fd < 0)
			*error = bind_error(errno);
	}
	freeaddrinfo(list);
	return fd;
}

int http_listen(const char *address, bool shared, const char **error)
{
	int fd = bind_address(address, shared, error);

	if (fd >= 0 && listen(fd, BACKLOG) != 0) {
		*error = bind_error(errno);
		close(fd);
		return -1;
	}
	return fd;
}

bool http_address_is_free(const char *address, const char **error)
{
	int fd = bind_address(address, false, error);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

void http_listen_name(int fd, char *buffer, size_t size)
{
	struct sockaddr_storage address = {0};
	socklen_t address_len = sizeof(address);
	char host[INET6_ADDRSTRLEN + 16], port[6];

	if (getsockname(fd, (struct sockaddr *)&address, &address_len) != 0 ||
	    getnameinfo((struct sockaddr *)&address, address_len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		snprintf(buffer, size, "?");
		return;
	}
	snprintf(buffer, size, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}
