-- Whose a conversation is by its facts; null or no row: nobody's yet. $1 conversation id, $2 match window ms,
-- $3 claim_unowned.
SELECT debrief_owner(i, $2::bigint, $3::boolean) FROM interviews i WHERE i.conversation_id = $1
