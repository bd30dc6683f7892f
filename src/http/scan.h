/* The scanner: reads a connection's bytes before evhttp does, and is stricter.
 *
 * evhttp takes much that a proxy in front may read otherwise: bare line feeds, two
 * lengths, chunk sizes like 0x3, trailers that become headers. Whatever has two readings
 * could hide one request inside another (RFC 9112, 11.2), so it is a fault here, and
 * what has none evhttp reads as the scanner does. The scanner follows the framing of all
 * messages of a connection, one behind the other; it copies a line only if that comes in
 * pieces, and never looks at the bytes of a body. */
#ifndef DEBRIEF_HTTP_SCAN_H
#define DEBRIEF_HTTP_SCAN_H

#include "base/span.h"

enum {
	SCAN_HEADERS_MAX = 100,    /* header lines of one head */
	SCAN_CHUNK_LINE_MAX = 18,  /* 16 digits, CR, LF */
};

enum scan_state {
	SCAN_IN_REQUEST_LINE, /* also between messages, while nothing of the next has come */
	SCAN_IN_HEADERS,
	SCAN_AT_BODY,         /* the head was reported; nothing behind it was looked at */
	SCAN_IN_BODY,         /* `left` bytes of it are to come */
	SCAN_IN_CHUNK_SIZE,
	SCAN_IN_CHUNK,        /* `left` bytes of it are to come */
	SCAN_AT_CHUNK_END,    /* CR LF behind a chunk */
	SCAN_AT_LAST_LINE,    /* CR LF behind the chunk of size 0 */
	SCAN_BROKEN           /* after a fault nothing is read any more */
};

enum scan_event {
	SCAN_MORE,  /* all bytes were taken, and nothing was completed */
	SCAN_HEAD,  /* a head is complete: the caller may set body_max */
	SCAN_END,   /* a message is complete */
	SCAN_LONG,  /* its body has more than body_max bytes, or says that it will have */
	SCAN_FAULT, /* status and fault say what is wrong */
};

/* What a head holds that others want before evhttp has it. The value is trimmed and
 * valid during the call. */
enum scan_part { SCAN_TARGET, SCAN_ORIGIN, SCAN_REQUEST_ID, SCAN_FORWARDED, SCAN_SIGNATURE };
typedef void scan_part_cb(enum scan_part part, struct span value, void *arg);

struct scan {
	/* scan_init() */
	size_t head_max;            /* bytes of request line and headers together */
	const char *signature_name; /* header that is SCAN_SIGNATURE; NULL: none */
	scan_part_cb *part;
	void *arg;
	/* the message under way */
	enum scan_state state;
	bool http_1_0, is_head, takes_body, chunked;
	uint8_t hosts, lengths, encodings;
	uint16_t headers;
	size_t head_n;     /* bytes of its head so far */
	uint64_t length;   /* Content-Length, or 0 */
	uint64_t body_n;   /* of a chunked body, the sizes so far */
	uint64_t body_max; /* set by the caller at SCAN_HEAD; before that there is no limit */
	uint64_t left;
	/* a line that has not come whole */
	char *partial;
	size_t partial_n;
	/* SCAN_FAULT */
	int status;
	const char *fault; /* static text */
};

void scan_init(struct scan *scan, size_t head_max, const char *signature_name, scan_part_cb *part, void *arg);
void scan_deinit(struct scan *scan);

/* Reads from *bytes, which are cut by what was taken, up to the next event. */
enum scan_event scan_feed(struct scan *scan, struct span *bytes) __attribute__((warn_unused_result));
/* How many of the bytes to come need not be looked at; scan_skip() takes them. */
uint64_t scan_blind(const struct scan *scan);
void scan_skip(struct scan *scan, uint64_t n);
/* Whether a message has begun and is not complete. */
bool scan_within(const struct scan *scan);

/* Private to scan*.c: lines without CR LF; false with `fault` set. */
bool scan_request_line(struct scan *scan, struct span line);
bool scan_header_line(struct scan *scan, struct span line);
bool scan_head_end(struct scan *scan);
bool scan_refuse(struct scan *scan, int status, const char *fault); /* false */

#endif
