/* The web application under web_root, at every path that is no route.
 *
 * start: reserved or no web_root → 404; a file → 200, 304, 405; a page → index.html; else 404 */
#include "broker/handlers.h"
#include "broker/worker.h"
#include "http/server.h"
#include "http/static_file.h"
#include "http/static_path.h"

/* Scripts from here alone (the voice SDK's worklets too: its workletPaths); recordings and workers may come
 * from the page itself. What it may talk to besides us is web_connect_src. */
#define POLICY \
	"default-src 'self'; script-src 'self'; worker-src 'self' blob:; media-src 'self' blob:; " \
	"img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; " \
	"connect-src 'self'"

static const char *policy(const struct config *config, struct arena *arena)
{
	struct text text;

	text_init(&text, arena, sizeof(POLICY) + 128);
	text_add(&text, SPAN(POLICY));
	for (size_t i = 0; i < config->web_connect_src.count; i++)
		text_addf(&text, " %s", config->web_connect_src.items[i]);
	return text.p;
}

/* What programs call answers programs: a typing error there must not get a page. */
static bool is_reserved(struct span path)
{
	struct span first = span_cut(&path, '/');

	return span_is(first, "api") || span_is(first, "webhooks");
}

/* Links into the application are paths of its own, for which there is no file. */
static bool wants_page(const struct request *req, struct span path)
{
	return path.n == 0 || ((req->method == HTTP_GET || req->method == HTTP_HEAD) &&
			       request_accepts(req, "Accept", "text/html"));
}

enum step web_start(struct request *req)
{
	const struct config *config = worker_of(req)->config;
	struct static_file *file = NULL;
	struct span path;

	if (config->web_root != NULL && static_path_resolve(&req->job.arena, request_path(req), &path) &&
	    !is_reserved(path)) {
		if (path.n > 0)
			file = static_file_find(req, config->web_root, path);
		if (file == NULL && wants_page(req, path))
			file = static_file_find(req, config->web_root, SPAN("index.html"));
	}
	if (file == NULL)
		return reply_problem(req, 404, NULL, "there is nothing at this path");
	req->route = "web_root";
	return reply_static_file(req, file, policy(config, &req->job.arena));
}
