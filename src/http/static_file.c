/* A file as a reply: its tag, its caching, its bytes. */
#include "http/static_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/digest.h"
#include "http/server.h"
#include "http/static_open.h"
#include "http/static_path.h"

enum {
	/* Up to here a file is read at once, and its tag is a hash of the very bytes that are sent: the same
	 * on every node, whatever a deployment did to its times. Larger ones go from file to socket in the kernel. */
	WHOLE_MAX = 512 * 1024,
	TAG_LEN = 16, /* bytes of SHA-256 */
};

/* One representation of a file. */
struct static_file {
	struct span path;  /* without .gz */
	int fd;
	struct stat status;
	bool has_gzip;     /* there are two of them, by Accept-Encoding */
	bool gzip;         /* this is the compressed one */
	struct span bytes; /* absent if it is larger than WHOLE_MAX */
	const char *etag;
};

/* A .gz that is older than its file is of another file. */
static void prefer_gzip(struct request *req, const char *root, struct static_file *file)
{
	const char *name = arena_printf(&req->job.arena, "%.*s.gz", SPAN_ARG(file->path));
	struct stat status;
	int fd = static_open(root, name, &status);

	if (fd < 0)
		return;
	file->has_gzip = status.st_mtime >= file->status.st_mtime;
	file->gzip = file->has_gzip && request_accepts(req, "Accept-Encoding", "gzip");
	if (file->gzip) {
		close(file->fd);
		file->fd = fd;
		file->status = status;
	} else {
		close(fd);
	}
}

static bool read_whole(struct request *req, struct static_file *file)
{
	size_t size = (size_t)file->status.st_size, n = 0;
	char *bytes = arena_alloc(&req->job.arena, size + 1);

	while (n < size) {
		ssize_t got = pread(file->fd, bytes + n, size - n, (off_t)n);

		if (got < 0)
			return false;
		if (got == 0)
			break; /* it became shorter meanwhile: this is all of it */
		n += (size_t)got;
	}
	file->bytes = (struct span){bytes, n};
	return true;
}

static void set_etag(struct request *req, struct static_file *file)
{
	const struct stat *status = &file->status;
	struct span source = file->bytes;
	unsigned char hash[SHA256_LEN];
	char hex[2 * TAG_LEN + 1];

	/* ctime: nobody can set that one, so every change shows */
	if (source.p == NULL)
		source = span_of(arena_printf(&req->job.arena, "%ju %ju %jd %jd.%09ld %jd.%09ld",
					      (uintmax_t)status->st_dev, (uintmax_t)status->st_ino,
					      (intmax_t)status->st_size, (intmax_t)status->st_mtim.tv_sec,
					      status->st_mtim.tv_nsec, (intmax_t)status->st_ctim.tv_sec,
					      status->st_ctim.tv_nsec));
	digest_sha256(source, hash);
	digest_hex(hash, TAG_LEN, hex);
	file->etag = arena_printf(&req->job.arena, "\"%s\"", hex);
}

static void add_headers(struct request *req, const struct static_file *file, const char *policy)
{
	reply_header(req, "ETag", file->etag);
	reply_header(req, "Cache-Control",
		     static_path_is_hashed(file->path) ? "public, max-age=31536000, immutable" : "no-cache");
	reply_header(req, "Content-Security-Policy", policy);
	reply_header(req, "Referrer-Policy", "no-referrer");
	if (file->has_gzip)
		reply_header(req, "Vary", "Accept-Encoding");
	if (file->gzip)
		reply_header(req, "Content-Encoding", "gzip");
}

struct static_file *static_file_find(struct request *req, const char *root, struct span path)
{
	struct static_file *file = ARENA_NEW(&req->job.arena, struct static_file);

	file->path = path;
	file->fd = static_open(root, arena_strdup(&req->job.arena, path), &file->status);
	if (file->fd < 0)
		return NULL;
	prefer_gzip(req, root, file);
	return file;
}

static STEP reply_not_allowed(struct request *req)
{
	reply_header(req, "Allow", "GET, HEAD, OPTIONS");
	if (req->method == HTTP_OPTIONS)
		return reply_empty(req, 204);
	return reply_problem(req, 405, NULL, "this path does not take this method");
}

/* Leaves the file open only where the reply has taken its descriptor. */
static STEP reply_contents(struct request *req, struct static_file *file, const char *policy)
{
	const char *type = static_path_type(file->path);
	int fd = file->fd;

	if (file->status.st_size <= WHOLE_MAX && !read_whole(req, file))
		return reply_problem(req, 500, NULL, "the file can't be read");
	set_etag(req, file);
	add_headers(req, file, policy);
	if (request_has_etag(req, file->etag))
		return reply_empty(req, 304);
	if (file->bytes.p != NULL)
		return reply_body(req, 200, type, file->bytes);
	file->fd = -1;
	return reply_descriptor(req, type, fd, (size_t)file->status.st_size);
}

STEP reply_static_file(struct request *req, struct static_file *file, const char *policy)
{
	enum step step;

	if (req->method == HTTP_GET || req->method == HTTP_HEAD)
		step = reply_contents(req, file, policy);
	else
		step = reply_not_allowed(req);
	if (file->fd >= 0)
		close(file->fd);
	return step;
}
