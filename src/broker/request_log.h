/* One line a request in the log; of good polls, one in log_sample. */
#ifndef DEBRIEF_BROKER_REQUEST_LOG_H
#define DEBRIEF_BROKER_REQUEST_LOG_H

#include "http/request.h"

/* For http_server_options.answered; the request's app is a worker. */
void request_log(struct request *req);

#endif
