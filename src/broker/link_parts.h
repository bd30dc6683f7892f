/* The parts of a link: conversations to visit, users to decide for, and the JSON that
 * the scripts of lua/ take. Private to link*.c. */
#ifndef DEBRIEF_BROKER_LINK_PARTS_H
#define DEBRIEF_BROKER_LINK_PARTS_H

#include "broker/link.h"

/* One call of lua/conversation_index.lua. */
struct link_visit {
	struct span cid;
	struct text asks;       /* what is asked as JSON, each member with a comma before it */
	struct span content;    /* what is told, as broker/fact.h writes it */
	struct span named;      /* a session that it may name, */
	const char *named_owner; /* whose that is */
	bool check;             /* only asks whether a claim would be refused */
	const char *former;     /* the holder whose bucket the conversation has left */
	struct span hydrate;
	struct link_visit *next;
};

/* A conversation that was put into a user's bucket. */
struct link_gift {
	struct span cid;
	const char *user;
	struct link_gift *next;
};

/* Conversations to visit, in this order; several asks of one conversation are one visit. */
void link_visit_check(struct link *link, struct span cid, const char *user);
void link_visit_claim(struct link *link, struct span cid, struct span session_fact);
void link_visit_unclaim(struct link *link, struct span cid, struct span sid);
void link_visit_named(struct link *link, struct span cid, struct span sid, const char *owner);
void link_visit_content(struct link *link, struct span cid, struct span content, struct span facts);
/* The first visit's conversation may name `sid`, which is `owner`'s. */
void link_visit_name_owner(struct link *link, struct span sid, struct span owner);

void link_visit_again(struct link *link, struct span cid);

void link_user_add_session(struct link *link, const char *user, struct span fact);
void link_user_add_conversation(struct link *link, const char *user, struct span cid, struct span fact,
				struct span epoch, struct span sessions);
/* `fact`: the conversation's, so that its former neighbours can be found. Returns that user. */
struct link_user *link_user_remove(struct link *link, const char *user, struct span cid, struct span epoch,
				   struct span fact);
void link_user_hydrate(struct link_user *user, struct span facts);

/* What each script takes behind the replid and the TTL; lua/ has their contracts. */
enum { LINK_SESSION_WORDS = 8, LINK_VISIT_WORDS = 9, LINK_DECIDE_WORDS = 10, LINK_WORDS_MAX = 10 };
void link_session_words(const struct link *link, struct span words[LINK_SESSION_WORDS]);
void link_visit_words(struct link *link, struct span words[LINK_VISIT_WORDS]);
void link_decide_words(struct link *link, const struct link_user *user, struct span words[LINK_DECIDE_WORDS]);

/* link_calls.c. `id` is what the key is of. */
STEP link_script(struct link *link, enum script name, struct span id, struct span key, size_t count,
		 const struct span *words, redis_step *next);
STEP link_read_facts(struct link *link, enum statement statement, size_t count, const char *const *params,
		     postgres_step *next);
STEP link_read_facts_of(struct link *link, enum statement statement, struct span id, postgres_step *next);
/* False, and link->error, if the store is away; of the ledger, link->forced too if that may be. */
bool link_redis_answered(struct link *link, const struct redis_reply *reply);
bool link_ledger_answered(struct link *link, const struct postgres_reply *reply);
struct span link_keep(struct link *link, struct span value); /* in the job's arena */
/* A script's reply has its times at these places, and nothing at its end that would be empty. */
enum { REPLY_EMPTIED = 3, REPLY_NOW };
struct span link_value(const struct redis_reply *reply, size_t at);
STEP link_end(struct link *link, enum link_result result, const char *error);

/* What the index has of a conversation goes to link->owner, with the session that it names if that is theirs. */
void link_give(struct link *link, struct span cid, struct span fact, struct span sessions);
/* The scripts for link->cid and link->facts. `hydrate`: what the ledger has of it, if it was asked. */
STEP link_conversation_start(struct link *link, struct span hydrate);
/* From the beginning; what the ledger said then is not what it would say now. */
STEP link_start_again(struct link *link);
STEP link_visit_next(struct link *link, enum step (*visited)(struct link *link));

#endif
