/* POST /api/save-interview: a browser says that its interview began or ended.
 *
 *   start → link (Redis: fact, decision, views, journal) → ledger (fact and decision) → strike → 200
 *             ▲                          Redis was emptied in between                   │
 *             └─────────────────────────────────────────────────────────────────────────┘
 *            │                                             │ away or slow, or durability = journal
 *            │                                             └─▶ pin → confirm → 200; swept later
 *            │ Redis away
 *            └─▶ whose is the claimed conversation? → ledger (fact, undecided) → 200
 *   link     the ledger away while it is read → on what is here, and on as if it were away then
 *   another user's sid or conversation → 409; too many facts at once → 429
 *   the ledger away and no journal that lasts → 503 */
#include "base/clock.h"
#include "broker/body.h"
#include "broker/caller.h"
#include "broker/handlers.h"
#include "broker/journal.h"
#include "broker/ledger.h"
#include "provider/provider.h"

enum { CONVERSATION_ID_MAX = 256, AGENT_ID_MAX = 256 };
static const int64_t ENDED_AGO_MAX_MS = 7 * 86400 * INT64_C(1000);

struct save {
	struct request *req;
	struct caller caller;
	/* save_start */
	struct span sid;
	struct span conversation_id; /* claimed, or absent */
	struct span ended_by;        /* absent: the start is registered */
	struct span agent_id;
	int64_t ended_ago_ms;
	/* save_on_linked */
	struct link link;
	struct ledger_write ledger;
};

/* Ids are opaque, but they stand in keys, logs and terminals. */
static bool is_plain(struct span id, size_t max)
{
	for (size_t i = 0; i < id.n; i++)
		if ((unsigned char)id.p[i] < 0x20 || id.p[i] == 0x7f)
			return false;
	return id.n > 0 && id.n <= max;
}

static void save_read(struct save *save, struct body *body)
{
	save->sid = body_string(body, "client_session_id", true);
	if (save->sid.p && !session_id_valid(save->sid))
		body_refuse(body, "client_session_id",
			    "client_session_id must be 1 to 128 characters of A-Z a-z 0-9 . _ : - "
			    "and not begin with \"fallback:\"");
	save->conversation_id = body_string(body, "conversation_id", false);
	if (save->conversation_id.p && !is_plain(save->conversation_id, CONVERSATION_ID_MAX))
		body_refuse(body, "conversation_id",
			    "conversation_id must be 1 to 256 bytes without control characters");
	save->ended_by = body_string(body, "ended_by", false);
	if (save->ended_by.p && !span_is(save->ended_by, "user") && !span_is(save->ended_by, "disconnect"))
		body_refuse(body, "ended_by", "ended_by must be \"user\" or \"disconnect\"");
	save->agent_id = body_string(body, "agent_id", false);
	if (save->agent_id.p && !is_plain(save->agent_id, AGENT_ID_MAX))
		body_refuse(body, "agent_id", "agent_id must be 1 to 256 bytes without control characters");
	save->ended_ago_ms = body_int64(body, "ended_ago_ms", 0, 0, ENDED_AGO_MAX_MS);
}

/* The request for lua/session_index.lua, which stamps it. */
static struct span save_request(struct save *save)
{
	struct text text;

	text_init(&text, &save->req->job.arena, 256);
	text_addf(&text, "{\"user\":\"%s\"", save->caller.user.text);
	if (save->agent_id.p) {
		text_add(&text, SPAN(",\"agent\":"));
		text_add_json(&text, save->agent_id);
	}
	if (save->conversation_id.p) {
		text_add(&text, SPAN(",\"claim\":"));
		text_add_json(&text, save->conversation_id);
	}
	if (save->ended_by.p)
		text_addf(&text, ",\"ended_by\":\"%.*s\",\"ended_ago\":%lld", SPAN_ARG(save->ended_by),
			  (long long)save->ended_ago_ms);
	text_addc(&text, '}');
	return text_span(&text);
}

static enum step save_on_linked(void *ctx);
static STEP save_without_redis(struct save *save);
static enum step save_on_owner(void *ctx, const struct postgres_reply *reply);
static enum step save_on_kept(void *ctx);
static STEP save_journaled(struct save *save);
static enum step save_on_kept_undecided(void *ctx);
static enum step save_on_confirmed(void *ctx);
static enum step save_on_pinned(void *ctx);
static enum step save_on_refusal_struck(void *ctx);

/* With a journal that lasts, the ledger is waited for only so long. */
static void save_open_link(struct save *save)
{
	struct request *req = save->req;
	struct worker *worker = worker_of(req);
	struct link *link = &save->link;

	link_init(link, worker, &req->job, save_on_linked, save);
	if (journal_refusal(worker))
		return;
	link->journal = link->may_force = true;
	link->forced = worker->config->durability == DURABILITY_JOURNAL || worker_ledger_is_away(worker);
	link->ledger_until_ms = clock_monotonic_ms() + worker->config->ledger_patience_ms;
	link->pin = span_of(arena_printf(&req->job.arena, "s:%s", req->session));
}

enum step save_start(struct request *req)
{
	struct save *save = ARENA_NEW(&req->job.arena, struct save);
	struct body body;

	save->req = req;
	if (!caller_of(req, CALLER_USER, &save->caller))
		return reply_unauthorized(req);
	body_open(&body, req);
	save_read(save, &body);
	body_close(&body);
	if (body.problem)
		return reply_body_problem(&body);
	req->session = arena_strdup(&req->job.arena, save->sid);
	if (save->conversation_id.p)
		req->conversation = arena_strdup(&req->job.arena, save->conversation_id);

	save_open_link(save);
	return link_save(&save->link, save->caller.user.text, save->sid, save_request(save), save->conversation_id);
}

