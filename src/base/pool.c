#include "base/pool.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum {
	STEP_BYTES = 32, /* between the sizes of two lists */
	LISTS = POOL_MAX / STEP_BYTES + 2,
	KEPT_MAX = 256 * 1024 /* bytes that one list keeps */
};

/* Before each block. */
struct head {
	alignas(max_align_t) size_t list; /* LISTS: none */
	size_t size;                      /* of the block behind it */
};

struct free_block {
	struct free_block *next;
};

struct list {
	struct free_block *first;
	size_t bytes;
};

#ifdef __SANITIZE_ADDRESS__
#define LISTED_MAX 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LISTED_MAX 0
#endif
#endif
#ifndef LISTED_MAX
#define LISTED_MAX POOL_MAX
#endif

static _Thread_local struct list lists[LISTS];

static struct head *head_of(void *p)
{
	return (struct head *)p - 1;
}

void *pool_malloc(size_t size)
{
	size_t index = (size + STEP_BYTES - 1) / STEP_BYTES;
	struct free_block *block;
	struct head *head;

	if (size > LISTED_MAX) {
		head = size < SIZE_MAX - sizeof(*head) ? malloc(sizeof(*head) + size) : NULL;
		if (!head)
			return NULL;
		*head = (struct head){LISTS, size};
		return head + 1;
	}
	index += index == 0; /* room for a free block's link */
	block = lists[index].first;
	if (block) {
		lists[index].first = block->next;
		lists[index].bytes -= index * STEP_BYTES;
		return block;
	}
	head = malloc(sizeof(*head) + index * STEP_BYTES);
	if (!head)
		return NULL;
	*head = (struct head){index, index * STEP_BYTES};
	return head + 1;
}

void pool_free(void *p)
{
	struct free_block *block = p;
	struct head *head;
	struct list *list;

	if (!p)
		return;
	head = head_of(p);
	if (head->list == LISTS || lists[head->list].bytes >= KEPT_MAX) {
		free(head);
		return;
	}
	list = &lists[head->list];
	block->next = list->first;
	list->first = block;
	list->bytes += head->size;
}

void *pool_realloc(void *p, size_t size)
{
	struct head *head;
	void *larger;

	if (!p)
		return pool_malloc(size);
	head = head_of(p);
	if (head->list != LISTS && size <= head->size)
		return p;
	if (head->list == LISTS && size > LISTED_MAX) {
		head = size < SIZE_MAX - sizeof(*head) ? realloc(head, sizeof(*head) + size) : NULL;
		if (!head)
			return NULL;
		head->size = size;
		return head + 1;
	}
	larger = pool_malloc(size);
	if (!larger)
		return NULL;
	memcpy(larger, p, head->size < size ? head->size : size);
	pool_free(p);
	return larger;
}

void *pool_alloc(size_t size)
{
	void *p = pool_malloc(size);

	if (!p)
		out_of_memory();
	return p;
}

void *pool_calloc(size_t size)
{
	struct head *head;

	if (size <= LISTED_MAX) {
		void *p = pool_malloc(size);

		return p ? memset(p, 0, size) : NULL;
	}
	head = size < SIZE_MAX - sizeof(*head) ? calloc(1, sizeof(*head) + size) : NULL;
	if (!head)
		return NULL;
	*head = (struct head){LISTS, size};
	return head + 1;
}

void *pool_zalloc(size_t size)
{
	void *p = pool_calloc(size);

	if (!p)
		out_of_memory();
	return p;
}
