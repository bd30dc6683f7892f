-- A conversation was heard of earlier than the ledger knows. $1 conversation id, $2 receipt ms.
UPDATE interviews SET received_at = debrief_time($2::bigint), updated_at = now()
WHERE conversation_id = $1 AND received_at > debrief_time($2::bigint)
