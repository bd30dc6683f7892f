/* Replies as hiredis has them, each object in one block of the pool: a webhook brings two dozen. */
#include <hiredis/hiredis.h>
#include <string.h>

#include "base/pool.h"
#include "redis/connection.h"

/* NULL: out of memory. */
static redisReply *object_init(const redisReadTask *task, redisReply *object)
{
	if (!object)
		return NULL;
	*object = (redisReply){.type = task->type};
	if (task->parent)
		((redisReply *)task->parent->obj)->element[task->idx] = object;
	return object;
}

static void *object_string(const redisReadTask *task, char *p, size_t n)
{
	redisReply *object = object_init(task, pool_malloc(sizeof(*object) + n + 1));

	if (!object)
		return NULL;
	object->str = memcpy(object + 1, p, n);
	object->str[n] = '\0';
	object->len = n;
	return object;
}

static void *object_array(const redisReadTask *task, int n)
{
	redisReply *object = object_init(task, pool_calloc(sizeof(*object) + (size_t)n * sizeof(*object->element)));

	if (!object)
		return NULL;
	object->elements = (size_t)n;
	object->element = (redisReply **)(object + 1);
	return object;
}

static void *object_integer(const redisReadTask *task, long long value)
{
	redisReply *object = object_init(task, pool_malloc(sizeof(*object)));

	if (object)
		object->integer = value;
	return object;
}

static void *object_nil(const redisReadTask *task)
{
	return object_init(task, pool_malloc(sizeof(redisReply)));
}

/* Of a reply that has come in part, some elements are NULL. hiredis reads none that are nested deeper than seven.
 * NOLINTNEXTLINE(misc-no-recursion) */
static void object_free(void *p)
{
	redisReply *object = p;

	for (size_t i = 0; object && i < object->elements; i++)
		object_free(object->element[i]);
	pool_free(object);
}

const redisReplyObjectFunctions redis_objects = {object_string, object_array, object_integer, object_nil, object_free};
