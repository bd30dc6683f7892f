/* What a batch executes. Members that run the same statements in the same order are a group: each of
 * their statements is sent once, with arrays. Locks go before everything else, in one order over the whole
 * batch, so that two batches don't wait for each other crosswise.
 *
 *     queued    A: lock u2, keep, apply   B: keep, facts   C: lock u1, keep, apply
 *     sent      lock (u1, u2)   keep (C, A)  apply (C, A)   keep (B)  facts (B)
 */
#include <stdlib.h>
#include <string.h>

#include "postgres/connection.h"

enum {
	BATCH_MEMBERS_MAX = 64,
	BATCH_BYTES_MAX = 4 << 20,
	KEYS_MAX = 768,   /* of all members */
	KEY_SLOTS = 1024, /* a power of two */
	PASSED_MAX = 256  /* members that are looked at and left for the next batch */
};

/* ── who goes together ──────────────────────────────────────────────────────────────── */

/* Hashes of what the members' statements may be executed for only once each; 0: free. Two that fall
 * together only keep two members out of one batch. */
struct keys {
	uint64_t slots[KEY_SLOTS];
	size_t count;
};

static uint64_t key_hash(enum statement statement, struct span value)
{
	uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)statement;

	for (size_t i = 0; i < value.n; i++)
		hash = (hash ^ (unsigned char)value.p[i]) * UINT64_C(1099511628211);
	return hash ? hash : 1;
}

/* Where it is, or may be put. */
static uint64_t *key_slot(struct keys *keys, uint64_t hash)
{
	size_t i = hash ^ hash >> 32;

	while (keys->slots[i % KEY_SLOTS] && keys->slots[i % KEY_SLOTS] != hash)
		i++;
	return &keys->slots[i % KEY_SLOTS];
}

/* 0: it has no key. */
static uint64_t query_key(const struct postgres_call *query)
{
	const struct statement_text *text = &statement_texts[query->statement];
	int at = text->key - 1 - (text->row > 0); /* the place is not among the call's */
	struct span value = at >= 0 && (size_t)at < query->param_count ? query->params[at] : SPAN_ABSENT;

	return value.p ? key_hash(query->statement, value) : 0;
}

static bool keys_free(struct keys *keys, const struct postgres_member *member)
{
	for (size_t i = 0; i < member->count; i++) {
		uint64_t hash = query_key(&member->queries[i]);

		if (hash && *key_slot(keys, hash))
			return false;
	}
	return true;
}

static void keys_take(struct keys *keys, const struct postgres_member *member)
{
	for (size_t i = 0; i < member->count && keys->count < KEYS_MAX; i++) {
		uint64_t hash = query_key(&member->queries[i]);

		if (!hash)
			continue;
		*key_slot(keys, hash) = hash;
		keys->count++;
	}
}

/* ── groups ─────────────────────────────────────────────────────────────────────────── */

static size_t rows_of(const struct postgres_call *query)
{
	return query->param_count / (size_t)statement_texts[query->statement].row;
}

static bool query_locks(const struct postgres_call *query)
{
	return statement_texts[query->statement].locks;
}

/* Orders members by what they execute. */
static int shape_compare(const struct postgres_member *a, const struct postgres_member *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++)
		if (a->queries[i].statement != b->queries[i].statement)
			return a->queries[i].statement < b->queries[i].statement ? -1 : 1;
	return a->count == b->count ? 0 : a->count < b->count ? -1 : 1;
}

static bool member_merges(const struct postgres_member *member)
{
	for (size_t i = 0; i < member->count; i++)
		if (!statement_texts[member->queries[i].statement].merges)
			return false;
	return true;
}

static int member_compare(const struct postgres_member *a, const struct postgres_member *b)
{
	int order = shape_compare(a, b);

	return order ? order : strcmp(a->lock, b->lock);
}

/* Behind those that are equal or come before. */
static void sent_insert(struct postgres *postgres, struct postgres_member *member)
{
	struct postgres_member *before = TAILQ_LAST(&postgres->sent, postgres_members);

	while (before && member_compare(before, member) > 0)
		before = TAILQ_PREV(before, postgres_members, link);
	if (before)
		TAILQ_INSERT_AFTER(&postgres->sent, before, member, link);
	else
		TAILQ_INSERT_HEAD(&postgres->sent, member, link);
}

