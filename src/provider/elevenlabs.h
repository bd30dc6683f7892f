/* ElevenLabs Agents: its webhook signature and its payloads. */
#ifndef DEBRIEF_PROVIDER_ELEVENLABS_H
#define DEBRIEF_PROVIDER_ELEVENLABS_H

#include "provider/provider.h"

enum { ELEVENLABS_FUTURE_SECS = 300 };

enum signature_result { SIGNATURE_OK, SIGNATURE_MISSING, SIGNATURE_MALFORMED, SIGNATURE_STALE, SIGNATURE_WRONG };
const char *signature_result_text(enum signature_result result);

/* Verifies `ElevenLabs-Signature: t=…,v0=…` over the raw body, before anything is
 * parsed: any v0 against any secret, in constant time; t at most tolerance_secs old
 * and at most ELEVENLABS_FUTURE_SECS ahead. */
enum signature_result elevenlabs_verify(const struct config_list *secrets, struct span header, struct span body,
					int64_t now_secs, int64_t tolerance_secs)
	__attribute__((warn_unused_result));

/* What can be said of the header before there is a body: SIGNATURE_OK for one that is
 * well formed and fresh, whoever made it. */
enum signature_result elevenlabs_precheck(struct span header, int64_t now_secs, int64_t tolerance_secs)
	__attribute__((warn_unused_result));

/* Writes the header's value for a body, as the provider would. */
void elevenlabs_sign(const char *secret, int64_t now_secs, struct span body, char *header, size_t header_size);

/* Reads a signed body. `agents`: allow-list, empty for all. On WEBHOOK_MALFORMED
 * *reason says what is missing (static text); on WEBHOOK_IGNORED why. */
enum webhook_kind elevenlabs_parse(struct arena *arena, struct span body, const struct config_list *agents,
				   struct conversation *conversation, const char **reason)
	__attribute__((warn_unused_result));
/* The same of one that was read before, whoever's agent it is of. `sha256`: its digest as read then; empty: not known. */
enum webhook_kind elevenlabs_parse_again(struct arena *arena, struct span body, struct span sha256,
					 struct conversation *conversation, const char **reason)
	__attribute__((warn_unused_result));

#endif