/* The fact goes to the ledger as it is, stamped there, unless the claimed conversation is another's. */
static STEP save_undecided(struct save *save)
{
	struct text fact;
	struct span request = save_request(save);

	save->req->note = save->link.error;
	text_init(&fact, &save->req->job.arena, request.n + save->sid.n + 16);
	text_add(&fact, SPAN("{\"sid\":"));
	text_add_json(&fact, save->sid);
	text_addc(&fact, ',');
	text_add(&fact, (struct span){request.p + 1, request.n - 1});
	ledger_init(&save->ledger, worker_of(save->req), &save->req->job, save_on_kept_undecided, save);
	return ledger_keep_undecided(&save->ledger, &save->link, text_span(&fact));
}

static STEP save_without_redis(struct save *save)
{
	struct request *req = save->req;
	struct worker *worker = worker_of(req);
	const char *params[] = {arena_strdup(&req->job.arena, save->conversation_id), worker_window_param(worker, &req->job.arena),
				worker_claim_unowned_param(worker)};
	struct postgres_query query = {STATEMENT_CONVERSATION_OWNER, 3, params};

	if (!save->conversation_id.p)
		return save_undecided(save);
	return postgres_submit(worker->ledger_reader, &req->job, NULL, 1, &query, save_on_owner, save);
}

static enum step save_on_owner(void *ctx, const struct postgres_reply *reply)
{
	struct save *save = ctx;
	struct request *req = save->req;

	if (reply->status != CALL_OK)
		return reply_unavailable(req, "the ledger", arena_strdup(&req->job.arena, span_of(reply->error)));
	struct span owner = postgres_value(reply->rows[0], 0, 0);

	if (owner.p && !span_is(owner, save->caller.user.text))
		return reply_problem(req, 409, "conversation_id", "this conversation belongs to another user");
	return save_undecided(save);
}

/* For the log line. */
static void save_note_link(struct save *save)
{
	struct request *req = save->req;
	struct span cid, evidence = link_evidence(&save->link, false, save->sid, &cid);

	if (!evidence.p)
		return;
	req->evidence = arena_strdup(&req->job.arena, evidence);
	req->conversation = arena_strdup(&req->job.arena, cid);
}

static enum step save_on_linked(void *ctx)
{
	struct save *save = ctx;
	struct request *req = save->req;

	switch (save->link.result) {
	case LINK_DECIDED:
		save_note_link(save);
		if (save->link.forced && save->link.entry.n > 0)
			return save_journaled(save);
		ledger_init(&save->ledger, worker_of(req), &req->job, save_on_kept, save);
		save->ledger.until_ms = save->link.ledger_until_ms;
		return ledger_keep_session(&save->ledger, &save->link);
	case LINK_SESSION_TAKEN:
		return reply_problem(req, 409, "client_session_id", "this session belongs to another user");
	case LINK_CONVERSATION_TAKEN:
		return reply_problem(req, 409, "conversation_id", "this conversation belongs to another user");
	case LINK_FULL:
		return link_strike(&save->link, save_on_refusal_struck, save);
	case LINK_REDIS_AWAY:
		return save_without_redis(save);
	case LINK_LEDGER_AWAY:
		break;
	}
	return reply_unavailable(req, "the ledger", save->link.error);
}

static STEP save_done(struct save *save)
{
	return reply_json(save->req, 200, SPAN("{\"success\":true}"));
}

/* What is refused is not to be swept up later. */
static enum step save_on_refusal_struck(void *ctx)
{
	struct save *save = ctx;
	struct request *req = save->req;

	if (save->link.result != LINK_FULL)
		return reply_problem(req, 409, "client_session_id", "this session belongs to another user");
	reply_header(req, "Retry-After", "60");
	return reply_problem(req, 429, NULL, "too many sessions within one match window");
}

static enum step save_on_kept(void *ctx)
{
	struct save *save = ctx;

	switch (save->ledger.result) {
	case LEDGER_KEPT:
	case LEDGER_REJECTED: /* kept all the same, and an operator can replay it */
		return link_strike(&save->link, save_on_confirmed, save);
	case LEDGER_TAKEN:
		return link_strike(&save->link, save_on_refusal_struck, save);
	case LEDGER_AWAY:
		break;
	}
	if (save->link.entry.n == 0)
		return reply_unavailable(save->req, "the ledger", save->ledger.error);
	save->req->note = save->ledger.error;
	return link_pin(&save->link, save_on_pinned, save);
}

/* The ledger was not asked for all that was decided on: the journal must do. */
static STEP save_journaled(struct save *save)
{
	if (save->link.unpinned)
		return link_pin(&save->link, save_on_pinned, save);
	return save_on_pinned(save);
}

/* The journal has it, and whoever sweeps brings it to the ledger. */
static enum step save_on_pinned(void *ctx)
{
	struct save *save = ctx;

	metrics_count(&worker_of(save->req)->metrics, METRIC_JOURNALED_SAVE);
	return link_confirm(&save->link, save_on_confirmed, save);
}

static enum step save_on_kept_undecided(void *ctx)
{
	struct save *save = ctx;

	switch (save->ledger.result) {
	case LEDGER_KEPT:
	case LEDGER_REJECTED:
		return save_done(save);
	case LEDGER_TAKEN:
		return save_on_refusal_struck(save);
	case LEDGER_AWAY:
		break;
	}
	return reply_unavailable(save->req, "the ledger", save->ledger.error);
}

static enum step save_on_confirmed(void *ctx)
{
	struct save *save = ctx;

	if (save->link.lost)
		return link_repeat(&save->link, save_on_linked, save);
	return save_done(save);
}
