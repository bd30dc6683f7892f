#include "broker/routes.h"

#include <stdint.h>

#include "broker/body.h"
#include "broker/handlers.h"
#include "broker/health.h"

/* Webhooks are bounded by the server's own limit, webhook_body_max. */
static const struct http_route public_routes[] = {
	{HTTP_GET,  "/api/interviews/by-session/:sessionId", poll_start,             0},
	{HTTP_GET,  "/api/interviews/by-session/:sessionId/events", events_start,    0},
	{HTTP_POST, "/api/save-interview",                   save_start,             USER_BODY_MAX},
	{HTTP_GET,  "/api/interviews/:id/results",           results_start,          0},
	{HTTP_PUT,  "/api/interviews/:id/evaluation",        evaluation_put_start,   USER_BODY_MAX},
	{HTTP_GET,  "/api/evaluations",                      evaluations_list_start, 0},
	{HTTP_POST, "/webhooks/elevenlabs",                  webhook_start,          SIZE_MAX},
	{HTTP_GET,  "/livez",                                livez_start,            0},
	{HTTP_GET,  "/readyz",                               readyz_start,           0},
};

static const struct http_route admin_routes[] = {
	{HTTP_GET, "/livez",   admin_livez_start,   0},
	{HTTP_GET, "/readyz",  admin_readyz_start,  0},
	{HTTP_GET, "/metrics", admin_metrics_start, 0},
};

const struct http_route *routes_public(size_t *count)
{
	*count = sizeof(public_routes) / sizeof(*public_routes);
	return public_routes;
}

enum step routes_public_fallback(struct request *req)
{
	return web_start(req);
}

const struct http_route *routes_admin(size_t *count)
{
	*count = sizeof(admin_routes) / sizeof(*admin_routes);
	return admin_routes;
}
