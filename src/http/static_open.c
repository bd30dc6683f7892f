#include "http/static_open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	DIRECTORY = O_PATH | O_DIRECTORY | O_CLOEXEC,
	/* a FIFO or a device must not hold up the loop until fstat() has told what it is */
	FILE_FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
};

/* Takes fd; gives it back if it is a regular file. */
static int only_regular(int fd, struct stat *status)
{
	if (fd < 0 || (fstat(fd, status) == 0 && S_ISREG(status->st_mode)))
		return fd;
	close(fd);
	return -1;
}

/* Takes the directory. */
static int open_steps(int directory, const char *path)
{
	char name[NAME_MAX + 1];
	const char *slash;
	int fd;

	while (directory >= 0 && (slash = strchr(path, '/')) != NULL) {
		size_t n = (size_t)(slash - path);

		fd = -1;
		if (n > 0 && n < sizeof(name)) {
			memcpy(name, path, n);
			name[n] = '\0';
			if (strcmp(name, "..") != 0)
				fd = openat(directory, name, DIRECTORY | O_NOFOLLOW);
		}
		close(directory);
		directory = fd;
		path = slash + 1;
	}
	if (directory < 0)
		return -1;
	fd = openat(directory, path, FILE_FLAGS);
	close(directory);
	return fd;
}

int static_open_stepwise(const char *root, const char *path, struct stat *status)
{
	return only_regular(open_steps(open(root, DIRECTORY), path), status);
}

/* ENOSYS: older than Linux 5.6. EPERM: a container's filter that doesn't know the call. */
int static_open(const char *root, const char *path, struct stat *status)
{
	const struct open_how how = {
		.flags = FILE_FLAGS,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int directory = open(root, DIRECTORY);
	int fd;

	if (directory < 0)
		return -1;
	fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		return only_regular(open_steps(directory, path), status);
	close(directory);
	return only_regular(fd, status);
}

const char *static_root_fault(const char *root)
{
	struct stat status;
	int fd = open(root, DIRECTORY);

	if (fd < 0)
		return strerror(errno);
	/* names beneath it are found by searching it; it need not be listed */
	if (faccessat(fd, ".", X_OK, AT_EACCESS) != 0) {
		int error = errno;

		close(fd);
		return strerror(error);
	}
	close(fd);
	fd = static_open(root, "index.html", &status);
	if (fd < 0)
		return "there is no index.html in it that can be read";
	close(fd);
	return NULL;
}
