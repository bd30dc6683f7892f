/* Digests by OpenSSL: SHA-256, HMAC-SHA-256, hexadecimal, comparison in constant time. */
#ifndef DEBRIEF_BASE_DIGEST_H
#define DEBRIEF_BASE_DIGEST_H

#include "base/span.h"

enum { SHA256_LEN = 32, SHA256_HEX_LEN = 64 };

void digest_sha256(struct span data, unsigned char out[SHA256_LEN]);

/* HMAC-SHA-256 over the concatenation of `parts` (FIPS 198-1). */
void digest_hmac_sha256(struct span key, const struct span *parts, size_t count, unsigned char out[SHA256_LEN]);

/* Lower case; `out` gets 2·n characters and a NUL. */
void digest_hex(const unsigned char *bytes, size_t n, char *out);

/* True if equal; the time depends on the lengths only. */
bool digest_equal(struct span a, struct span b);

#endif
