/* Opening the files of a static site: regular ones beneath its root, and no others. */
#ifndef DEBRIEF_HTTP_STATIC_OPEN_H
#define DEBRIEF_HTTP_STATIC_OPEN_H

#include <stdbool.h>
#include <sys/stat.h>

/* Opens root/path for reading (a path of static_path_resolve()). The root itself may be reached by
 * symbolic links, so that a deployment can exchange it; beneath it none is followed. -1 if there is no such regular
 * file or it can't be read. */
int static_open(const char *root, const char *path, struct stat *status) __attribute__((warn_unused_result));

/* static_open() for kernels without openat2(): the same, one segment after the other. */
int static_open_stepwise(const char *root, const char *path, struct stat *status) __attribute__((warn_unused_result));

/* What keeps a directory from being served (static text), or NULL. */
const char *static_root_fault(const char *root);

#endif
