/* Replies with the files of a static site.
 *
 * Nothing of them is remembered between requests: files may come, change and go. */
#ifndef DEBRIEF_HTTP_STATIC_FILE_H
#define DEBRIEF_HTTP_STATIC_FILE_H

#include "http/request.h"

struct static_file;

/* The file root/path (of static_path_resolve()), or its .gz where there is one and the client takes it;
 * NULL if there is none. It is open, and must be given to reply_static_file(). */
struct static_file *static_file_find(struct request *req, const char *root, struct span path);

/* Answers GET and HEAD with it, or 304 if the client has it; other methods get 405, OPTIONS 204.
 * `policy`: Content-Security-Policy. */
STEP reply_static_file(struct request *req, struct static_file *file, const char *policy);

#endif
