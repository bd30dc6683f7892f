/* One line a request in the log; of good polls, one in log_sample. */
#ifndef DEBRIEF_BROKER_REQUEST_LOG_H
#define DEBRIEF_BROKER_REQUEST_LOG_H

#include "http/server.h"

/* For http_server_options.answered; the request's app is a worker. */
void request_log(struct request *req);
/* For http_server_options.refused: `app` is a worker. */
void request_log_refused(void *app, const struct http_refusal *refusal);

#endif
