/* The poll view: what a browser is told of its session. */
#ifndef DEBRIEF_BROKER_VIEW_H
#define DEBRIEF_BROKER_VIEW_H

#include "base/config.h"
#include "base/text.h"

struct poll_view {
	struct span interview_id, conversation_id; /* absent: null */
	const char *status;             /* started, ended_pending_webhook, completed, failed */
	struct span evaluation_status;  /* absent: null */
	struct span reason;             /* absent: null */
	bool final;
	int64_t ended_ms;               /* when the session ended; -1: it hasn't */
	int64_t turns_ms;               /* when it will read otherwise by itself: a deadline passes; INT64_MAX: never */
};

/* An evaluation that nobody made within evaluation_deadline_secs of `received_ms`. */
bool evaluation_is_overdue(const struct config *config, struct span status, int64_t received_ms, int64_t now_ms);

/* From the view as lua/decide.lua writes it, as of now: deadlines are computed on
 * reading, so that no timer is needed and a late webhook still counts. */
struct poll_view poll_view_read(struct arena *arena, struct span json, const struct config *config, int64_t now_ms);

void poll_view_write(const struct poll_view *view, struct text *out);

/* "\"…\"": a hash of the bytes, the same on every node. */
enum { ETAG_SIZE = 35 };
void etag_write(struct span body, char etag[ETAG_SIZE]);
const char *etag_of(struct arena *arena, struct span body);

#endif
