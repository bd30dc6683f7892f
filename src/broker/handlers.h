/* The handlers, one file each: what routes.c names. */
#ifndef DEBRIEF_BROKER_HANDLERS_H
#define DEBRIEF_BROKER_HANDLERS_H

#include "http/request.h"

enum step save_start(struct request *req);              /* save.c */
enum step poll_start(struct request *req);              /* poll.c */
enum step events_start(struct request *req);            /* events.c */
enum step results_start(struct request *req);           /* results.c */
enum step evaluation_put_start(struct request *req);    /* evaluation.c */
enum step evaluations_list_start(struct request *req);  /* evaluation.c */
enum step webhook_start(struct request *req);           /* webhook.c */
enum step web_start(struct request *req);               /* web.c */
enum step livez_start(struct request *req);             /* health.c */
enum step readyz_start(struct request *req);            /* health.c */

#endif
