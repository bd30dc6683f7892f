/* `ElevenLabs-Signature: t=<unix seconds>,v0=<hex>`: HMAC-SHA-256 over t, a dot and
 * the raw body, keyed with the secret as it was given, prefix included. */
#include "provider/elevenlabs.h"

#include <inttypes.h>

#include "base/digest.h"

enum { HEADER_LEN_MAX = 1024, TIMESTAMP_DIGITS_MAX = 12, SIGNATURES_MAX = 8 };

struct signature {
	struct span timestamp; /* as sent: the MAC covers its very digits */
	int64_t timestamp_secs;
	struct span v0[SIGNATURES_MAX];
	size_t v0_count;
};

const char *signature_result_text(enum signature_result result)
{
	switch (result) {
	case SIGNATURE_OK:
		return "the signature is valid";
	case SIGNATURE_MISSING:
		return "there is no ElevenLabs-Signature header";
	case SIGNATURE_MALFORMED:
		return "the ElevenLabs-Signature header is not t=<unix seconds>,v0=<hex>";
	case SIGNATURE_STALE:
		return "the signature's time is too far from now";
	case SIGNATURE_WRONG:
		return "the signature matches no configured secret";
	}
	return "unknown";
}

/* The vendor's SDKs disagree on the order and on several v0: any order, any v0. */
static bool signature_read(struct span header, struct signature *signature)
{
	struct span value;

	if (header.n > HEADER_LEN_MAX)
		return false;
	*signature = (struct signature){.timestamp = SPAN_ABSENT};
	while (header.p != NULL) {
		value = span_cut(&header, ',');
		if (span_starts_with(value, SPAN("t="))) {
			if (signature->timestamp.p != NULL)
				return false;
			signature->timestamp = (struct span){value.p + 2, value.n - 2};
		} else if (span_starts_with(value, SPAN("v0=")) && signature->v0_count < SIGNATURES_MAX) {
			signature->v0[signature->v0_count++] = (struct span){value.p + 3, value.n - 3};
		}
	}
	return signature->v0_count > 0 && signature->timestamp.n <= TIMESTAMP_DIGITS_MAX &&
	       span_to_int64(signature->timestamp, &signature->timestamp_secs);
}

static void signature_compute(const char *secret, struct span timestamp, struct span body,
			      char hex[SHA256_HEX_LEN + 1])
{
	const struct span parts[] = {timestamp, SPAN("."), body};
	unsigned char mac[SHA256_LEN];

	digest_hmac_sha256(span_of(secret), parts, 3, mac);
	digest_hex(mac, sizeof(mac), hex);
}

static enum signature_result precheck(struct span header, int64_t now_secs, int64_t tolerance_secs,
				      struct signature *signature)
{
	if (header.p == NULL)
		return SIGNATURE_MISSING;
	if (!signature_read(header, signature))
		return SIGNATURE_MALFORMED;
	if (now_secs - signature->timestamp_secs > tolerance_secs ||
	    signature->timestamp_secs - now_secs > ELEVENLABS_FUTURE_SECS)
		return SIGNATURE_STALE;
	return SIGNATURE_OK;
}

enum signature_result elevenlabs_precheck(struct span header, int64_t now_secs, int64_t tolerance_secs)
{
	struct signature signature;

	return precheck(header, now_secs, tolerance_secs, &signature);
}

enum signature_result elevenlabs_verify(const struct config_list *secrets, struct span header, struct span body,
					int64_t now_secs, int64_t tolerance_secs)
{
	struct signature signature;
	char expected[SHA256_HEX_LEN + 1];
	enum signature_result result = precheck(header, now_secs, tolerance_secs, &signature);
	bool match = false;

	if (result != SIGNATURE_OK)
		return result;
	/* no early end: which secret matched must not show in the time */
	for (size_t i = 0; i < secrets->count; i++) {
		signature_compute(secrets->items[i], signature.timestamp, body, expected);
		for (size_t j = 0; j < signature.v0_count; j++)
			match |= digest_equal(signature.v0[j], (struct span){expected, SHA256_HEX_LEN});
	}
	return match ? SIGNATURE_OK : SIGNATURE_WRONG;
}

void elevenlabs_sign(const char *secret, int64_t now_secs, struct span body, char *header, size_t header_size)
{
	char timestamp[24], hex[SHA256_HEX_LEN + 1];

	snprintf(timestamp, sizeof(timestamp), "%" PRId64, now_secs);
	signature_compute(secret, span_of(timestamp), body, hex);
	snprintf(header, header_size, "t=%s,v0=%s", timestamp, hex);
}
