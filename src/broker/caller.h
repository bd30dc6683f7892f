/* Who calls: a user by bearer token, or a service by its own. */
#ifndef DEBRIEF_BROKER_CALLER_H
#define DEBRIEF_BROKER_CALLER_H

#include "broker/worker.h"

/* What a route asks of its caller; may be combined. */
enum { CALLER_USER = 1, CALLER_SERVICE = 2 };

struct caller {
	bool is_service;
	struct uuid user;     /* unless it is a service */
	int64_t expires_secs; /* of the user's token */
};

/* False if the caller is none of `kinds`, or asks too much: then the answer is reply_unauthorized(). */
bool caller_of(struct request *req, int kinds, struct caller *caller) __attribute__((warn_unused_result));

/* 401 with WWW-Authenticate (RFC 6750, 3), saying what is wrong with the token; or 429. */
STEP reply_unauthorized(struct request *req);

/* 400 for a route's :sessionId. */
STEP reply_session_id_malformed(struct request *req);

/* 503 with Retry-After, for a store that is away; `why` goes to the log only. */
STEP reply_unavailable(struct request *req, const char *store, const char *why);

#endif
