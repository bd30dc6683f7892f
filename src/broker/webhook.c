/* POST /webhooks/elevenlabs: the provider tells of a conversation.
 *
 *   start (verify, parse) → ledger (content and fact, undecided) → link (Redis: decide, views)
 *         → ledger (decision) → confirm → 200
 *                                                            │ away
 *                                                            └─▶ 200; decided later
 *   bad signature → 401; no JSON, type or conversation id → 400; not ours → 200; the ledger away → 503
 *
 * Once the content is in the ledger nothing is lost: whoever repeats the rest ends where
 * this would have. */
#include "base/clock.h"
#include "broker/caller.h"
#include "broker/delay.h"
#include "broker/handlers.h"
#include "broker/ledger.h"
#include "provider/elevenlabs.h"

struct webhook {
	struct request *req;
	/* webhook_start */
	struct conversation conversation;
	/* webhook_keep */
	struct ledger_write ledger;
	/* webhook_on_kept */
	struct link link;
	struct span hash; /* of the content that counts, which may be another webhook's */
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

static enum metric_counter webhook_result(const struct webhook *webhook)
{
	return webhook->repeated ? METRIC_WEBHOOK_DUPLICATE : METRIC_WEBHOOK_ACCEPTED;
}

static enum step webhook_keep(void *ctx);
static enum step webhook_on_kept(void *ctx);
static enum step webhook_on_linked(void *ctx);
static enum step webhook_on_decided(void *ctx);
static enum step webhook_on_confirmed(void *ctx);

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
		return delay_step(worker->base, &req->job, config->simulate_webhook_delay_ms, webhook_keep, webhook);
	}
	return webhook_keep(webhook);
}

static enum step webhook_keep(void *ctx)
{
	struct webhook *webhook = ctx;
	struct request *req = webhook->req;

	ledger_init(&webhook->ledger, worker_of(req), &req->job, webhook_on_kept, webhook);
	return ledger_keep_conversation(&webhook->ledger, &webhook->conversation, req->body);
}

static enum step webhook_on_kept(void *ctx)
{
	struct webhook *webhook = ctx;
	struct request *req = webhook->req;
	struct arena *arena = &req->job.arena;

	if (webhook->ledger.result == LEDGER_REJECTED)
		return webhook_received(req, METRIC_WEBHOOK_REJECTED);
	if (webhook->ledger.result != LEDGER_KEPT)
		return webhook_unavailable(req, "the ledger", webhook->ledger.error);
	webhook->repeated = webhook->ledger.repeated;
	webhook->hash = json_decode_string(arena, json_member(json_member(webhook->ledger.facts, "content"), "hash"));
	link_init(&webhook->link, worker_of(req), &req->job, webhook_on_linked, webhook);
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
	/* more than one window holds: it stays undecided, but whoever lost it must know */
	if (webhook->link.result == LINK_FULL) {
		req->note = "undecided: too many facts within one match window";
	} else if (webhook->link.result == LINK_REDIS_AWAY) {
		/* it is kept: whoever finds Redis again decides it (sweeper.c) */
		req->note = webhook->link.error;
		return webhook_received(req, webhook_result(webhook));
	} else if (webhook->link.result != LINK_DECIDED) {
		return webhook_unavailable(req, "the ledger", webhook->link.error);
	}
	ledger_init(&webhook->ledger, worker_of(req), &req->job, webhook_on_decided, webhook);
	return ledger_keep_decisions(&webhook->ledger, &webhook->link, webhook->conversation.id, webhook->hash);
}

static enum step webhook_on_decided(void *ctx)
{
	struct webhook *webhook = ctx;

	if (webhook->ledger.result != LEDGER_KEPT)
		return webhook_unavailable(webhook->req, "the ledger", webhook->ledger.error);
	return link_confirm(&webhook->link, webhook_on_confirmed, webhook);
}

static enum step webhook_on_confirmed(void *ctx)
{
	struct webhook *webhook = ctx;
	struct request *req = webhook->req;

	if (webhook->link.lost)
		return link_repeat(&webhook->link, webhook_on_linked, webhook);
	if (!webhook->repeated && webhook->conversation.ended_ms > 0)
		metrics_observe(&worker_of(req)->metrics, HISTOGRAM_RESULT_LAG,
				(clock_wall_ms() - webhook->conversation.ended_ms) * 1000);
	return webhook_received(req, webhook_result(webhook));
}
