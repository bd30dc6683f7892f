#include "base/inet.h"

#include <arpa/inet.h>

enum { V4_PREFIX = 96 }; /* ::ffff:0:0/96 holds IPv4 */

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool is_v4(const struct inet *address)
{
	return memcmp(address->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

static bool parse_bare(struct span text, struct inet *address, bool *v4)
{
	char copy[INET6_ADDRSTRLEN];

	if (text.n == 0 || text.n >= sizeof(copy))
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	if (strlen(copy) != text.n) /* a NUL within */
		return false;
	*v4 = inet_pton(AF_INET, copy, address->bytes + sizeof(v4_prefix)) == 1;
	if (*v4) {
		memcpy(address->bytes, v4_prefix, sizeof(v4_prefix));
		return true;
	}
	return inet_pton(AF_INET6, copy, address->bytes) == 1;
}

static bool is_port(struct span text)
{
	int64_t port;

	return text.n <= 5 && span_to_int64(text, &port) && port <= 65535;
}

bool inet_parse(struct span text, struct inet *address)
{
	struct span rest;
	bool v4;

	if (text.n > 0 && text.p[0] == '[') {
		rest = (struct span){text.p + 1, text.n - 1};
		text = span_cut(&rest, ']');
		if (rest.p == NULL || (rest.n > 0 && (rest.p[0] != ':' || !is_port((struct span){rest.p + 1, rest.n - 1}))))
			return false;
		return parse_bare(text, address, &v4) && !v4;
	}
	rest = text;
	span_cut(&rest, ':');
	if (rest.p != NULL && memchr(rest.p, ':', rest.n) == NULL) { /* one colon: IPv4 and a port */
		text.n -= rest.n + 1;
		return is_port(rest) && parse_bare(text, address, &v4) && v4;
	}
	return parse_bare(text, address, &v4);
}

static void keep_prefix(struct inet *address, unsigned prefix)
{
	for (unsigned i = 0; i < sizeof(address->bytes); i++) {
		unsigned kept = prefix > i * 8 ? prefix - i * 8 : 0;

		if (kept < 8)
			address->bytes[i] &= (uint8_t)(0xff << (8 - kept));
	}
}

bool inet_parse_network(struct span text, struct inet_network *network)
{
	struct span prefix = text;
	struct span address = span_cut(&prefix, '/');
	struct inet kept;
	int64_t bits;
	bool v4;

	if (!parse_bare(address, &network->address, &v4))
		return false;
	bits = v4 ? 32 : 128;
	if (prefix.p != NULL) {
		int64_t most = bits;

		if (prefix.n > 3 || (prefix.n > 1 && prefix.p[0] == '0') || !span_to_int64(prefix, &bits) ||
		    bits > most)
			return false;
	}
	network->prefix = (uint8_t)(v4 ? V4_PREFIX + bits : bits);
	kept = network->address;
	keep_prefix(&kept, network->prefix);
	return memcmp(&kept, &network->address, sizeof(kept)) == 0;
}

bool inet_in_network(const struct inet *address, const struct inet_network *network)
{
	struct inet kept = *address;

	keep_prefix(&kept, network->prefix);
	return memcmp(&kept, &network->address, sizeof(kept)) == 0;
}

struct inet inet_client(const struct inet *address)
{
	struct inet client = *address;

	if (!is_v4(address))
		keep_prefix(&client, 64);
	return client;
}

void inet_print(const struct inet *address, char out[INET_TEXT_SIZE])
{
	if (is_v4(address))
		inet_ntop(AF_INET, address->bytes + sizeof(v4_prefix), out, INET_TEXT_SIZE);
	else
		inet_ntop(AF_INET6, address->bytes, out, INET_TEXT_SIZE);
}
