/* POST /webhooks/elevenlabs: the provider tells of a conversation.
 *
 *   start (verify, parse) → keep (ledger: content and fact, undecided) → link (Redis: decide, views)
 *         → decided (ledger: decision) → confirm → 200
 *
 *   keep     the ledger away or slow, or durability = journal
 *            → journal (Redis: body) → view (link; on what is there, if need be) → 200; swept later
 *   link     Redis away, or the ledger away now → 200; decided later
 *   bad signature → 401; no JSON, type or conversation id → 400; not ours → 200; neither store → 503
 *
 * Once the content is in the ledger or in the journal nothing is lost: whoever repeats the rest ends
 * where this would have. */
#include "base/clock.h"
#include "broker/agent_lag.h"
#include "broker/caller.h"
#include "broker/delay.h"
#include "broker/fact.h"
#include "broker/handlers.h"
#include "broker/journal.h"
#include "broker/ledger.h"
#include "provider/elevenlabs.h"

struct webhook {
	struct request *req;
	/* webhook_start */
	struct conversation conversation;
	/* webhook_take */
	int64_t ledger_until_ms;
	bool ledger_tried, journal_tried;
	/* webhook_keep */
	struct ledger_write ledger;
	/* webhook_on_kept, webhook_on_journaled */
	struct link link;
	struct span hash; /* of the content that counts, which may be another webhook's */
	unsigned repeats; /* Redis was emptied in between */
	bool repeated;    /* it brought nothing new */
};

static void webhook_count(struct request *req, enum metric_counter result)
{
	metrics_count(&worker_of(req)->metrics, metric_of_event(result, (enum metric_event)req->event));
}

static STEP webhook_received(struct request *req, enum metric_counter result)
{
	webhook_count(req, result);
	return reply_json(req, 200, SPAN("{\"received\":true}"));
}

static STEP webhook_unavailable(struct request *req, const char *store, const char *why)
{
	webhook_count(req, METRIC_WEBHOOK_UNAVAILABLE);
	return reply_unavailable(req, store, why);
}

/* What it told is kept; and what follows from it is, or will be. */
static STEP webhook_accepted(struct webhook *webhook)
{
	int64_t ended_ms = webhook->conversation.ended_ms;

	if (webhook->repeated)
		return webhook_received(webhook->req, METRIC_WEBHOOK_DUPLICATE);
	if (ended_ms > 0)
		agent_lag_note(worker_of(webhook->req), webhook->conversation.agent_id, clock_wall_ms() - ended_ms);
	if (webhook->link.result == LINK_DECIDED && ended_ms > 0)
		metrics_observe(&worker_of(webhook->req)->metrics, HISTOGRAM_RESULT_LAG, (clock_wall_ms() - ended_ms) * 1000);
	return webhook_received(webhook->req, METRIC_WEBHOOK_ACCEPTED);
}

static enum step webhook_take(void *ctx);
static STEP webhook_keep(struct webhook *webhook);
static enum step webhook_on_kept(void *ctx);
static enum step webhook_on_linked(void *ctx);
static enum step webhook_on_decided(void *ctx);
static enum step webhook_on_confirmed(void *ctx);
static STEP webhook_journal(struct webhook *webhook);
static enum step webhook_on_journaled(void *ctx, const struct redis_reply *reply);
static enum step webhook_on_viewed(void *ctx);
static enum step webhook_on_pinned(void *ctx);

enum step webhook_start(struct request *req)
{
	struct worker *worker = worker_of(req);
	const struct config *config = worker->config;
	struct webhook *webhook = ARENA_NEW(&req->job.arena, struct webhook);
	enum signature_result signature;
	enum webhook_kind kind;
	const char *reason;