void postgres_batch_collect(struct postgres *postgres)
{
	struct postgres_member *member = TAILQ_FIRST(&postgres->alone), *next;
	size_t count = 0, passed = 0, bytes = 0;
	struct keys keys = {0};

	if (member) {
		TAILQ_REMOVE(&postgres->alone, member, link);
		TAILQ_INSERT_TAIL(&postgres->sent, member, link);
		return;
	}
	for (member = TAILQ_FIRST(&postgres->queued); member; member = next) {
		next = TAILQ_NEXT(member, link);
		if (count == BATCH_MEMBERS_MAX || passed == PASSED_MAX ||
		    (count > 0 && (bytes + member->bytes > BATCH_BYTES_MAX || keys.count + member->count > KEYS_MAX)))
			break;
		if (!keys_free(&keys, member)) { /* it goes first next time */
			passed++;
			continue;
		}
		keys_take(&keys, member);
		count++;
		bytes += member->bytes;
		TAILQ_REMOVE(&postgres->queued, member, link);
		sent_insert(postgres, member);
	}
}

bool postgres_is_crowded(const struct postgres *postgres)
{
	const struct postgres_member *member;
	size_t count = 0, bytes = 0;

	TAILQ_FOREACH (member, &postgres->queued, link) {
		bytes += member->bytes;
		if (++count >= BATCH_MEMBERS_MAX / 2 || bytes >= BATCH_BYTES_MAX / 2)
			return true;
	}
	return false;
}

/* ── sending ────────────────────────────────────────────────────────────────────────── */

static void execution_add(struct postgres *postgres, struct postgres_execution execution)
{
	if (postgres->execution_count == postgres->execution_room) {
		postgres->execution_room = postgres->execution_room ? 2 * postgres->execution_room : 64;
		postgres->executions = xrealloc(postgres->executions, postgres->execution_room * sizeof(execution));
	}
	postgres->executions[postgres->execution_count++] = execution;
}

static bool send_arrays(struct postgres *postgres, enum statement statement, const struct postgres_table *table)
{
	struct postgres_arrays *arrays = &postgres->arrays;

	postgres_arrays_build(arrays, table);
	return PQsendQueryPrepared(postgres->conn, statement_texts[statement].name,
				   (int)table->columns + (table->places != NULL), arrays->values, arrays->lengths,
				   arrays->formats, 0);
}

static int lock_compare(const void *a, const void *b)
{
	const struct postgres_call *const *left = a, *const *right = b;

	if ((*left)->statement != (*right)->statement)
		return (*left)->statement < (*right)->statement ? -1 : 1;
	return strcmp((*left)->params[0].p, (*right)->params[0].p);
}

/* Finds all that lock, in order. The caller frees it. */
static const struct postgres_call **locks_find(const struct postgres *postgres, size_t *count)
{
	const struct postgres_call **locks;
	struct postgres_member *member;
	size_t room = 1;

	TAILQ_FOREACH (member, &postgres->sent, link)
		room += member->count;
	locks = xmalloc(room * sizeof(*locks));
	*count = 0;
	TAILQ_FOREACH (member, &postgres->sent, link)
		for (size_t i = 0; i < member->count; i++)
			if (query_locks(&member->queries[i]))
				locks[(*count)++] = &member->queries[i];
	qsort(locks, *count, sizeof(const struct postgres_call *), lock_compare);
	return locks;
}

static bool send_locks(struct postgres *postgres)
{
	size_t count;
	const struct postgres_call **locks = locks_find(postgres, &count);
	const struct span **rows = xmalloc((count + 1) * sizeof(*rows));
	bool ok = true;

	for (size_t i = 0, from = 0; ok && i < count; i++) {
		rows[i] = locks[i]->params;
		if (i + 1 < count && locks[i + 1]->statement == locks[i]->statement)
			continue;
		ok = send_arrays(postgres, locks[i]->statement,
				 &(struct postgres_table){.count = i + 1 - from, .columns = locks[i]->param_count, .rows = rows + from});
		execution_add(postgres, (struct postgres_execution){.statement = locks[i]->statement});
		from = i + 1;
	}
	free(rows);
	free(locks);
	return ok;
}

