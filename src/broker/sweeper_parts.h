/* The parts of the sweeper: rounds, and the pages that they read. Private to sweeper*.c. */
#ifndef DEBRIEF_BROKER_SWEEPER_PARTS_H
#define DEBRIEF_BROKER_SWEEPER_PARTS_H

#include <sys/queue.h>

#include "broker/sweep.h"

struct event;
struct sweeper;

/* Undecided rows come after the journals of all partitions. */
enum { UNDECIDED_CONVERSATIONS, UNDECIDED_SESSIONS, UNDECIDED_COUNT };

/* Some facts of one source, which is a partition or, behind the last of them, UNDECIDED_…: a job while they are read. */
struct page {
	struct job job; /* first */
	struct sweeper *sweeper;
	unsigned source;
	/* set for each reading */
	size_t rows, bytes; /* asked for: so many at most, or one */
	bool read_on;       /* behind what was read before */
	/* what came of it */
	bool more;          /* there are others behind it */
	char after[48];     /* journal: the last of its entries */
	STAILQ_ENTRY(page) link;
};
STAILQ_HEAD(pages, page);

/* Where the next page of undecided rows begins. */
struct page_cursor {
	char micros[24], id[UUID_TEXT_LEN + 1]; /* "": from the start */
};

struct sweeper {
	struct worker *worker;
	struct event *timer;
	char holder[UUID_TEXT_LEN + 1]; /* of leases */
	struct strikes *strikes;
	bool stopped;
	struct page_cursor cursors[UNDECIDED_COUNT];
	/* the round under way */
	unsigned next;       /* source */
	struct pages begun;  /* read, and to be read on */
	size_t reading;      /* pages; and what they were asked for: */
	size_t rows_asked, bytes_asked;
	size_t sweeps;       /* under way, and what their facts take: */
	size_t sweep_bytes;
	int64_t began_ms;
	uint64_t swept;
	size_t left_undecided; /* that were undecided before, too: more than a window holds */
	bool trouble;        /* a store was away: the rest waits for the next round */
	int64_t length, oldest_ms; /* entries that stay in the journals and the age of the oldest, so far */
};

static inline unsigned sweeper_partitions(const struct sweeper *sweeper)
{
	return (unsigned)sweeper->worker->config->partitions;
}

/* sweeper_page.c. Reads page->rows and page->bytes at most, begins to sweep them, and ends in sweeper_page_end(). */
struct page *sweeper_page_new(struct sweeper *sweeper, unsigned source);
void sweeper_page_read(struct page *page);

/* sweeper.c: takes the page back. */
void sweeper_page_end(struct page *page);
/* Begins a sweep of what a page holds. */
void sweeper_begin(struct sweeper *sweeper, struct sweep *what);

#endif
