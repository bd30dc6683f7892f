/* The parts of a worker. Private to worker*.c. */
#ifndef DEBRIEF_BROKER_WORKER_PARTS_H
#define DEBRIEF_BROKER_WORKER_PARTS_H

#include "broker/worker.h"

/* worker_stores.c. False and *error, a static text, if a URL is wrong. */
bool worker_open_stores(struct worker *worker, const char **error) __attribute__((warn_unused_result));
/* Whoever still waits for one is answered. */
void worker_close_stores(struct worker *worker);

#endif
