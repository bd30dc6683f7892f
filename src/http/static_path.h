/* Paths of a static site: from the bytes of a request target to the name of a file.
 *
 * No input/output here. Whatever static_path_resolve() gives is relative, has no empty segment and
 * none that begins with a dot, so no name of it can lead up or to a hidden file. */
#ifndef DEBRIEF_HTTP_STATIC_PATH_H
#define DEBRIEF_HTTP_STATIC_PATH_H

#include "base/arena.h"

/* Decodes the path of a target (once; "/a%252e" names the file "a%2e"). "/" gives "". False for what no
 * file of a site is named by: an encoded slash, a backslash, control characters, NUL, hidden names, a slash at the end. */
bool static_path_resolve(struct arena *arena, struct span raw, struct span *path) __attribute__((warn_unused_result));

/* Whether a bundler named the file by its content, "assets/name-HASH.ext": then it never changes. */
bool static_path_is_hashed(struct span path);

/* By the extension; "application/octet-stream" for one that isn't known. */
const char *static_path_type(struct span path);

#endif
