/* The scanner's way along messages: lines, bodies and chunks. */
#include "http/scan.h"

#include <stdlib.h>

#include "base/arena.h"

enum { PARTIAL_STEP = 512 };

void scan_init(struct scan *scan, size_t head_max, const char *signature_name, scan_part_cb *part, void *arg)
{
	*scan = (struct scan){.head_max = head_max, .signature_name = signature_name, .part = part, .arg = arg};
}

static void drop_partial(struct scan *scan)
{
	free(scan->partial);
	scan->partial = NULL;
	scan->partial_n = 0;
}

void scan_deinit(struct scan *scan)
{
	drop_partial(scan);
}

bool scan_refuse(struct scan *scan, int status, const char *fault)
{
	scan->state = SCAN_BROKEN;
	scan->status = status;
	scan->fault = fault;
	drop_partial(scan);
	return false;
}

static void next_message(struct scan *scan)
{
	scan->state = SCAN_IN_REQUEST_LINE;
	scan->http_1_0 = scan->is_head = scan->takes_body = scan->chunked = false;
	scan->hosts = scan->lengths = scan->encodings = 0;
	scan->headers = 0;
	scan->head_n = 0;
	scan->length = scan->body_n = scan->left = 0;
	scan->body_max = UINT64_MAX;
}

static bool in_head(const struct scan *scan)
{
	return scan->state == SCAN_IN_REQUEST_LINE || scan->state == SCAN_IN_HEADERS;
}

/* How long the line under way may become. */
static size_t line_max(const struct scan *scan)
{
	return in_head(scan) ? scan->head_max - scan->head_n : SCAN_CHUNK_LINE_MAX;
}

static bool refuse_long_line(struct scan *scan)
{
	if (scan->state == SCAN_IN_REQUEST_LINE)
		return scan_refuse(scan, 414, "the request line is too long");
	if (scan->state == SCAN_IN_HEADERS)
		return scan_refuse(scan, 431, "the headers are too long");
	return scan_refuse(scan, 400, "a chunk size is too long");
}

static void keep(struct scan *scan, struct span piece)
{
	size_t need = scan->partial_n + piece.n;

	if (scan->partial == NULL || need > (scan->partial_n + PARTIAL_STEP - 1) / PARTIAL_STEP * PARTIAL_STEP)
		scan->partial = xrealloc(scan->partial, (need + PARTIAL_STEP - 1) / PARTIAL_STEP * PARTIAL_STEP);
	if (piece.n > 0)
		memcpy(scan->partial + scan->partial_n, piece.p, piece.n);
	scan->partial_n = need;
}

/* Takes up to a line feed. False without one, or at a fault. The line is valid until the
 * next call, and without its CR LF. */
static bool take_line(struct scan *scan, struct span *bytes, struct span *line)
{
	const char *end = bytes->n > 0 ? memchr(bytes->p, '\n', bytes->n) : NULL;
	size_t n = end ? (size_t)(end + 1 - bytes->p) : bytes->n;
	struct span piece = {bytes->p, n};

	if (scan->partial_n + n > line_max(scan))
		return refuse_long_line(scan);
	*bytes = (struct span){bytes->p + n, bytes->n - n};
	if (end == NULL || scan->partial_n > 0) {
		keep(scan, piece);
		piece = (struct span){scan->partial, scan->partial_n};
	}
	if (end == NULL)
		return false;
	if (piece.n < 2 || piece.p[piece.n - 2] != '\r')
		return scan_refuse(scan, 400, "a line ends with a bare line feed");
	if (in_head(scan))
		scan->head_n += piece.n;
	scan->partial_n = 0; /* its bytes stay until drop_partial() */
	*line = (struct span){piece.p, piece.n - 2};
	return true;
}

/* What of a message without a line is no beginning of one? A TLS hello, say. */
static bool may_begin(struct scan *scan, struct span bytes)
{
	if (scan->partial_n > 0 || bytes.n == 0 || (bytes.p[0] >= 'A' && bytes.p[0] <= 'Z') ||
	    (bytes.p[0] >= 'a' && bytes.p[0] <= 'z'))
		return true;
	return scan_refuse(scan, 400, "this is not an HTTP request");
}

static enum scan_event read_head(struct scan *scan, struct span *bytes)
{
	struct span line;