	webhook->req = req;
	signature = elevenlabs_verify(&config->elevenlabs_webhook_secret, request_header(req, "ElevenLabs-Signature"),
				      req->body, clock_wall_ms() / 1000, config->signature_tolerance_secs);
	if (signature != SIGNATURE_OK) {
		webhook_count(req, METRIC_WEBHOOK_BAD_SIGNATURE);
		return reply_problem(req, 401, "ElevenLabs-Signature", "%s", signature_result_text(signature));
	}
	kind = elevenlabs_parse(&req->job.arena, req->body, &config->elevenlabs_agents, &webhook->conversation, &reason);
	req->event = (int)webhook->conversation.event;
	switch (kind) {
	case WEBHOOK_MALFORMED:
		webhook_count(req, METRIC_WEBHOOK_MALFORMED);
		return reply_problem(req, 400, reason, "%s is missing or malformed", reason);
	case WEBHOOK_IGNORED:
		req->note = reason;
		return webhook_received(req, METRIC_WEBHOOK_IGNORED);
	case WEBHOOK_CONVERSATION:
		break;
	}
	req->conversation = arena_strdup(&req->job.arena, webhook->conversation.id);
	if (webhook->conversation.event_timestamp_secs > 0)
		metrics_observe(&worker->metrics, HISTOGRAM_WEBHOOK_LAG,
				(clock_wall_ms() - webhook->conversation.event_timestamp_secs * 1000) * 1000);
	if (config->simulate_webhook_delay_ms > 0) {
		req->job.deadline_ms += config->simulate_webhook_delay_ms;
		return delay_step(worker->base, &req->job, config->simulate_webhook_delay_ms, webhook_take, webhook);
	}
	return webhook_take(webhook);
}

/* The ledger first, or what must do instead of it. */
static enum step webhook_take(void *ctx)
{
	struct webhook *webhook = ctx;
	struct worker *worker = worker_of(webhook->req);
	bool journal = !journal_refusal(worker);

	webhook->ledger_until_ms = journal ? clock_monotonic_ms() + worker->config->ledger_patience_ms : INT64_MAX;
	if (journal && (worker->config->durability == DURABILITY_JOURNAL || worker_ledger_is_away(worker)))
		return webhook_journal(webhook);
	return webhook_keep(webhook);
}

/* ── the ledger's way ───────────────────────────────────────────────────────────────── */

static STEP webhook_keep(struct webhook *webhook)
{
	struct request *req = webhook->req;

	webhook->ledger_tried = true;
	ledger_init(&webhook->ledger, worker_of(req), &req->job, webhook_on_kept, webhook);
	webhook->ledger.until_ms = webhook->ledger_until_ms;
	return ledger_keep_conversation(&webhook->ledger, &webhook->conversation, req->body, 0);
}

/* A link of this conversation, which is kept whatever becomes of it. */
static void webhook_open_link(struct webhook *webhook, enum step (*next)(void *ctx))
{
	struct request *req = webhook->req;
	struct link *link = &webhook->link;

	link_init(link, worker_of(req), &req->job, next, webhook);
	link->may_force = true;
	link->ledger_until_ms = webhook->ledger_until_ms;
	link->pin = span_of(arena_printf(&req->job.arena, "c:%s", req->conversation));
}

static enum step webhook_on_kept(void *ctx)
{
	struct webhook *webhook = ctx;
	struct arena *arena = &webhook->req->job.arena;

	if (webhook->ledger.result == LEDGER_REJECTED)
		return webhook_received(webhook->req, METRIC_WEBHOOK_REJECTED);
	if (webhook->ledger.result != LEDGER_KEPT && !webhook->journal_tried)
		return webhook_journal(webhook);
	if (webhook->ledger.result != LEDGER_KEPT)
		return webhook_unavailable(webhook->req, "the ledger", webhook->ledger.error);
	webhook->repeated = webhook->ledger.repeated;
	webhook->hash = json_decode_string(arena, json_member(json_member(webhook->ledger.facts, "content"), "hash"));
	webhook_open_link(webhook, webhook_on_linked);
	return link_conversation(&webhook->link, webhook->conversation.id, webhook->ledger.facts);
}

/* For the log line. */
static void webhook_note_link(struct webhook *webhook)
{
	struct request *req = webhook->req;
	struct span sid, evidence = link_evidence(&webhook->link, true, webhook->conversation.id, &sid);

	if (webhook->link.result != LINK_DECIDED || !evidence.p)
		return;
	req->evidence = arena_strdup(&req->job.arena, evidence);
	req->session = arena_strdup(&req->job.arena, sid);
}

static enum step webhook_on_linked(void *ctx)
{
	struct webhook *webhook = ctx;
	struct request *req = webhook->req;

