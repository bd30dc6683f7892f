#include "base/uuid.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/random.h>

enum { UUID_LEN = 16, SHA1_LEN = 20, UUIDS_AT_ONCE = 16 };

/* RFC 9562, 6.6: the URL name space. */
static const unsigned char namespace_url[UUID_LEN] = {
	0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8,
};

static bool is_hyphen_position(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

bool uuid_parse(struct span s, struct uuid *uuid)
{
	struct uuid parsed = {0};

	if (s.n != UUID_TEXT_LEN)
		return false;
	for (size_t i = 0; i < UUID_TEXT_LEN; i++) {
		char c = s.p[i];

		if (c >= 'A' && c <= 'F')
			c = (char)(c + ('a' - 'A'));
		bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
		if (is_hyphen_position(i) ? c != '-' : !hex)
			return false;
		parsed.text[i] = c;
	}
	*uuid = parsed;
	return true;
}

/* RFC 9562, 4.1 and 4.2: variant 10xx, and the version in the upper half of byte 6. */
static void set_version(unsigned char bytes[UUID_LEN], unsigned version)
{
	bytes[6] = (unsigned char)((bytes[6] & 0x0f) | version << 4);
	bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
}

static struct uuid format(const unsigned char bytes[UUID_LEN])
{
	static const char digits[] = "0123456789abcdef";
	struct uuid uuid;
	char *out = uuid.text;

	for (size_t i = 0; i < UUID_LEN; i++) {
		if (is_hyphen_position((size_t)(out - uuid.text)))
			*out++ = '-';
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 0x0f];
	}
	*out = '\0';
	return uuid;
}

static void version_5(const unsigned char name_space[UUID_LEN], struct span prefix, struct span name,
		      unsigned char out[UUID_LEN])
{
	unsigned char sha1[SHA1_LEN];
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (!context || !EVP_DigestInit_ex(context, EVP_sha1(), NULL) ||
	    !EVP_DigestUpdate(context, name_space, UUID_LEN) ||
	    !EVP_DigestUpdate(context, prefix.p, prefix.n) ||
	    !EVP_DigestUpdate(context, name.p, name.n) ||
	    !EVP_DigestFinal_ex(context, sha1, NULL))
		abort();
	EVP_MD_CTX_free(context);
	memcpy(out, sha1, UUID_LEN);
	set_version(out, 5);
}

struct uuid uuid_of_interview(const char *provider, struct span conversation_id)
{
	unsigned char name_space[UUID_LEN];
	unsigned char bytes[UUID_LEN];

	version_5(namespace_url, SPAN("debrief.interview."), span_of(provider), name_space);
	version_5(name_space, SPAN(""), conversation_id, bytes);
	return format(bytes);
}

static unsigned nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void uuid_bytes(const struct uuid *uuid, uint8_t bytes[16])
{
	const char *p = uuid->text;

	for (size_t i = 0; i < UUID_LEN; i++, p += 2) {
		if (*p == '-')
			p++;
		bytes[i] = (uint8_t)(nibble(p[0]) << 4 | nibble(p[1]));
	}
}

struct uuid uuid_random(void)
{
	static _Thread_local unsigned char bytes[UUIDS_AT_ONCE][UUID_LEN];
	static _Thread_local size_t left;

	/* Up to 256 bytes come whole, and no signal interrupts them: getrandom(2). */
	if (left == 0 && getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort();
	left = (left == 0 ? UUIDS_AT_ONCE : left) - 1;
	set_version(bytes[left], 4);
	return format(bytes[left]);
}
