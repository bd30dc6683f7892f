/* Internet addresses and networks (CIDR), IPv4 and IPv6 in one form.
 *
 * An address is 16 bytes; IPv4 is kept as IPv4-mapped IPv6 (RFC 4291, 2.5.5.2), so
 * that a client is the same one on a socket for both families. */
#ifndef DEBRIEF_BASE_INET_H
#define DEBRIEF_BASE_INET_H

#include "base/span.h"

enum { INET_TEXT_SIZE = 46 };

struct inet {
	uint8_t bytes[16];
};

struct inet_network {
	struct inet address; /* bits behind the prefix are 0 */
	uint8_t prefix;      /* of 128 */
};

/* "203.0.113.7", "2001:db8::1", also in brackets and with a port behind it, as proxies
 * write them into X-Forwarded-For. */
bool inet_parse(struct span text, struct inet *address) __attribute__((warn_unused_result));
/* "10.0.0.0/8", "2001:db8::/32"; an address alone is a network of one. Bits behind the
 * prefix must be 0: whoever writes 10.1.2.3/8 meant something else. */
bool inet_parse_network(struct span text, struct inet_network *network) __attribute__((warn_unused_result));
bool inet_in_network(const struct inet *address, const struct inet_network *network);

/* What limits count as one client: an IPv4 address, or an IPv6 /64, which is what one
 * subscriber is given and could otherwise use up address by address. */
struct inet inet_client(const struct inet *address);
/* "203.0.113.7", "2001:db8::1" */
void inet_print(const struct inet *address, char out[INET_TEXT_SIZE]);

#endif
