/* Linking: runs the scripts in Redis that decide, across partitions, in their order.
 *
 *   save     check the claim ─▶ session index ─▶ conversation index of each conversation in play
 *            ─▶ decide, for each user in play
 *   webhook  session index of the named session ─▶ conversation index ─▶ decide
 *
 * A script that misses facts says so (HYDRATE); they are read from the ledger and the
 * script is called again. When they can't be read, a link that may be forced is decided on
 * what Redis has, and what it touched is left to be hydrated later: good enough for
 * views, not for the ledger. Each call is idempotent: whoever repeats a link from its
 * beginning ends where the first would have. */
#ifndef DEBRIEF_BROKER_LINK_H
#define DEBRIEF_BROKER_LINK_H

#include "broker/worker.h"

enum link_result {
	LINK_DECIDED,
	LINK_SESSION_TAKEN,      /* another user owns the sid */
	LINK_CONVERSATION_TAKEN, /* the claimed conversation is another user's */
	LINK_FULL,               /* more than a bucket or an index entry holds */
	LINK_REDIS_AWAY,
	LINK_LEDGER_AWAY         /* facts were missing and couldn't be read */
};

/* One user whose links are decided, and the decision. */
struct link_user {
	const char *user;
	struct text sessions, conversations, removed; /* JSON members for the script, comma-separated */
	struct span ranges;      /* what the script asked for last */
	struct text hydrate;     /* all that the ledger had of what it asked for, comma-separated */
	unsigned rounds;
	bool pending;
	struct span revision;    /* digits; absent until decided */
	struct span decision;    /* decided: JSON for the ledger */
	struct link_user *next;
};

struct link {
	/* set by link_init() */
	struct worker *worker;
	struct job *job;
	enum step (*done)(void *ctx);
	void *ctx;
	/* may be set after link_init() */
	bool may_force;          /* decide on what is here when the ledger can't be asked: what is told is kept */
	bool forced;             /* … without asking it; set also when it could not be asked */
	bool journal;            /* save: the script that stamps the fact puts it into the journal */
	int64_t ledger_until_ms; /* monotonic: facts are not waited for any longer */
	struct span pin;         /* "s:…" or "c:…": the fact that only the journal has, if it does: pinned when forced */
	bool ledger_first;       /* the indexes are likely to miss facts: asks the ledger before it asks them */
	int64_t began_ms;        /* by the clock of Redis, before anything was read; 0 until its first reply */
	/* what came of it; spans live in the job's arena */
	enum link_result result;
	const char *error;       /* for the log, when a store was away */
	struct link_user *users; /* by id: the order in which their rows are locked */
	struct span session;     /* the merged session fact; "": nobody has saved it, or none is named; absent: not known yet */
	struct span entry;       /* save: its entry in the journal; empty: it is in none */
	struct span owner;       /* conversation: whose it is; empty: nobody's yet */
	struct span epoch;       /* … since when, in the order of its owners */
	struct span view;        /* touch: the session's poll view */
	bool unpinned;           /* a decision was made before it was forced: link_pin() is still to be done */
	bool lost;               /* confirm: Redis may have lost what this link told it */
	unsigned repeats;
	/* between steps */
	const char *user;        /* of a save */
	struct span sid, save;   /* a save that Redis has to stamp, */
	struct span fact;        /* or one that it has stamped before */
	struct span lost_claim;  /* that was told with it, and lost to an earlier one */
	struct span cid, facts;  /* of a conversation */
	struct span named_by;    /* the conversation that names `sid` */
	struct span view_sid;
	struct span hydrate;     /* for the session index */
	struct span hydrate_conversation; /* of `cid`, for the conversation index */
	struct link_visit *visits; /* the first is under way */
	struct link_gift *gifts;   /* all that went into anyone's bucket, repeats included */
	enum step (*visited)(struct link *link);
	struct link_user *deciding;
	enum step (*decided)(struct link *link); /* what follows on that decision */
	int64_t floor;
	char replid[48];         /* of Redis, when the link began */
	int64_t emptied_ms;      /* the latest that any partition in play was found empty */
};

/* `done` is the step that runs with `ctx` when the link is complete, one way or another. */
void link_init(struct link *link, struct worker *worker, struct job *job, enum step (*done)(void *ctx), void *ctx);

/* A save. `save` is the request for lua/session_index.lua: {"user", "agent"?, …}; `claim`
 * the submitted conversation id, or absent. */
STEP link_save(struct link *link, const char *user, struct span sid, struct span save, struct span claim);

/* A session whose fact is stamped already, by the ledger. */
STEP link_fact(struct link *link, const char *user, struct span sid, struct span fact);

/* A conversation that the ledger has. `facts` is the row of sql/conversation_facts.sql. */
STEP link_conversation(struct link *link, struct span cid, struct span facts);

/* A conversation that only the journal has. `content` is its fact (broker/fact.h). */
STEP link_content(struct link *link, struct span cid, struct span content);

/* The same, as the sweeper finds it there: whoever put it into the journal has linked it then. Asks the ledger. */
STEP link_journaled(struct link *link, struct span cid, struct span content);

/* Decides around a session that the ledger has, and gives its view. `fact` is from there. */
STEP link_session(struct link *link, const char *user, struct span sid, struct span fact);

/* What a script's OK says at its end, {…, emptied_at, now}: for scripts that ran before the link did. */
void link_note_times(struct link *link, const struct redis_reply *reply);
/* Whether a partition in play was emptied, or Redis came back another, since the link began. */
bool link_was_emptied(const struct link *link);

/* After the facts are committed: does Redis still know what it was told? It may have been emptied,
 * or have come back older, while they were on their way, and been filled from a ledger without them. If
 * so link->lost is set, and the link must be run again (link_repeat()). */
STEP link_confirm(struct link *link, enum step (*done)(void *ctx), void *ctx);
/* The same for who has asked already: `emptied` is when a partition was, as it says now; absent: Redis is away. */
void link_note_confirm(struct link *link, struct span emptied);
/* The same for a save that the ledger has now: its entry is struck out of the journal on the way. */
STEP link_strike(struct link *link, enum step (*done)(void *ctx), void *ctx);
enum { LINK_REPEATS_MAX = 5 };
/* From the beginning, with the facts that are committed by now. Ends in `done` as the first time. */
STEP link_repeat(struct link *link, enum step (*done)(void *ctx), void *ctx);

/* The user who owns the link's conversation, with the decision; NULL: nobody does. */
const struct link_user *link_owner(const struct link *link);
/* What was decided of a conversation (by its cid) or of a session: the link's evidence, or absent if it has none. Then
 * *other is the other of the two. */
struct span link_evidence(const struct link *link, bool by_cid, struct span id, struct span *other);

/* Decides again for all users, above the revision that the ledger is at. */
STEP link_again(struct link *link, int64_t floor);

/* The ledger has not taken what this link is about: pins it in the bucket of its user. */
STEP link_pin(struct link *link, enum step (*done)(void *ctx), void *ctx);
/* It has: the pin goes, if there is one. Nobody waits for that. */
void link_unpin(struct link *link);

#endif
