/* A user's JSON body: read once, its fields copied out, each complaint naming its field. */
#ifndef DEBRIEF_BROKER_BODY_H
#define DEBRIEF_BROKER_BODY_H

#include "http/request.h"

enum { USER_BODY_MAX = 64 * 1024 };

struct cJSON;

/* While reading, the first problem is remembered and later calls do nothing. */
struct body {
	struct request *req;
	struct span text;    /* cleaned */
	struct cJSON *tree;
	const char *field;   /* of the first problem; NULL for the body as a whole */
	const char *problem; /* NULL: none */
};

/* Pair with body_close(). */
void body_open(struct body *body, struct request *req);
void body_close(struct body *body);

/* Each returns what is there, or absent / the fallback for a member that is missing or null. */
struct span body_string(struct body *body, const char *field, bool required);
int64_t body_int64(struct body *body, const char *field, int64_t fallback, int64_t low, int64_t high);
/* The member, which must be an object, as JSON text: with the very digits of its numbers. */
struct span body_object(struct body *body, const char *field, bool required);
void body_refuse(struct body *body, const char *field, const char *problem);

STEP reply_body_problem(const struct body *body);

#endif
