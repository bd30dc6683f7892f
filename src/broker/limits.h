/* What one client may ask of a worker: requests and refused tokens a second, places for
 * requests that wait. Of addresses, http does it (http/server.h). */
#ifndef DEBRIEF_BROKER_LIMITS_H
#define DEBRIEF_BROKER_LIMITS_H

#include "base/config.h"
#include "base/uuid.h"
#include "http/server.h"

struct limits;

struct limits *limits_new(const struct config *config);
void limits_free(struct limits *limits);

/* 0, or how long this user has to wait, in ms. */
int64_t limits_user_wait(struct limits *limits, const struct uuid *user) __attribute__((warn_unused_result));

/* Tokens: whoever has sent too many bad ones has to wait before another unknown one is
 * verified at all. */
int64_t limits_token_wait(struct limits *limits, const struct request *req) __attribute__((warn_unused_result));
void limits_token_refused(struct limits *limits, const struct request *req);

/* A place for a request that is going to wait. False if all are taken, or all that this
 * user may have; else it must be given back by limits_unpark() when the wait is over. */
bool limits_park(struct limits *limits, const struct uuid *user) __attribute__((warn_unused_result));
void limits_unpark(struct limits *limits, const struct uuid *user);
size_t limits_parked(const struct limits *limits);

/* Those limits of the configuration that http keeps, and what may be large: webhooks with
 * a signature that is well formed and fresh. `app` of the options is a worker. */
void limits_of_http(const struct config *config, struct http_server_options *options);

#endif