	webhook_note_link(webhook);
	if (webhook->link.result == LINK_FULL) {
		/* more than one window holds: it stays undecided, but whoever lost it must know */
		req->note = "undecided: too many facts within one match window";
	} else if (webhook->link.result != LINK_DECIDED || webhook->link.forced) {
		req->note = webhook->link.error;
		return webhook_accepted(webhook);
	}
	ledger_init(&webhook->ledger, worker_of(req), &req->job, webhook_on_decided, webhook);
	webhook->ledger.until_ms = webhook->ledger_until_ms;
	return ledger_keep_decisions(&webhook->ledger, &webhook->link, webhook->conversation.id, webhook->hash);
}

static enum step webhook_on_decided(void *ctx)
{
	struct webhook *webhook = ctx;

	if (webhook->ledger.result != LEDGER_KEPT) {
		webhook->req->note = webhook->ledger.error;
		return webhook_accepted(webhook);
	}
	return link_confirm(&webhook->link, webhook_on_confirmed, webhook);
}

static enum step webhook_on_confirmed(void *ctx)
{
	struct webhook *webhook = ctx;

	if (webhook->link.lost)
		return link_repeat(&webhook->link, webhook_on_linked, webhook);
	return webhook_accepted(webhook);
}

/* ── the journal's way ──────────────────────────────────────────────────────────────── */

/* The journal won't have it: the ledger, if it was not asked yet. */
static STEP webhook_not_journaled(struct webhook *webhook, const char *why)
{
	if (webhook->ledger_tried)
		return webhook_unavailable(webhook->req, "the ledger", why);
	webhook->ledger_until_ms = INT64_MAX;
	return webhook_keep(webhook);
}

static STEP webhook_journal(struct webhook *webhook)
{
	struct request *req = webhook->req;
	struct worker *worker = worker_of(req);
	const char *why = journal_refusal(worker);

	webhook->journal_tried = true;
	if (why)
		return webhook_not_journaled(webhook, why);
	return journal_append(worker, &req->job, &webhook->conversation, req->body, webhook_on_journaled, webhook);
}

static enum step webhook_on_journaled(void *ctx, const struct redis_reply *reply)
{
	struct webhook *webhook = ctx;
	struct request *req = webhook->req;
	struct worker *worker = worker_of(req);
	struct arena *arena = &req->job.arena;
	const struct conversation *conversation = &webhook->conversation;

	if (reply->status != CALL_OK)
		return webhook_not_journaled(webhook, arena_printf(arena, "redis: %.*s", SPAN_ARG(reply->error)));
	if (span_is(reply->v[0], "NO_BODY"))
		return webhook_not_journaled(webhook, "redis: the body was not taken");
	journal_size_note(worker->journal,
			  partition_of(span_of(conversation->interview_id.text), worker->config->partitions), reply->v[2]);
	metrics_count(&worker->metrics, METRIC_JOURNALED_WEBHOOK);
	webhook_open_link(webhook, webhook_on_viewed);
	link_note_times(&webhook->link, reply);
	webhook->link.forced = worker->config->durability == DURABILITY_JOURNAL || worker_ledger_is_away(worker);
	return link_content(&webhook->link, conversation->id,
			    conversation_fact(arena, worker->config, conversation, journal_entry_ms(reply->v[1])));
}

static enum step webhook_on_viewed(void *ctx)
{
	struct webhook *webhook = ctx;

	webhook_note_link(webhook);
	if (webhook->link.result != LINK_DECIDED) { /* the sweeper will */
		webhook->req->note = webhook->link.error ? webhook->link.error : "undecided: too many facts within one match window";
		return webhook_accepted(webhook);
	}
	if (webhook->link.unpinned)
		return link_pin(&webhook->link, webhook_on_pinned, webhook);
	return webhook_on_pinned(webhook);
}

/* Nobody need ask Redis whether it still knows all this: body and views were told it in one go, and
 * each reply said whether its partition had been emptied since the body came. What is emptied after the
 * last of them is lost as it would be after the 200. */
static enum step webhook_on_pinned(void *ctx)
{
	struct webhook *webhook = ctx;

	if (link_was_emptied(&webhook->link) && ++webhook->repeats < LINK_REPEATS_MAX)
		return webhook_journal(webhook);
	return webhook_accepted(webhook);
}
