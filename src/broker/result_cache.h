/* Results that this worker has shown lately, by interview: the body as it is sent, plain and compressed,
 * and the version of the ledger's rows that it was made of.
 *
 * Each use asks the ledger whether the version still holds, so nothing here can be stale, nor shown to
 * whom it belonged before; all who ask for the same interview at once share that question. The bytes are
 * bounded; an entry that is being read stays. */
#ifndef DEBRIEF_BROKER_RESULT_CACHE_H
#define DEBRIEF_BROKER_RESULT_CACHE_H

#include <sys/queue.h>

#include "base/blob.h"
#include "base/uuid.h"
#include "broker/view.h"

struct results;
TAILQ_HEAD(results_list, results);

enum result_answer { RESULT_NONE, RESULT_FOUND, RESULT_UNAVAILABLE };

struct result_entry {
	struct uuid id;
	/* of the last read */
	enum result_answer answer;
	const char *error;      /* RESULT_UNAVAILABLE; valid while those who asked are told */
	char owner[UUID_TEXT_LEN + 1]; /* "": nobody's yet */
	char *conversation;
	char *version;
	int64_t turns_ms;       /* wall clock; when the body will read otherwise by itself */
	char etag[ETAG_SIZE];
	struct blob *body;      /* NULL: none yet */
	struct blob *gzip;      /* NULL: not asked for yet, or not worth it */
	bool gzip_tried;
	bool reading;
	struct results_list asking; /* told by the read that is under way, */
	struct results_list next;   /* or by the one after it */
	/* private to result_cache.c */
	size_t bytes;           /* as counted */
	struct result_entry *in_slot;
	TAILQ_ENTRY(result_entry) age;
};

struct result_cache;

struct result_cache *result_cache_new(size_t bytes_max);
void result_cache_free(struct result_cache *cache); /* none may be being read */
/* Makes one if there is none. It stays while it is being read. */
struct result_entry *result_cache_get(struct result_cache *cache, const struct uuid *id);
/* Takes over both blobs' references and copies the rest; NULL clears. */
void result_entry_set_body(struct result_entry *entry, struct span version, struct span conversation,
			   struct blob *body, int64_t turns_ms);
/* Compressed, if that is worth it; made at the first call. */
struct blob *result_entry_gzip(struct result_entry *entry);
/* After a read: counts what it has become, and lets go of what is too much. The entry may be gone. */
void result_cache_settle(struct result_cache *cache, struct result_entry *entry);
size_t result_cache_bytes(const struct result_cache *cache);

#endif
