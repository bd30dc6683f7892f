/* What a voice provider's webhook must give, whoever it is. */
#ifndef DEBRIEF_PROVIDER_PROVIDER_H
#define DEBRIEF_PROVIDER_PROVIDER_H

#include "base/config.h"
#include "base/json.h"
#include "base/metrics_table.h"
#include "base/uuid.h"

/* A conversation as one webhook told it. Spans live in the arena that was given for
 * parsing, or in the body. Raw members are cleaned JSON text (base/json.h) or absent. */
struct conversation {
	enum metric_event event;     /* set as soon as the type is read, whatever follows */
	const char *provider;        /* "elevenlabs" */
	struct span id;              /* conversation id, never empty */
	struct uuid interview_id;    /* UUIDv5 of both */
	struct span agent_id;        /* "" if unknown */
	struct span status;          /* the provider's, or "failed" for an initiation failure */
	bool final;                  /* status done or failed */
	int64_t event_timestamp_secs; /* 0 if unknown */
	char body_sha256[65];        /* of the raw bytes */
	int64_t started_ms;          /* the provider's own times; -1 if unknown */
	int64_t ended_ms;            /* start + duration; -1 unless both are known */
	int64_t duration_secs;       /* -1 if unknown */
	struct span named_session;   /* a well-formed sid, or absent */
	struct uuid named_user;      /* text "" if none of the places holds a UUID */
	struct span failure_reason;  /* of a call that never began; else absent */

	struct span transcript;      /* raw array, or absent */
	struct span analysis;        /* raw object, or absent */
	struct span metadata;        /* raw object, or absent */
	struct span payload;         /* raw `data` object without those three */
	bool lossy;                  /* cleaning changed something: the raw body must be kept */

	/* the evaluation that the provider's own analysis makes */
	const char *evaluation_status; /* "complete" or "failed" */
	struct span evaluation_result; /* raw object, or absent */
	const char *evaluation_reason; /* of "failed": "no_analysis" or failure_reason; or NULL */
};

enum webhook_kind {
	WEBHOOK_CONVERSATION, /* fill struct conversation */
	WEBHOOK_IGNORED,      /* a type or an agent that isn't ours; answered 200 */
	WEBHOOK_MALFORMED     /* not JSON, no type, or no conversation id where one is a must */
};

/* sid of section 1 of the interface: 1–128 of [A-Za-z0-9._:-], not "fallback:…". */
bool session_id_valid(struct span sid);
/* ^conv_[A-Za-z0-9]+$ : an id that only the provider can have made. */
bool conversation_id_strong(struct span id);

#endif
