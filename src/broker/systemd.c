#include "broker/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

enum { FIRST_FD = 3, FDS_MAX = 2 };

/* Of a variable that must name this process or a number of things; -1 if it isn't there or no number. */
static int64_t number_of(const char *name)
{
	int64_t number;

	return span_to_int64(span_of(getenv(name)), &number) ? number : -1;
}

static bool is_listening(int fd)
{
	int type = 0, listening = 0;
	socklen_t type_len = sizeof(type), listening_len = sizeof(listening);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_len) == 0 && listening;
}

/* As http_listen() makes them. */
static bool prepare(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return is_listening(fd) && flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
	       fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static void assign(struct systemd_sockets *sockets, int fd, struct span name)
{
	if (span_is(name, "listen") || (sockets->listen < 0 && !span_is(name, "admin_listen")))
		sockets->listen = fd;
	else
		sockets->admin = fd;
}

bool systemd_take_sockets(struct systemd_sockets *sockets, const char **error)
{
	bool ours = number_of("LISTEN_PID") == (int64_t)getpid();
	int64_t count = ours ? number_of("LISTEN_FDS") : 0;
	struct span names = span_of(getenv("LISTEN_FDNAMES"));
	bool ok = count <= FDS_MAX;

	*sockets = (struct systemd_sockets){-1, -1};
	*error = "more than two sockets were handed over (LISTEN_FDS)";
	for (int64_t i = 0; ok && i < count; i++) {
		int fd = FIRST_FD + (int)i;

		*error = "what was handed over is no listening stream socket (LISTEN_FDS)";
		ok = prepare(fd);
		assign(sockets, fd, names.p ? span_cut(&names, ':') : SPAN_ABSENT);
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return ok;
}

void systemd_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t path_len = path ? strlen(path) : 0;
	socklen_t address_len;
	int fd;

	if (path_len == 0 || path_len >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(address.sun_path, path, path_len);
	if (path[0] == '@') /* an abstract one */
		address.sun_path[0] = '\0';
	address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len + (path[0] == '/'));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&address,
		   address_len) < 0)
		log_event(LOG_WARN, "notify_failed", "error=%s", LOG_TEXT(span_of(strerror(errno))));
	close(fd);
}

int64_t systemd_watchdog_us(void)
{
	int64_t pid = number_of("WATCHDOG_PID"), usec = number_of("WATCHDOG_USEC");

	return usec > 0 && (pid < 0 || pid == (int64_t)getpid()) ? usec : 0;
}
