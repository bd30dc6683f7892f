/* What systemd and a node tell each other: sockets that it opened, readiness, the watchdog.
 * Written by hand (sd_notify(3), sd_listen_fds(3)), so that no library is needed; without systemd
 * nothing of it does anything. */
#ifndef DEBRIEF_BROKER_SYSTEMD_H
#define DEBRIEF_BROKER_SYSTEMD_H

#include <stdbool.h>
#include <stdint.h>

/* Listening sockets that were handed over; -1 without. */
struct systemd_sockets {
	int listen; /* named "listen", or the first */
	int admin;  /* named "admin_listen", or the second */
};

/* Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, and takes them out of the environment. False and *error
 * (static text) if what was handed over are not one or two listening stream sockets. */
bool systemd_take_sockets(struct systemd_sockets *sockets, const char **error)
	__attribute__((warn_unused_result));

/* "READY=1", "STOPPING=1", … to NOTIFY_SOCKET. */
void systemd_notify(const char *state);

/* How often systemd wants to hear WATCHDOG=1, in µs; 0: it does not. */
int64_t systemd_watchdog_us(void);

#endif
