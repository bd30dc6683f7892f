/* Any header, up to the first newline, over any body: none is accepted that wasn't signed. */
#include <stdlib.h>

#include "provider/elevenlabs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int64_t now_secs = 1739537297;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char secret[] = "wsec_fuzz_5b0c3f6c2f5e4d0f9a7b", other[] = "wsec_other";
	char *items[] = {other, secret};
	const struct config_list secrets = {items, 2};
	struct span body = {(const char *)data, size};
	struct span header = span_cut(&body, '\n');
	char signed_header[128];

	if (elevenlabs_verify(&secrets, header, body, now_secs, 3600) == SIGNATURE_OK)
		abort();
	elevenlabs_sign(secret, now_secs, body, signed_header, sizeof(signed_header));
	if (elevenlabs_verify(&secrets, span_of(signed_header), body, now_secs, 3600) != SIGNATURE_OK)
		abort();
	return 0;
}
