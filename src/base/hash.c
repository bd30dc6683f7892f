/* SipHash (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012; the 128 bit variant of 2013). */
#include "base/hash.h"

#include <endian.h>
#include <stdlib.h>
#include <sys/random.h>

struct state {
	uint64_t v0, v1, v2, v3;
};

struct hash_key hash_key_random(void)
{
	struct hash_key key;

	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		abort();
	return key;
}

static inline uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void rounds(struct state *s, int count)
{
	while (count-- > 0) {
		s->v0 += s->v1;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v2 = rotate(s->v2, 32);
	}
}

/* Of fewer than eight bytes. */
static inline uint64_t word_at(const char *p, size_t n)
{
	uint64_t word = 0;

	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)(unsigned char)p[i] << 8 * i;
	return word;
}

/* Takes in all of `data`, its length in the last word's uppermost byte. */
static inline void absorb(struct state *s, struct span data, int count)
{
	size_t at = 0;
	uint64_t word;

	for (; data.n - at >= 8; at += 8) {
		memcpy(&word, data.p + at, 8);
		word = le64toh(word);
		s->v3 ^= word;
		rounds(s, count);
		s->v0 ^= word;
	}
	word = (uint64_t)data.n << 56 | word_at(data.p + at, data.n - at);
	s->v3 ^= word;
	rounds(s, count);
	s->v0 ^= word;
}

static inline struct state state_of(const struct hash_key *key)
{
	return (struct state){key->k[0] ^ 0x736f6d6570736575u, key->k[1] ^ 0x646f72616e646f6du,
			      key->k[0] ^ 0x6c7967656e657261u, key->k[1] ^ 0x7465646279746573u};
}

uint64_t hash_slot(const struct hash_key *key, struct span data)
{
	struct state s = state_of(key);

	absorb(&s, data, 1);
	s.v2 ^= 0xff;
	rounds(&s, 3);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

struct hash_tag hash_tag_of(const struct hash_key *key, struct span data)
{
	struct state s = state_of(key);
	struct hash_tag tag;

	s.v1 ^= 0xee;
	absorb(&s, data, 2);
	s.v2 ^= 0xee;
	rounds(&s, 4);
	tag.h[0] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
	s.v1 ^= 0xdd;
	rounds(&s, 4);
	tag.h[1] = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
	return tag;
}