	if (scan->state == SCAN_IN_REQUEST_LINE && !may_begin(scan, *bytes))
		return SCAN_FAULT;
	while (in_head(scan)) {
		if (!take_line(scan, bytes, &line))
			return scan->state == SCAN_BROKEN ? SCAN_FAULT : SCAN_MORE;
		if (scan->state == SCAN_IN_REQUEST_LINE ? !scan_request_line(scan, line) :
		    line.n > 0                          ? !scan_header_line(scan, line) :
							  !scan_head_end(scan))
			return SCAN_FAULT;
	}
	drop_partial(scan);
	return SCAN_HEAD;
}

/* Behind the head, once the caller has said how much it takes. */
static enum scan_event begin_body(struct scan *scan)
{
	if (scan->length > scan->body_max)
		return SCAN_LONG;
	scan->left = scan->length;
	scan->state = scan->chunked ? SCAN_IN_CHUNK_SIZE : SCAN_IN_BODY;
	return SCAN_MORE;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Digits alone: extensions (RFC 9112, 7.1.1) have no use, and parsers differ over them. */
static bool chunk_size(struct span line, uint64_t *size)
{
	*size = 0;
	if (line.n == 0 || line.n > 15)
		return false;
	for (size_t i = 0; i < line.n; i++) {
		int digit = hex_value(line.p[i]);

		if (digit < 0)
			return false;
		*size = *size << 4 | (uint64_t)digit;
	}
	return true;
}

static enum scan_event read_chunk_line(struct scan *scan, struct span *bytes)
{
	struct span line;

	if (!take_line(scan, bytes, &line))
		return scan->state == SCAN_BROKEN ? SCAN_FAULT : SCAN_MORE;
	switch (scan->state) {
	case SCAN_IN_CHUNK_SIZE:
		if (!chunk_size(line, &scan->left)) {
			scan_refuse(scan, 400, "a chunk size is not a plain hexadecimal number");
			return SCAN_FAULT;
		}
		scan->state = scan->left > 0 ? SCAN_IN_CHUNK : SCAN_AT_LAST_LINE;
		scan->body_n += scan->left;
		return scan->body_n > scan->body_max ? SCAN_LONG : SCAN_MORE;
	case SCAN_AT_CHUNK_END:
		if (line.n > 0) {
			scan_refuse(scan, 400, "a chunk is longer than its size");
			return SCAN_FAULT;
		}
		scan->state = SCAN_IN_CHUNK_SIZE;
		return SCAN_MORE;
	default: /* evhttp would take trailers for headers */
		if (line.n > 0) {
			scan_refuse(scan, 400, "trailers behind a chunked body are not taken");
			return SCAN_FAULT;
		}
		drop_partial(scan);
		next_message(scan);
		return SCAN_END;
	}
}

uint64_t scan_blind(const struct scan *scan)
{
	return scan->state == SCAN_IN_BODY || scan->state == SCAN_IN_CHUNK ? scan->left : 0;
}

void scan_skip(struct scan *scan, uint64_t n)
{
	scan->left -= n;
	if (scan->left == 0 && scan->state == SCAN_IN_CHUNK)
		scan->state = SCAN_AT_CHUNK_END;
}

static enum scan_event skip_body(struct scan *scan, struct span *bytes)
{
	size_t n = scan->left < bytes->n ? (size_t)scan->left : bytes->n;

	*bytes = (struct span){bytes->p + n, bytes->n - n};
	scan_skip(scan, n);
	if (scan->state != SCAN_IN_BODY || scan->left > 0)
		return SCAN_MORE;
	next_message(scan);
	return SCAN_END;
}

bool scan_within(const struct scan *scan)
{
	return scan->state != SCAN_IN_REQUEST_LINE || scan->partial_n > 0;
}

enum scan_event scan_feed(struct scan *scan, struct span *bytes)
{
	enum scan_event event;

	for (;;) {
		switch (scan->state) {
		case SCAN_IN_REQUEST_LINE:
		case SCAN_IN_HEADERS:
			if (scan->state == SCAN_IN_REQUEST_LINE && scan->partial_n == 0) {
				if (bytes->n == 0)
					return SCAN_MORE;
				next_message(scan);
			}
			return read_head(scan, bytes);
		case SCAN_AT_BODY:
			event = begin_body(scan);
			break;
		case SCAN_IN_BODY:
		case SCAN_IN_CHUNK:
			event = skip_body(scan, bytes);
			break;
		case SCAN_IN_CHUNK_SIZE:
		case SCAN_AT_CHUNK_END:
		case SCAN_AT_LAST_LINE:
			event = read_chunk_line(scan, bytes);
			break;
		default:
			return SCAN_FAULT;
		}
		/* an empty body ends without a byte of it */
		if (event != SCAN_MORE || (bytes->n == 0 && !(scan->state == SCAN_IN_BODY && scan->left == 0)))
			return event;
	}
}
