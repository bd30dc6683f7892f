/* The interface: which handler answers what. */
#ifndef DEBRIEF_BROKER_ROUTES_H
#define DEBRIEF_BROKER_ROUTES_H

#include "http/server.h"

const struct http_route *routes_public(size_t *count);
enum step routes_public_fallback(struct request *req); /* what no route takes */
const struct http_route *routes_admin(size_t *count);

#endif
