/* What is answered about all workers, by any of them or by the admin listener. */
#ifndef DEBRIEF_BROKER_HEALTH_H
#define DEBRIEF_BROKER_HEALTH_H

#include "http/request.h"

struct worker;

/* The admin listener's app, and what workers know of each other: the list stays as it is while they run. */
struct admin {
	struct worker *const *workers;
	size_t worker_count;
	int64_t started_ms; /* wall clock */
	_Atomic bool draining;
	_Atomic bool refused; /* admin_refuse() was called */
};

/* From any thread: this node is set up for another ledger. It would look for users, and keep facts, in places where no
 * other node does; so it takes nothing, not even into the journal, and ends with exit status 1. */
void admin_refuse(struct admin *admin, const char *reason);

enum step admin_livez_start(struct request *req);
enum step admin_readyz_start(struct request *req);
enum step admin_metrics_start(struct request *req); /* metrics_page.c */

#endif