/* The rows of all `count` members, each with the place of its member. */
static bool send_rows(struct postgres *postgres, struct postgres_member *first, size_t count, size_t at)
{
	size_t columns = (size_t)statement_texts[first->queries[at].statement].row, total = 0, n = 0;
	char numbers[BATCH_MEMBERS_MAX][SPAN_DIGITS_MAX];
	struct postgres_member *member = first;
	const struct span **rows;
	struct span *places;
	bool ok;

	for (size_t i = 0; i < count; i++, member = TAILQ_NEXT(member, link))
		total += rows_of(&member->queries[at]);
	rows = xmalloc(total * sizeof(*rows));
	places = xmalloc(total * sizeof(*places));
	member = first;
	for (size_t i = 0; i < count; i++, member = TAILQ_NEXT(member, link)) {
		struct span place = span_digits((int64_t)i + 1, numbers[i]);

		for (size_t k = 0; k < rows_of(&member->queries[at]); k++, n++) {
			rows[n] = member->queries[at].params + k * columns;
			places[n] = place;
		}
	}
	ok = send_arrays(postgres, first->queries[at].statement, &(struct postgres_table){n, columns, rows, places, 0});
	free(places);
	free(rows);
	return ok;
}

/* One statement of the `count` members from `first` on. */
static bool send_one(struct postgres *postgres, struct postgres_member *first, size_t count, size_t at)
{
	const struct postgres_call *query = &first->queries[at];
	const struct statement_text *text = &statement_texts[query->statement];
	const struct span *rows[BATCH_MEMBERS_MAX];
	struct postgres_member *member = first;

	execution_add(postgres, (struct postgres_execution){query->statement, first, count, at});
	if (!text->merges) {
		const char *values[POSTGRES_PARAMS_MAX];

		if (query->param_count > POSTGRES_PARAMS_MAX)
			abort();
		for (size_t i = 0; i < query->param_count; i++)
			values[i] = query->params[i].p;
		return PQsendQueryPrepared(postgres->conn, text->name, (int)query->param_count, values, NULL, NULL, 0);
	}
	if (text->row)
		return send_rows(postgres, first, count, at);
	for (size_t i = 0; i < count; i++, member = TAILQ_NEXT(member, link))
		rows[i] = member->queries[at].params;
	return send_arrays(postgres, query->statement,
			   &(struct postgres_table){count, query->param_count, rows, NULL, (size_t)text->json});
}

bool postgres_batch_send(struct postgres *postgres)
{
	struct postgres_member *first, *after;
	bool ok = send_locks(postgres);

	for (first = TAILQ_FIRST(&postgres->sent); ok && first; first = after) {
		size_t count = 1;

		after = TAILQ_NEXT(first, link);
		for (; after && member_merges(first) && shape_compare(first, after) == 0; after = TAILQ_NEXT(after, link))
			count++;
		for (size_t i = 0; ok && i < first->count; i++)
			if (!query_locks(&first->queries[i]))
				ok = send_one(postgres, first, count, i);
	}
	return ok;
}

/* ── results ────────────────────────────────────────────────────────────────────────── */

void postgres_batch_give(const struct postgres_execution *execution, PGresult *result)
{
	struct postgres_member *member = execution->first;
	int rows[BATCH_MEMBERS_MAX];

	if (member && !statement_texts[execution->statement].merges) {
		member->results[execution->query] = result;
		return;
	}
	memset(rows, 0xff, sizeof(rows));
	for (int i = 0; i < PQntuples(result); i++) {
		long place = strtol(PQgetvalue(result, i, 0), NULL, 10);

		if (place >= 1 && (size_t)place <= execution->members)
			rows[place - 1] = i;
	}
	for (size_t i = 0; i < execution->members; i++, member = TAILQ_NEXT(member, link)) /* none: a lock's */
		/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): where there are members, there is a first */
		if (member->next) /* not timed out */
			member->results[execution->query] = postgres_result_of(result, rows[i]);
	PQclear(result);
}
