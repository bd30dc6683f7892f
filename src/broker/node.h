/* A node: its workers, its admin listener, and the signals that steer them. */
#ifndef DEBRIEF_BROKER_NODE_H
#define DEBRIEF_BROKER_NODE_H

#include "base/config.h"

/* Reads the configuration anew for SIGHUP: a new one on the heap, or NULL if it can't be
 * used (having said why). The node frees it. */
typedef struct config *node_reload_cb(void *arg);

/* Runs until SIGTERM or SIGINT, then answers what is under way. Takes over `config`,
 * which must come from the heap. The exit status: 0, or 1 if it could not start. */
int node_run(struct config *config, node_reload_cb *reload, void *arg);

#endif
